"""Maps turned and moved, exact up to their Nyquist frequency.

The map is taken as the trigonometric polynomial through its voxels, without what lies beyond the Nyquist shell: turned,
the corners of Fourier space would come back as other frequencies. What lies outside its box is 0.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.fourier import transforms
from halfmap.geometry.frames import Frame
from halfmap.kernels.evaluate import evaluate
from halfmap.kernels.evaluate.reference import OVERSAMPLING, transform
from halfmap.maps import resample
from halfmap.types import Map


def turned(map: Map, rotation: np.ndarray, centre_A: np.ndarray) -> Map:
    """The map V'(r) = V(R r + c), r counted from the box centre: c comes to the centre, R e_z on the z axis.

    ``rotation`` R (3, 3), orthogonal, ``centre_A`` c (3,), both x, y, z.
    """
    return placed(map, Frame(np.asarray(rotation, float).T, np.asarray(centre_A, float)))


def placed(map: Map, frame: Frame, box: int | None = None, voxel_size_A: float | None = None) -> Map:
    """The map in another frame, V'(S (r - c)) = V(r), on its own grid or on another one.

    Without a turn it is moved by a Fourier shift; a mirror alone takes every voxel to its mate.
    """
    box, voxel_A = box or map.box, voxel_size_A or map.voxel_size_A
    signs = np.diag(frame.rotation)
    if np.array_equal(np.abs(frame.rotation), np.eye(3)):
        # r' = signs (r - c): reversed axes first, then moved along them
        return resample.to_grid(_reversed(map, signs < 0), box, voxel_A, centre_A=signs * frame.centre_A)
    finer = _prepared(map, min(1.0, map.voxel_size_A / voxel_A))
    ratio = len(finer) / map.box
    matrix = frame.rotation.T[::-1, ::-1] * (voxel_A / map.voxel_size_A)  # indices are z, y, x
    middle = map.box // 2 + frame.centre_A[::-1] / map.voxel_size_A
    offset = middle - matrix @ np.full(3, box // 2)
    limits = ratio * np.array([-0.5, map.box - 0.5])
    return Map(evaluate(finer, ratio * matrix, ratio * offset, box, limits), float(voxel_A))


def _reversed(map: Map, axes: np.ndarray) -> Map:
    """The map with x, y, z of the box centre turned into their negatives where ``axes`` (3,) say so."""
    data = map.data
    for axis in np.flatnonzero(axes[::-1]):
        # voxel i goes to 2 (N // 2) - i; the first of an even box has no mate and stays
        data = np.roll(np.flip(data, axis), 1 - map.box % 2, axis)
    return Map(np.ascontiguousarray(data), map.voxel_size_A)


def _prepared(map: Map, band: float) -> np.ndarray:
    """What the kernel is summed over: the map sampled more finely, the kernel's own transform divided out.

    Only what lies within ``band`` of the Nyquist shell is kept.
    """
    box, threads = map.box, device.threads()
    length = transforms.good_box(int(np.ceil(OVERSAMPLING * box)))
    spectrum = scipy.fft.rfftn(map.data.astype(np.float32, copy=False), workers=threads)
    k = np.fft.fftfreq(box, 1 / box)
    half = np.arange(box // 2 + 1)
    along = [(1 / transform(np.abs(axis) / length)).astype(np.float32) for axis in (k, half)]
    # strictly below the Nyquist frequency of an even box: a coefficient there has no mate of its own
    limit = np.nextafter((band * box / 2) ** 2, 0)
    big = np.zeros((length, length, length // 2 + 1), np.complex64)
    places = k.astype(int) % length
    for z in range(box):
        inside = (k[z] ** 2 + k[:, None] ** 2 + half**2) <= limit
        big[places[z], places, : len(half)] = spectrum[z] * (along[0][z] * along[0][:, None] * along[1] * inside)
    finer = scipy.fft.irfftn(big, s=(length,) * 3, workers=threads, overwrite_x=True)
    return finer * np.float32((length / box) ** 3)
