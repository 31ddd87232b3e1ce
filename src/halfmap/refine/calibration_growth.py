"""How fast this machine grows maps from nothing: a step on synthetic images, at its first and its last Fourier radius.

Owns what is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from halfmap.align import soft
from halfmap.align.polar import PolarSearch
from halfmap.data.particles import Particles
from halfmap.fourier import transforms
from halfmap.physics.projection import Projector
from halfmap.reconstruct import online, sums
from halfmap.refine import calibration
from halfmap.refine.batches import Frame
from halfmap.refine.forecast import Load, Power
from halfmap.refine.forecast_growth import Pace
from halfmap.refine.stochastic import NEARBY, Method
from halfmap.types import Images

FEW, MANY = 16, 80  # images: a step costs so much for each of them, and something for all
REPEATS = 3  # the shortest counts: single ones are a tenth of a second, and others use the processor, too
LARGEST_RADIUS = 16  # shells: an image takes 20 ms there
POWER = 3.3  # of the radius: a circle of turns, a sphere of directions, and rings that are compared


def measure(method: Method, load: Load, particles: Particles) -> Pace:
    """The speeds that a forecast of the growth needs; the particles lend their optics."""
    first, last = (method.annealing.step(number, load.frame).band for number in (0, np.inf))
    radii = sorted({min(first, LARGEST_RADIUS), min(last, LARGEST_RADIUS)})
    rows = calibration.few_rows(particles, MANY)
    _seconds(method, load.frame, calibration.prepared(rows, particles, load, first)[0], min(radii))  # compiles
    image, fixed, prepare = [], [], 0.0
    for radius in radii:
        images, prepare = calibration.prepared(rows, particles, load, radius)
        each, rest = _seconds(method, load.frame, images, radius)
        image.append((radius, each))
        fixed.append((radius, rest))
    return Pace(Power(tuple(image), POWER), Power(tuple(fixed), POWER), prepare / len(rows))


def _seconds(method: Method, frame: Frame, images: Images, radius: int) -> tuple[float, float]:
    """Of an image, and of a step besides."""
    near_A = min(method.offset_A, NEARBY * frame.resolution_A(radius))
    grid = soft.scattered(radius, frame.length_A, frame.diameter_A, near_A, np.eye(3)[None], np.random.default_rng(7))
    map = calibration.ball(frame, transforms.good_box(2 * radius + 8))
    searches: list[PolarSearch] = []

    def search() -> None:
        searches.append(PolarSearch.of(Projector.of(map, radius, frame.box), grid, radius))

    ready = _shortest(search)
    few, many = (_shortest(lambda n=n: _weighed(searches, images, n)) for n in (FEW, MANY))
    each = max(many - few, many / 4) / max(len(images) - FEW, 1)
    rings = _weighed(searches, images, FEW).rings[0]

    def made() -> None:
        empty = sums.empty(radius, frame.box, frame.voxel_size_A)
        new = online.of_rings(rings.values, rings.weight, grid.matrices[: len(rings.values)], grid.angles, empty,
                              np.eye(3)[None])  # fmt: skip
        for _ in range(2):  # before it is centred, and after
            online.to_map(online.followed(empty, new, 0.5), radius, map.box)

    return each, ready + max(few - FEW * each, 0.0) + _shortest(made)


def _shortest(task: Callable[[], object]) -> float:
    return min(calibration.timed(task) for _ in range(REPEATS))


def _weighed(searches: list[PolarSearch], images: Images, n: int) -> soft.Posterior:
    few = replace(images, **{name: getattr(images, name)[:n] for name in ("rows", "masked", "unmasked", "ctf")})
    return soft.posterior(searches, few, np.zeros((len(few), 2)))
