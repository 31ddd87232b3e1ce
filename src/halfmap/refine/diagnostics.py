"""What an iteration shows of itself: slices, curves, histograms, facts. Numbers only; who draws them is above.

Owns the choice and the names of the arrays (docs/JOB_FOLDER.md lists them). Pure: nothing here changes a refinement.
All of it together costs a few per cent of an iteration.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from halfmap.geometry import symmetry
from halfmap.physics.noise import GroupModel
from halfmap.refine import junk
from halfmap.refine.maximisation import Maximised
from halfmap.refine.recipe import Recipe
from halfmap.refine.schedules import Plan
from halfmap.refine.setup import Run
from halfmap.refine.state import State
from halfmap.types import Curve, Map, Sums
from halfmap.validate import conical, fsc, fsc_masks, guinier, orientation
from halfmap.validate.fsc_report import Report

BINS = 50
USUAL = 98.0  # per cent of the values that the axis of a histogram of changes holds; the last bin takes the rest
BEYOND = 1.06  # of the extent of a search, up to where its histogram reaches: 50 bins have an edge just below it
MOST_POSES = 16.0  # of the axis of their histogram: eleven sigma points and a few other modes
SCALES = np.linspace(0, 3, 61)  # edges; cryoSPARC shows the same range
CERTAINTIES = np.linspace(0, 1, 41)  # edges of the histogram of probabilities
CHEAP_SHELLS = 70  # up to here the conical FSC takes 0.3 s; its work grows with the third power
# Curves through the loose and the tight mask take 0.45 s of one core at 128 voxels, and grow with the voxels; images
# 3.5 ms each, and grow with their pixels. With so many images for a voxel of an edge the curves are 3 % of an iteration
CHEAP_IMAGES = 32
GUINIER_FROM_A = 10.0  # coarser shells follow the shape of the molecule: Rosenthal & Henderson 2003


@dataclass(frozen=True)
class Diagnostics:
    """One iteration, or the final result.

    ``arrays``: by the names of docs/JOB_FOLDER.md; what does not apply is not there. ``facts``: numbers and words.
    """

    name: str  # of the file: "iteration_003", "final"
    arrays: dict[str, np.ndarray]
    facts: dict

    @property
    def iteration(self) -> int:
        return self.facts["iteration"]


def of_iteration(job: Run, old: State, new: State, plan: Plan, result: Maximised, sums: tuple[Sums, Sums]
                 ) -> Diagnostics:
    """Everything an iteration shows. The last one, and those of many shells, leave the conical FSC to ``of_result``."""
    began = time.perf_counter()
    rows = np.sort(np.concatenate([job.rows(1), job.rows(2)]))
    coverage = precision(sums, plan.band)
    curves, words = standard_curves(result, job.recipe, plan)
    arrays = {
        **slices("map", result.smooth, job.recipe.search.focus_A),
        **fourier_slices(result.halves),
        **slices("mask", result.mask, job.recipe.search.focus_A),
        **{f"fsc_{name}": curve.values for name, curve in {**curves, **result.curves}.items()},
        **guinier_of(result.halves, result.curves["corrected"]),
        **noise(old, new),
        **directions(new.poses.rotations[rows], job.recipe.map_group),
        **mates(new.poses.rotations[rows], new.weights[rows, 0], job.recipe),
        "precision_directions": coverage.directions,
        "precision": coverage.density,
        **changes(job, old, new, plan, rows),
        **scales(new.scale[rows]),
        **poses(job.recipe.layer.columns(new.effective[rows])),
        **local_filter(result),
        **course(new.history),
        **matches(new, rows, job.recipe),
    }
    facts = {**facts_of(job, new, plan, result, rows), "precision_ratio": coverage.ratio, "fsc_words": words}
    facts["radii"] = {**facts["radii"], **{name: fsc.crossing(curve) for name, curve in curves.items()}}
    if "local_filter_median" in arrays:
        facts["local_filter_A"] = float(arrays["local_filter_median"])
    if "guinier_fit" in arrays:
        facts["bfactor_A2"] = 4 * float(arrays["guinier_fit"][0])
    if not plan.final and result.shell <= CHEAP_SHELLS:
        cones = conical.conical(*result.halves, result.judge.data, result.curves["masked"])
        arrays, facts = {**arrays, **cone_arrays(cones)}, {**facts, **cone_facts(cones)}
    facts["seconds_diagnostics"] = job.source.clock.add("diagnostics", began) - began
    return Diagnostics(f"iteration_{new.iteration:03d}", arrays, facts)


def of_result(state: State, report: Report, halves: tuple[Map, Map], sums: tuple[Sums, Sums]) -> Diagnostics:
    """What the final maps show, seen through the mask that judges them. The rest is in the last iteration."""
    cones = conical.conical(*halves, report.mask.data, report.curves[report.judge])
    coverage = precision(sums, state.band)
    arrays = {**fourier_slices(halves), **cone_arrays(cones)}
    return Diagnostics("final", arrays, {
        "iteration": state.iteration, "box": halves[0].box, "voxel_size_A": halves[0].voxel_size_A,
        "band": state.band, "randomised_from": report.randomised_from, "mask": report.descriptions[report.judge],
        "precision_ratio": coverage.ratio, **cone_facts(cones),
    })


def standard_curves(result: Maximised, recipe: Recipe, plan: Plan) -> tuple[dict[str, Curve], dict[str, str]]:
    """FSC in the sphere of the particle and through the standard masks "loose" and "tight", and what each is.

    The last two are left out where they would cost more than a little of the iteration, and of the last one: the result
    has them.
    """
    curves, words = {"spherical": result.inside}, {"spherical": f"spherical: {result.inside_words}"}
    if plan.final or int(plan.used.sum()) < CHEAP_IMAGES * plan.box:
        return curves, words
    pair = fsc.Pair(*result.halves, len(recipe.map_group))
    made = fsc_masks.standard(pair, recipe.curves.spread)
    for name, mask in (("loose", made.loose), ("tight", made.tight)):
        curves[name], words[name] = pair.masked(mask.data, name), f"{name}: {mask.words}"
    return curves, words


def slices(name: str, map: Map, at_A: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> dict[str, np.ndarray]:
    """``name``_slices: slices along x, y, z, (3, N, N) float16, divided by ``name``_unit, their largest value.

    They meet ``at_A`` (x, y, z from the box centre). The slice along x is (z, y), along y (z, x), along z (y, x).
    """
    place = np.clip(np.rint(map.box // 2 + np.array(at_A) / map.voxel_size_A).astype(int), 0, map.box - 1)
    cut = np.stack([np.take(map.data, index, axis=axis) for index, axis in zip(place, (2, 1, 0), strict=True)])
    unit = max(float(np.abs(cut).max()), np.finfo(np.float32).tiny)
    return {f"{name}_slices": (cut / unit).astype(np.float16), f"{name}_unit": np.float64(unit)}


def fourier_slices(halves: tuple[Map, Map]) -> dict[str, np.ndarray]:
    """fourier_slices: log10 |F| of the mean of both halves in the central planes across x, y, z: (3, N, N) float16.

    Zero frequency in the middle; relative to the largest. They are the transforms of projections.
    """
    planes = []
    for axis in (2, 1, 0):
        projection = sum(half.data.sum(axis=axis, dtype=np.float64) for half in halves)
        planes.append(np.abs(np.fft.fftshift(np.fft.fft2(projection))))
    amplitude = np.stack(planes)
    top = max(float(amplitude.max()), np.finfo(float).tiny)
    return {"fourier_slices": np.log10(np.maximum(amplitude / top, 1e-6)).astype(np.float16)}  # six decades: float32


def guinier_of(halves: tuple[Map, Map], corrected: Curve) -> dict[str, np.ndarray]:
    """guinier_amplitude (shells,); guinier_fit: slope (A^2), intercept, first and last 1/d^2, where there is a fit."""
    mean = Map((halves[0].data + halves[1].data) / 2, halves[0].voxel_size_A)
    profile = guinier.profile(mean)
    fit = guinier.fit_profile(profile, GUINIER_FROM_A, fsc.resolution_A(corrected), corrected)
    found = {"guinier_amplitude": profile.values}
    if fit is not None:
        found["guinier_fit"] = np.array([fit.slope, fit.intercept, fit.x[0], fit.x[-1]])
    return found


def noise(old: State, new: State) -> dict[str, np.ndarray]:
    """noise_sd and noise_sd_before: (optics groups, shells) float32; grey (optics groups,): grey scale of each.

    Groups of smaller images have fewer shells; what they do not have is NaN.
    """
    return {"noise_sd": noise_sd(new.models), "noise_sd_before": noise_sd(old.models),
            "grey": np.array([m.grey for m in new.models])}


def noise_sd(models: Sequence[GroupModel]) -> np.ndarray:
    """(optics groups, shells) float32, NaN where a group has no such shell."""
    return _table([model.noise_sd for model in models])


def _table(rows: list[np.ndarray]) -> np.ndarray:
    table = np.full((len(rows), max(map(len, rows))), np.nan, np.float32)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table


def directions(rotations: np.ndarray, group: np.ndarray) -> dict[str, np.ndarray]:
    """directions: particles per bin, (36 elevation, 72 azimuth) int32, each counted in one asymmetric unit.

    Edges: azimuth -pi..pi, sine of the elevation -1..1, both even.
    """
    counts = orientation.direction_histogram(symmetry.canonical(rotations, group)).counts
    return {"directions": counts.astype(np.int32)}


def mates(rotations: np.ndarray, certainty: np.ndarray, recipe: Recipe) -> dict[str, np.ndarray]:
    """mates: particles posed in each asymmetric unit (operators,) int32, where the symmetry is relaxed.

    mate_certainty: histogram of the probability of the best mate, its edges and median; ``certainty`` (n,).
    """
    if len(recipe.map_group) == len(recipe.group):
        return {}
    unit = symmetry.unit_of(rotations, recipe.group)
    counts, edges = histogram(np.asarray(certainty, float), CERTAINTIES)
    return {"mates": np.bincount(unit, minlength=len(recipe.group)).astype(np.int32), "mate_certainty": counts,
            "mate_certainty_edges": edges, "mate_certainty_median": np.float64(np.median(certainty))}


def precision(sums: tuple[Sums, Sums], band: int) -> orientation.Precision:
    """Of both halves together, over the outer half of the alignment band."""
    a, b = sums
    found = [orientation.precision(s.weight, s.padding, max(1, band // 2), band) for s in (a, b)]
    images = np.array([max(s.images, 1) for s in (a, b)], float)
    density = np.average([f.density for f in found], axis=0, weights=images)
    return orientation.Precision(found[0].directions, density)


def changes(job: Run, old: State, new: State, plan: Plan, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Histograms of how far poses moved since the last iteration and since the input, where there were poses.

    rotation_change_*, shift_change_* (BINS,) int and their edges in degrees and A; * is "last" or "input".
    """
    if not any(rounds for _, rounds in plan.stages):
        return {}  # poses were not refined
    earlier = {}
    if np.isfinite(old.candidates.log_likelihood[rows, 0]).all():
        earlier["last"] = old.poses
    if job.source.particles.poses is not None:
        earlier["input"] = job.source.particles.poses
    found = {}
    for name, poses in earlier.items():
        limits = job.recipe.search.extents if name == "input" else {}
        found.update(_moves(name, *job.recipe.search.apart(new.poses[rows], poses[rows], job.recipe.group), limits))
    return found


