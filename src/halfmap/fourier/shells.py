"""Sums over shells of Fourier space.

Owns which shell a coefficient belongs to (the nearest integer to |k|, k in Fourier pixels) and how often it counts.
The arrays hold half of Fourier space, the last axis kx >= 0. Friedel's law gives the other half, so a coefficient
counts twice, except at kx = 0 and, in an even box, at kx = box / 2: those planes hold their own mates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=2)
def shell_of_rfft(box: int) -> np.ndarray:
    """Shell of every coefficient of ``scipy.fft.rfftn`` of a cubic map: (box, box, box//2+1) int32, read-only.

    Shells above box // 2 are the corners of the cube.
    """
    index = np.stack([shell_of_plane(box, z) for z in range(box)])
    index.flags.writeable = False
    return index


def friedel_weights(box: int) -> np.ndarray:
    """How many coefficients of the whole transform each kx stands for: (box//2+1,) float64, 1 or 2.

    A half plane or half space of radius K is the same with box = 2 K + 1.
    """
    weights = np.full(box // 2 + 1, 2.0)
    weights[0] = 1.0
    if box % 2 == 0:
        weights[-1] = 1.0
    return weights


def shell_sums(values: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Sum of real values over each of the shells 0..n-1 of the whole Fourier space: (..., n) float64.

    ``values``: (..., *index.shape) real; ``index``: integer shells in rfft layout or of half planes
    (..., 2K+1, K+1), Friedel mates counted. Coefficients of shell n and above are left out.
    """
    weights = np.broadcast_to(friedel_weights(index.shape[-2]), index.shape).ravel()
    flat_index = index.ravel()
    rows = values.reshape(-1, index.size)
    sums = [np.bincount(flat_index, weights=weights * row, minlength=n)[:n] for row in rows]
    return np.stack(sums).reshape(*values.shape[: values.ndim - index.ndim], n)


def shell_counts(index: np.ndarray, n: int) -> np.ndarray:
    """Number of coefficients of the whole Fourier space in each of the shells 0..n-1: (n,) float64."""
    return shell_sums(np.ones(index.shape), index, n)


def power(transform: np.ndarray) -> np.ndarray:
    """Mean |F|^2 of each shell of an rfftn transform (box, box, box//2+1): (box//2+1,) float64."""
    total, count = _plane_sums(transform.shape[0], lambda z: (_square(_double(transform[z])), 1.0))
    return total / count


def amplitude(transform: np.ndarray) -> np.ndarray:
    """Mean |F| of each shell of an rfftn transform (box, box, box//2+1): (box//2+1,) float64."""
    total, count = _plane_sums(transform.shape[0], lambda z: (np.abs(_double(transform[z])), 1.0))
    return total / count


def correlation(fa: np.ndarray, fb: np.ndarray, box: int) -> np.ndarray:
    """Fourier shell correlation of two rfftn transforms (box, box, box//2+1): (box//2+1,) float64.

    sum Re(fa conj fb) / sqrt(sum |fa|^2 sum |fb|^2) over each shell; 0 where either has no power at all.
    """
    assert fa.shape == fb.shape == (box, box, box // 2 + 1), "two rfftn transforms of one box"
    cross, power_a, power_b = cross_sums(fa, fb)
    norm = np.sqrt(power_a) * np.sqrt(power_b)
    # not "norm > 0": what is not a number stays so
    return np.where(norm == 0, 0.0, cross / np.where(norm == 0, 1.0, norm))


def cross_sums(fa: np.ndarray, fb: np.ndarray) -> np.ndarray:
    """Per shell: sum Re(fa conj fb), sum |fa|^2, sum |fb|^2, Friedel mates counted: (3, box//2+1) float64."""

    def terms(z: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b = _double(fa[z]), _double(fb[z])
        return a.real * b.real + a.imag * b.imag, _square(a), _square(b)

    return _plane_sums(fa.shape[0], terms)


def real_sums(transform: np.ndarray) -> np.ndarray:
    """Sum of Re F over each shell of an rfftn transform, Friedel mates counted: (box//2+1,) float64."""
    return _plane_sums(transform.shape[0], lambda z: (transform[z].real.astype(np.float64),))[0]


def shell_of_plane(box: int, z: int) -> np.ndarray:
    """Shells of the plane ``z`` of an rfftn transform, (box, box//2+1): ``shell_of_rfft(box)[z]`` without the rest."""
    k, kx = _squares(box)
    return _shell_of_square(box)[k[z] + k[:, None] + kx]


def radii(box: int) -> np.ndarray:
    """|k| in Fourier pixels for every possible k^2 = 0, 1, 2 .. in a cubic box: the argument of ``scaled``'s table."""
    return np.sqrt(np.arange(3 * (box // 2) ** 2 + 1))


def ladder(first: float, last: float, ratio: float) -> np.ndarray:
    """Frequencies from ``first`` to ``last``, each as much higher than the one before, by ``ratio`` at most.

    One alone where the two are the same.
    """
    steps = int(np.ceil(np.log(last / first) / np.log(ratio) - 1e-6))
    return np.geomspace(first, last, steps + 1) if steps else np.array([first])


def scaled(transform: np.ndarray, factor_of_square: np.ndarray) -> np.ndarray:
    """An rfftn transform (box, box, box//2+1) times a radial factor, given for every k^2 as ``radii`` lists them.

    k^2 is an integer, so any radial function is a table: no root and no exponential per coefficient.
    """
    box = transform.shape[0]
    k, kx = _squares(box)
    table = factor_of_square.astype(transform.real.dtype)
    result = np.empty_like(transform)
    for z in range(box):
        np.multiply(transform[z], table[k[z] + k[:, None] + kx], out=result[z])
    return result


def _plane_sums(box: int, terms: Callable[[int], Sequence[np.ndarray | float]]) -> np.ndarray:
    """Shell sums of several quantities, given plane by plane in rfft layout: (quantities, box//2+1) float64.

    One plane at a time stays in the cache, and no index of the whole transform is needed.
    """
    n = box // 2 + 1
    weights = np.broadcast_to(friedel_weights(box), (box, n))
    sums: np.ndarray | float = 0.0
    for z in range(box):
        index = shell_of_plane(box, z).ravel()
        sums = sums + np.stack(
            [np.bincount(index, weights=(weights * values).ravel(), minlength=n)[:n] for values in terms(z)]
        )
    return sums


def _double(values: np.ndarray) -> np.ndarray:
    """complex128: squares of small maps would vanish in single precision."""
    return values.astype(np.complex128)


def _square(values: np.ndarray) -> np.ndarray:
    return values.real**2 + values.imag**2


def _squares(box: int) -> tuple[np.ndarray, np.ndarray]:
    """k^2 along a full axis and along the half axis of an rfftn transform."""
    k = np.fft.fftfreq(box, 1 / box).round().astype(np.int64)
    return k**2, np.arange(box // 2 + 1) ** 2


@lru_cache(maxsize=4)
def _shell_of_square(box: int) -> np.ndarray:
    """Nearest integer to sqrt(k^2) for every k^2 that occurs in the box; no integer lies half-way."""
    return np.rint(radii(box)).astype(np.int32)
