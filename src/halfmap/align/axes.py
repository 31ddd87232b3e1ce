"""Where the symmetry axes of a map are, and how well it obeys a point group.

The map is compared with itself, turned by the operators of the group about axes in a trial place: on central planes of
its Fourier transform, up to FINEST_A, each coefficient weighted by its frequency, which makes up for the fall of the
spectrum. What is round about the centre counts for nothing: it obeys every group.

First the place the map is in is tried. Where that will not do, correlations are tabulated once for every direction of
an axis and every angle of the group (the self-rotation function: Rossmann & Blow 1962, Acta Cryst 15:24); orientations
of the whole group are looked up there, and the best of them climb.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.optimize
from scipy.spatial import cKDTree

from halfmap.fourier import transforms
from halfmap.geometry import rotations as so3
from halfmap.geometry import sampling, symmetry
from halfmap.maps import resample, turn
from halfmap.physics.projection import Projector
from halfmap.types import Map

FINEST_A = 15.0  # detail that is compared
MOST_SHELLS = 20  # 8e3 coefficients; of large boxes this is coarser than FINEST_A and still plenty for their axes
COARSE_SHELLS = 16  # 2 pi K radius / box of the search: a peak is then some 4 degrees wide
GRID_ORDER, GRID_RAD = 4, 0.064  # HEALPix order and step: 3.7 degrees between axes that are tried
FARTHEST_RAD = 1.65  # no orientation is further from the nearest that is as good: 94 degrees, 2 acos(cos 45 cos 15), D3
FEW = 4  # operators that a climb looks at
FEW_ANGLES = 12  # angles that are tabulated: only Cn and Dn with n > 25 have more
STARTS, FINALISTS = 4, 2  # orientations that climb coarsely; and of these, finely
APART_RAD = 0.12  # orientations closer than this are one start
EXACT = 0.98  # correlation of a map whose axes are off by less than NEGLIGIBLE
NEAR = 0.3  # correlation from which the place the map is in is worth a climb
FAITHFUL = 0.9  # a map that obeys its group so well where it is, is not searched for other axes
SYMMETRIC = 0.5  # correlation below which a map does not obey the group, wherever the axes are
NEGLIGIBLE = 0.1  # of the resolution: axes that are off by less at the particle's edge are left there
ROUND = 1e-3  # of the power: below it there is nothing that is not round
BACKGROUND = 0.1  # of the maximum: density below it does not tell the centre
MANY_SHELLS = 12  # beyond so many, every second plane holds enough coefficients
BLOCK = 64  # turns compared at a time: some 10 MB
ROUNDS = 12  # of a climb
STEP = 2e-3  # rad, for differences: single precision resolves 1e-7 of a coefficient


@dataclass(frozen=True)
class Axes:
    """Where the axes of a group are in a map: V(R g r + c) = V(R r + c) for its operators g.

    ``before``, ``after``: correlation, -1..1, of the map with its symmetry mates about the axes of the box and about
    those found, mean over all operators; of what is not round, up to ``resolution_A``.
    """

    rotation: np.ndarray  # R (3, 3)
    centre_A: np.ndarray  # c (3,) x, y, z from the box centre
    before: float
    after: float
    resolution_A: float
    displacement_A: float  # of the particle's edge, by turning and moving

    @property
    def obeyed(self) -> bool:
        """Whether the map has the symmetry about the axes found."""
        return self.after >= SYMMETRIC

    @property
    def off(self) -> bool:
        """Whether they are elsewhere than the box has them."""
        return self.displacement_A > NEGLIGIBLE * self.resolution_A

    @property
    def angle_deg(self) -> float:
        return float(np.rad2deg(np.linalg.norm(so3.log_so3(self.rotation))))

    @property
    def shift_A(self) -> float:
        return float(np.linalg.norm(self.centre_A))

    def onto(self, map: Map) -> Map:
        """The map, in any sampling, brought onto the axes."""
        return turn.turned(map, self.rotation, self.centre_A)


def find(map: Map, group: np.ndarray) -> Axes:
    """The axes of a point group (g, 3, 3), g > 1, in a map: of equally good ones those nearest to where it is.

    About the axis of a cyclic group the map is neither turned, nor moved along it.
    """
    shells = max(1, min(int(map.box * map.voxel_size_A / FINEST_A), map.box // 2 - 1, MOST_SHELLS))
    small = resample.fourier_crop(map, transforms.good_box(2 * shells + 2))
    middle_A, radius_A = extent(small)
    here = Likeness.of(small, shells, np.zeros(3), radius_A)
    ops = _spread(group[1:], FEW)
    before = here.correlation(group[1:], np.eye(3), np.zeros(3))
    tried = [(before, np.eye(3), np.zeros(3))]

    def look_at(rotation, centre_A):
        place = _nearest(rotation, centre_A, group)
        tried.append((here.correlation(group[1:], *place), *place))

    if NEAR < before < EXACT:
        look_at(*here.climbed(np.eye(3), np.zeros(3), ops))
    if tried[-1][0] < FAITHFUL:
        for rotation, centre_A in Likeness.of(small, shells, middle_A, radius_A).searched(group, ops):
            look_at(rotation, centre_A + middle_A)
            if tried[-1][0] > FAITHFUL:
                break
    after, rotation, centre_A = max(tried, key=lambda place: place[0])
    turned_A = np.linalg.norm(so3.log_so3(rotation)) * radius_A
    return Axes(rotation, centre_A, before, after, here.length_A / shells,
                float(np.hypot(turned_A, np.linalg.norm(centre_A))))


def extent(map: Map) -> tuple[np.ndarray, float]:
    """(centre of mass x, y, z from the box centre; radius of the ball with as much inertia), A, of what stands out."""
    density = np.maximum(map.data - BACKGROUND * map.data.max(), 0).astype(float)
    total = density.sum()
    if not total > 0:
        return np.zeros(3), map.box * map.voxel_size_A / 3
    axis = (np.arange(map.box) - map.box // 2) * map.voxel_size_A
    profiles = [density.sum(tuple({0, 1, 2} - {i})) / total for i in (2, 1, 0)]
    centre = np.array([p @ axis for p in profiles])
    inertia = sum(p @ (axis - c) ** 2 for p, c in zip(profiles, centre, strict=True))
    return centre, float(np.sqrt(5 / 3 * inertia))


@dataclass(frozen=True)
class Likeness:
    """How alike a map is to itself turned; centres are relative to the one it was made about."""

    projector: Projector
    radius_A: float  # of the particle
    points: Points
    here: np.ndarray  # (points,) complex64: the coefficients there

    @classmethod
    def of(cls, map: Map, shells: int, centre_A: np.ndarray, radius_A: float) -> Likeness:
        projector = Projector.of(map, shells, map.box)
        r = projector.half.shape[-1] - 1
        k = np.arange(-r, r + 1) / (projector.padding * projector.box_length_A)
        x, y, z = (np.exp(2j * np.pi * k * c).astype(np.complex64) for c in centre_A)
        moved = projector.half * z[:, None, None] * y[:, None] * x[r:]
        return cls._to(shells, replace(projector, half=moved), radius_A)

    @classmethod
    def _to(cls, shells: int, projector: Projector, radius_A: float) -> Likeness:
        points = Points.of(shells)
        return cls(projector, radius_A, points, points.taken(projector, np.eye(3)[None])[0])

    @property
    def length_A(self) -> float:
        return self.projector.box_length_A

    def coarse(self) -> Likeness:
        """The same up to the shells of the search."""
        wanted = int(COARSE_SHELLS * self.length_A / (2 * np.pi * max(self.radius_A, 1e-6)))
        shells = int(np.clip(wanted, min(4, self.points.shells), self.points.shells))
        return self._to(shells, self.projector, self.radius_A)

    def correlation(self, ops: np.ndarray, rotation: np.ndarray, centre_A: np.ndarray) -> float:
        """Mean correlation of the map with its mates under ``ops`` (m, 3, 3) about axes R and centre c."""
        turns = rotation @ ops @ rotation.T
        here = self._about(np.eye(3)[None], self.here[None], centre_A)[0]
        return float(np.mean(self.points.correlations(here, self._about(turns, self._turned(turns), centre_A))))

    def _turned(self, turns: np.ndarray) -> np.ndarray:
        """Coefficients of V(T r), T (m, 3, 3): (m, points)."""
        return self.points.taken(self.projector, turns)

    def _about(self, turns: np.ndarray, values: np.ndarray, centre_A: np.ndarray) -> np.ndarray:
        """Coefficients of V(T r) (m, points) made those of V(T r + c)."""
        if not np.any(centre_A):
            return values
        waves = (np.swapaxes(turns, 1, 2) @ (centre_A / self.length_A)).astype(np.float32) @ self.points.at.T
        waves *= np.float32(2 * np.pi)
        phases = np.empty(waves.shape, np.complex64)
        phases.real, phases.imag = np.cos(waves), np.sin(waves)  # several times faster than a complex exponential
        return values * phases

    def climbed(self, rotation: np.ndarray, centre_A: np.ndarray, ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The place (R, c) near the given one where the map is most like its mates: least squares of differences."""

        def places(steps):
            return so3.exp_so3(steps[:, :3]) @ rotation, centre_A + steps[:, 3:] * self.radius_A

        def residual(x):
            return self._differences(*places(x[None]), ops)[0]

        def slope(x):
            there = self._differences(*places(np.concatenate([x[None], x + STEP * np.eye(6)])), ops)
            return ((there[1:] - there[0]) / STEP).T

        done = scipy.optimize.least_squares(residual, np.zeros(6), slope, method="lm", ftol=1e-3, xtol=1e-4,
                                            max_nfev=ROUNDS)
        turned, moved = places(done.x[None])
        return turned[0], moved[0]

    def _differences(self, rotations: np.ndarray, centres_A: np.ndarray, ops: np.ndarray) -> np.ndarray:
        """Weighted differences of the map and its mates about places (s, 3, 3), (s, 3): (s, ops * points * 2)."""
        turns = rotations[:, None] @ ops @ np.swapaxes(rotations, 1, 2)[:, None]
        values = self._turned(turns.reshape(-1, 3, 3)).reshape(*turns.shape[:2], -1)
        rows = []
        for turn_, value, centre in zip(turns, values, centres_A, strict=True):
            here = self._about(np.eye(3)[None], self.here[None], centre)
            rows.append((self.points.weight * (self._about(turn_, value, centre) - here)).ravel().view(np.float32))
        return np.stack(rows).astype(float)

    def searched(self, group: np.ndarray, ops: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The best places (R, c) of a search over all orientations, climbed."""
        rough = self.coarse()
        starts = rough._best_orientations(group)
        climbed = [rough.climbed(r, np.zeros(3), ops) for r in starts]
        climbed.sort(key=lambda place: -rough.correlation(ops, *place))
        for place in climbed[:FINALISTS]:
            yield self.climbed(*place, ops)

    def _best_orientations(self, group: np.ndarray) -> np.ndarray:
        """Orientations (STARTS, 3, 3) of the group with the best correlations by the self-rotation function."""
        unit, angles = symmetry.axes(group[1:])
        kinds = np.unique(np.round(angles, 6))
        kinds = _spread(kinds, FEW_ANGLES)
        known = np.isclose(angles[:, None], kinds, atol=1e-5)
        unit, kind = unit[known.any(1)], known[known.any(1)].argmax(1)
        directions = sampling.healpix_directions(GRID_ORDER)
        directions = directions[sampling.asymmetric_unit(directions, np.stack([np.eye(3), -np.eye(3)]))]
        table = np.stack([self._tabulated(so3.exp_so3(angle * directions)) for angle in kinds])
        tree = cKDTree(np.concatenate([directions, -directions]))
        tried = orientations(group)
        _, nearest = tree.query(np.einsum("nij,mj->nmi", tried, unit))
        score = table[kind, nearest % len(directions)].mean(1)
        return _apart(tried[np.argsort(-score, kind="stable")], STARTS)


    def _tabulated(self, turns: np.ndarray) -> np.ndarray:
        """(m,) correlation of the map with itself under each of the turns (m, 3, 3)."""
        blocks = np.array_split(turns, 1 + len(turns) // BLOCK)
        return np.concatenate([self.points.correlations(self.here, self._turned(block)) for block in blocks])


@dataclass(frozen=True)
class Points:
    """The coefficients that are compared: central planes spread over all directions, rings of equal weight."""

    planes: np.ndarray  # (p, 3, 3) pose matrices
    at: np.ndarray  # (p * m, 3) float32 frequencies, in shells
    weight: np.ndarray  # (p * m,) float32
    shell: np.ndarray  # (p * m,)
    inside: np.ndarray  # (2K+1, K+1) bool

    @classmethod
    def of(cls, shells: int) -> Points:
        directions = sampling.healpix_directions(1)
        kept = sampling.asymmetric_unit(directions, np.stack([np.eye(3), -np.eye(3)]))
        planes = sampling.directions_to_rotations(directions[kept])[:: 1 if shells <= MANY_SHELLS else 2]
        ky, kx = np.mgrid[-shells : shells + 1, 0 : shells + 1]
        inside = ((kx > 0) | (ky > 0)) & (np.hypot(kx, ky) < shells + 0.5)
        flat = np.stack([kx[inside], ky[inside]], axis=-1)
        radius = np.linalg.norm(flat, axis=1)
        at = (flat @ planes[:, :2]).reshape(-1, 3).astype(np.float32)
        # a plane holds k points on ring k, space k^2 on shell k: sqrt(k) makes up for it, k sharpens
        weight = np.tile(radius**1.5, len(planes)).astype(np.float32)
        return cls(planes, at, weight, np.tile(np.rint(radius).astype(int), len(planes)), inside)

    @property
    def shells(self) -> int:
        return self.inside.shape[-1] - 1

    def taken(self, projector: Projector, turns: np.ndarray) -> np.ndarray:
        """Coefficients of V(T r) at these points, T (t, 3, 3): (t, p * m)."""
        planes = self.planes @ np.swapaxes(turns, 1, 2)[:, None]
        return projector.slices(planes.reshape(-1, 3, 3), self.shells)[:, self.inside].reshape(len(turns), -1)

    def correlations(self, here: np.ndarray, mates: np.ndarray) -> np.ndarray:
        """(t,) of coefficients (p * m,) with mates (t, p * m), without what is round; ROUND of the power always agrees.

        The mean of each shell is what is round; it is the same in both, and real by Friedel's law.
        """
        count = np.maximum(np.bincount(self.shell), 1)
        mean = (np.bincount(self.shell, here.real) / count)[self.shell].astype(np.float32)
        square = self.weight**2
        a, b = here - mean, mates - mean
        powers = [(square * (v.real**2 + v.imag**2)).sum(-1, dtype=float) for v in (here, a, b)]
        floor = ROUND * powers[0]
        cross = (square * (b * a.conj()).real).sum(-1, dtype=float)
        return (cross + floor) / (np.sqrt(powers[1] * powers[2]) + floor) if floor > 0 else np.ones(len(mates))


def orientations(group: np.ndarray) -> np.ndarray:
    """Orientations (n, 3, 3) of a group's axes, as far as they differ: those nearest to the identity."""
    directions = sampling.healpix_directions(GRID_ORDER)
    if symmetry.about_one_axis(group):
        axis = symmetry.axes(group[1:2])[0][0]
        return _shortest(axis, directions[directions @ axis >= 0])
    count = int(np.ceil(FARTHEST_RAD / GRID_RAD))
    ticks = GRID_RAD * np.arange(-count, count + 1)
    vectors = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    turns = so3.exp_so3(vectors[np.linalg.norm(vectors, axis=1) <= FARTHEST_RAD])
    # the trace falls with the angle: nearest to the identity among its mates R N
    mates = turns.reshape(-1, 9) @ np.swapaxes(symmetry.normaliser(group), 1, 2).reshape(-1, 9).T
    return turns[mates[:, 0] >= mates.max(1) - 1e-9]


def _shortest(axis: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The shortest turns (n, 3, 3) that take ``axis`` to each of the directions (n, 3), none opposite to it."""
    across = np.cross(axis, directions)
    sine = np.linalg.norm(across, axis=1, keepdims=True)
    angle = np.arctan2(sine, (directions @ axis)[:, None])
    return so3.exp_so3(across * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 1.0))


def _nearest(rotation: np.ndarray, centre: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The equally good place (R, c) that moves the map least."""
    if symmetry.about_one_axis(group):
        axis = symmetry.axes(group[1:2])[0][0]
        there = rotation @ axis
        there = there if there @ axis >= 0 else -there
        return _shortest(axis, there[None])[0], centre - (centre @ there) * there
    mates = rotation @ symmetry.normaliser(group)
    return mates[np.argmax(np.trace(mates, axis1=1, axis2=2))], centre


def _spread(values: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of the values, evenly, the first among them."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(len(values), most)).astype(int))]


def _apart(ranked: np.ndarray, most: int) -> np.ndarray:
    """The first ``most`` rotations that differ by APART_RAD from all before them."""
    kept = ranked[:1]
    for turn_ in ranked[1:]:
        if len(kept) == most:
            break
        if so3.angle_between(kept, turn_[None]).min() > APART_RAD:
            kept = np.concatenate([kept, turn_[None]])
    return kept
