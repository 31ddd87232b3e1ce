"""How a map is to be turned and moved, and whether mirrored, to lie on another.

Both maps are compared in Fourier space, each shell of unit power, up to FINE_SHELLS. All orientations are tried on few
shells, every place at once by a Fourier transform of the cross power; the best of them climb the likelihood, shells
weighted by their FSC, on interpolated coefficients. Newton steps without interpolation end it: interpolation loses
power off its grid, which would hold the maps to it by some tenths of a degree.

With rho the FSC of a shell of n coefficients, the maps tell of each other -n/2 log(1 - rho^2) (the mutual information
of Gaussian variables; Cover & Thomas, Elements of Information Theory, chapter 8): this ranks places and hands.
The translation function as one transform of the cross power: Crowther & Blow 1967, Acta Cryst 23:544.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.align import axes
from halfmap.errors import InputError
from halfmap.fourier import shells, transforms
from halfmap.geometry import frames, sampling
from halfmap.geometry import rotations as so3
from halfmap.geometry.frames import Frame
from halfmap.kernels.points import points
from halfmap.maps import filters, masks, resample, turn
from halfmap.physics.projection import MARGIN, PADDING, corrected
from halfmap.types import Map

FINE_SHELLS = 32  # 7e4 coefficients
COARSE_SHELLS = 11  # 2 pi K radius / box of the search: no orientation is further than 1 rad from one that is tried
FEWEST, MOST = 4, 9  # shells of the search: fewer tell nothing, more take too long
GRID_ORDER = 3  # HEALPix order of the search: 7.5 degrees
REGION_SHELLS = 10  # what stands out is looked for at a tenth of the box
LOOKS = 3  # through the mask, each time put where the last has found it
FINER = 2.5  # steps of the translations tried per shell: a peak is missed by at most a fifth of a wave
STARTS, FINALISTS = 20, 6  # places that climb coarsely; and of these, finely
APART_RAD = 0.15  # orientations closer than this are one start
BLOCK = 128  # orientations tried at a time: some 10 MB
ROUNDS = 12  # of a climb
FIRST_DAMPING = 0.1
FARTHEST, LONGEST = 0.1, 0.05  # rad and box lengths of a step in a look
LEAST_GAIN = 1e-3  # of a step, in nats: a thirtieth of a standard deviation
STEP = 2e-3  # rad, for differences: single precision resolves 1e-7 of a coefficient
CERTAIN = 0.99  # largest FSC that weighs: interpolation errs by a per cent

_NEARBY = np.concatenate([np.eye(3)[None], so3.exp_so3(STEP * np.eye(3))])


@dataclass(frozen=True)
class Place:
    """The map in the frame of the reference: V'(r) = V(T r + c), with t = T^T c."""

    turn: np.ndarray  # T (3, 3)
    moved: np.ndarray  # t (3,) x, y, z, in box lengths

    def frame(self, length_A: float) -> Frame:
        return Frame(self.turn.T, self.turn @ self.moved * length_A)


@dataclass(frozen=True)
class Aligned:
    """How a map comes onto the reference: by ``frame``. ``information``: what each hand that was tried tells of it.

    ``rotation_sd_deg``, ``shift_sd_A``: root of the summed variances of the three angles and of the shift, by the
    curvature of the likelihood; both maps carry their noise. ``information_sd``: by how much the noise of the maps lets
    the information at two places differ that are the same in truth, as those of a symmetric particle are.
    """

    frame: Frame
    information: dict[str, float]  # "as given", "mirrored"; nats
    rotation_sd_deg: float
    shift_sd_A: float
    resolution_A: float  # of the finest shell compared
    information_sd: float


def find(map: Map, reference: Map, mask: Map | None = None, test_hand: bool = False) -> Aligned:
    """The frame that brings ``map`` onto ``reference``, whatever their boxes and voxels; 6 parameters, and the hand.

    ``mask``: of the reference, on its grid: the part that is to agree. ``test_hand``: try the mirrored map, too, and
    take the hand that tells more. Raises InputError for a map without any detail.
    """
    task = _Task.of(map, reference, mask)
    hands = {"as given": frames.identity(), **({"mirrored": frames.mirror()} if test_hand else {})}
    found = {name: task.found(hand) for name, hand in hands.items()}
    best = max(found, key=lambda name: found[name][1].information)
    frame, overlay = found[best]
    told = {name: overlay.information for name, (_, overlay) in found.items()}
    return task.aligned(frame.after(hands[best]), told, overlay)


