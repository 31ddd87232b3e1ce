"""Fourier shell correlation in cones and tori: how the resolution depends on direction.

Owns them and the numbers drawn from them (cFAR, tFAR, directional resolutions). A cone is the set of frequencies less
than HALF_ANGLE from an axis or its opposite; a torus those less than HALF_ANGLE from the plane across it: what the
views along the axis, and those near, have measured. Source: the directional FSC of Tan et al. 2017, Nat. Methods
14:793; half-angle and area ratio as in cryoSPARC's orientation diagnostics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.fourier import shells
from halfmap.geometry import sampling
from halfmap.types import Curve, Map
from halfmap.validate import fsc

HALF_ANGLE = np.deg2rad(20.0)
ORDER = 2  # HEALPix: axes 15 degrees apart, so that neighbouring cones overlap by half
CELLS = 24  # bins along an edge of a face of the cube: at most 4.8 degrees wide, a quarter of the half-angle
LEAST_VALUES = 10.0  # Fourier values in a cone, Friedel mates not counted, from which on it has an FSC of its own
BEYOND_CHANCE = 6.0  # standard deviations of one area; 96 areas that differ by noise alone span 5
PLANES = 16  # of the half space at a time: temporaries stay small
BEYOND = (1.25, 2)  # curves end at 1.25 x the crossing of all directions + 2 shells: later they are noise


@dataclass(frozen=True)
class Conical:
    """One FSC per axis: ``curves`` (axes, shells), shell 0 first, up to where all directions together end.

    Shells where a cone holds fewer than LEAST_VALUES values carry the FSC of all directions. ``values`` (shells,) are
    the independent ones in the smallest cone: a mask that keeps a fraction of the box leaves that fraction of them.
    """

    axes: np.ndarray  # (axes, 3) unit vectors, one of each pair of opposite ones
    curves: np.ndarray  # (axes, shells) float64
    values: np.ndarray  # (shells,) float64
    box: int
    voxel_size_A: float

    @property
    def area(self) -> np.ndarray:
        """(axes,) mean of each curve from shell 1 on; values below zero count, so that noise averages out."""
        return self.curves[:, 1:].mean(axis=1)

    @property
    def cfar(self) -> float:
        """Smallest over largest area: 1 = the same in all directions; cryoSPARC calls below 0.5 anisotropic."""
        area = self.area
        return float(max(area.min(), 0.0) / area.max()) if area.max() > 0 else 0.0

    @property
    def beyond_chance(self) -> bool:
        """Whether the areas differ by more than the error of an FSC, (1 - F^2) / sqrt(values), lets them."""
        mean = self.curves[:, 1:].mean(axis=0)
        error = np.sqrt(((1 - mean**2) ** 2 / np.maximum(self.values[1:], 1)).sum()) / len(mean)
        return bool(np.ptp(self.area) > BEYOND_CHANCE * error)

    def resolutions_A(self) -> np.ndarray:
        """(axes,) Angstrom where each curve crosses the threshold."""
        curves = (Curve("cone", values, self.box, self.voxel_size_A) for values in self.curves)
        return np.array([fsc.resolution_A(curve) for curve in curves])


def conical(a: Map, b: Map, mask: np.ndarray | None = None, whole: Curve | None = None) -> Conical:
    """Conical FSC of two half-maps, each multiplied by ``mask`` (z, y, x) where one is given.

    ``whole``: the curve whose crossing decides how many shells are looked at; the one of the masked maps if None.
    """
    return cones_and_tori(a, b, mask, whole)[0]


def cones_and_tori(a: Map, b: Map, mask: np.ndarray | None = None, whole: Curve | None = None
                   ) -> tuple[Conical, Conical]:
    """The FSC in the cone about every axis, and in the torus across it; see ``conical``."""
    transforms = [scipy.fft.rfftn(m.data if mask is None else m.data * mask, workers=device.threads()) for m in (a, b)]
    if whole is None:
        whole = Curve("masked", shells.correlation(*transforms, a.box), a.box, a.voxel_size_A)
    last = int(min(a.box // 2, BEYOND[0] * fsc.crossing(whole) + BEYOND[1]))
    sums = _cell_sums(*transforms, last)
    kept = 1.0 if mask is None else _volume_fraction(mask)
    away = np.abs(axes() @ _cell_centres().T)
    found = []
    for near in (away > np.cos(HALF_ANGLE), away < np.sin(HALF_ANGLE)):
        curves, values = _curves(sums, near.astype(float))
        found.append(Conical(axes(), curves, values * kept, a.box, a.voxel_size_A))
    return found[0], found[1]


def axes() -> np.ndarray:
    """(n, 3): HEALPix directions, one of each pair of opposite ones."""
    d = sampling.healpix_directions(ORDER)
    z, y, x = d[:, 2], d[:, 1], d[:, 0]
    level, across = np.abs(z) < 1e-9, np.abs(y) < 1e-9
    return d[np.where(level, np.where(across, x > 0, y > 0), z > 0)]


def _curves(sums: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """FSC per axis (axes, shells), values of the smallest (shells,), from sums per cell (4, cells, shells).

    ``near`` (axes, cells): 1 for the cells that belong to an axis.
    """
    cross, power_a, power_b, count = near @ sums
    everywhere = _ratio(*sums[:3].sum(axis=1))
    values = count.min(axis=0) / 2  # Friedel mates are counted, and are not independent
    return np.where(values >= LEAST_VALUES, _ratio(cross, power_a, power_b), everywhere), values


def _ratio(cross: np.ndarray, power_a: np.ndarray, power_b: np.ndarray) -> np.ndarray:
    norm = np.sqrt(power_a) * np.sqrt(power_b)
    return np.where(norm > 0, cross / np.where(norm > 0, norm, 1.0), 0.0)


def _cell_sums(fa: np.ndarray, fb: np.ndarray, last: int) -> np.ndarray:
    """sum Re(fa conj fb), sum |fa|^2, sum |fb|^2 and number of values per cell and shell: (4, cells, last + 1).

    ``fa``, ``fb``: rfftn transforms. Cones of any axis are sums over cells: every coefficient is looked at once.
    """
    box = fa.shape[0]
    k = np.arange(-last, last + 1)[: 2 * last + (2 * last < box)]  # an even box has -N/2 only
    cells, n = 3 * CELLS**2, last + 1
    sums = np.zeros((4, cells * n))
    for kz in np.array_split(k, int(np.ceil(len(k) / PLANES))):
        z, y, x = np.meshgrid(kz, k, np.arange(last + 1), indexing="ij")
        shell = np.rint(np.sqrt(z**2 + y**2 + x**2)).astype(int)
        inside = shell <= last
        z, y, x, shell = z[inside], y[inside], x[inside], shell[inside]
        a, b = (f[z % box, y % box, x].astype(np.complex128) for f in (fa, fb))
        mates = np.where((x == 0) | (2 * x == box), 1.0, 2.0)
        index = _cell(x, y, z) * n + shell
        terms = a.real * b.real + a.imag * b.imag, a.real**2 + a.imag**2, b.real**2 + b.imag**2, 1.0
        sums += [np.bincount(index, weights=mates * term, minlength=cells * n) for term in terms]
    return sums.reshape(4, cells, n)


def _cell(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Bin of the line through each point: the face of the cube it meets (opposite ones are one), and where.

    Three divisions a point; no angle is needed.
    """
    ax, ay, az = np.abs(x), np.abs(y), np.abs(z)
    face = np.where((ax >= ay) & (ax >= az), 0, np.where(ay >= az, 1, 2))
    main, u, v = (np.choose(face, parts) for parts in ((x, y, z), (y, z, x), (z, x, y)))
    main = np.where(main == 0, 1, main)  # the origin, shell 0
    i, j = (np.minimum((w / main + 1) * (CELLS / 2), CELLS - 1).astype(int) for w in (u, v))
    return (face * CELLS + i) * CELLS + j


def _cell_centres() -> np.ndarray:
    """(cells, 3) unit vectors x, y, z, in the order of ``_cell``."""
    middle = (np.arange(CELLS) + 0.5) * (2 / CELLS) - 1
    u, v = (w.ravel() for w in np.meshgrid(middle, middle, indexing="ij"))
    one = np.ones_like(u)
    centres = np.concatenate([np.stack(face, axis=1) for face in ((one, u, v), (v, one, u), (u, v, one))])
    return centres / np.linalg.norm(centres, axis=1, keepdims=True)


def _volume_fraction(mask: np.ndarray) -> float:
    """Fraction of the Fourier values of the box that stay independent under a soft mask."""
    return float(mask.sum(dtype=float) ** 2 / np.square(mask, dtype=float).sum() / mask.size)
