"""A small outcome of a refinement that never ran: two noisy copies of a blob, twelve particles."""

from pathlib import Path

import numpy as np

from halfmap.data.particles import Particles
from halfmap.geometry import rotations
from halfmap.refine.state import Outcome
from halfmap.types import Curve, Defocus, Map, Optics, Poses
from halfmap.validate import fsc_report

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
    )