def nearby(map: Map, reference: Map) -> Aligned:
    """The same of the place next to where the map is: the likelihood climbs from there, nothing is searched."""
    task = _Task.of(map, reference, None)
    frame, overlay = task.climbed(task.moving, task.pair(task.moving), [Place(np.eye(3), np.zeros(3))])
    return task.aligned(frame, {"as given": overlay.information}, overlay)


@dataclass(frozen=True)
class _Task:
    """Two maps in one sampling, and what of them is compared."""

    moving: Map
    still: Map
    region: np.ndarray
    count: int  # shells
    length_A: float

    @classmethod
    def of(cls, map: Map, reference: Map, mask: Map | None) -> _Task:
        """Raises InputError for a map without any detail."""
        length_A = max(map.box * map.voxel_size_A, reference.box * reference.voxel_size_A)
        finest_A = max(map.nyquist_A, reference.nyquist_A)
        count = max(FEWEST, min(int(length_A / finest_A) - 1, FINE_SHELLS))
        box = transforms.good_box(2 * count + 2)
        moving, still = (resample.to_grid(one, box, length_A / box) for one in (map, reference))
        for name, one in (("map", moving), ("reference", still)):
            if not np.ptp(one.data) > 0:
                raise InputError(f"align: the {name} is the same everywhere; there is nothing to align")
        region = _region(still, count) if mask is None else resample.to_grid(mask, box, length_A / box).data
        return cls(moving, still, region, count, length_A)

    @property
    def coarse(self) -> int:
        """Shells of the search."""
        return int(np.clip(COARSE_SHELLS / (2 * np.pi * _radius(self.region)), FEWEST, min(MOST, self.count)))

    def found(self, hand: Frame) -> tuple[Frame, Overlay]:
        """How the map of one hand lies on the other after a search everywhere."""
        moving = turn.placed(self.moving, hand)
        middle = self.pair(moving)
        rough = middle.upto(self.coarse)
        climbed = _ranked(rough, [rough.climbed(place) for place in rough.searched()])[:FINALISTS]
        return self.climbed(moving, middle, climbed)

    def climbed(self, moving: Map, middle: Pair, places: Sequence[Place]) -> tuple[Frame, Overlay]:
        """The best place that is climbed to from some."""
        frame = _ranked(middle, [middle.climbed(place) for place in places])[0].frame(middle.length_A)
        masked = Coefficients.of(_masked(self.still, self.region), self.count)
        filled = float(np.mean(self.region**2))
        for _ in range(LOOKS):
            # what lies outside the mask no longer disturbs once it is known where that is
            there = Coefficients.of(_masked(turn.placed(moving, frame), self.region), self.count)
            overlay = Overlay(there, masked, filled)
            frame = overlay.step().frame(middle.length_A).after(frame)
        return frame, overlay

    def pair(self, moving: Map) -> Pair:
        """What of a map is compared while it climbs."""
        return Pair.of(moving, _masked(self.still, self.region), min(2 * self.coarse, self.count))

    def aligned(self, frame: Frame, told: dict[str, float], overlay: Overlay) -> Aligned:
        sd = overlay.variances
        return Aligned(frame, told, float(np.rad2deg(np.sqrt(sd[:3].sum()))),
                       float(np.sqrt(sd[3:].sum()) * self.length_A), self.length_A / self.count,
                       overlay.information_sd)  # fmt: skip


def _region(map: Map, count: int) -> np.ndarray:
    """Soft mask of what stands out of a map; where nothing does, the ball that fits into its box."""
    length_A = map.box * map.voxel_size_A
    resolution_A = length_A / min(REGION_SHELLS, count)
    try:
        return masks.dynamic(map, resolution_A, near_A=resolution_A / 2, far_A=resolution_A).data
    except InputError:
        return masks.sphere(map.box, 0.4 * map.box, 0.1 * map.box)


def _radius(region: np.ndarray) -> float:
    """Of the ball that spreads as far as the region does, in box lengths; at least a twentieth."""
    _, radius = axes.extent(Map(region, 1 / len(region)))
    return max(radius, 0.05)


