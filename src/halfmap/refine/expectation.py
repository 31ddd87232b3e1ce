"""The E-step of one half-set: improve the poses, lay the images in, and take stock of noise and grey scale."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from halfmap.align import newton, posterior
from halfmap.align.nearby import LocalSearch
from halfmap.align.polar import PolarSearch
from halfmap.align.tether import Anywhere, Near
from halfmap.geometry import rotations as so3
from halfmap.kernels.residual import shell_sums
from halfmap.physics.projection import Projector
from halfmap.reconstruct.sums import Accumulator
from halfmap.refine import junk, laying
from halfmap.refine.batches import Source
from halfmap.refine.laying import AtBest
from halfmap.refine.posed import Posed
from halfmap.refine.relaxation import Imposed
from halfmap.refine.schedules import Plan
from halfmap.refine.state import State
from halfmap.types import Candidates, Images


@dataclass(frozen=True)
class Expected:
    """Result of the E-step of one half-set."""

    posed: Posed
    shells: dict[int, np.ndarray]  # optics group -> (4, K+1) sums of kernels.residual, in units of power


@dataclass(frozen=True)
class Matcher:
    """One reference, ready: slices for pose refinement and, where the plan wants it, the search."""

    projector: Projector
    search: PolarSearch | LocalSearch | None
    group: np.ndarray
    count: int
    relaxation: Imposed = Imposed()  # what the group is to the map, ready for the iteration
    near: Anywhere | Near = Anywhere()  # what is known of the poses beforehand
    laying: AtBest = AtBest()  # at which poses images make the map
    diameter_A: float = 0.0  # of the particle: how far its edge moves when it turns


def expect(source: Source, rows: np.ndarray, size: int, matcher: Matcher, state: State, plan: Plan,
           accumulator: Accumulator, progress: Callable[[int], None]) -> Expected:
    """All images of ``rows`` in batches of ``size`` against one reference."""
    parts, shells = [], {}
    centres_A = _centres(state, plan)
    for images in source.batches(rows, size, plan.reach, state.models, centres_A, state.scale):
        posed = _laid_in(matcher, images, _posed(matcher, images, state, plan, source.clock), state, plan, accumulator,
                         source.clock)
        parts.append(posed.at_scale(state.scale[images.rows]))
        then = time.perf_counter()
        sample = np.flatnonzero((images.rows % plan.stock_every == 0) & (state.trust[images.rows] >= junk.HALF))
        group = source.particles.group[images.rows[0]]
        shells.setdefault(group, []).append(_stock(matcher.projector, images[sample], posed, sample))
        source.clock.add("stock", then)
        progress(len(images))
    # summed once, over all images in their order: the result does not depend on the size of the batches
    return Expected(Posed.joined(parts), {group: np.concatenate(part).sum(0) for group, part in shells.items()})


def _centres(state: State, plan: Plan) -> np.ndarray:
    """(n, 2) where particles are thought to be: at the centre of the box where that of their pose is not believed."""
    shifts = state.poses.shifts_A
    return shifts if plan.astray is None else np.where(plan.astray[:, None], 0.0, shifts)


def _laid_in(matcher: Matcher, images: Images, posed: Posed, state: State, plan: Plan, accumulator: Accumulator, clock
             ) -> Posed:
    """Add the images of particles that are heard to the sums; what is returned knows at how many poses."""
    then = time.perf_counter()
    trust = state.trust[images.rows]
    heard = np.flatnonzero(~state.silent[images.rows] & (trust >= junk.LEAST))
    radius = min(plan.stages[-1][0], images.radius, images.box // 2)
    look = partial(_likelihood, matcher.projector, images, plan.lowest, radius)
    scale = laying.Scale.of(matcher.diameter_A, matcher.projector.box_length_A / radius)
    laid = matcher.laying.laid(heard, posed, look, scale)
    then = clock.add("poses", then)
    accumulator.add(images, laid.rows, laid.rotations, laid.shifts_A, laid.counted(trust))
    clock.add("insert", then)
    return replace(posed, effective=laid.effective(len(images)))


def _likelihood(projector: Projector, images: Images, lowest: int, radius: int, which, rotations, shifts_A
                ) -> np.ndarray:
    """Log likelihood of images ``which`` (p,) at these poses, by the shells from ``lowest`` to ``radius``."""
    return newton.refine(projector, above(images, lowest), which, rotations, shifts_A, radius, 0).log_likelihood


def above(images: Images, shell: int) -> Images:
    """The images with shells below ``shell`` blanked: they say nothing about the pose."""
    if shell <= 0:
        return images
    k = images.radius
    ky, kx = np.mgrid[-k : k + 1, 0 : k + 1]
    heard = (np.hypot(kx, ky) >= shell - 0.5).astype(np.float32)
    return replace(images, masked=images.masked * heard, ctf=images.ctf * heard)


def by_direction(rotations: np.ndarray) -> np.ndarray:
    """Order in which neighbours look from similar directions: slices then share cache lines (2 to 5 times faster)."""
    view = rotations[:, 2]
    band = np.floor(8 * (view[:, 2] + 1)).astype(int)
    return np.lexsort((np.arctan2(view[:, 1], view[:, 0]) * (1 - 2 * (band % 2)), band))


def _posed(matcher: Matcher, images: Images, state: State, plan: Plan, clock) -> Posed:
    then = time.perf_counter()
    known = matcher.relaxation.merged(state.candidates[images.rows], matcher.group)
    images = above(images, plan.lowest)
    if matcher.search is not None:
        wanted = np.flatnonzero(plan.searched[images.rows])
        known = _searched(matcher, images, known, wanted, _centres(state, plan)[images.rows[wanted]])
    then = clock.add("search", then)
    for radius, rounds in plan.stages:
        posed = _climbed(matcher, images, radius, known, rounds, matcher.group)
        known = posed.candidates
    climb = partial(_climbed, matcher, images, radius)
    posed = matcher.relaxation.told_apart(posed, matcher.group, climb)
    clock.add("poses", then)
    return posed


def _searched(matcher: Matcher, images: Images, known: Candidates, rows: np.ndarray, centres_A: np.ndarray
              ) -> Candidates:
    """Candidates with those of a search added in the last places of images ``rows``, about ``centres_A``."""
    if len(rows) == 0:
        return known
    found = matcher.search.candidates(images[rows], centres_A, matcher.count)
    merged = [np.array(getattr(known, f)) for f in Candidates.__dataclass_fields__]
    width, keep = known.log_likelihood.shape[1], known.log_likelihood.shape[1] - matcher.count
    for mine, new in zip(merged, (found.rotations, found.shifts_A, found.log_likelihood), strict=True):
        mine[rows, keep:width] = new
    return Candidates(*merged)


def _climbed(matcher: Matcher, images: Images, radius: int, known: Candidates, rounds: int, group: np.ndarray) -> Posed:
    """Every candidate refined at ``radius``, ranked; information, cross and power are those of the best."""
    image, place = np.nonzero(np.isfinite(known.log_likelihood))
    order = by_direction(known.rotations[image, place])
    image, place = image[order], place[order]
    fit = newton.refine(matcher.projector, images, image, known.rotations[image, place], known.shifts_A[image, place],
                        min(radius, images.radius, images.box // 2), rounds, matcher.near)
    rotations, shifts, likelihood = (np.array(a) for a in (known.rotations, known.shifts_A, known.log_likelihood))
    rotations[image, place], shifts[image, place], likelihood[image, place] = (
        fit.rotations, fit.shifts_A, fit.log_likelihood)
    weight = np.full(likelihood.shape, -np.inf)
    weight[image, place] = posterior.log_weight(fit.log_likelihood + fit.log_prior, fit.information)
    best, probability, ranks = posterior.ranked(Candidates(rotations, shifts, likelihood), weight, group)
    index = np.zeros(likelihood.shape, int)
    index[image, place] = np.arange(len(image))
    first = index[np.arange(len(ranks)), ranks[:, 0]]
    return Posed(images.rows, best, probability, fit.information[first], fit.cross[first], fit.power[first],
                 np.ones(len(ranks)))


def _stock(projector: Projector, images: Images, posed: Posed, sample: np.ndarray) -> np.ndarray:
    """Shell sums of images (``sample`` of the batch) against their best projections: (images, 4, reach + 1), power."""
    phases = posed.candidates.shifts_A[sample, 0] / (images.box * images.pixel_size_A)
    radius = min(projector.reach(images.stretch), images.radius, images.box // 2)
    matrices = so3.stretched(posed.candidates.rotations[sample, 0], images.stretch)
    sums = shell_sums(projector.half, images.masked, images.ctf, matrices, phases, radius, projector.padding)
    unit = np.ones(radius + 1)
    unit[: len(images.noise_sd)] = images.noise_sd[: radius + 1]
    sums[:, :3] *= unit**2 / images.kept
    return np.pad(sums, ((0, 0), (0, 0), (0, projector.radius - radius)))  # coarser pixels have fewer shells
