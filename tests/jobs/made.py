"""A small outcome of a refinement that never ran: two noisy copies of a blob, twelve particles."""

from pathlib import Path

import numpy as np

from halfmap.data.particles import Particles
from halfmap.geometry import rotations, sampling
from halfmap.io import mrc
from halfmap.jobs import catalog
from halfmap.jobs.running import events, record, results
from halfmap.params.homogeneous import Homogeneous
from halfmap.refine import diagnostics
from halfmap.refine.diagnostics import Diagnostics
from halfmap.refine.state import Outcome
from halfmap.types import Curve, Defocus, Map, Optics, Poses
from halfmap.validate import conical, fsc, fsc_report

BOX, VOXEL_A, N = 32, 3.0, 12


def particles(folder: Path) -> Particles:
    rng = np.random.default_rng(1)
    zeros = np.zeros(N)
    return Particles(
        files=(folder / "images.mrcs",),
        file=np.zeros(N, np.int32),
        index=np.arange(N),
        optics=(Optics("opticsGroup1", 300.0, 2.7e7, 0.1, VOXEL_A, BOX),),
        group=np.zeros(N, np.int32),
        defocus=Defocus(zeros + 12000, zeros + 11500, zeros, zeros, zeros, zeros + 1),
        poses=Poses(rotations.random(N, rng), rng.normal(0, 2, (N, 2))),
        half=(1 + np.arange(N) % 2).astype(np.int8),
        scale=np.ones(N),
    )


def halves() -> tuple[Map, Map]:
    rng = np.random.default_rng(2)
    z, y, x = np.mgrid[:BOX, :BOX, :BOX] - BOX // 2
    blob = np.exp(-(x**2 + 2 * y**2 + 3 * (z - 2) ** 2) / 60.0) + np.exp(-((x - 6) ** 2 + y**2 + z**2) / 4.0)
    return tuple(Map((blob + 0.02 * rng.standard_normal(blob.shape)).astype(np.float32), VOXEL_A) for _ in range(2))