def _masked(map: Map, region: np.ndarray) -> Map:
    return Map(map.data * region, map.voxel_size_A)


def _ranked(pair: Pair, places: Sequence[Place]) -> list[Place]:
    return sorted(places, key=lambda place: -pair.information(place))


@dataclass(frozen=True)
class Pair:
    """Two maps of one box, ready to be compared: shells of unit power, coefficients at the points of half a ball."""

    half: np.ndarray  # half space of the map that moves, padded
    reference: np.ndarray  # of the one that stays
    at: np.ndarray  # (p, 3) the points, x, y, z, in shells
    shell: np.ndarray  # (p,) shell of each
    still: np.ndarray  # (p,) complex64 coefficients of the reference there
    count: int  # shells
    length_A: float

    @classmethod
    def of(cls, moving: Map, still: Map, count: int) -> Pair:
        at = half_ball(count)
        reach = PADDING * (count + 1) + MARGIN
        white = (corrected(_whitened(one, count).data) for one in (moving, still))
        halves = [transforms.half_space(one, reach, PADDING) for one in white]
        values = points(halves[1], np.eye(3)[None], at, PADDING)[0]
        shell = np.rint(np.linalg.norm(at, axis=1)).astype(int)
        return cls(*halves, at, shell, values, count, moving.box * moving.voxel_size_A)

    def upto(self, count: int) -> Pair:
        """The same on fewer shells."""
        kept = self.shell <= count
        return replace(self, at=self.at[kept], shell=self.shell[kept], still=self.still[kept], count=count)

    @cached_property
    def slopes(self) -> np.ndarray:
        """(6, p) changes of the reference's coefficients with a turn about x, y, z and a shift along them."""
        return _slopes(points(self.reference, _NEARBY, self.at, PADDING), self.at)

    def values(self, turns: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """(n, p) coefficients of the map turned by each of ``turns`` (n, 3, 3) and moved."""
        waves = (2 * np.pi * (self.at @ moved)).astype(np.float32)
        phases = np.empty(len(waves), np.complex64)
        phases.real, phases.imag = np.cos(waves), np.sin(waves)
        return points(self.half, turns, self.at, PADDING) * phases

    def fsc(self, place: Place) -> np.ndarray:
        """Correlation of each shell, (count + 1,)."""
        return _fsc(self.values(place.turn[None], place.moved)[0], self.still, self.shell)

    def information(self, place: Place) -> float:
        """What one map tells of the other, nats."""
        return _information(self.fsc(place), self.shell)

    def climbed(self, place: Place) -> Place:
        """The place nearby where the maps are most alike, each shell weighted by what its FSC tells of its noise.

        The log likelihood of two noisy copies, sum of 2 rho / (1 - rho^2) Re F* G over the coefficients, climbs by
        damped Newton steps.
        """
        weight = _weight(self.fsc(place))[self.shell]
        likeness, slope, curve, damping = self._local(place, weight)
        lag = FIRST_DAMPING
        for _ in range(ROUNDS):
            step = np.linalg.lstsq(curve + lag * damping, slope, rcond=1e-12)[0]
            if not abs(slope @ step) > LEAST_GAIN:
                break
            trial = Place(place.turn @ so3.exp_so3(step[:3]), place.moved + step[3:])
            there = self._local(trial, weight)
            if there[0] > likeness:
                place, (likeness, slope, curve, damping), lag = trial, there, lag / 10
            else:
                lag = max(10 * lag, FIRST_DAMPING)
        return place

    def _local(self, place: Place, weight: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Likeness, its slope (6,), its curvature (6, 6) and that of the map with itself, which damps.

        The curvature is taken between the slopes of one map and those of the other: their noise is not the same and
        does not add to it, while noise that fills the box would dominate the slopes of either.
        """
        here = self.values(place.turn @ _NEARBY, place.moved)
        slopes = _slopes(here, self.at)
        weighted = weight * slopes.conj()
        curve = (weighted @ self.slopes.T).real.astype(float)
        own = (weighted @ slopes.T).real.astype(float)
        likeness = float(np.vdot((weight * self.still).astype(complex), here[0]).real)  # float32 would err by a nat
        return likeness, (weighted @ self.still).real.astype(float), (curve + curve.T) / 2, own

    def searched(self) -> list[Place]:
        """The best places of a search over all orientations and shifts, APART_RAD from each other."""
        turns = orientations(GRID_ORDER)
        scores, moved = np.empty(len(turns)), np.empty((len(turns), 3))
        for first in range(0, len(turns), BLOCK):
            part = slice(first, first + BLOCK)
            scores[part], moved[part] = self._best_shifts(turns[part])
        ranked = np.argsort(-scores, kind="stable")
        kept: list[int] = []
        for row in ranked:
            if not kept or so3.angle_between(turns[kept], turns[row]).min() > APART_RAD:
                kept.append(row)
            if len(kept) == STARTS:
                break
        return [Place(turns[row], moved[row]) for row in kept]

    def _best_shifts(self, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) largest cross-correlation over all shifts, and the shift, (n, 3) in box lengths."""
        side = transforms.good_box(int(FINER * self.count))
        x, y, z = self.at.T.astype(int)
        cross = np.zeros((len(turns), side, side, side // 2 + 1), np.complex64)
        cross[:, z, y, x] = points(self.half, turns, self.at, PADDING) * self.still.conj()
        maps = scipy.fft.irfftn(cross, s=(side,) * 3, axes=(1, 2, 3), workers=device.threads(), overwrite_x=True)
        flat = maps.reshape(len(turns), -1)
        best = flat.argmax(axis=1)
        place = np.stack(np.unravel_index(best, (side,) * 3)[::-1], axis=-1)
        return flat[np.arange(len(turns)), best], ((place + side // 2) % side - side // 2) / side


def _slopes(nearby: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(6, p) changes with rotation vector and shift, of values (4, p) at a place and turned by STEP about x, y, z."""
    turned = (nearby[1:] - nearby[0]) / np.float32(STEP)
    return np.concatenate([turned, (2j * np.pi * at.T).astype(np.complex64) * nearby[0]])


@dataclass(frozen=True)
class Coefficients:
    """Of a map, at the points of half a ball, with how they change as it is turned and moved. No interpolation."""

    values: np.ndarray  # (p,) complex128
    slopes: np.ndarray  # (6, p) with the rotation vector and the shift in box lengths
    shell: np.ndarray  # (p,)

    @classmethod
    def of(cls, map: Map, count: int) -> Coefficients:
        at = half_ball(count)
        white = _whitened(map, count).data
        place = (np.arange(map.box) - map.box // 2) / map.box
        values, *moments = (_taken(white * by, at) for by in (1, place, place[:, None], place[:, None, None]))
        # V(exp([w]x) r) has the coefficients F(exp([w]x) k): k changes by w x k, and dF/dk = -2 pi i (r V)^
        gradient = -2j * np.pi * np.stack(moments, axis=-1)
        turned = np.cross(at, gradient).T  # (e x k) . g = e . (k x g)
        shell = np.rint(np.linalg.norm(at, axis=1)).astype(int)
        return cls(values, np.concatenate([turned, 2j * np.pi * at.T * values]), shell)


@dataclass(frozen=True)
class Overlay:
    """Two maps that lie on each other but for a little.

    ``filled``: fraction of the box that their mask leaves; so many of the coefficients are independent.
    """

    moving: Coefficients
    still: Coefficients
    filled: float

    @property
    def shell(self) -> np.ndarray:
        return self.still.shell

    @cached_property
    def fsc(self) -> np.ndarray:
        return _fsc(self.moving.values, self.still.values, self.shell)

    @property
    def information(self) -> float:
        return self.filled * _information(self.fsc, self.shell)

    @property
    def information_sd(self) -> float:
        """Of the difference between two places of equal truth, nats.

        A shell of N coefficients tells -N log(1 - r^2), which changes by N w with r, w = 2 rho / (1 - rho^2). Of
        the map s + n that moves, s of power rho is the same at both places; its noise n, of power q = 1 - rho, is not.
        To first order N r changes by the sum of q Re s* n + Re m* n - rho (|n|^2 - q) / 2, m the noise of the other
        map and the last term from the norm of n: a variance of N q^2 (1 + rho q + rho^2 / 2) for two places.
        """
        rho = np.clip(self.fsc, 0, CERTAIN)
        rest = 1 - rho
        variance = (2 * rho / (1 - rho**2) * rest) ** 2 * (1 + rho * rest + rho**2 / 2)
        return float(np.sqrt(self.filled * (np.bincount(self.shell) @ variance)))

    @cached_property
    def _curve(self) -> np.ndarray:
        """(6, 6) of the log likelihood, between the slopes of one map and of the other: noise does not add to it."""
        weight = self.filled * _weight(self.fsc)[self.shell]
        curve = ((weight * self.moving.slopes.conj()) @ self.still.slopes.T).real
        return (curve + curve.T) / 2

    def step(self) -> Place:
        """The Newton step; none where the maps do not tell one."""
        weight = self.filled * _weight(self.fsc)[self.shell]
        slope = ((weight * self.moving.slopes.conj()) @ self.still.values).real
        step = np.linalg.lstsq(self._curve, slope, rcond=1e-9)[0]
        step *= min(1, FARTHEST / max(np.linalg.norm(step[:3]), FARTHEST * np.linalg.norm(step[3:]) / LONGEST, 1e-30))
        return Place(so3.exp_so3(step[:3]), step[3:])

    @property
    def variances(self) -> np.ndarray:
        """(6,) of the rotation vector, rad^2, and of the shift, box lengths^2; infinite where nothing is known."""
        scale = np.sqrt(np.maximum(np.diag(self._curve), 0))
        if not scale.all() or np.linalg.cond(self._curve / np.outer(scale, scale)) > 1e12:
            return np.full(6, np.inf)
        return np.maximum(np.diag(np.linalg.inv(self._curve)), 0)


def _taken(data: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(p,) transform of a map over its number of voxels at whole points, from the box centre."""
    box = len(data)
    x, y, z = at.T.astype(int)
    sign = np.exp(2j * np.pi * (box // 2) / box * (x + y + z))
    return scipy.fft.rfftn(data, workers=device.threads())[z, y, x] * sign / box**3


def _fsc(here: np.ndarray, still: np.ndarray, shell: np.ndarray) -> np.ndarray:
    """Correlation of each shell from 0; 0 where either has nothing."""
    products = (here * still.conj()).real, np.abs(here) ** 2, np.abs(still) ** 2
    cross, own, other = (np.bincount(shell, product) for product in products)
    norm = np.sqrt(own * other)
    return np.where(norm > 0, cross / np.where(norm > 0, norm, 1), 0)


def _information(fsc: np.ndarray, shell: np.ndarray) -> float:
    """What one map tells of the other, nats; shells that disagree tell nothing. A coefficient is two real variables."""
    return float(-np.bincount(shell) @ np.log1p(-(np.clip(fsc, 0, 1 - 1e-9) ** 2)))


def _weight(fsc: np.ndarray) -> np.ndarray:
    """2 rho / (1 - rho^2) of each shell; its sum with Re F* G is the log likelihood of two noisy copies of a signal."""
    rho = np.clip(fsc, 0, CERTAIN)
    return (2 * rho / (1 - rho**2)).astype(np.float32)


def half_ball(count: int) -> np.ndarray:
    """(p, 3) integer points x, y, z of shells 1..``count``, one of each Friedel pair."""
    axis = np.arange(-count, count + 1)
    z, y, x = np.meshgrid(axis, axis, axis[count:], indexing="ij")
    square = x**2 + y**2 + z**2
    first = (x > 0) | (y > 0) | ((y == 0) & (z > 0))
    kept = first & (square > 0) & (square <= count * count + count)
    return np.stack([x[kept], y[kept], z[kept]], axis=-1).astype(float)


def orientations(order: int) -> np.ndarray:
    """Rotations (n, 3, 3) all over SO(3), steps of 60 degrees / 2^order."""
    directions = sampling.healpix_directions(order)
    psi = np.arange(0, 360, np.rad2deg(sampling.step_rad(order)))
    return np.concatenate([sampling.directions_to_rotations(directions, angle) for angle in psi])


def _whitened(map: Map, count: int) -> Map:
    """The map with shells of unit power, as far as there is power compared with the first ``count`` shells.

    Those beyond are not compared, but a sharp end would ring through the box.
    """
    power = shells.power(scipy.fft.rfftn(map.data, workers=device.threads()))
    usable = power > 1e-12 * power[1 : count + 1].max()
    usable[0] = False
    unit = float(map.box**3)  # half spaces are divided by it
    return filters.apply_curve(map, np.where(usable, unit / np.sqrt(np.where(usable, power, 1)), 0))
