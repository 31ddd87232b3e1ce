"""Global search: every direction, in-plane angle and shift at low resolution, by matching on polar grids.

For one direction all in-plane angles come from one transform: with G = Re F + Im F (real, and by Friedel's law
complete), sum over theta of G_image(theta) G_slice(theta + psi) is a correlation along theta. The opposite direction is
the mirror image theta -> -theta. Method: design page section 2.

``Images.stretch`` is ignored here: at shell 10 a distortion of 3 % moves a ring by a seventh of a shell along its axes.
Truth among 8 candidates of 300 simulated images (SNR 0.05, 20 A): 94.3 % undistorted and at 3 %, and at 6 %.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft as fft

from halfmap import device
from halfmap.fourier import transforms
from halfmap.geometry import sampling
from halfmap.kernels import polar as kernel
from halfmap.kernels import threads
from halfmap.physics.projection import Projector, interpolation_kernel
from halfmap.types import Candidates, Images

SPACING = 1.6  # of directions, in resolution / diameter. Truth among the refined candidates of 400 simulated images:
# D2 100 % up to 2.0, 97.5 % at 3.0; asymmetric 99.25 % at 1.0, 98.75 % up to 2.0, 95.25 % at 3.0
# steps of a range of shifts beyond which fewer cover it: with 7 instead of 13 of a range little more than a step, the
# symmetry of a ring was broken by relaxation in 3 of 5 runs, with 13 in all
WIDE = 2.0
BLOCK = 256  # directions matched at a time: their correlations stay in the second-level cache


@dataclass(frozen=True)
class Grid:
    """The poses that are tried: directions (both hands of each), in-plane angles, shifts."""

    matrices: np.ndarray  # (v, 3, 3): first half the directions, second half the opposite ones
    angles: int
    shifts_A: np.ndarray  # (s, 2)
    step_rad: float  # distance of neighbouring directions
    group: np.ndarray  # (g, 3, 3)


def grid(radius: int, box_length_A: float, diameter_A: float, offset_range_A: float, group: np.ndarray) -> Grid:
    """The coarsest grid that does not miss a peak at Fourier radius K of a particle of ``diameter_A``.

    Neighbouring directions move the particle's edge by at most SPACING / 2 resolutions, shifts are as dense as on a
    square grid of half the resolution, in-plane angles follow the bandwidth 2 pi K D / L of a ring.
    """
    resolution = box_length_A / radius
    shifts = fewest_shifts(offset_range_A, resolution / 2)
    order = coarsest_order(resolution, diameter_A)
    return grid_of_order(order, ring_samples(radius, min(1.0, diameter_A / box_length_A)), shifts, group)


def coarsest_order(resolution_A: float, diameter_A: float) -> int:
    """The HEALPix order that does not miss a peak at this resolution."""
    order = 0
    while _spacing(order) > SPACING * resolution_A / diameter_A:
        order += 1
    return order


def ring_samples(radius: int, part: float) -> int:
    """In-plane angles for shells up to ``radius`` of a particle that takes up ``part`` of the box length."""
    return transforms.good_box(int(np.ceil(2 * np.pi * radius * part)) + 4)


def grid_of_order(order: int, angles: int, shifts_A: np.ndarray, group: np.ndarray) -> Grid:
    """The directions of a HEALPix order in one asymmetric unit, with so many in-plane angles and these shifts."""
    directions = sampling.healpix_directions(order)
    both_hands = np.concatenate([group, -group])
    matrices = sampling.directions_to_rotations(directions[sampling.asymmetric_unit(directions, both_hands)])
    mirrored = matrices * np.array([1, -1, -1])[:, None]
    return Grid(np.concatenate([matrices, mirrored]), angles, shifts_A, _spacing(order), group)


def _spacing(order: int) -> float:
    """Mean distance of neighbouring HEALPix directions, rad."""
    return float(np.sqrt(4 * np.pi / (12 * 4**order)))


def shift_grid(range_A: float, step_A: float) -> np.ndarray:
    """Shifts (s, 2) on a square grid of at most ``step_A`` inside a circle of ``range_A``."""
    n = int(np.ceil(range_A / step_A))
    axis = np.arange(-n, n + 1) * (range_A / n if n else 0.0)
    x, y = np.meshgrid(axis, axis)
    inside = np.hypot(x, y) <= range_A * (1 + 1e-9)
    return np.stack([x[inside], y[inside]], axis=-1)


def fewest_shifts(range_A: float, step_A: float) -> np.ndarray:
    """Shifts (s, 2) inside a circle of ``range_A``, a square grid of ``step_A`` or, of a wide range, what lies as near
    to any place with fewer points: of 33 A in steps of 10.3, 37 instead of 49.
    """
    square = shift_grid(range_A, step_A)
    if range_A <= WIDE * step_A:
        return square
    return min(square, covering_shifts(range_A, step_A / np.sqrt(2)), key=len)


def covering_shifts(range_A: float, reach_A: float) -> np.ndarray:
    """Shifts (s, 2) inside a circle of ``range_A`` such that no place in it is farther than ``reach_A`` from one.

    A hexagonal grid, the sparsest that covers the plane. Its points within ``reach_A`` of the circle are brought back
    to its edge, by which they come nearer to all that is inside.
    """
    step = np.sqrt(3) * reach_A
    n = int(np.ceil(2 / np.sqrt(3) * (range_A / step + 1)))
    i, j = np.mgrid[-n : n + 1, -n : n + 1].reshape(2, -1)
    points = step * np.stack([i + j / 2, np.sqrt(3) / 2 * j], axis=-1)
    distance = np.hypot(*points.T)
    inside = distance <= (range_A + reach_A) * (1 - 1e-9)  # those just touching are not needed
    return points[inside] * np.minimum(1, range_A / np.maximum(distance[inside], 1e-30))[:, None]


def _harmonics(rings: np.ndarray) -> np.ndarray:
    """Angular spectrum (n/2 + 1, ..., K) of rings given on half a circle (..., K, n/2)."""
    full = np.concatenate([rings.real + rings.imag, rings.real - rings.imag], axis=-1)
    return np.ascontiguousarray(np.moveaxis(fft.rfft(full, axis=-1, workers=device.threads()), -1, 0))


def inverse_transform(angles: int) -> np.ndarray:
    """(n, 2m) float32: the inverse real transform as a matrix acting on real, then imaginary parts, m = 0..n/2.

    As a matrix product it runs three times faster than the transforms of length n <= 128 themselves (0.16 ms against
    0.47 ms for 2,700 of length 54 on one core), and in quarters as a search uses it four times faster still.
    """
    m = np.arange(angles // 2 + 1)
    weight = np.where((m == 0) | (2 * m == angles), 1.0, 2.0) / angles
    phase = 2 * np.pi * np.outer(np.arange(angles), m) / angles
    return np.concatenate([weight * np.cos(phase), -weight * np.sin(phase)], axis=1).astype(np.float32)


def _quarters(angles: int) -> list[list[np.ndarray]]:
    """What of ``inverse_transform`` differs: [real, imaginary][even, odd m], each (n // 4 + 1, m / 2) float32.

    Cosines and sines of theta, pi - theta, pi + theta and -theta are the same up to signs that follow from the parity
    of m: a quarter of the angles and half of the frequencies at a time are a quarter of the products.
    """
    whole, m = inverse_transform(angles)[: angles // 4 + 1], angles // 2 + 1
    return [[np.ascontiguousarray(part[:, parity::2]) for parity in (0, 1)] for part in (whole[:, :m], whole[:, m:])]


@dataclass(frozen=True)
class Shifted:
    """Images on rings, and their angular spectra at every shift: made image by image, while they are in the cache."""

    rings: np.ndarray  # (b, K, n/2) complex64, moved to where the shifts are counted from
    ramps: np.ndarray  # (s, K, n/2) complex64 that move them by every shift, with the area weight
    forward: tuple[np.ndarray, np.ndarray]  # (2, m / 2, n/2) float32 each: to even and to odd frequencies

    @classmethod
    def of(cls, rings: np.ndarray, ramps: np.ndarray) -> Shifted:
        """Of F on half a circle, G = Re F + Im F and beyond it Re F - Im F: even m come from Re, odd m from Im."""
        half = rings.shape[-1]
        phase = np.pi * np.outer(np.arange(half + 1), np.arange(half)) / half
        whole = np.stack([2 * np.cos(phase), -2 * np.sin(phase)]).astype(np.float32)
        return cls(rings, ramps, (np.ascontiguousarray(whole[:, ::2]), np.ascontiguousarray(whole[:, 1::2])))

    def __len__(self) -> int:
        return len(self.rings)

    def spectrum(self, image: int) -> np.ndarray:
        """(m, s, 2K) float32 of one image: real, then imaginary parts."""
        s, k, half = self.ramps.shape
        moved = (self.rings[image] * self.ramps).reshape(s * k, half)
        out = np.empty((half + 1, s, 2, k), np.float32)
        for parity, part in enumerate((moved.real, moved.imag)):
            found = self.forward[parity] @ np.ascontiguousarray(part).T
            out[parity::2] = found.reshape(2, -1, s, k).transpose(1, 2, 0, 3)
        return out.reshape(half + 1, s, 2 * k)


@dataclass(frozen=True)
class PolarSearch:
    """A reference on the polar grid, ready to be matched. ``of`` prepares it once per map."""

    grid: Grid
    radius: int
    harmonics: np.ndarray  # (2m, 2K, v) float32: rows that make the real parts of all m products, then the imaginary
    power: np.ndarray  # (K, v) float32: sum over theta of |A|^2

    @classmethod
    def of(cls, projector: Projector, grid: Grid, radius: int) -> PolarSearch:
        hands = len(grid.matrices) // 2
        rings = kernel.sample_slices(projector.half, grid.matrices[:hands], radius, grid.angles, projector.padding)
        one_hand = _harmonics(rings).transpose(0, 2, 1)
        spectrum = np.concatenate([one_hand, one_hand.conj()], axis=-1)
        re, im = spectrum.real, spectrum.imag
        harmonics = np.concatenate([np.concatenate([re, im], axis=1), np.concatenate([im, -re], axis=1)])
        power = 2 * (abs(rings) ** 2).sum(-1).T
        return cls(grid, radius, np.ascontiguousarray(harmonics), np.concatenate([power, power], -1).astype(np.float32))

    def over(self, range_A: float, step_A: float) -> PolarSearch:
        """The same search over other shifts."""
        return replace(self, grid=replace(self.grid, shifts_A=fewest_shifts(range_A, step_A)))

    def candidates(self, images: Images, centres_A: np.ndarray, count: int) -> Candidates:
        """The ``count`` best distinct poses of every image, best first; shifts are tried about ``centres_A`` (b, 2)."""
        b = len(images)
        signal, half_power = self.on_rings(images)
        found = np.zeros((b, count, 3, 3)), np.zeros((b, count), np.int64), np.full((b, count), -np.inf)
        with device.one_blas_thread():
            threads.share(self._match, b, self.shifted(signal, images, centres_A), half_power, *found)
        poses, shift, score = found
        return Candidates(poses, centres_A[:, None] + self.grid.shifts_A[shift], score)

    def _match(self, first: int, last: int, shifted: Shifted, half_power: np.ndarray, poses, shift, score) -> None:
        """Some images against all directions; writes their candidates into the last three."""
        g = self.grid
        turns, least_trace = _quarters(g.angles), 1 + 2 * np.cos(1.5 * g.step_rad)
        best = np.empty((len(g.matrices), g.angles), np.float32)
        which = np.empty(best.shape, np.int16)
        for i in range(first, last):
            spectrum, penalty = shifted.spectrum(i), half_power[i] @ self.power
            for start in range(0, len(best), BLOCK):
                rows = slice(start, start + BLOCK)
                kernel.best_over_shifts(self._parts(spectrum, rows, turns), penalty[rows], best[rows], which[rows])
            kernel.pick(best, which, g.matrices, g.group, least_trace, poses[i], shift[i], score[i])

    def _parts(self, spectrum: np.ndarray, rows: slice, turns) -> np.ndarray:
        """Correlations of one image, spectrum (m, s, 2K), with some directions, as ``best_over_shifts`` takes them."""
        m, shifts, _ = spectrum.shape
        harmonics = self.harmonics[..., rows]
        product = np.matmul(spectrum, harmonics.reshape(2, m, *harmonics.shape[1:])).reshape(2, m, -1)
        out = np.empty((2, 2, len(turns[0][0]), product.shape[-1]), np.float32)
        for kind in (0, 1):
            for parity in (0, 1):
                np.matmul(turns[kind][parity], product[kind, parity::2], out=out[kind, parity])
        return out.reshape(4, out.shape[2], shifts, -1)

    def _ring_weight(self) -> np.ndarray:
        """Area of Fourier space per sample of ring k: 2 pi k / n."""
        return (2 * np.pi / self.grid.angles * np.arange(1, self.radius + 1)).astype(np.float32)

    def on_rings(self, images: Images):
        """C x on rings (b, K, n/2), and half the area-weighted ring mean of C^2, (b, K)."""
        cut = images.radius - self.radius
        band = (slice(None), slice(cut, 2 * images.radius + 1 - cut), slice(0, self.radius + 1))
        ctf = images.ctf[band]
        box = transforms.good_box(2 * self.radius + 4)
        k = (1 / interpolation_kernel(box)).astype(np.float32)
        small = transforms.to_images(images.masked[band] * ctf, box) * (k[:, None] * k)
        planes = transforms.half_plane(small, 2 * self.radius + 1, padding=2)
        rings = kernel.sample_images(planes, self.radius, self.grid.angles, 2)
        ky, kx = np.mgrid[-self.radius : self.radius + 1, 0 : self.radius + 1]
        shell = np.rint(np.hypot(kx, ky)).astype(int)
        square = np.stack([(ctf**2)[:, shell == s].mean(-1) for s in range(1, self.radius + 1)], axis=-1)
        return rings, 0.5 * self._ring_weight() * square

    def shifted(self, rings: np.ndarray, images: Images, centres_A: np.ndarray) -> Shifted:
        """The rings (b, K, n/2) of ``images``, about ``centres_A`` (b, 2), ready to be moved by every shift."""
        theta = 2 * np.pi * np.arange(self.grid.angles // 2) / self.grid.angles
        k = np.arange(1, self.radius + 1)[:, None]
        ring = np.stack([k * np.cos(theta), k * np.sin(theta)]) / (images.box * images.pixel_size_A)

        def ramp(shifts_A):
            return np.exp(-2j * np.pi * np.tensordot(shifts_A, ring, 1)).astype(np.complex64)

        return Shifted.of(rings * ramp(centres_A), ramp(self.grid.shifts_A) * self._ring_weight()[:, None])
