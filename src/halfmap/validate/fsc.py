"""Fourier shell correlation of two half-maps, and the resolution it claims.

Owns the threshold, the crossing, the correction for what a mask adds, and the estimate that needs no mask. Sums over
shells come from ``fourier.shells``; which masks there are, ``fsc_masks``; all curves together, ``fsc_report``. Writes
no files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.errors import InputError
from halfmap.fourier import shells
from halfmap.types import Curve, Map

THRESHOLD = 0.143  # resolution of a map from two halves: Rosenthal & Henderson 2003, J Mol Biol 333:721
RANDOMISE_BELOW = 0.8  # unmasked FSC from which on phases are randomised: RELION 5, postprocess
RANDOMISED_SKIP = 2  # shells after that one without correction: masking smears the step. RELION 5, postprocess
ALL_MASK = 1 - 1e-6  # randomised FSC from which on the mask explains everything and the correction has no value
PROTEIN_DENSITY = 0.81  # Da in a cubic Angstrom: cisTEM, Grant et al. 2018, eLife 7:e35383


def curve(a: Map, b: Map, mask: np.ndarray | None = None, name: str = "") -> Curve:
    """FSC of two maps, each multiplied by ``mask`` (z, y, x) where one is given. Shells 0..box // 2.

    Raises InputError where the maps or the mask do not fit each other or hold values that are not finite.
    """
    _refuse([*_faults(a, b), *([] if mask is None else _mask_faults(mask, a))])
    return _curve(_transform(a.data, mask), _transform(b.data, mask), a, name)


def crossing(curve: Curve, threshold: float = THRESHOLD) -> float:
    """Shell where the curve first falls below ``threshold``, linear between that shell and the one before.

    What rises again later does not count. Shell 0 stands for 1 whatever it is. The last shell if the curve never
    falls. Noise passes 0.143 by chance in shells 1, 2, 3, 4 in 29, 17, 9 and 4 % of cases (120 pairs of white
    maps); a mask that leaves a fraction f of the box moves this out by a factor 1 / f^(1/3). A crossing below shell 3
    / f^(1/3) says nothing.
    """
    values = np.concatenate([[1.0], curve.values[1:]])
    below = np.flatnonzero(~(values >= threshold))
    if len(below) == 0:
        return float(len(values) - 1)
    if below[0] == 0:
        return 0.0
    last, first = values[below[0] - 1], values[below[0]]
    return float(below[0] - 1 + (last - threshold) / (last - first))


def resolution_A(curve: Curve, threshold: float = THRESHOLD) -> float:
    """Angstrom at the ``crossing``."""
    return curve.resolution_A(crossing(curve, threshold))


@dataclass(frozen=True)
class Pair:
    """Two half-maps and what is the same whatever mask they are seen through. Raises InputError as ``curve``.

    ``order``: of the point group that both maps obey. So many Fourier values of each are one and the same, and chance
    plays with those that are left. ``cached_property`` keeps what was asked for once: the transforms, and the parts
    with and without random phases.
    """

    half1: Map
    half2: Map
    order: int = 1

    def __post_init__(self) -> None:
        _refuse(_faults(self.half1, self.half2))

    @cached_property
    def transforms(self) -> tuple[np.ndarray, np.ndarray]:
        """rfftn of both."""
        return _transform(self.half1.data, None), _transform(self.half2.data, None)

    @cached_property
    def unmasked(self) -> Curve:
        """FSC of the whole boxes."""
        return _curve(*self.transforms, self.half1, "no_mask")

    @cached_property
    def start(self) -> int | None:
        """First shell whose unmasked FSC is below RANDOMISE_BELOW: phases are random from it on. None without one."""
        return randomised_from(self.unmasked)

    @cached_property
    def steady(self) -> tuple[np.ndarray, np.ndarray]:
        """Both halves below shell ``start``, in real space: what random phases leave alone."""
        return tuple(_inverse(_below(f, self.start), self.half1.box) for f in self.transforms)

    @cached_property
    def scattered(self) -> np.ndarray:
        """Autocorrelation in real space of what gets random phases: transform of its power, mean of both halves."""
        return _inverse(_power_from(self.transforms, self.start), self.half1.box)

    def masked(self, mask: np.ndarray, name: str) -> Curve:
        """FSC of both halves times ``mask``."""
        _refuse(_mask_faults(mask, self.half1))
        return _curve(_transform(self.half1.data, mask), _transform(self.half2.data, mask), self.half1, name)


def randomised_from(unmasked: Curve) -> int | None:
    """The first shell whose unmasked FSC is below RANDOMISE_BELOW: phases are random from there on. None if none is."""
    below = np.flatnonzero(~(unmasked.values[1:] >= RANDOMISE_BELOW))
    return int(below[0]) + 1 if len(below) else None


def masked_and_corrected(half1: Map, half2: Map, mask: np.ndarray) -> dict[str, Curve]:
    """Unmasked FSC, masked FSC t, the same with random phases n, and the masked FSC freed of what the mask added.

    Keys "no_mask", "masked", "randomised", "corrected": what a refinement asks for every iteration. See ``corrected``.
    """
    pair = Pair(half1, half2)
    return {"no_mask": pair.unmasked, **corrected(pair, mask)}


def corrected(pair: Pair, mask: np.ndarray) -> dict[str, Curve]:
    """Keys "masked" (t), "randomised" (n), "corrected": t below r0 + RANDOMISED_SKIP, then (t - n) / (1 - n).

    r0 is ``pair.start``. The corrected curve is -1 where it would be less or where n >= ALL_MASK. Without such a shell
    nothing is randomised and corrected = masked = randomised.
    Source: Chen et al. 2013, Ultramicroscopy 135:24; RELION 5, postprocess.
    """
    masked = pair.masked(mask, "masked")
    randomised = Curve("randomised", expected_randomised(pair, mask, masked), masked.box, masked.voxel_size_A)
    if pair.start is None:
        return {"masked": masked, "randomised": randomised, "corrected": named(masked, "corrected")}
    t, n = masked.values, np.minimum(randomised.values, ALL_MASK)
    true = np.where(randomised.values >= ALL_MASK, -1.0, np.maximum((t - n) / (1 - n), -1.0))
    values = np.where(np.arange(len(t)) < pair.start + RANDOMISED_SKIP, t, true)
    return {"masked": masked, "randomised": randomised, "corrected": _like(pair.half1, "corrected", values)}


def expected_randomised(pair: Pair, mask: np.ndarray, masked: Curve) -> np.ndarray:
    """FSC of both halves through the mask, phases random from ``pair.start`` on: the mean over all draws, per shell.

    A half is L + R, R its shells with random phases. Through the mask M the L of both halves correlate, the R do not:
    the cross term is that of M L alone, the power is |F(M L)|^2 + <|F(M R)|^2>, and for independent uniform phases the
    last is |F(M)|^2 convolved with |F(R)|^2, a product of autocorrelations in real space. No draw, no seed, no error of
    the draw, which is 0.02 per shell in boxes of 128 (standard deviation of ten draws).
    """
    if pair.start is None:
        return masked.values
    box = pair.half1.box
    cross, power1, power2 = shells.cross_sums(*(_transform(steady, mask) for steady in pair.steady))
    of_mask = _transform(mask.astype(np.float32, copy=False), None)
    spread = _inverse((of_mask.real**2 + of_mask.imag**2).astype(np.complex64), box) * pair.scattered
    noise = shells.real_sums(_transform(spread, None)) / box**3
    return cross / np.maximum(np.sqrt((power1 + noise) * (power2 + noise)), np.finfo(np.float64).tiny)


def without_solvent(spherical: Curve, volume_ratio: float) -> Curve:
    """FSC of the particle alone from that of a sphere around it: f F / (1 + (f - 1) F), named "mask_free".

    f = ``volume_ratio``: volume of the sphere over that of the particle. Noise is even over the sphere and the signal
    is inside the particle, so the signal-to-noise ratio F / (1 - F) of the particle's own volume is f times larger. No
    mask shape enters, hence nothing a mask could add. Negative F stay what they are.
    Source: cisTEM, Grant et al. 2018, eLife 7:e35383.
    """
    f = spherical.values
    values = np.where(f > 0, volume_ratio * f / (1 + (volume_ratio - 1) * np.maximum(f, 0)), f)
    return Curve("mask_free", values, spherical.box, spherical.voxel_size_A)


def as_rows(curves: Iterable[Curve]) -> dict[str, np.ndarray]:
    """Columns of a table with a row a shell: "shell", "frequency_1_A", "resolution_A" (inf at shell 0), then a curve
    each under its name. All curves must be of one box."""
    curves = list(curves)
    first = curves[0]
    shell = np.arange(len(first.values))
    table = {
        "shell": shell,
        "frequency_1_A": shell / (first.box * first.voxel_size_A),
        "resolution_A": np.array([first.resolution_A(s) for s in shell]),
    }
    return {**table, **{curve.name: curve.values for curve in curves}}


def _transform(data: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    masked = data if mask is None else data * mask
    return scipy.fft.rfftn(masked, workers=device.threads())


def _inverse(transform: np.ndarray, box: int) -> np.ndarray:
    return scipy.fft.irfftn(transform, s=(box,) * 3, workers=device.threads(), overwrite_x=True)


def _below(transform: np.ndarray, shell: int) -> np.ndarray:
    """The transform, zero from ``shell`` on."""
    low = np.empty_like(transform)
    for z in range(len(low)):
        low[z] = np.where(shells.shell_of_plane(len(low), z) < shell, transform[z], 0)
    return low


def _power_from(transforms: tuple[np.ndarray, np.ndarray], shell: int) -> np.ndarray:
    """Mean power of two transforms from ``shell`` on, zero below it; complex, for a transform back."""
    power = np.empty_like(transforms[0])
    for z in range(len(power)):
        both = sum(f[z].real ** 2 + f[z].imag ** 2 for f in transforms) / 2
        power[z] = np.where(shells.shell_of_plane(len(power), z) < shell, 0, both)
    return power


def _curve(fa: np.ndarray, fb: np.ndarray, like: Map, name: str) -> Curve:
    return _like(like, name, shells.correlation(fa, fb, like.box))


def _like(map: Map, name: str, values: np.ndarray) -> Curve:
    return Curve(name, values, map.box, map.voxel_size_A)


def named(curve: Curve, name: str) -> Curve:
    """The same values under another name."""
    return Curve(name, curve.values, curve.box, curve.voxel_size_A)


def _faults(a: Map, b: Map) -> list[str]:
    """Every reason why these maps cannot be compared."""
    faults = []
    if a.data.shape != b.data.shape:
        faults.append(f"half-maps: boxes {a.data.shape} and {b.data.shape} differ; resample one to the other")
    if not np.isclose(a.voxel_size_A, b.voxel_size_A, rtol=1e-3):
        faults.append(f"half-maps: voxel sizes {a.voxel_size_A} and {b.voxel_size_A} A differ; resample or correct one")
    for name, map in (("half-map 1", a), ("half-map 2", b)):
        if not np.isfinite(map.data).all():
            faults.append(f"{name}: holds values that are not finite; repair or remake it")
    return faults


def _mask_faults(mask: np.ndarray, map: Map) -> list[str]:
    """Every reason why the mask cannot be laid on the map."""
    faults = []
    if mask.shape != map.data.shape:
        faults.append(f"mask: box {mask.shape} differs from that of the maps {map.data.shape}; resample it")
    if not np.isfinite(mask).all():
        faults.append("mask: holds values that are not finite; repair or remake it")
    return faults


def _refuse(faults: list[str]) -> None:
    if faults:
        raise InputError(faults)
