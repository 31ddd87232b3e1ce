"""All poses of a grid at once, each by its probability: what an image tells of a map when nothing is known of its pose.

Owns the posterior on the polar grid and its adjoint, which carries every image back to every slice it may show. With
corr = turn . (spectrum x harmonics) of the global search, the probabilities w are a softmax of corr - penalty; the sums
of the images at each slice are transposes of the same two products. Several maps (classes) compete for every image.

The grid is turned at random for every batch. Its slices are too far apart to fill Fourier space: a fixed grid would
leave gaps, and gaps make the next map fainter, until it is a ball.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.fft as fft

from halfmap import device
from halfmap.align import polar
from halfmap.align.polar import Grid, PolarSearch
from halfmap.fourier import transforms
from halfmap.geometry import rotations as so3
from halfmap.geometry import sampling
from halfmap.kernels import polar as kernel
from halfmap.types import Images

SPACING = 2.2  # of directions, in resolution / diameter: coarser than that of a search, for it is another one each time
SHIFT_STEP = 0.5  # of the resolution
PARTS = 8  # sums of their own, dealt out to the threads: the result does not depend on how many there are


def scattered(radius: int, box_length_A: float, diameter_A: float, offset_range_A: float, group: np.ndarray,
              rng: np.random.Generator) -> Grid:
    """A grid of poses for Fourier radius K, turned and moved at random; arguments as of ``polar.grid``."""
    resolution = box_length_A / radius
    step = SPACING * resolution / diameter_A
    directions = sampling.spiral(int(np.ceil(4 * np.pi / step**2))) @ so3.random(1, rng)[0].T
    unit = sampling.asymmetric_unit(directions, np.concatenate([group, -group]))
    turns = so3.euler_to_matrix(np.zeros(unit.sum()), np.zeros(unit.sum()), rng.uniform(0, 360, unit.sum()))
    matrices = turns @ sampling.directions_to_rotations(directions[unit])
    angles = transforms.good_box(int(np.ceil(2 * np.pi * radius * min(1.0, diameter_A / box_length_A))) + 4)
    shift_step = SHIFT_STEP * resolution
    shifts = polar.shift_grid(offset_range_A, shift_step)
    shifts = shifts + rng.uniform(-0.5, 0.5, 2) * min(shift_step, offset_range_A)
    mirrored = matrices * np.array([1, -1, -1])[:, None]
    return Grid(np.concatenate([matrices, mirrored]), angles, shifts, step, group)


@dataclass(frozen=True)
class Rings:
    """Images carried back to the slices they may show: sums of C x and of C^2, with area weights."""

    values: np.ndarray  # (v / 2, K, n / 2) complex64
    weight: np.ndarray  # (v / 2, K) float64
    grid: Grid


@dataclass(frozen=True)
class Posterior:
    """What b images tell of c maps.

    ``evidence``: log of the mean likelihood over all poses, relative to no particle at all.
    """

    evidence: np.ndarray  # (b, c)
    shares: np.ndarray  # (b, c) probability of each map
    effective: np.ndarray  # (b, c) fraction of the poses that carry weight, of those that do beforehand
    rotations: np.ndarray  # (b, c, 3, 3) most likely pose
    shifts_A: np.ndarray  # (b, c, 2)
    rings: tuple[Rings, ...]  # one for each map
    directions: np.ndarray  # (v,) images seen from each direction of the grid, all maps together
    places: np.ndarray  # (b, s) probability of each shift of the grid, all maps together


def posterior(searches: Sequence[PolarSearch], images: Images, centres_A: np.ndarray, similarity: float = 0.0,
              spread_A: float = np.inf, noise_scale: float = 1.0) -> Posterior:
    """Weigh all poses of one grid against all maps, which have that grid in common.

    ``centres_A`` (b, 2): what shifts are counted from. ``similarity``, 0..1: part of the probability of a map that is
    dealt out evenly among all, so that classes grow together. ``spread_A``: standard deviation along each axis, over
    all particles, of where they lie; infinite where all shifts of the grid are equally likely beforehand.
    ``noise_scale``: as whose standard deviation the noise passes, in units of its own: log likelihoods count by its
    inverse square, so that more poses and maps carry weight. What the images tell, ``evidence``, is told with 1.
    """
    first = searches[0]
    work = Weighing(searches, *first.on_rings(images), log_prior(centres_A[:, None] + first.grid.shifts_A, spread_A),
                    similarity, noise_scale)
    with device.one_blas_thread(), ThreadPoolExecutor(device.threads()) as pool:
        list(pool.map(partial(work.share, first.shifted(work.signal, images, centres_A)), range(PARTS)))
    return work.result(centres_A)


@dataclass(frozen=True)
class Turn:
    """``polar.inverse_transform`` and its adjoint with half of the products, which are most of the work of a posterior.

    On the second half of all angles even frequencies give the same again, and odd ones with another sign.
    """

    even: np.ndarray  # (n / 2, rows) float32: first half of the angles, real and imaginary parts of even frequencies
    odd: np.ndarray
    rows: tuple[np.ndarray, np.ndarray]  # which of the 2m rows these are

    @classmethod
    def of(cls, angles: int) -> Turn:
        half = polar.inverse_transform(angles)[: angles // 2]
        frequency = np.arange(half.shape[1]) % (angles // 2 + 1)
        even, odd = (np.flatnonzero(frequency % 2 == parity) for parity in (0, 1))
        return cls(np.ascontiguousarray(half[:, even]), np.ascontiguousarray(half[:, odd]), (even, odd))

    def __matmul__(self, spectrum: np.ndarray) -> np.ndarray:
        """Values (n, q) at all angles of spectra (2m, q): real, then imaginary parts."""
        even, odd = (part @ spectrum[rows] for part, rows in zip((self.even, self.odd), self.rows, strict=True))
        return np.concatenate([even + odd, even - odd])

    def back(self, values: np.ndarray) -> np.ndarray:
        """The adjoint: (2m, q) of (n, q)."""
        here, opposite = values[: len(self.even)], values[len(self.even) :]
        out = np.empty((sum(map(len, self.rows)), values.shape[1]), np.float32)
        out[self.rows[0]] = self.even.T @ (here + opposite)
        out[self.rows[1]] = self.odd.T @ (here - opposite)
        return out


class Weighing:
    """A posterior under construction; each of the PARTS has sums of its own, in a fixed order of images."""

    def __init__(self, searches: Sequence[PolarSearch], signal: np.ndarray, half_power: np.ndarray, prior: np.ndarray,
                 similarity: float, noise_scale: float):
        grid, k = searches[0].grid, searches[0].radius
        b, c, v = len(signal), len(searches), len(grid.matrices)
        self.searches, self.similarity, self.signal, self.half_power = searches, similarity, signal, half_power
        self.prior, self.sharpness = prior, noise_scale**-2
        self.likely = 1 / np.exp(2 * prior).mean(1)  # (b,) fraction of the poses that carry weight beforehand
        self.turn = Turn.of(grid.angles)
        self.evidence, self.blurred = np.zeros((b, c)), np.zeros((b, c))  # with the noise as it is, and as it passes
        self.effective = np.zeros((b, c))
        self.best = np.zeros((b, c), np.int64)
        self.seen = np.zeros((b, c, v), np.float32)  # weight of each direction, shares of the maps included
        self.places = np.zeros((b, len(grid.shifts_A)))  # weight of each shift
        rows = 2 * (grid.angles // 2 + 1)
        self.back = np.zeros((PARTS, c, rows, 2 * k, v), np.float32)

    def share(self, shifted: polar.Shifted, part: int) -> None:
        """Every PARTS-th image."""
        for i in range(part, len(shifted), len(self.back)):
            spectrum = shifted.spectrum(i)
            self._image(self.back[part], i, np.concatenate([spectrum, spectrum]))

    def _image(self, back: np.ndarray, row: int, spectrum: np.ndarray) -> None:
        weights = [self._weights(row, c, search, spectrum) for c, search in enumerate(self.searches)]
        for c, share in enumerate(mixed(self.blurred[row], self.similarity)):
            w = weights[c]
            of_all_angles = w.sum(0)
            self.seen[row, c] = share * of_all_angles.sum(0)
            self.places[row] += share * of_all_angles.sum(1)
            carried = self.turn.back(w.reshape(len(w), -1)).reshape(-1, *w.shape[1:])
            back[c] += np.float32(share) * np.matmul(spectrum.transpose(0, 2, 1), carried)

    def _weights(self, row: int, c: int, search: PolarSearch, spectrum: np.ndarray) -> np.ndarray:
        """(n, s, v) probabilities of the poses of one image against one map."""
        w = correlation(search, spectrum, self.turn)
        power = self.half_power[row] @ search.power
        if self.sharpness != 1:
            self.evidence[row, c], _ = kernel.weigh(w, penalty(power, self.prior[row]), 1.0)
        self.blurred[row, c], effective = kernel.soften(w, penalty(power * self.sharpness, self.prior[row]),
                                                        self.sharpness)
        if self.sharpness == 1:
            self.evidence[row, c] = self.blurred[row, c]
        self.effective[row, c] = effective / (w.size * self.likely[row])
        self.best[row, c] = w.argmax()
        return w

    def result(self, centres_A: np.ndarray) -> Posterior:
        grid = self.searches[0].grid
        angle, shift, view = np.unravel_index(self.best, (grid.angles, len(grid.shifts_A), len(grid.matrices)))
        turns = so3.euler_to_matrix(np.zeros(angle.size), np.zeros(angle.size), 360 / grid.angles * angle.ravel())
        rotations = (turns @ grid.matrices[view.ravel()]).reshape(*angle.shape, 3, 3)
        both_hands = self.seen[..., : len(grid.matrices) // 2] + self.seen[..., len(grid.matrices) // 2 :]
        rings = tuple(
            Rings(_slices(total, grid.angles), both_hands[:, c].T.astype(float) @ (2 * self.half_power), grid)
            for c, total in enumerate(self.back.sum(0))
        )
        shares = np.stack([mixed(row, self.similarity) for row in self.blurred])
        return Posterior(self.evidence, shares, self.effective, rotations, centres_A[:, None] + grid.shifts_A[shift],
                         rings, self.seen.sum((0, 1)), self.places)


def correlation(search: PolarSearch, spectrum: np.ndarray, turn: Turn) -> np.ndarray:
    """(n, s, v) of one image, angular spectrum (2m, s, 2K), with a map."""
    product = np.matmul(spectrum, search.harmonics)
    return (turn @ product.reshape(len(product), -1)).reshape(-1, *product.shape[1:])


def penalty(power: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """(s, v) float32: what a correlation is less by, of half the power (v,) of the map and the log prior (s,)."""
    return (power - prior[:, None]).astype(np.float32)


def log_prior(shifts_A: np.ndarray, spread_A: float) -> np.ndarray:
    """(b, s) log of how likely each of the shifts (b, s, 2) of an image is beforehand; their mean likelihood is 1."""
    log = -0.5 * (shifts_A**2).sum(-1) / spread_A**2
    top = log.max(1, keepdims=True)
    return log - top - np.log(np.exp(log - top).mean(1, keepdims=True))


def mixed(evidence: np.ndarray, similarity: float) -> np.ndarray:
    """Probabilities of maps (c,) with this log evidence, a part of them dealt out evenly."""
    w = np.exp(evidence - evidence.max())
    return (1 - similarity) * w / w.sum() + similarity / len(w)


def _slices(total: np.ndarray, angles: int) -> np.ndarray:
    """Rings (v / 2, K, n / 2) from sums (2m, 2K, v) of products that make them: the adjoint of ``PolarSearch.of``."""
    m = angles // 2 + 1
    k = total.shape[1] // 2
    real, imaginary = total[:m], total[m:]
    spectrum = (real[:, :k] - imaginary[:, k:]) + 1j * (real[:, k:] + imaginary[:, :k])
    order = np.arange(m)
    # the rows of ``inverse_transform`` carry 2/n for all but the first and last frequency, as irfft will again
    spectrum = spectrum / (np.where((order == 0) | (2 * order == angles), 1.0, 2.0) / angles)[:, None, None]
    hands = spectrum.shape[-1] // 2
    whole = fft.irfft(spectrum[..., :hands] + spectrum[..., hands:].conj(), n=angles, axis=0)
    here, opposite = whole[: angles // 2], whole[angles // 2 :]
    values = 0.5 * ((here + opposite) + 1j * (here - opposite))
    return np.ascontiguousarray(values.transpose(2, 1, 0), np.complex64)