def iteration(number: int = 1) -> Diagnostics:
    """What an iteration of such a refinement would show, every array of docs/JOB_FOLDER.md included."""
    rng = np.random.default_rng(number)
    both = halves()
    curves = fsc.masked_and_corrected(*both, np.ones_like(both[0].data))
    mean = Map((both[0].data + both[1].data) / 2, VOXEL_A)
    moved, edges = diagnostics.histogram(rng.exponential(1, N))
    changes = {f"{kind}_change_{since}{end}": value for kind in ("rotation", "shift") for since in ("last", "input")
               for end, value in (("", moved), ("_edges", edges), ("_median", np.float64(0.7)))}  # fmt: skip
    axes = sampling.healpix_directions(1)
    arrays = {
        **diagnostics.slices("map", mean),
        **diagnostics.slices("mask", Map(np.ones_like(mean.data), VOXEL_A)),
        **diagnostics.fourier_slices(both),
        **{f"fsc_{name}": curve.values for name, curve in curves.items()},
        **diagnostics.guinier_of(both, curves["corrected"]),
        "noise_sd": np.ones((1, BOX // 2 + 1)),
        "noise_sd_before": np.full((1, BOX // 2 + 1), 1.5),
        **diagnostics.directions(rotations.random(N, rng), np.eye(3)[None]),
        "precision_directions": axes,
        "precision": np.ones(len(axes)),
        **changes,
        "mates": np.array([7, 5], np.int32),
        "mate_certainty": np.array([0, 3, 9]),
        "mate_certainty_edges": np.array([0, 0.4, 0.8, 1]),
        "mate_certainty_median": np.float64(0.9),
        **diagnostics.scales(rng.normal(1, 0.1, N)),
        **diagnostics.cone_arrays(conical.conical(*both)),
    }
    facts = {
        "iteration": number, "images": N, "images_per_half": [6, 6], "box": BOX, "voxel_size_A": VOXEL_A, "band": 8,
        "resolution_A": 9.0, "randomised_from": 5, "radii": {name: fsc.crossing(c) for name, c in curves.items()},
        "mask": "0.20 max at 9 A, 1 to 6 A, 0 from 14 A", "fsc_mask": "sphere",
        "groups": ["opticsGroup1"], "precision_ratio": 1.0, "cfar": 0.9,
        "directions_differ": False,
    }  # fmt: skip
    return Diagnostics(f"iteration_{number:03d}", arrays, facts)


def lens(number: int = 1) -> Diagnostics:
    """What a look at the CTF before such an iteration would show: coma, and no Cs to speak of."""
    ky, kx = np.mgrid[-8:9, 0:9]
    inside = (np.hypot(kx, ky) <= 8) & ((kx > 0) | (ky > 0))
    coma = np.where(inside, kx * (kx**2 + ky**2) / 200, np.nan).astype(np.float32)
    planes = {"measured": coma + np.float32(0.1), "fitted": coma, "beside": np.zeros_like(coma)}
    fit = {"values": {"tilt_x_rad": 1e-3}, "errors": {"tilt_x_rad": 1e-5}, "gain": 9.0, "slope": 1.0}
    groups = [{"group": 0, "name": "opticsGroup1", "band_A": [20.0, 9.0], "odd": {**fit, "significant": True},
               "even": {**fit, "significant": False}}]  # fmt: skip
    error = np.full(N, 50.0)
    error[3] = np.nan  # an image that was not looked at
    tried = np.linspace(-2000, 2000, 9)
    arrays = {
        **{f"{kind}_0_{part}": plane for kind in ("odd", "even") for part, plane in planes.items()},
        "defocus_change_A": np.linspace(-300, 300, N), "defocus_error_A": error, "defocus_tried_A": tried,
        "defocus_curves": -(tried - np.array([[100], [0], [-100]])) ** 2 / 1e4, "defocus_curves_rows": np.arange(3),
    }  # fmt: skip
    defocus = {"particles": N - 1, "moved": 9, "rms_change_A": 180.0, "median_error_A": 50.0}
    return Diagnostics(f"optics_{number:03d}", arrays, {"iteration": number, "groups": groups, "defocus": defocus})


def outcome(folder: Path, rejected: tuple = ()) -> Outcome:
    half1, half2 = halves()
    curves = fsc_report.report(half1, half2, fsc_report.Settings())
    table = particles(folder)
    kept = np.setdiff1d(np.arange(N), [row for row, _ in rejected])
    row = {"iteration": 1, "resolution_A": 9.0, "accuracy_rotation_deg": 1.5, "accuracy_shift_A": 0.5, "seconds": 1.0}
    noise = (Curve("opticsGroup1", 1 + 5 / (1.0 + np.arange(BOX // 2 + 1)), BOX, VOXEL_A),)
    return Outcome(
        half1,
        half2,
        Map((half1.data + half2.data) / 2, VOXEL_A),
        table[kept],
        {"max_probability": np.ones(len(kept))},
        Map(np.ones_like(half1.data), VOXEL_A),
        noise,
        curves,
        (row,),
        rejected,
        {"reading": 0.1, "search": 0.2, "poses": 0.3, "reconstruct": 0.4},
        ("few particles",),
        diagnostics=final(half1, half2),
    )


def final(half1: Map, half2: Map) -> Diagnostics:
    """What the final maps show."""
    cones = conical.conical(half1, half2)
    facts = {"iteration": 1, "box": BOX, "voxel_size_A": VOXEL_A, "band": 8, "mask": "tight, 0.5 max, 6-12 A",
             "precision_ratio": 1.5, **diagnostics.cone_facts(cones)}  # fmt: skip
    arrays = {**diagnostics.fourier_slices((half1, half2)), **diagnostics.cone_arrays(cones)}
    return Diagnostics("final", arrays, facts)


def finished(folder: Path, **settings) -> Path:
    """The folder of a refinement that is finished, with its images beside it; without plots and report."""
    images = np.random.default_rng(3).standard_normal((N, BOX, BOX)).astype(np.float32)
    mrc.write_stack(folder.parent / "images.mrcs", images, VOXEL_A)
    folder.mkdir()
    params = Homogeneous(particles=Path("p.star"), volume=Path("start.mrc"), out=folder, seed=1, **settings)
    record.write(folder, catalog.find("refine homogeneous"), params, ["halfmap", "refine"], None)
    watch = events.Watch(folder)
    table = particles(folder.parent)
    found = results.write(outcome(folder.parent), table, params, folder, watch)
    watch.close()
    record.write_json(folder / "summary.json", {"job": "refine homogeneous", "status": "finished", **found})
    return folder
