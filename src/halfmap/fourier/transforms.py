"""Transforms between boxes and their half planes and half spaces (layouts: ``types``).

Owns the normalisation (divided by the number of voxels), the phase origin at pixel N // 2 and pruning: zero padding and
cutting happen axis by axis, so that no transform is longer or more numerous than what is kept.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft as fft

from halfmap import device


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


def half_plane(images: np.ndarray, radius: int, padding: int = 1) -> np.ndarray:
    """Half planes (b, 2K+1, K+1) complex64 of images (b, N, N), N even, zero-padded to ``padding`` N, K = ``radius``.

    Values are divided by N^2. Coefficients on the Nyquist row and column of an unpadded transform (|k| = N / 2) have
    no mate of their own and are set to zero.
    """
    box = images.shape[-1]
    length = padding * box
    spectrum = fft.rfft(np.asarray(images, np.float32), n=length, axis=-1, workers=device.threads())
    spectrum = fft.fft(spectrum[..., : radius + 1], n=length, axis=-2, workers=device.threads())
    out = _centred_rows(spectrum, radius, length, axis=-2)
    out *= (_phases(radius, box // 2, length, True)[:, None] * _phases(radius, box // 2, length, False)) / box**2
    if 2 * radius == length:
        out[..., 0, :] = out[..., -1, :] = out[..., -1] = 0
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
    Points at and beyond the padded Nyquist frequency are zero.
    """
    box = volume.shape[0]
    length = padding * box
    kept = min(radius, length // 2 - 1)
    out = fft.rfft(np.asarray(volume, np.float32), n=length, axis=2, workers=device.threads())[..., : kept + 1]
    out *= _phases(kept, box // 2, length, False) / np.float32(box**3)
    for axis in (1, 0):
        out = fft.fft(out, n=length, axis=axis, workers=device.threads())
        out = _centred_rows(out, kept, length, axis)
        out *= _along(axis, _phases(kept, box // 2, length, True))
    edge = radius - kept
    return np.pad(out, ((edge, edge), (edge, edge), (0, edge))) if edge else out


def to_volume(half: np.ndarray, box: int, padding: int) -> np.ndarray:
    """Volume (box, box, box) float32 of a half space: the inverse transform on the padded grid, cut to the box.

    Inverse of ``half_space`` where R reaches the padded Nyquist frequency (and the volume has nothing there).
    """
    length = padding * box
    edge = max(0, half.shape[-1] - length // 2)
    out = half[edge : half.shape[0] - edge, edge : half.shape[1] - edge, : half.shape[2] - edge]
    radius = out.shape[-1] - 1
    for axis in (0, 1):
        out = _cut_inverse(out * _along(axis, _phases(radius, box // 2, length, True).conj()), box, length, axis)
    out *= _phases(radius, box // 2, length, False).conj() * np.float32(box**3)
    return np.ascontiguousarray(fft.irfft(out, n=length, axis=2, workers=device.threads())[..., :box])


def _along(axis: int, values: np.ndarray) -> np.ndarray:
    """A vector as a 3D array that varies along one axis."""
    shape = [1, 1, 1]
    shape[axis] = -1
    return values.reshape(shape)


def _cut_inverse(half: np.ndarray, box: int, length: int, axis: int) -> np.ndarray:
    """Inverse transform of length ``length`` along one axis in rising order -> its first ``box`` samples."""
    radius = half.shape[axis] // 2
    half = np.moveaxis(half, axis, 0)
    padded = np.zeros((length, *half.shape[1:]), np.complex64)
    padded[np.arange(-radius, radius + 1) % length] = half
    out = fft.ifft(padded, axis=0, workers=device.threads(), overwrite_x=True)[:box]
    return np.moveaxis(out, 0, axis)
