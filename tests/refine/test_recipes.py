"""From settings to parts: a setting changes the part it is about and no other."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from halfmap.errors import UsageError
from halfmap.maps import masks
from halfmap.params.abinitio import Abinitio
from halfmap.params.auto import Auto
from halfmap.params.fsc import Fsc
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.local import Local
from halfmap.params.nonuniform import Nonuniform
from halfmap.params.reconstruct import Reconstruct
from halfmap.refine import parting, recipes
from halfmap.refine.batches import Frame
from halfmap.types import Map

GIVEN = Map(np.roll(masks.sphere(16, 5, 2), 2, axis=1), 8.0)
START = Map(np.roll(masks.sphere(16, 4, 3), 1, axis=2), 8.0)
OTHER = Map(START.data + np.random.default_rng(1).normal(0, 0.1, START.data.shape).astype(np.float32), 8.0)
SCALED = {"dynamic_mask_scaling": "resolution"}
FRAME = Frame(100, 2.5, 200.0)
FITTED = {"per_particle_scale": True}
FILE = {"mask": "mask.mrc"}
DYNAMIC = {"mask": "dynamic"}
DEFOCUS, LENS = {"refine_defocus": True}, {"refine_group_ctf": True}

# setting -> (other settings it needs, a value that is not the default, the leaves of the recipe it changes)
COMMON = {
    "symmetry": ({}, "D3", {"group"}),
    "box_size": ({}, 24, {"box_size"}),
    "particle_diameter_A": ({}, 90.0, {"diameter_A"}),
    "force_resplit": ({}, True, {"force_resplit"}),
    "ewald_sphere": ({}, "negative", {"sphere"}),
    "minibatch_size": ({}, 7, {"minibatch_size"}),
    "fsc_mask_scaling": ({}, "resolution", {"curves.spread"}),
    "fsc_mask_near_factor": ({"fsc_mask_scaling": "resolution"}, 1.0, {"curves.spread.near_factor"}),
    "fsc_mask_far_factor": ({"fsc_mask_scaling": "resolution"}, 7.0, {"curves.spread.far_factor"}),
    "auto_tighten_fsc_mask": ({}, False, {"curves.tightening"}),
    "molecular_weight_kDa": ({}, 465.0, {"curves.molecular_weight_Da"}),
}
REFINED = COMMON | {
    "keep_checkpoints": ({}, "all", {"kept"}),
    "initial_lowpass": ({}, 20.0, {"start.lowpass_A", "schedule.initial_lowpass_A", "claim.lowpass_A"}),
    "reestimate_greyscale": ({}, False, {"start.fit_grey"}),
    "max_align_resolution": ({}, 12.0, {"schedule.max_align_A"}),
    "min_align_resolution": ({}, 40.0, {"schedule.min_align_A"}),
    "extra_final_passes": ({}, 2, {"schedule.extra_final_passes"}),
    "max_iterations": ({}, 3, {"schedule.max_iterations"}),
    "early_subsets": ({}, False, {"schedule.subsets"}),
    "subset_size": ({}, 500, {"schedule.subsets.first"}),
    "subset_growth": ({}, 2.0, {"schedule.subsets.growth"}),
    "gsfsc_split_resolution": ({}, 25.0, {"prior.split_A", "claim.split_A"}),
    "non_negative": ({}, True, {"prior"}),
    "noise_model": ({}, "white", {"noise"}),
    "noise_prior_weight": ({}, 10.0, {"noise.prior_images"}),
    "noise_initial_scale": ({}, 3.0, {"noise.initial_scale"}),
    "align_symmetry": ({}, False, {"start.axes"}),
    "marginalization": ({}, True, {"laying"}),
    "relax_symmetry": ({"symmetry": "D2"}, "maximization", {"relaxation"}),
    "per_particle_scale": ({}, True, {"scale"}),
    "scale_start_iteration": (FITTED, 2, {"scale.start_iteration"}),
    "scale_reset": (FITTED, False, {"scale.reset"}),
    "candidates": ({}, 3, {"candidates"}),
    "offset_range_A": ({}, 9.0, {"offset_range_A", "schedule.farther"}),
    "mask": ({}, "none", {"mask.mask"}),
    "mask_start_resolution": (FILE, 15.0, {"mask.mask"}),
    "fsc_mask": ({}, "fsc.mrc", {"judge"}),
    "window_structure": ({}, False, {"mask"}),
    "dynamic_mask_scaling": ({}, "resolution", {"mask.mask"}),
    "dynamic_mask_near": ({}, 3.0, {"mask.mask.near_A"}),
    "dynamic_mask_far": ({}, 20.0, {"mask.mask.far_A"}),
    "dynamic_mask_near_factor": (SCALED, 1.0, {"mask.mask.near_factor"}),
    "dynamic_mask_far_factor": (SCALED, 7.0, {"mask.mask.far_factor"}),
    "dynamic_mask_start_resolution": ({}, 15.0, {"mask.mask.start_A"}),
    "dynamic_mask_threshold": ({}, 0.3, {"mask.mask.threshold"}),
    "dynamic_mask_use_abs": ({}, True, {"mask.mask.strength"}),
    "refine_defocus": ({}, True, {"lens.defocus", "schedule.refits"}),
    "defocus_range": (DEFOCUS, 500.0, {"lens.defocus.range_A"}),
    "defocus_prior": (DEFOCUS, 200.0, {"lens.defocus.prior_sd_A"}),
    "defocus_min_fit_resolution": (DEFOCUS, 15.0, {"lens.defocus_min_fit_A"}),
    "refine_group_ctf": ({}, True, {"lens.odd", "schedule.refits"}),
    "ctf_min_fit_resolution": (LENS, 8.0, {"lens.group_min_fit_A"}),
    "fit_tilt": (LENS, False, {"lens.odd"}),
    "fit_trefoil": (LENS, False, {"lens.odd"}),
    "fit_spherical": (LENS, True, {"lens.even"}),
    "fit_tetrafoil": (LENS, True, {"lens.even"}),
    "fit_anisotropic_magnification": (LENS, True, {"lens.magnification"}),
}
ELSEWHERE = {  # what is no affair of the refinement itself: files, processes, what is written
    "out": Path("other"), "overwrite": True, "resume": True, "dry_run": True, "seed": 5, "threads": 1, "device": "cpu",
    "particles": Path("other.star"), "passthrough": Path("rest.cs"), "images_root": Path("root"), "write_cs": True,
    "ignore_tilt": True, "ignore_trefoil": True, "ignore_tetrafoil": True, "ignore_anisotropic_magnification": True,
    "cache_dir": Path("ssd"), "cache_quota_GB": 5.0, "cache_reserve_GB": 1.0,
    "bfactor": -80.0, "bfactor_fit_low_A": 12.0, "bfactor_fit_high_A": 5.0,
}  # fmt: skip
OF_REFINEMENT = {"volume": Path("other.mrc"), "intermediate_plots": False, "write_candidates": True,
                 "continue_from": Path("other"), "continue_iteration": 3, "relion_files": "result"}  # fmt: skip
FILTERED = REFINED | {
    "marginalization": ({}, False, {"laying"}),
    "nonuniform_enable": ({}, False, {"prior.places"}),
    "nonuniform_filter_type": ({}, "gaussian", {"prior.places.shape"}),
    "nonuniform_filter_order": ({}, 4, {"prior.places.shape.order"}),
    "nonuniform_window_factor": ({}, 2.0, {"prior.places.window_factor"}),
}
PRIOR = {"use_alignment_prior": True}
NEARBY = REFINED | {
    "gsfsc_split_resolution": ({}, 25.0, {"prior.split_A"}),
    "initial_lowpass": ({}, 20.0, {"start.half1.data", "start.half2.data", "start.resolution_A",
                                   "schedule.initial_lowpass_A", "schedule.research_A"}),
    "initialize_from_halfmaps": ({}, True, {"start.half1.data", "start.half2.data", "start.resolution_A",
                                            "schedule.known_A"}),
    "fulcrum": ({}, "box_center", {"search.fulcrum_A", "search.radius_A"}),
    "rotation_search_extent": ({}, 30.0, {"search.extent_rad"}),
    "shift_search_extent": ({}, 7.0, {"search.extent_A"}),
    "use_alignment_prior": ({}, True, {"search.extent_rad", "search.extent_A", "search.sd_rad", "search.sd_A"}),
    "prior_rotation": (PRIOR, 4.0, {"search.extent_rad", "search.sd_rad"}),
    "prior_shift": (PRIOR, 3.0, {"search.extent_A", "search.sd_A"}),
    "recenter_rotations": ({}, True, {"search.recenter_rotations"}),
    "recenter_shifts": ({}, True, {"search.recenter_shifts"}),
    "mask": ({}, "dynamic", {"mask.mask", "judge", "curves.doubts", "search.fulcrum_A", "search.radius_A"}),
    "dynamic_mask_far": (DYNAMIC, 20.0, {"mask.mask.far_A", "search.fulcrum_A", "search.radius_A"}),
    "dynamic_mask_near": (DYNAMIC, 5.0, {"mask.mask.near_A", "search.fulcrum_A", "search.radius_A"}),
    "dynamic_mask_threshold": (DYNAMIC, 0.4, {"mask.mask.threshold", "search.fulcrum_A", "search.radius_A"}),
    "dynamic_mask_start_resolution": (DYNAMIC, 15.0, {"mask.mask.start_A"}),
    "dynamic_mask_use_abs": (DYNAMIC, True, {"mask.mask.strength"}),
    "dynamic_mask_scaling": (DYNAMIC, "resolution", {"mask.mask"}),
    "dynamic_mask_near_factor": (DYNAMIC | SCALED, 1.0, {"mask.mask.near_factor"}),
    "dynamic_mask_far_factor": (DYNAMIC | SCALED, 7.0, {"mask.mask.far_factor"}),
    "fsc_mask": ({}, "fsc.mrc", {"judge.name"}),
}
NEARBY |= {name: FILTERED[name] for name in set(FILTERED) - set(REFINED)} | {"marginalization": ({}, True, {"laying"})}
NEARBY = {name: NEARBY[name] for name in Local.model_fields if name in NEARBY}
AT_FIRST = ("early_subsets", "subset_size", "subset_growth", "relax_symmetry", "mask_start_resolution",
            "offset_range_A")  # fmt: skip
OF_LENS = {name for name in REFINED if "defocus" in name or "fit" in name or "group_ctf" in name}
AUTOMATIC = {name: REFINED[name] for name in REFINED if name not in OF_LENS | set(AT_FIRST)} | {
    "keep_checkpoints": ({}, "last", {"kept"}),
    "marginalization": ({}, False, {"laying"}),
    "initial_sampling": ({}, 3.7, {"schedule.initial_deg"}),
    "local_searches_from": ({}, 0.9, {"schedule.local_from_deg"}),
    "finer_sampling_faster": ({}, True, {"schedule.faster"}),
    "offset_range": ({}, 7.0, {"schedule.offset_range_px", "schedule.farther"}),
    "offset_step": ({}, 1.0, {"schedule.offset_step_px"}),
    "force_convergence": ({}, True, {"schedule.force"}),
    "solvent_flattened_fsc": ({}, False, {"judge"}),
    "weight_particles": ({}, False, {"junk"}),
    "ctf_correction": ({}, False, {"sphere"}),
    "ignore_ctf_until_first_peak": ({}, True, {"sphere"}),
    "zero_mask": ({}, False, {"surround"}),
}
JOBS = {
    Auto: (AUTOMATIC, ELSEWHERE | OF_REFINEMENT),
    Local: (NEARBY, ELSEWHERE | OF_REFINEMENT | {"half1": Path("a.mrc"), "half2": Path("b.mrc")}),
    Homogeneous: (REFINED, ELSEWHERE | OF_REFINEMENT),
    Nonuniform: (FILTERED, ELSEWHERE | OF_REFINEMENT),
    Reconstruct: (COMMON, ELSEWHERE | {"mask": Path("mask.mrc")}),
}
# What acts at the start alone must not change when a job is resumed: the change would have no effect
AT_THE_START = {"symmetry", "box_size", "force_resplit", "initial_lowpass", "gsfsc_split_resolution",
                "reestimate_greyscale", "scale_reset", "noise_model", "noise_initial_scale", "candidates",
                "align_symmetry", "relax_symmetry"}  # fmt: skip


def recipe(job, **settings):
    params = job(**{name: "x" for name, field in job.model_fields.items() if field.is_required()} | settings)
    if job is Reconstruct:
        return recipes.reconstruction(params)
    if job is Local:
        files = (None if getattr(params, name) in (None, "dynamic") else GIVEN for name in ("mask", "fsc_mask"))
        return recipes.local(params, START, (START, OTHER), *files)
    made = {Nonuniform: recipes.nonuniform, Auto: recipes.auto}.get(job, recipes.homogeneous)
    return made(params, *(GIVEN if name in settings and settings[name] != "none" else None
                          for name in ("mask", "fsc_mask")))  # fmt: skip


def changed(a, b, path="") -> set[str]:
    """Dotted names of the leaves that differ; of a part that is of another kind, its own name alone."""
    if is_dataclass(a) and type(a) is type(b):
        parts = (changed(getattr(a, f.name), getattr(b, f.name), f"{path}.{f.name}") for f in fields(a))
        return set().union(*parts)
    same = np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
    return set() if same else {path.lstrip(".")}


def cases(which):
    return [(job, name) for job, tables in JOBS.items() for name in tables[which]]


@pytest.mark.parametrize("job, name", cases(0), ids=lambda x: getattr(x, "__name__", x))
def test_a_setting_changes_its_part_of_the_recipe_and_no_other(job, name):
    needed, value, leaves = JOBS[job][0][name]
    assert changed(recipe(job, **needed), recipe(job, **needed, **{name: value})) == leaves


@pytest.mark.parametrize("job, name", cases(1), ids=lambda x: getattr(x, "__name__", x))
def test_files_processes_and_results_are_no_affair_of_the_recipe(job, name):
    assert changed(recipe(job), recipe(job, **{name: JOBS[job][1][name]})) == set()


@pytest.mark.parametrize("job", JOBS)
def test_these_are_all_settings(job):
    own, elsewhere = JOBS[job]
    assert set(own) | set(elsewhere) == set(job.model_fields)
    assert not set(own) & set(elsewhere)


def test_a_scale_of_the_table_stays_where_none_is_fitted():
    assert changed(recipe(Homogeneous), recipe(Homogeneous, scale_reset=False)) == {"scale"}
    assert isinstance(recipe(Homogeneous, scale_reset=False).scale, type(recipe(Reconstruct).scale))


def test_without_its_own_parts_it_is_a_homogeneous_refinement():
    plain = recipe(Nonuniform, nonuniform_enable=False, marginalization=False)
    assert changed(plain, recipe(Homogeneous)) == set()


def test_the_resolution_is_measured_without_a_mask_where_asked_for():
    map = Map(GIVEN.data, 8.0)
    for settings in ({}, FILE, {"fsc_mask": "fsc.mrc"}):
        judge = recipe(Auto, solvent_flattened_fsc=False, **settings).judge
        assert (judge.made(map, 10.0, None).data == 1).all()


def test_a_static_mask_is_the_mask_of_reference_and_fsc():
    assert changed(recipe(Homogeneous), recipe(Homogeneous, **FILE)) == {"mask.mask", "judge"}


def test_what_acts_at_the_start_alone_is_settled_there():
    files = {"particles", "passthrough", "images_root", "volume", "seed"}
    lens = {name for name in ELSEWHERE if name.startswith("ignore_")}
    assert Homogeneous.settled_at_start == AT_THE_START | files | lens
    near = {"half1", "half2", "mask", "initialize_from_halfmaps", "fulcrum", "rotation_search_extent",
            "shift_search_extent", "use_alignment_prior", "prior_rotation", "prior_shift", "recenter_rotations",
            "recenter_shifts"}  # fmt: skip
    assert Local.settled_at_start == AT_THE_START - {"align_symmetry", "relax_symmetry"} | near | files | lens


@pytest.mark.parametrize("name", [name for name in COMMON if "fsc" in name or "weight" in name])
def test_the_curves_of_a_pair_of_maps_have_the_same_settings(name):
    needed, value, leaves = COMMON[name]
    paths = {"out": "o", "half1": "a", "half2": "b"}
    before, after = (recipes.curve_settings(Fsc(**paths, **needed, **more)) for more in ({}, {name: value}))
    assert {f"curves.{leaf}" for leaf in changed(before, after)} == leaves


def test_settings_of_an_ab_initio_job_reach_their_parts():
    ours = {name: field.default for name, field in Abinitio.model_fields.items()}
    other = {
        "classes": 3, "starts": 5, "initial_resolution": 50.0, "max_resolution": 25.0, "num_initial_iterations": 7,
        "num_final_iterations": 3, "fourier_radius_step": 0.5, "initial_minibatch_size": 33, "minibatch_size": 44,
        "initial_learning_rate": 0.9, "final_learning_rate": 0.2, "class_similarity": 0.7, "class_anneal_start": 3,
        "class_anneal_end": 9, "initial_structure_lowpass": 3.0, "offset_range_A": 22.0, "min_align_resolution": 99.0,
        "window_structure": False, "center_structure": False, "non_negative": False,
    }
    of_passes = {"final_passes": 9, "final_resolution": 8.0, "symmetry": "C3", "particle_diameter_A": 77.0}

    def settings(**changes):
        return Abinitio(out=Path("not-read"), particles=Path("not-read"), **changes)

    plain = recipes.stochastic(settings(), FRAME)
    assert (plain.annealing.initial_A, plain.annealing.final_A) == pytest.approx((200 / 5.7, 20))
    for name, value in other.items():
        changed = recipes.stochastic(settings(**{"class_start": "independent", name: value}), FRAME)
        assert value != ours[name] and changed != plain, name
    small = replace(FRAME, diameter_A=60.0)
    assert plain.offset_A == pytest.approx(200 / 6) and recipes.stochastic(settings(), small).offset_A == 15.0
    for name, value in of_passes.items():
        assert recipes.stochastic(settings(**{name: value}), FRAME) == plain, name
    passes = recipes.final_passes(settings(**of_passes), 20.0)
    assert passes.start.lowpass_A == 20.0
    assert (passes.schedule.max_iterations, passes.schedule.max_align_A, len(passes.group), passes.diameter_A) == (
        9, 8.0, 3, 77.0)


def test_classes_split_from_a_consensus_or_grow_on_their_own():
    def made(**changes):
        params = Abinitio(out=Path("not-read"), particles=Path("not-read"), **changes)
        method = recipes.stochastic(params, FRAME)
        return method.classes, recipes.parting(params, 20.0)

    grown, split = made(classes=3, class_resolution=15.0)
    assert grown == split.grown == 1 and (split.classes, split.resolution_A) == (3, 15.0)
    assert made(classes=3, class_start="independent") == (3, parting.Competing(3))
    assert made() == (1, parting.Competing(1))


def test_a_step_has_as_many_images_for_every_map_that_grows():
    def images(**changes):
        params = Abinitio(out=Path("not-read"), particles=Path("not-read"), **changes)
        return recipes.stochastic(params, FRAME).annealing.images

    assert images() == images(classes=3) == (200, 250)
    assert images(classes=3, class_start="independent") == (600, 750)
    assert images(classes=3, class_start="independent", minibatch_size=90) == (600, 90)


def test_maps_grow_from_a_coarser_to_a_finer_resolution_of_the_particle_and_no_finer_than_its_pixels_show():
    def grown(frame=FRAME, **changes):
        params = Abinitio(out=Path("not-read"), particles=Path("not-read"), **changes)
        annealing = recipes.stochastic(params, frame).annealing
        return annealing.initial_A, annealing.final_A

    assert grown(initial_resolution=9.0, max_resolution=7.0) == (9.0, 7.0)
    assert grown(initial_resolution=9.0) == (9.0, 9.0)  # a tenth of the diameter would be coarser
    assert grown(max_resolution=3.0)[1] == 5.0 and grown(replace(FRAME, voxel_size_A=15.0))[1] == 30.0
    with pytest.raises(UsageError, match="--max-resolution 50 A: is coarser than the first steps, at 35.1 A"):
        grown(max_resolution=50.0)
    with pytest.raises(UsageError, match="--initial-resolution 20 A: is coarser than the particle: .* 5 A"):
        grown(replace(FRAME, diameter_A=5.0))
