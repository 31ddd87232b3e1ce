"""How fast this machine is: the real kernels on synthetic images of the actual size, a second or two in all.

Owns what is measured. Kernels that no earlier run has left in the cache are compiled first, and that is told apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from halfmap.align import newton, posterior
from halfmap.data.particles import Particles
from halfmap.data.stack import Stack
from halfmap.geometry import rotations as so3
from halfmap.kernels import grid
from halfmap.kernels.residual import shell_sums
from halfmap.maps import masks
from halfmap.physics import noise
from halfmap.physics.projection import Projector
from halfmap.reconstruct.sums import Accumulator
from halfmap.refine import maximisation
from halfmap.refine.batches import Frame, Source
from halfmap.refine.expectation import by_direction
from halfmap.refine.forecast import Load, Power, Speeds
from halfmap.refine.recipe import Recipe
from halfmap.refine.schedules import Plan
from halfmap.types import Images, Map, Poses, Sums
from halfmap.validate import conical, fsc_report

PIXELS = 4e6  # of the images measured on: 64 of 256 x 256, 0.1 s of work for every stage
SEARCHED = 96  # images: what a batch costs as a whole is shared by as many as in a run
POSES = 8  # of an image in pose refinement: neighbours share cache lines, as in a run
LARGEST_RADIUS = 64  # shells: the half space of a larger one takes seconds to make
LARGEST_BOX = 96  # voxels of the maps solved: a third of a second; the rest is its third power
# Power of the box that solving grows with: processor time from 96 to 256 voxels, C1, grows by 21 (D2: by 18, for the
# sums over mates grow with 2.5), references and conical FSC by 20, the curves at the end by 22
CACHES = 3.1
READ_BYTES = 3e7
DRAWING = 1.5  # drawing the plots costs so many times the start of Python and its libraries


def measure(recipe: Recipe, load: Load, plans: tuple[Plan, ...], particles: Particles) -> Speeds:
    """The speeds that the forecast of ``plans`` needs; the particles lend their optics, and some bytes of a stack."""
    start = since_start()
    began = time.perf_counter()
    _measured(recipe, _small(load), plans[:1], particles, 1e5)
    compiling = time.perf_counter() - began
    began = time.perf_counter()
    _measured(recipe, _small(load), plans[:1], particles, 1e5)
    compiling = max(compiling - (time.perf_counter() - began), 0.0)
    found = _measured(recipe, load, plans, particles, PIXELS)
    return Speeds(start=start, compiling=compiling, reading=_reading(particles), draw=DRAWING * start, **found)


def since_start() -> float:
    """Seconds since this process began."""
    ticks = int(open("/proc/self/stat").read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _small(load: Load) -> Load:
    box = min(load.frame.box, 32)
    return replace(load, frame=replace(load.frame, box=box, voxel_size_A=load.frame.length_A / box))


def _measured(recipe: Recipe, load: Load, plans: tuple[Plan, ...], particles: Particles, pixels: float) -> dict:
    frame = load.frame
    rows = few_rows(particles, max(8, int(pixels / load.image_box**2)))
    last = min(max(p.reach for p in plans), LARGEST_RADIUS, frame.box // 2)
    radii = sorted({max(last // 2, 1), last})
    images = prepare = None
    poses, insert, stock = [], [], []
    for radius in radii:
        images, prepare = prepared(rows, particles, load, radius)
        projector = Projector.of(ball(frame, 2 * radius + 2), radius, frame.box)
        poses.append((radius, _evaluation(projector, images, radius)))
        insert.append((radius, _insertion(images, radius, frame)))
        stock.append((radius, _stock(projector, images, radius)))
    box = min(frame.box, LARGEST_BOX)
    solve, references, report = _solving(recipe, box, frame)
    return {
        "prepare": prepare / len(rows),
        "search": _searching(recipe, plans, load, images, projector, particles.poses),
        "evaluation": Power(tuple(poses), 1.5), "insert": Power(tuple(insert), 1.5), "stock": Power(tuple(stock), 1.5),
        "solve": Power(((box, solve),), CACHES), "references": Power(((box, references),), CACHES),
        "report": Power(((box, report),), CACHES),
    }


def few_rows(particles: Particles, most: int) -> np.ndarray:
    """Rows of the optics group with the largest images."""
    largest = max(np.unique(particles.group), key=lambda group: particles.optics[group].box)
    return np.flatnonzero(particles.group == largest)[:most]


class _Noise:
    """A stack of noise."""

    def __init__(self, particles: Particles):
        self._particles = particles

    def batches(self, rows: np.ndarray, size: int):
        box = self._particles.optics[self._particles.group[rows[0]]].box
        yield rows, np.random.default_rng(0).standard_normal((len(rows), box, box), np.float32)


def prepared(rows: np.ndarray, particles: Particles, load: Load, radius: int) -> tuple[Images, float]:
    """Prepared images, and the seconds that took."""
    source = Source(particles, _Noise(particles), load.frame, lambda rows, reason: None)
    models = [noise.GroupModel(np.ones(optics.box + load.frame.box)) for optics in particles.optics]
    n = len(particles)
    images = next(source.batches(rows, len(rows), radius, models, np.zeros((n, 2)), np.ones(n)))
    return images, source.clock.seconds["fft"] + source.clock.seconds["ctf"]


def ball(frame: Frame, box: int) -> Map:
    """A ball with structure in it."""
    box = min(box + box % 2, frame.box)
    texture = 1 + 0.5 * np.random.default_rng(1).standard_normal((box, box, box), np.float32)
    return Map(masks.sphere(box, 0.25 * box, 2.0) * texture, frame.length_A / box)


def timed(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def _evaluation(projector: Projector, images: Images, radius: int) -> float:
    which = np.repeat(np.arange(len(images)), POSES)
    rotations = so3.random(len(which), np.random.default_rng(2))
    order = by_direction(rotations)
    which, rotations, shifts = which[order], rotations[order], np.zeros((len(which), 2))

    def look() -> None:
        fit = newton.refine(projector, images, which, rotations, shifts, radius, 0)
        posterior.log_weight(fit.log_likelihood, fit.information)  # costs what the step of a round does: 5 x 5 matrices

    return timed(look) / len(which)


def _insertion(images: Images, radius: int, frame: Frame) -> float:
    """Seconds an image; the traffic of the grid, shared by hundreds of images in a run, is left out."""
    every = np.arange(len(images))
    rotations = so3.random(len(images), np.random.default_rng(3))
    few, many = (_laid_in(images, rows, rotations, radius, frame) for rows in (every[: len(every) // 4], every))
    return max(many - few, many / 4) / (len(every) - len(every) // 4)


def _laid_in(images: Images, rows: np.ndarray, rotations: np.ndarray, radius: int, frame: Frame) -> float:
    accumulator = Accumulator(radius, frame.box, frame.voxel_size_A)

    def lay() -> None:
        accumulator.add(images, rows, rotations[rows], np.zeros((len(rows), 2)))
        accumulator.sums(np.eye(3)[None])

    return timed(lay)


def _stock(projector: Projector, images: Images, radius: int) -> float:
    rotations, phases = so3.random(len(images), np.random.default_rng(4)), np.zeros((len(images), 2))
    radius = min(radius, projector.reach(images.stretch), images.box // 2)
    matrices = so3.stretched(rotations, images.stretch)
    task = lambda: shell_sums(projector.half, images.masked, images.ctf, matrices, phases, radius, projector.padding)  # noqa: E731
    return timed(task) / len(images)


def _searching(recipe: Recipe, plans: tuple[Plan, ...], load: Load, images: Images, projector: Projector,
               poses: Poses | None) -> dict[int, float]:
    """Seconds an image by radius, of every kind of search that the plans make."""
    found = {}
    if poses is None:  # local searches later in the course have none yet
        poses = Poses(np.broadcast_to(np.eye(3), (int(images.rows.max()) + 1, 3, 3)),
                      np.zeros((int(images.rows.max()) + 1, 2)))
    near = recipe.search.near(poses, poses)
    few = Images(*(getattr(images, name)[:SEARCHED] for name in ("rows", "masked", "unmasked", "ctf")),
                 images.noise_sd, images.box, images.pixel_size_A, images.stretch, images.kept)
    for plan in plans:
        if plan.search_radius in found or not plan.searched.any():
            continue
        reached = replace(plan, search_radius=min(plan.search_radius, images.radius))
        search = recipe.search.ready(projector, reached, load.frame, recipe.group, near)
        began = time.perf_counter()
        search.candidates(few, np.zeros((len(few), 2)), recipe.candidates)
        found[plan.search_radius] = (time.perf_counter() - began) / len(few)
    return found


def _solving(recipe: Recipe, box: int, frame: Frame) -> tuple[float, float, float]:
    """Seconds in a box of ``box`` voxels: the M-step with the projectors, what only an iteration that another follows
    does, and the curves at the end."""
    small = Frame(box, frame.length_A / box, frame.diameter_A)
    blob = ball(small, box)
    halves = []
    for seed in (5, 6):
        hiss = np.random.default_rng(seed).standard_normal(blob.data.shape, np.float32)
        made = Projector.of(Map(blob.data + 0.1 * hiss, blob.voxel_size_A), box // 2, box)
        halves.append(Sums(made.half, np.ones(made.half.shape, np.float32), box, small.voxel_size_A, made.padding, 100))
    result = []

    def solve() -> None:
        if len(recipe.map_group) > 1:
            for half in halves:
                grid.symmetrised(half.numerator, half.weight, recipe.map_group)
        result.append(maximisation.maximise(tuple(halves), recipe, np.inf, box, small))
        for half in result[-1].halves:  # a half-map takes as long as the reference made of it
            Projector.of(half, box // 2, box)

    def follow() -> None:
        maximisation.references(tuple(halves), result[-1], recipe, small)
        conical.conical(*both, judge.data, result[0].curves["masked"])

    solving = timed(solve)
    both, judge = result[0].halves, result[0].judge
    return solving, timed(follow), timed(lambda: fsc_report.report(*both, recipe.curves, order=len(recipe.map_group)))


def _reading(particles: Particles) -> float:
    """Seconds a byte, from the front of a stack."""
    box = particles.optics[particles.group[0]].box
    first = np.flatnonzero(particles.file == particles.file[0])
    rows = first[np.argsort(particles.index[first])][: max(1, int(READ_BYTES / (4 * box**2)))]
    return timed(lambda: Stack(particles).images(rows)) / (len(rows) * 4 * box**2)