def _moves(name: str, turned: np.ndarray, moved: np.ndarray, limits: dict[str, float]) -> dict[str, np.ndarray]:
    """Histograms; where there are limits they reach a little further, so that what is held back stands out."""
    found = {}
    for kind, values in (("rotation", np.rad2deg(turned)), ("shift", moved)):
        wide = np.linspace(0, BEYOND * limits[kind], BINS + 1) if kind in limits else None
        counts, edges = histogram(values, wide)
        median = np.float64(np.median(values)) if len(values) else np.float64(0)
        found |= {f"{kind}_change_{name}": counts, f"{kind}_change_{name}_edges": edges,
                  f"{kind}_change_{name}_median": median}
    return found


def histogram(values: np.ndarray, edges: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(counts, edges); the end bins take what lies beyond them, so that the counts add up to the number of values.

    Without ``edges``, BINS from 0 to a round number above USUAL per cent of the values.
    """
    if edges is None:
        edges = np.linspace(0, _round_up(np.percentile(values, USUAL) if len(values) else 1.0), BINS + 1)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts.astype(np.int32), edges


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10 .. times a power of ten."""
    power = 10 ** np.floor(np.log10(max(value, 1e-3)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))


def scales(scale: np.ndarray) -> dict[str, np.ndarray]:
    """scales: histogram of the scale (n,) of single particles, and its edges."""
    counts, edges = histogram(np.asarray(scale, float), SCALES)
    return {"scales": counts, "scales_edges": edges, "scales_mean": np.float64(np.mean(scale))}


def poses(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """poses_per_image: histogram of the effective number of poses, where images are laid in at several."""
    if "effective_poses" not in columns:
        return {}
    effective = columns["effective_poses"]
    counts, edges = histogram(effective, np.linspace(1, MOST_POSES, BINS + 1))
    return {"poses_per_image": counts, "poses_per_image_edges": edges,
            "poses_per_image_mean": np.float64(effective.mean())}


def course(history: tuple[dict, ...]) -> dict[str, np.ndarray]:
    """course_*: what the iterations so far tell of a schedule that has a sampling, (iterations,); NaN where nothing."""
    if "angular_step_deg" not in history[-1]:
        return {}
    names = ("iteration", "resolution_A", "resolution_unmasked_A", "band_A", "angular_step_deg", "offset_step_A",
             "accuracy_rotation_deg", "accuracy_shift_A", "change_rotation_deg", "change_shift_A",
             "searched_globally", "searched_locally", "junk_particles")  # fmt: skip
    return {f"course_{name}": np.array([row.get(name) for row in history], float) for name in names}


def matches(state: State, rows: np.ndarray, recipe: Recipe) -> dict[str, np.ndarray]:
    """matches_particles, matches_junk, matches_edges: histograms of signal-to-noise ratios, by weight over and under
    a half, where particles are weighted."""
    if not recipe.junk.judges:
        return {}
    found = junk.matches(state.cross[rows], state.power[rows])
    edges = np.linspace(min(found.min(initial=0.0), 0.0), max(np.percentile(found, 99.8), 1.0), BINS + 1)
    counts = state.trust[rows] >= junk.HALF
    particles, rest = (histogram(found[which], edges)[0] for which in (counts, ~counts))
    return {"matches_particles": particles, "matches_junk": rest, "matches_edges": edges}


def local_filter(result: Maximised) -> dict[str, np.ndarray]:
    """local_filter_slices (A), and how much of the volume in the mask is filtered to what, where places differ.

    local_filter_counts: fractions of that volume, in bins even in frequency; local_filter_range: 2 and 98 per cent.
    """
    box, voxel = result.mask.box, result.mask.voxel_size_A
    found = result.filter.resolution(box, box * voxel)
    if found is None:
        return {}
    inside = found.data[result.mask.data > 0.5]
    low, middle, high = np.percentile(inside, (2, 50, 98)) if len(inside) else (2 * voxel, 4 * voxel, 8 * voxel)
    edges = 1 / np.linspace(1 / found.data.max(), 1 / (2 * voxel), BINS // 2 + 1)[::-1]
    counts, _ = histogram(inside, edges)
    return {
        **slices("local_filter", found), "local_filter_counts": counts / max(counts.sum(), 1),
        "local_filter_edges": edges, "local_filter_median": np.float64(middle),
        "local_filter_range": np.array([low, max(high, 1.01 * low)]),
    }


def cone_arrays(cones: conical.Conical) -> dict[str, np.ndarray]:
    """Of the conical FSC: cfsc_mean, _min, _max, _sd (shells,), and of each axis its resolution (A) and area."""
    c = cones.curves
    return {"cfsc_mean": c.mean(0), "cfsc_min": c.min(0), "cfsc_max": c.max(0), "cfsc_sd": c.std(0),
            "cfsc_axes": cones.axes, "cfsc_resolutions_A": cones.resolutions_A(), "cfsc_area": cones.area}


def cone_facts(cones: conical.Conical) -> dict:
    """cfar, and whether the directions differ by more than noise makes them."""
    return {"cfar": cones.cfar, "directions_differ": cones.beyond_chance}


def facts_of(job: Run, state: State, plan: Plan, result: Maximised, rows: np.ndarray) -> dict:
    """The line of history and what else can be said in a number."""
    half, searched = result.halves[0], bool(plan.searched[rows].any())
    return {
        **state.history[-1],
        "images": len(rows),
        "images_per_half": [len(job.rows(1)), len(job.rows(2))],
        "box": half.box,
        "voxel_size_A": half.voxel_size_A,
        "band": plan.band,
        "reach": plan.reach,
        "search_step_deg": job.recipe.search.step_deg(plan, job.frame) if searched else None,
        "randomised_from": fsc.randomised_from(result.curves["no_mask"]),
        "radii": {name: fsc.crossing(curve) for name, curve in result.curves.items()},
        "mask": result.mask_words,
        "fsc_mask": result.judge.words,
        "mask_volume_A3": float(result.mask.data.sum(dtype=float)) * half.voxel_size_A**3,
        "groups": [o.name for o in job.source.particles.optics],
        **job.recipe.search.told(job.frame),
    }
