"""A small refinement: a D2 molecule of 160 A in a box of 32, images with little noise; and states that never ran."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmap import simulate
from halfmap.data.particles import Particles
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.params.auto import Auto
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.nonuniform import Nonuniform
from halfmap.params.reconstruct import Reconstruct
from halfmap.physics import noise
from halfmap.refine import recipes, setup
from halfmap.refine.recipe import Recipe
from halfmap.refine.state import State
from halfmap.types import Candidates, Curve, Map

BOX, VOXEL_A = 32, 5.0
GROUP = symmetry.group("D2")


@dataclass(frozen=True)
class Experiment:
    map: Map
    images: np.ndarray
    truth: Particles  # poses and half-sets included
    contrast: np.ndarray  # (n,) of the images, which no table tells

    def told(self) -> Particles:
        """What a user has: no poses, no half-sets."""
        return replace(self.truth, poses=None, half=np.zeros_like(self.truth.half))


def experiment(folder: Path, n: int = 200, seed: int = 3, **settings) -> Experiment:
    """Large pixels and little noise: a few hundred small images are enough to refine."""
    rng = np.random.default_rng(seed)
    molecule = simulate.protein_like(BOX, VOXEL_A, GROUP, rng)
    drawn = simulate.simulation(molecule, n, rng, simulate.Settings(**{"snr": 0.5, **settings}))
    images = np.concatenate(list(drawn.images()))
    return Experiment(molecule, images, stacked(folder / "images.mrcs", images, drawn.particles), drawn.scale)


def stacked(path: Path, images: np.ndarray, particles: Particles) -> Particles:
    """The particles, their images written to ``path`` in the order of the table."""
    mrc.write_stack(path, images.astype(np.float32), VOXEL_A)
    n = len(images)
    return replace(particles, files=(path,), file=np.zeros(n, np.int32), index=np.arange(n))


def white(n: int, sd: float, seed: int = 5) -> np.ndarray:
    """Images of nothing but white noise."""
    return np.random.default_rng(seed).normal(0, sd, (n, BOX, BOX))


def homogeneous(**settings) -> Recipe:
    paths = {name: Path("not-read") for name in ("out", "particles", "volume")}
    return recipes.homogeneous(Homogeneous(**paths, **{"symmetry": "D2", **settings}))


def nonuniform(**settings) -> Recipe:
    paths = {name: Path("not-read") for name in ("out", "particles", "volume")}
    return recipes.nonuniform(Nonuniform(**paths, **{"symmetry": "D2", **settings}))


def auto(**settings) -> Recipe:
    paths = {name: Path("not-read") for name in ("out", "particles", "volume")}
    return recipes.auto(Auto(**paths, **{"symmetry": "D2", **settings}))


def reconstruction(**settings) -> Recipe:
    paths = {name: Path("not-read") for name in ("out", "particles")}
    return recipes.reconstruction(Reconstruct(**paths, **{"symmetry": "D2", **settings}))


class Heard(list):
    """A watcher that remembers."""

    def __call__(self, kind, **data):
        self.append((kind, data))

    def of(self, kind: str) -> list[dict]:
        return [data for name, data in self if name == kind]


def prepared(recipe: Recipe, particles: Particles, reference: Map | None = None, watch=None, seed: int = 1):
    return setup.prepare(recipe, particles, reference, np.random.default_rng(seed), Heard() if watch is None else watch)


def error_deg(found: Particles, truth: Particles) -> np.ndarray:
    """(n,) angle to the truth; rows are told apart by the index of their image."""
    return np.rad2deg(symmetry.distance(found.poses.rotations, truth.poses.rotations[found.index], GROUP))


def curve(values) -> Curve:
    return Curve("corrected", np.asarray(values, float), 2 * (len(values) - 1), 2.0)


def state(n: int = 6, **changes) -> State:
    """A state of particles that are all decided and fit their model exactly."""
    candidates = Candidates(np.broadcast_to(np.eye(3), (n, 2, 3, 3)), np.zeros((n, 2, 2)),
                            np.tile([0.0, -np.inf], (n, 1)))  # fmt: skip
    made = State(
        iteration=1, references=np.zeros((1, 2, 16, 16, 16), np.float32), reference_voxel_A=8.0,
        candidates=candidates, weights=np.tile([1.0, 0.0], (n, 1)), information=np.tile(np.eye(5), (n, 1, 1)),
        cross=np.full(n, 100.0), power=np.full(n, 100.0), effective=np.ones(n), scale=np.ones(n),
        silent=np.zeros(n, bool), trust=np.ones(n), optics=(), defocus=None,
        models=(noise.GroupModel(np.ones(33)),), curves={},
        shell=8.0, band=8, reach=20, history=({"fsc_area": 5.0, "share": 1.0, "refit": False},),
    )  # fmt: skip
    return replace(made, **changes)
