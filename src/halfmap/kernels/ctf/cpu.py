"""The CTF kernel for CPUs (numba, one particle per thread, vectorised along kx).

The phase reaches hundreds of radians, so it is computed and reduced in float64 and only the reduced angle, at most a
quarter turn, goes through a float32 polynomial.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from halfmap.kernels import threads

# sin(pi u) for |u| <= 1/2 as an odd polynomial: minimax fit by linear programming, largest error 3.4e-9
_S1 = np.float32(3.1415925800444735)
_S3 = np.float32(-5.167706878911595)
_S5 = np.float32(2.5500313770682053)
_S7 = np.float32(-0.5980451730037994)
_S9 = np.float32(0.0772201269873487)


@nb.njit(inline="always")
def _sine_of_half_turns(half_turns):
    """sin(pi t) for any float64 t: fold t to [-1/2, 1/2] by the symmetries of the sine, then the polynomial."""
    turns = 0.5 * half_turns - 0.25
    turns -= math.floor(turns + 0.5)
    u = np.float32(0.5 - 2.0 * abs(turns))
    v = u * u
    return u * (_S1 + v * (_S3 + v * (_S5 + v * (_S7 + v * _S9))))


@nb.njit(nogil=True, cache=True, fastmath=True)
def _evaluate(begin, end, phase, damping, scale, radius, values):
    for i in range(begin, end):
        xx, yy, xy, quartic, constant = phase[i]
        envelope = np.empty(radius + 1, np.float32)
        for k in range(radius + 1):
            envelope[k] = math.exp(-damping[i] * k * k)
        for ky in range(-radius, radius + 1):
            square_y = float(ky * ky)
            linear = xy * ky
            start = yy * square_y + constant
            factor = np.float32(scale[i] * math.exp(-damping[i] * square_y))
            row = values[i, ky + radius]
            for k in range(radius + 1):
                kx = float(k)
                square = kx * kx + square_y
                half_turns = start + kx * (linear + xx * kx) + quartic * square * square
                row[k] = factor * envelope[k] * _sine_of_half_turns(half_turns)


@nb.njit(nogil=True, cache=True, fastmath=True)
def _evaluate_aberrated(begin, end, phase, damping, scale, metric, lead, radius, values):
    gxx, gyy, gxy = metric
    for i in range(begin, end):
        xx, yy, xy, quartic, constant = phase[i]
        for ky in range(-radius, radius + 1):
            linear, start = xy * ky, yy * ky * ky + constant
            metric_linear, metric_start = gxy * ky, gyy * ky * ky
            row, before = values[i, ky + radius], lead[ky + radius]
            factor = np.float32(scale[i])
            for k in range(radius + 1):
                kx = float(k)
                square = metric_start + kx * (metric_linear + gxx * kx)
                half_turns = start + kx * (linear + xx * kx) + quartic * square * square - before[k]
                row[k] = factor * _sine_of_half_turns(half_turns)
            if damping[i] != 0:
                for k in range(radius + 1):
                    kx = float(k)
                    row[k] *= np.float32(math.exp(-damping[i] * (metric_start + kx * (metric_linear + gxx * kx))))


def evaluate(phase: np.ndarray, damping: np.ndarray, scale: np.ndarray, radius: int) -> np.ndarray:
    """Values (n, 2K+1, K+1) float32; arguments as in the package's docstring."""
    values = np.empty((len(phase), 2 * radius + 1, radius + 1), np.float32)
    threads.share(_evaluate, len(phase), phase, damping, scale, radius, values)
    return values


def evaluate_aberrated(phase, damping, scale, metric: np.ndarray, lead: np.ndarray, radius: int) -> np.ndarray:
    """Values (n, 2K+1, K+1) float32 with a distortion and an even phase; arguments as in the package's docstring.

    A body of its own, so that plain files do not pay: here the envelope does not fall apart into one of kx and one of
    ky, and is only computed where there is one.
    """
    values = np.empty((len(phase), 2 * radius + 1, radius + 1), np.float32)
    threads.share(_evaluate_aberrated, len(phase), phase, damping, scale, metric, lead, radius, values)
    return values
