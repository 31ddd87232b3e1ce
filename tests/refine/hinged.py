"""A molecule of two parts, one of which turns about a hinge; its images, and a local refinement of that part."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmap import simulate
from halfmap.align import tether
from halfmap.data.particles import Particles
from halfmap.geometry import rotations, symmetry
from halfmap.maps import masks
from halfmap.params.local import Local
from halfmap.refine import loop, recipes
from halfmap.refine.recipe import Recipe
from halfmap.types import Map, Poses
from tests.refine import made

HINGE_A = (-5.0, 5.0, 0.0)  # x, y, z from the box centre
SPREAD_DEG = 8.0  # per axis
APART_PX = 7  # of each part from the box centre, along x


@dataclass(frozen=True)
class Hinged:
    whole: Map  # both parts at rest
    moving: Map
    mask: Map  # of the moving part
    particles: Particles  # with the poses of the body, and half-sets
    truth: Poses  # of the moving part


def experiment(folder: Path, n: int = 240, snr: float = 2.0, seed: int = 5) -> Hinged:
    rng = np.random.default_rng(seed)
    body, moving = (part(rng, side * APART_PX) for side in (-1, 1))
    hinge = simulate.Hinge(moving, HINGE_A, np.deg2rad(SPREAD_DEG))
    drawn = simulate.simulation(body, n, rng, simulate.Settings(snr=snr, hinge=hinge))
    images = np.concatenate(list(drawn.images()))
    whole = Map(body.data + moving.data, made.VOXEL_A)
    mask = masks.dynamic(moving, 15.0, 0.1, 5.0, 20.0)
    return Hinged(whole, moving, mask, made.stacked(folder / "hinged.mrcs", images, drawn.particles), drawn.moving)


def part(rng: np.random.Generator, along_x: int) -> Map:
    one = simulate.protein_like(made.BOX, made.VOXEL_A, symmetry.group("C1"), rng, diameter_A=65.0)
    return Map(np.roll(one.data, along_x, axis=2), one.voxel_size_A)


def local(reference: Map, mask: Map | None, halves=None, **settings) -> Recipe:
    paths = {name: Path("not-read") for name in ("out", "particles", "volume")}
    usual = {"mask": "dynamic" if mask is None else "mask.mrc", "fulcrum": at(HINGE_A)}
    return recipes.local(Local(**paths, **usual | settings), reference, halves, mask)


def at(place_A) -> str:
    """As a user says it: from the corner of the box."""
    return ",".join(f"{x + made.BOX // 2 * made.VOXEL_A:g}" for x in place_A) + "A"


def refined(data: Hinged, particles: Particles | None = None, heard=None, **settings):
    recipe = local(data.whole, data.mask, **settings)
    given = data.particles if particles is None else particles
    return loop.run(recipe, given, data.whole, None, np.random.default_rng(1),
                    made.Heard() if heard is None else heard)


def error_deg(found: Particles, truth: Poses) -> np.ndarray:
    """(n,) angle to the truth, less a turn of the whole map, which nothing tells."""
    off = rotations.log_so3(np.swapaxes(truth.rotations[found.index], 1, 2) @ found.poses.rotations)
    frame = rotations.exp_so3(np.median(off, axis=0))
    return np.rad2deg(rotations.angle_between(truth.rotations[found.index] @ frame, found.poses.rotations))


def changes(found: Particles, given: Particles, fulcrum_A=HINGE_A) -> tuple[np.ndarray, np.ndarray]:
    """Turn in degrees and shift of the fulcrum in A since the input."""
    before = given.poses[found.index]
    push = (tether.fulcrum_shifts(poses, np.array(fulcrum_A)) for poses in (found.poses, before))
    turn = rotations.angle_between(found.poses.rotations, before.rotations)
    return np.rad2deg(turn), np.linalg.norm(next(push) - next(push), axis=1)


def without_halves(particles: Particles) -> Particles:
    return replace(particles, half=np.zeros_like(particles.half))
