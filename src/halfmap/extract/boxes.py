"""Boxes cut from larger images, and images brought to another box or pixel size.

Owns the geometry: the centre of a box of N pixels is pixel N // 2 and stays the centre. Grey values stay what they
are: a constant image keeps its constant, whatever the box or the pixel size.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from halfmap import device


def place(coordinates: np.ndarray) -> np.ndarray:
    """Pixel (..., 2) int64 on which the box of a coordinate is centred: the whole part, as RELION takes it."""
    return np.floor(np.asarray(coordinates, float)).astype(np.int64)


def inside(centres: np.ndarray, box: int, sizes: np.ndarray) -> np.ndarray:
    """(n,) bool: whether the box of ``box`` pixels about each pixel (n, 2), x y, lies in its image.

    ``sizes`` (n, 2): width and height of the images.
    """
    first = centres - box // 2
    return np.all((first >= 0) & (first + box <= sizes), axis=-1)


def cut(image: np.ndarray, centres: np.ndarray, box: int) -> np.ndarray:
    """Boxes (n, box, box) float32 about pixels (n, 2), x y, of an image (Ny, Nx); all must lie in it."""
    out = np.empty((len(centres), box, box), np.float32)
    for part, (x, y) in zip(out, centres - box // 2, strict=True):
        part[...] = image[y : y + box, x : x + box]
    return out


def moved(images: np.ndarray, steps: np.ndarray, box: int) -> np.ndarray:
    """Windows (b, box, box) float32 of images (b, N, N), the content moved by +``steps`` (b, 2) pixels, x y.

    What lies beyond an image is filled with its mean.
    """
    old = images.shape[-1]
    means = images.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    out = np.broadcast_to(means[:, None, None], (len(images), box, box)).copy()
    for part, image, step in zip(out, images, np.asarray(steps, np.int64), strict=True):
        (x, from_x), (y, from_y) = (_overlap(old, box, int(s)) for s in step)
        part[y, x] = image[from_y, from_x]
    return out


def fourier_cropped(images: np.ndarray, box: int) -> np.ndarray:
    """Images (b, box, box) float32 of the same extent on fewer pixels; ``box`` and N even, box <= N.

    Frequencies at and beyond the new Nyquist frequency are left out: at it, a wave has lost its sign.
    """
    old = images.shape[-1]
    if box == old:
        return np.asarray(images, np.float32)
    spectrum = scipy.fft.rfft2(np.asarray(images, np.float32), workers=device.threads())
    kept = np.zeros((len(images), box, box // 2 + 1), np.complex64)
    half = box // 2
    kept[:, :half, :half] = spectrum[:, :half, :half]
    kept[:, half + 1 :, :half] = spectrum[:, old - half + 1 :, :half]
    # pixel 0 is pixel 0 and N / 2 is box / 2: no phases are needed for the centre to stay
    return scipy.fft.irfft2(kept, s=(box, box), workers=device.threads()) * np.float32((box / old) ** 2)


def _overlap(old: int, new: int, step: int) -> tuple[slice, slice]:
    """Along one axis: (pixels of the new box that are known, the pixels of the old one that they are)."""
    offset = old // 2 - new // 2 - step  # new pixel j is old pixel j + offset
    first, last = max(0, -offset), min(new, old - offset)
    return slice(first, max(first, last)), slice(first + offset, max(first, last) + offset)
