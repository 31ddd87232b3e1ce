"""numba body of back-projection.

Adding pixels to a grid larger than the cache is bound by memory, not by arithmetic. So the pixels of many images are
first sorted by the brick of the grid they fall into (a counting sort: no comparisons); then every brick is fetched
once, receives all its pixels while it lies in the second-level cache, and is put back. A pixel whose neighbours lie in
two bricks is listed for both, and each keeps its own part: no two threads write to one voxel. Within a brick pixels
stay in the order of the images, so the sums are equal to the last bit whatever the number of threads or batches.
At box 256 this takes half the time of laying in image by image in slabs, which took a quarter of that without slabs.

Images of a curved Ewald sphere differ in where their pixels lie and what they hold, so they have a pair of functions of
their own, `_count_curved` and `_sort_curved`; what is sorted is then the same.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads

EDGE = 32  # voxels of a brick along an axis: 34^3 voxels with their rims are 0.5 MB, within a second-level cache
SIDE = EDGE + 2  # with a rim on both sides for neighbours that belong to other bricks
POINT_BYTES = 24
# of sorted pixels, over which the traffic of the grid is shared: twice the grid, within bounds. On one core at box 64
# 30 MB take half the time of 400, most of which is the fetching of fresh pages; at box 256 400 MB half that of 30
GRIDS, LEAST_BYTES, MOST_BYTES = 2.0, 3e7, 4e8
TASKS = 16  # bricks are dealt out to so many tasks in turn: the crowded ones lie together about the origin

LAST = np.nextafter(np.float32(EDGE + 1), np.float32(0))  # positions round up in float32, but not into the next brick

_1, _2, _3, _4, _5 = (np.uint64(i) for i in range(1, 6))  # unsigned: no test for negative indices in the inner loop
_ROW, _PLANE = np.uint64(3 * SIDE), np.uint64(3 * SIDE * SIDE)


@nb.njit(inline="always")
def _from_corner(z, y, x, r):
    """A grid position or its mate, whichever has x >= 0, counted from the corner; and whether it is the mate."""
    if x < 0:
        return r - z, r - y, -x, True
    return r + z, r + y, x, False


@nb.njit(inline="always")
def _point(a, kx, ky, r):
    """Grid position (z, y, x) of pixel (kx, ky), as ``_from_corner``."""
    x = kx * a[0, 0] + ky * a[1, 0]
    y = kx * a[0, 1] + ky * a[1, 1]
    z = kx * a[0, 2] + ky * a[1, 2]
    return _from_corner(z, y, x, r)


@nb.njit(inline="always")
def _curved_point(a, beam, kx, ky, curvature, r):
    """The same for a pixel on the paraboloid: off the plane by ``curvature`` times its squared distance, grid steps."""
    x = kx * a[0, 0] + ky * a[1, 0]
    y = kx * a[0, 1] + ky * a[1, 1]
    z = kx * a[0, 2] + ky * a[1, 2]
    height = curvature * (x * x + y * y + z * z)
    return _from_corner(z + height * beam[2], y + height * beam[1], x + height * beam[0], r)


@nb.njit(inline="always")
def _tally(counts, z, y, x, bricks):
    """Count a pixel in every brick that holds one of its eight neighbours."""
    jz, jy, jx = int(z), int(y), int(x)
    for bz in range(jz // EDGE, (jz + 1) // EDGE + 1):
        for by in range(jy // EDGE, (jy + 1) // EDGE + 1):
            for bx in range(jx // EDGE, (jx + 1) // EDGE + 1):
                counts[(bz * bricks[1] + by) * bricks[2] + bx] += 1


@nb.njit(inline="always")
def _enlist(points, free, z, y, x, re, im, square, bricks):
    """Write a pixel into the next free place of each of those bricks; ``free`` moves on."""
    jz, jy, jx = int(z), int(y), int(x)
    for bz in range(jz // EDGE, (jz + 1) // EDGE + 1):
        for by in range(jy // EDGE, (jy + 1) // EDGE + 1):
            for bx in range(jx // EDGE, (jx + 1) // EDGE + 1):
                brick = (bz * bricks[1] + by) * bricks[2] + bx
                k = free[brick]
                free[brick] = k + 1
                points[k, 0] = min(np.float32(z - bz * EDGE + 1), LAST)
                points[k, 1] = min(np.float32(y - by * EDGE + 1), LAST)
                points[k, 2] = min(np.float32(x - bx * EDGE + 1), LAST)
                points[k, 3], points[k, 4], points[k, 5] = re, im, square


# No fastmath in these four: counting and sorting must find a pixel in the same bricks, so both must round alike


@nb.njit(cache=True, nogil=True)
def _count(begin, end, matrices, lasts, padding, r, bricks, counts):
    radius = len(lasts) // 2
    for p in range(begin, end):
        a = matrices[p] * padding
        for row in range(2 * radius + 1):
            ky = row - radius
            for kx in range(0 if ky > 0 else 1, lasts[row] + 1):
                z, y, x, _ = _point(a, kx, ky, r)
                _tally(counts[p], z, y, x, bricks)


@nb.njit(cache=True, nogil=True)
def _sort(begin, end, images, ctf, which, shares, matrices, ramp_x, ramp_y, lasts, padding, r, bricks, place, points):
    radius = len(lasts) // 2
    cut = images.shape[2] - 1 - radius
    for p in range(begin, end):
        i, part = which[p], shares[p]
        a = matrices[p] * padding
        free = place[p].copy()
        for row in range(2 * radius + 1):
            ky = row - radius
            row_ramp = part * ramp_y[p, row]
            for kx in range(0 if ky > 0 else 1, lasts[row] + 1):
                c = ctf[i, row + cut, kx]
                value = c * images[i, row + cut, kx] * ramp_x[p, kx] * row_ramp
                z, y, x, mate = _point(a, kx, ky, r)
                _enlist(points, free, z, y, x, value.real, -value.imag if mate else value.imag, part * c * c, bricks)


@nb.njit(cache=True, nogil=True)
def _count_curved(begin, end, matrices, beams, curvature, lasts, padding, r, bricks, counts):
    radius = len(lasts) // 2
    for p in range(begin, end):
        a = matrices[p] * padding
        for row in range(2 * radius + 1):
            ky = row - radius
            for kx in range(0 if ky > 0 else 1, lasts[row] + 1):
                for bent in (curvature, -curvature):
                    z, y, x, _ = _curved_point(a, beams[p], kx, ky, bent, r)
                    _tally(counts[p], z, y, x, bricks)


@nb.njit(cache=True, nogil=True)
def _sort_curved(begin, end, images, sine, cosine, coherence, which, shares, matrices, beams, curvature, ramp_x, ramp_y,
                 lasts, padding, r, bricks, place, points):  # fmt: skip
    radius = len(lasts) // 2
    cut = images.shape[2] - 1 - radius
    half, one = np.float32(0.5), np.float32(1)
    for p in range(begin, end):
        i, part = which[p], shares[p]
        a = matrices[p] * padding
        free = place[p].copy()
        for row in range(2 * radius + 1):
            ky = row - radius
            row_ramp = part * ramp_y[p, row]
            for kx in range(0 if ky > 0 else 1, lasts[row] + 1):
                s, c, alike = sine[i, row + cut, kx], cosine[i, row + cut, kx], coherence[row, kx]
                square = part * half * half * ((one + alike) * s * s + (one - alike) * c * c)
                shown = half * images[i, row + cut, kx] * ramp_x[p, kx] * row_ramp
                for side in (1, -1):
                    value = complex(s, side * c) * shown
                    z, y, x, mate = _curved_point(a, beams[p], kx, ky, side * curvature, r)
                    _enlist(points, free, z, y, x, value.real, -value.imag if mate else value.imag, square, bricks)


@nb.njit(inline="always")
def _add_pair(brick, at, near, far, re, im, square):
    brick[at] += near * re
    brick[at + _1] += near * im
    brick[at + _2] += near * square
    brick[at + _3] += far * re
    brick[at + _4] += far * im
    brick[at + _5] += far * square


@nb.njit(cache=True, fastmath=True, nogil=True)
def _add(begin, end, numerator, weight, points, starts, bricks):  # noqa: C901 - one pass over a brick
    planes, rows, columns = numerator.shape
    one = np.float32(1)
    for task in range(begin, end):
        brick = np.zeros(3 * SIDE * SIDE * SIDE, np.float32)  # real, imaginary, weight of a voxel side by side
        for b in range(task, starts.shape[1] - 1, TASKS):
            if (starts[:, b + 1] == starts[:, b]).all():
                continue
            z0, y0, x0 = b // (bricks[1] * bricks[2]) * EDGE, b // bricks[2] % bricks[1] * EDGE, b % bricks[2] * EDGE
            dz, dy, dx = min(EDGE, planes - z0), min(EDGE, rows - y0), min(EDGE, columns - x0)
            for z in range(dz):
                for y in range(dy):
                    at = np.uint64(3 * (((z + 1) * SIDE + y + 1) * SIDE + 1))
                    values, weights = numerator[z0 + z, y0 + y], weight[z0 + z, y0 + y]
                    for x in range(x0, x0 + dx):
                        brick[at], brick[at + _1], brick[at + _2] = values[x].real, values[x].imag, weights[x]
                        at += _3
            for batch in range(starts.shape[0]):
                for k in range(starts[batch, b], starts[batch, b + 1]):
                    z, y, x = points[k, 0], points[k, 1], points[k, 2]
                    re, im, square = points[k, 3], points[k, 4], points[k, 5]
                    jz, jy, jx = np.int32(z), np.int32(y), np.int32(x)
                    tz, ty, tx = z - np.float32(jz), y - np.float32(jy), x - np.float32(jx)
                    at = np.uint64(3 * ((jz * SIDE + jy) * SIDE + jx))
                    share = (one - tz) * (one - ty)
                    _add_pair(brick, at, share * (one - tx), share * tx, re, im, square)
                    share = (one - tz) * ty
                    _add_pair(brick, at + _ROW, share * (one - tx), share * tx, re, im, square)
                    share = tz * (one - ty)
                    _add_pair(brick, at + _PLANE, share * (one - tx), share * tx, re, im, square)
                    share = tz * ty
                    _add_pair(brick, at + _PLANE + _ROW, share * (one - tx), share * tx, re, im, square)
            for z in range(dz):
                for y in range(dy):
                    at = np.uint64(3 * (((z + 1) * SIDE + y + 1) * SIDE + 1))
                    values, weights = numerator[z0 + z, y0 + y], weight[z0 + z, y0 + y]
                    for x in range(x0, x0 + dx):
                        values[x], weights[x] = complex(brick[at], brick[at + _1]), brick[at + _2]
                        at += _3


def _lasts(radius: int) -> np.ndarray:
    """(2K+1,) last kx of every row of a half plane."""
    k = np.arange(-radius, radius + 1)
    return np.sqrt(radius**2 + radius - k**2).astype(np.int64)


def _ramps(phases: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """(p, K+1) along x and (p, 2K+1) along y: the factors of a shift."""
    k = np.arange(-radius, radius + 1)
    along_x, along_y = (np.exp(-2j * np.pi * np.outer(phases[:, axis], k)).astype(np.complex64) for axis in (0, 1))
    return np.ascontiguousarray(along_x[:, radius:]), along_y


def _shares(shares, n: int) -> np.ndarray:
    """(n,) float32, 1 where nothing is said."""
    return np.ones(n, np.float32) if shares is None else np.ascontiguousarray(shares, np.float32)


def best_buffer_bytes(grid_bytes: float) -> float:
    """Room for sorted pixels on their way into grids of so many bytes, numerator and weight together."""
    return min(max(GRIDS * grid_bytes, LEAST_BYTES), MOST_BYTES)


class Points:
    """Pixels on their way into a half space (2R+1, 2R+1, R+1), sorted by brick; added when there are enough of them."""

    def __init__(self, numerator: np.ndarray, weight: np.ndarray, buffer_bytes: float | None = None):
        self._numerator, self._weight = numerator, weight
        self._bricks = np.array([-(-n // EDGE) for n in numerator.shape])
        size = best_buffer_bytes(numerator.nbytes + weight.nbytes) if buffer_bytes is None else buffer_bytes
        self._points = np.empty((max(1, int(size / POINT_BYTES)), 6), np.float32)
        self._starts: list[np.ndarray] = []  # per batch: where the pixels of each brick begin, and the end
        self._used = 0

    def insert(self, images, ctf, which, matrices, phases, radius: int, padding: int, shares=None) -> None:
        """Take in images; arguments as in ``insert``."""
        images, ctf = np.ascontiguousarray(images), np.ascontiguousarray(ctf)  # one compilation, one way of rounding
        matrices, which = np.ascontiguousarray(matrices, np.float64), np.ascontiguousarray(which, np.int64)
        shares = _shares(shares, len(which))
        lasts, ramp_x, ramp_y = _lasts(radius), *_ramps(phases, radius)
        r = float(self._numerator.shape[2] - 1)
        counts = np.zeros((len(which), self._bricks.prod()), np.int64)
        threads.share(_count, len(matrices), matrices, lasts, padding, r, self._bricks, counts)
        for rows in self._pieces(counts.sum(1)):
            begins = self._begins(counts[rows])
            threads.share(_sort, rows.stop - rows.start, images, ctf, which[rows], shares[rows], matrices[rows],
                          ramp_x[rows], ramp_y[rows], lasts, padding, r, self._bricks, begins, self._points)

    def insert_curved(self, images, sine, cosine, coherence, which, matrices, phases, curvature: float, radius: int,
                      padding: int, shares=None) -> None:
        """Take in images that show the object on the Ewald sphere; arguments as in ``insert_curved``."""
        images, sine, cosine = (np.ascontiguousarray(part) for part in (images, sine, cosine))
        matrices, which = np.ascontiguousarray(matrices, np.float64), np.ascontiguousarray(which, np.int64)
        shares = _shares(shares, len(which))
        beams = matrices[:, 2] / np.linalg.norm(matrices[:, 2], axis=1, keepdims=True)
        bent = curvature / padding  # in grid steps: padding h = bent (padding q)^2
        lasts, ramp_x, ramp_y = _lasts(radius), *_ramps(phases, radius)
        cut = coherence.shape[-1] - 1 - radius
        alike = np.ascontiguousarray(coherence[cut : cut + 2 * radius + 1, : radius + 1], np.float32)
        r = float(self._numerator.shape[2] - 1)
        counts = np.zeros((len(which), self._bricks.prod()), np.int64)
        threads.share(_count_curved, len(matrices), matrices, beams, bent, lasts, padding, r, self._bricks, counts)
        for rows in self._pieces(counts.sum(1)):
            begins = self._begins(counts[rows])
            threads.share(_sort_curved, rows.stop - rows.start, images, sine, cosine, alike, which[rows], shares[rows],
                          matrices[rows], beams[rows], bent, ramp_x[rows], ramp_y[rows], lasts, padding, r,
                          self._bricks, begins, self._points)

    def _pieces(self, totals: np.ndarray):
        """Slices of the images that fit into what is left of the buffer; adds what it holds where nothing more fits."""
        first = 0
        while first < len(totals):
            fits = int(np.searchsorted(np.cumsum(totals[first:]), len(self._points) - self._used, "right"))
            if fits == 0 and self._used == 0:
                self._points = np.empty((int(totals[first]), 6), np.float32)  # one image alone is larger
            elif fits == 0:
                self.flush()
            else:
                yield slice(first, first + fits)
                first += fits

    def _begins(self, counts: np.ndarray) -> np.ndarray:
        """(images, bricks) where each image's pixels of each brick begin: by brick, then by image."""
        ends = self._used + np.cumsum(counts.T.ravel())
        begins = np.concatenate([[self._used], ends[:-1]]).reshape(-1, len(counts))
        self._starts.append(np.append(begins[:, 0], ends[-1]))
        self._used = int(ends[-1])
        return np.ascontiguousarray(begins.T)

    def flush(self) -> None:
        """Add all that was taken in."""
        if self._starts:
            threads.share(_add, TASKS, self._numerator, self._weight, self._points, np.array(self._starts),
                          self._bricks)
        self._starts, self._used = [], 0


