"""Transforms between boxes and their half planes and half spaces (layouts: ``types``).

Owns the normalisation (divided by the number of voxels), the phase origin at pixel N // 2 and pruning: zero padding and
cutting happen axis by axis, so that no transform is longer or more numerous than what is kept.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import scipy.fft as fft

from halfmap import device

IMAGES = 16  # images transformed at a time by one thread: 8 MB at box 256
COLUMNS = 8  # kx planes transformed at a time by one thread: 17 MB at box 256, padding 2


def good_box(at_least: int) -> int:
    """Smallest even box >= ``at_least`` whose transforms are fast."""
    box = max(2, at_least + at_least % 2)
    while fft.next_fast_len(box, real=True) != box:
        box += 2
    return box


@lru_cache(maxsize=64)
def _phases(radius: int, centre: float, length: int, negative: bool) -> np.ndarray:
    """exp(2 pi i k centre / length) for k = -radius..radius (or 0..radius): moves the origin to ``centre``."""
    k = np.arange(-radius if negative else 0, radius + 1)
    return np.exp(2j * np.pi * k * centre / length).astype(np.complex64)


def half_plane(images: np.ndarray, radius: int, padding: int = 1, factor: np.ndarray | float = 1.0) -> np.ndarray:
    """Half planes (b, 2K+1, K+1) complex64 of images (b, N, N), N even, zero-padded to ``padding`` N, K = ``radius``.

    Values are divided by N^2 and multiplied by ``factor`` (2K+1, K+1). Coefficients on the Nyquist row and column of an
    unpadded transform (|k| = N / 2) have no mate of their own and are set to zero.
    """
    box = images.shape[-1]
    length = padding * box
    scale = _phases(radius, box // 2, length, True)[:, None] * _phases(radius, box // 2, length, False)
    scale = (scale * (factor / np.float32(box**2))).astype(np.complex64)
    if 2 * radius == length:
        scale[0] = scale[-1] = scale[:, -1] = 0
    out = np.empty((len(images), 2 * radius + 1, radius + 1), np.complex64)

    def fill(rows: slice) -> None:
        spectrum = fft.rfft(np.asarray(images[rows], np.float32), n=length, axis=-1)[..., : radius + 1]
        spectrum = fft.fft(spectrum, n=length, axis=-2)
        np.multiply(_centred_rows(spectrum, radius, length, axis=-2), scale, out=out[rows])

    with ThreadPoolExecutor(device.threads()) as pool:
        list(pool.map(fill, [slice(i, i + IMAGES) for i in range(0, len(images), IMAGES)]))
    return out


def _centred_rows(spectrum: np.ndarray, radius: int, length: int, axis: int) -> np.ndarray:
    """Frequencies -radius..radius along ``axis`` of a transform in FFT order, in rising order (a copy)."""
    return np.take(spectrum, np.arange(-radius, radius + 1) % length, axis=axis)


def to_images(half: np.ndarray, box: int) -> np.ndarray:
    """Images (b, box, box) float32 of half planes (b, 2K+1, K+1), zero beyond K: the inverse of half_plane."""
    radius = half.shape[-1] - 1
    phased = half * (_phases(radius, box // 2, box, True)[:, None] * _phases(radius, box // 2, box, False)).conj()
    spectrum = np.zeros((*half.shape[:-2], box, box // 2 + 1), np.complex64)
    spectrum[..., np.arange(-radius, radius + 1) % box, : radius + 1] = phased
    return fft.irfft2(spectrum, s=(box, box), workers=device.threads()) * np.float32(box**2)


def half_space(volume: np.ndarray, radius: int, padding: int) -> np.ndarray:
    """Half space (2R+1, 2R+1, R+1) complex64 of a volume (N, N, N) zero-padded to ``padding`` N, R = ``radius``.

    Grid point k is the frequency k / (padding N) per voxel; values are divided by N^3 (not by the padded number).
    Filled inside a sphere of R + 2 steps; points at and beyond the padded Nyquist frequency are zero.
    """
    box = volume.shape[0]
    length = padding * box
    kept = min(radius, length // 2 - 1)
    lines = _padded(np.asarray(volume, np.float32) / np.float32(box**3), length, 2)
    lines = fft.rfft(lines, axis=2, workers=device.threads())[..., : kept + 1]
    out = np.zeros((2 * radius + 1, 2 * radius + 1, radius + 1), np.complex64)

    def fill(columns: slice, reach: int) -> None:
        block = np.ascontiguousarray(np.moveaxis(lines[..., columns], 2, 0))
        for axis in (2, 1):
            block = _rising(fft.fft(_padded(block, length, axis), axis=axis, overwrite_x=True), reach, axis)
        inside = slice(radius - reach, radius + reach + 1)
        out[inside, inside, columns] = np.moveaxis(block, 0, 2)

    _for_columns(kept, fill)
    return out


def to_volume(half: np.ndarray, box: int, padding: int) -> np.ndarray:
    """Volume (box, box, box) float32 of a half space: the inverse transform on the padded grid, cut to the box.

    Only a sphere of R + 2 steps is used. Inverse of ``half_space`` for a volume that has nothing beyond R.
    """
    length = padding * box
    radius = half.shape[-1] - 1
    kept = min(radius, length // 2 - 1)
    lines = np.empty((box, box, kept + 1), np.complex64)

    def fill(columns: slice, reach: int) -> None:
        inside = slice(radius - reach, radius + reach + 1)
        block = np.ascontiguousarray(np.moveaxis(half[inside, inside, columns], 2, 0))
        for axis in (2, 1):
            block = _cut(fft.ifft(_fft_order(block, length, axis), axis=axis, overwrite_x=True), box, axis)
        lines[..., columns] = np.moveaxis(block, 0, 2)

    _for_columns(kept, fill)
    volume = _cut(fft.irfft(lines, n=length, axis=2, workers=device.threads()), box, 2)
    return volume * np.float32(box**3)


def _for_columns(radius: int, task) -> None:
    """``task(columns, reach)`` for slices of kx = 0..radius, and how far |ky|, |kz| reach there inside the sphere.

    The sphere is two steps wider than ``radius``: a point inside interpolates between neighbours up to sqrt(3) away.
    """
    blocks = [slice(first, min(first + COLUMNS, radius + 1)) for first in range(0, radius + 1, COLUMNS)]
    reaches = [min(radius, int(np.sqrt((radius + 2) ** 2 - block.start**2))) for block in blocks]
    with ThreadPoolExecutor(device.threads()) as pool:
        list(pool.map(task, blocks, reaches))


def _part(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop),)


def _padded(block: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Zero-padded along ``axis`` to ``length`` with sample N // 2 moved to the front: the phase origin."""
    box = block.shape[axis]
    out = np.zeros((*block.shape[:axis], length, *block.shape[axis + 1 :]), block.dtype)
    out[_part(axis, 0, box - box // 2)] = block[_part(axis, box // 2, None)]
    out[_part(axis, length - box // 2, None)] = block[_part(axis, 0, box // 2)]
    return out


def _cut(block: np.ndarray, box: int, axis: int) -> np.ndarray:
    """The ``box`` samples about the first one, which becomes sample box // 2: inverse of ``_padded``."""
    length = block.shape[axis]
    parts = block[_part(axis, length - box // 2, None)], block[_part(axis, 0, box - box // 2)]
    return np.concatenate(parts, axis=axis)


def _rising(block: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """Frequencies -reach..reach of a transform in FFT order."""
    length = block.shape[axis]
    return np.concatenate([block[_part(axis, length - reach, None)], block[_part(axis, 0, reach + 1)]], axis=axis)


def _fft_order(block: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Frequencies -reach..reach in a transform of ``length`` in FFT order, zero elsewhere: inverse of ``_rising``."""
    reach = block.shape[axis] // 2
    out = np.zeros((*block.shape[:axis], length, *block.shape[axis + 1 :]), np.complex64)
    out[_part(axis, 0, reach + 1)] = block[_part(axis, reach, None)]
    out[_part(axis, length - reach, None)] = block[_part(axis, 0, reach)]
    return out
