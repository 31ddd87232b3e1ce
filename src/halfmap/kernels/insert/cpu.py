"""numba body of back-projection.

Tasks own slabs of z planes: each visits, row by row, only the pixels that fall into its slab. So no two threads write
to the same voxel, no copy of the volume is needed, and every voxel receives its additions in the order of the images
and pixels, whatever the number of slabs or threads: the sums are equal to the last bit. Slabs are thin enough to stay
in the cache while a whole batch passes: memory is then read and written once a batch, not once a pixel.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap import device

SLAB_BYTES = 16e6  # of sums per task; measured best on 32 MB of third-level cache between 4e6 and 64e6


@nb.njit(inline="always")
def _add_row(numerator, weight, jz, jy, jx, tx, share, value, square):
    near = share * (1 - tx)
    far = share * tx
    numerator[jz, jy, jx] += near * value
    numerator[jz, jy, jx + 1] += far * value
    weight[jz, jy, jx] += near * square
    weight[jz, jy, jx + 1] += far * square


@nb.njit(inline="always")
def _clip(first, last, start, slope, low, high):
    """The k of first..last with low <= start + k slope < high, one pixel generous (the caller tests again)."""
    if abs(slope) < 1e-9:
        return (first, last) if low - 1 <= start < high + 1 else (1, 0)
    a, b = (low - start) / slope, (high - start) / slope
    if a > b:
        a, b = b, a
    return max(first, int(np.floor(max(a, -1.0)))), min(last, int(np.ceil(min(b, 1e9))))


@nb.njit(inline="always")
def _meets(a, b, low, high):
    return a <= high + 1 and b >= low - 1


@nb.njit(cache=True, fastmath=True, parallel=True)
def _insert(numerator, weight, images, ctf, which, matrices, ramp_x, ramp_y, lasts, padding, edges):  # noqa: C901 - one function
    r = numerator.shape[2] - 1
    radius = ramp_x.shape[1] - 1
    cut = images.shape[2] - 1 - radius
    for slab in nb.prange(len(edges) - 1):
        low, high = edges[slab], edges[slab + 1]
        for p in range(matrices.shape[0]):
            i = which[p]
            a = matrices[p] * padding
            ramp = ramp_x[p]
            for row in range(2 * radius + 1):
                ky = row - radius
                first, last = 0 if ky > 0 else 1, lasts[row]
                y0, z0 = ky * a[1, 1], ky * a[1, 2]
                x0 = ky * a[1, 0]
                za, zb = z0 + first * a[0, 2], z0 + last * a[0, 2]
                far, near = max(abs(za), abs(zb)), min(abs(za), abs(zb)) if za * zb > 0 else 0.0
                if not (_meets(near, far, low - r - 1.0, high - r) or _meets(-far, -near, low - r - 1.0, high - r)):
                    continue
                row_ramp = ramp_y[p, row]
                for side in range(2):  # pixels of the half space x >= 0, then those whose mate is there
                    sign = 1 - 2 * side
                    k0, k1 = _clip(first, last, sign * x0, sign * a[0, 0], 0.0, 1e9)
                    k0, k1 = _clip(k0, k1, sign * z0, sign * a[0, 2], low - r - 1.0, high - r + 0.0)
                    for kx in range(k0, k1 + 1):
                        x = kx * a[0, 0] + x0
                        if (x < 0) != (side == 1):
                            continue
                        z = sign * (kx * a[0, 2] + z0)
                        fz = np.floor(z)
                        jz = int(fz) + r
                        if jz + 1 < low or jz >= high:
                            continue
                        x, y = sign * x, sign * (kx * a[0, 1] + y0)
                        c = ctf[i, row + cut, kx]
                        value = c * images[i, row + cut, kx] * ramp[kx] * row_ramp
                        if side == 1:
                            value = value.conjugate()
                        square = c * c
                        fx, fy = np.floor(x), np.floor(y)
                        jx, jy = int(fx), int(fy) + r
                        tx, ty, tz = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
                        if jz >= low:
                            _add_row(numerator, weight, jz, jy, jx, tx, (1 - tz) * (1 - ty), value, square)
                            _add_row(numerator, weight, jz, jy + 1, jx, tx, (1 - tz) * ty, value, square)
                        if jz + 1 < high:
                            _add_row(numerator, weight, jz + 1, jy, jx, tx, tz * (1 - ty), value, square)
                            _add_row(numerator, weight, jz + 1, jy + 1, jx, tx, tz * ty, value, square)


def insert(numerator, weight, images, ctf, which, matrices, phases, radius: int, padding: int) -> None:
    """Add images to the half spaces ``numerator`` (complex64) and ``weight`` (float32), both (2R+1, 2R+1, R+1).

    The one function that writes into its arguments: they are accumulators. ``images`` and ``ctf`` (b, 2K+1, K+1) are
    whitened; image ``which[p]`` is laid in at pose p: ``matrices`` (p, 3, 3) and ``phases`` (p, 2), shifts over the box
    length; ``radius`` <= K, R >= padding radius + 2. Mates on the plane x = 0 are not added here: ``complete_plane``
    does it once, after the last batch.
    """
    planes = len(numerator)
    slabs = max(device.threads(), int(np.ceil(numerator.nbytes * 1.5 / SLAB_BYTES)))
    edges = np.linspace(0, planes, min(slabs, planes) + 1).astype(np.int64)
    k = np.arange(-radius, radius + 1)
    ramps = [np.exp(-2j * np.pi * np.outer(phases[:, axis], k)).astype(np.complex64) for axis in (0, 1)]
    _insert(numerator, weight, images, ctf, np.ascontiguousarray(which, np.int64),
            np.ascontiguousarray(matrices, np.float64), np.ascontiguousarray(ramps[0][:, radius:]), ramps[1],
            np.sqrt(radius**2 + radius - k**2).astype(np.int64), padding, edges)


def complete_plane(numerator: np.ndarray, weight: np.ndarray) -> None:
    """Add the Friedel mates on the plane x = 0, in place: to be called once, after the last batch."""
    numerator[..., 0] += numerator[::-1, ::-1, 0].conj().copy()
    weight[..., 0] += weight[::-1, ::-1, 0].copy()