def insert(numerator, weight, images, ctf, which, matrices, phases, radius: int, padding: int, shares=None) -> None:
    """Add images to the half spaces ``numerator`` (complex64) and ``weight`` (float32), both (2R+1, 2R+1, R+1).

    The one function that writes into its arguments: they are accumulators. ``images`` and ``ctf`` (b, 2K+1, K+1) are
    whitened; image ``which[p]`` is laid in at pose p: ``matrices`` (p, 3, 3) and ``phases`` (p, 2), shifts over the box
    length; ``radius`` <= K, R >= padding radius + 2; ``shares`` (p,) is what the image counts at each pose, all of it
    where None: an image at several poses has its posterior probabilities there. Mates on the plane x = 0 are not added
    here: ``complete_plane`` does it once, after the last batch.
    """
    points = Points(numerator, weight)
    points.insert(images, ctf, which, matrices, phases, radius, padding, shares)
    points.flush()


def insert_curved(numerator, weight, images, sine, cosine, coherence, which, matrices, phases, curvature: float,
                  radius: int, padding: int, shares=None) -> None:  # fmt: skip
    """Add images that show the object on the Ewald sphere: each pixel at both ends of its chord along the beam.

    With h = ``curvature`` |q|^2 shells, q = S k the pixel's place on the plane, the model of an image is
    x = (e^{i chi} V(q, h) - e^{-i chi} V(q, -h)) / 2i; so x (sine + i cosine) / 2 is added at (q, h) and
    x (sine - i cosine) / 2 at (q, -h), h counted along the third row of the matrix. ``sine`` and ``cosine``
    (b, 2K+1, K+1) are those of chi times all that ``ctf`` of ``insert`` is multiplied by.
    The weight at each place is ((1 + c) sine^2 + (1 - c) cosine^2) / 4, c = ``coherence`` (2K+1, K+1), the correlation
    of V(q, h) with V(q, -h): half of sine^2 where they are one, (sine^2 + cosine^2) / 4 where they are strangers.
    R >= padding sqrt(q^2 + h^2) + 1 for every pixel; other arguments as in ``insert``.
    """
    points = Points(numerator, weight)
    points.insert_curved(images, sine, cosine, coherence, which, matrices, phases, curvature, radius, padding, shares)
    points.flush()


def complete_plane(numerator: np.ndarray, weight: np.ndarray) -> None:
    """Add the Friedel mates on the plane x = 0, in place: to be called once, after the last batch."""
    numerator[..., 0] += numerator[::-1, ::-1, 0].conj().copy()
    weight[..., 0] += weight[::-1, ::-1, 0].copy()
