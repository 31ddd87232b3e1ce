"""Fourier shell correlation of two half-maps, and the resolution it claims.

Owns the threshold, the crossing, the masks of the standard curves and the correction for what a mask adds. Sums over
shells come from ``fourier.shells``. Writes no files.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.errors import InputError
from halfmap.fourier import shells
from halfmap.maps import masks
from halfmap.types import Curve, Map

THRESHOLD = 0.143  # resolution of a map from two halves: Rosenthal & Henderson 2003, J Mol Biol 333:721
RANDOMISE_BELOW = 0.8  # unmasked FSC from which on phases are randomised: RELION 5, postprocess
RANDOMISED_SKIP = 2  # shells after that one without correction: masking smears the step. RELION 5, postprocess

# Masks of the standard curves: CryoSPARC, see sphere(), loose and tight in its validation job
SPHERE_INNER = 0.85  # of half the box, cosine to half the box
MASK_THRESHOLD = 0.5  # of the maximum
LOOSE_A = (25.0, 40.0)  # 1 up to the first distance from the thresholded region, 0 from the second
TIGHT_A = (6.0, 12.0)
MASK_RESOLUTION_A = 12.0  # never threshold a finer map: its maximum is one atom's and the region falls to pieces
MASK_LEAST_MODES = 100  # the FSC of noise then has a standard deviation of 1 / sqrt(100) = 0.1, below THRESHOLD
MASK_LOWEST_SHELL = 4  # never a coarser one than box / 4: no shape is left


def curve(a: Map, b: Map, mask: np.ndarray | None = None, name: str = "") -> Curve:
    """FSC of two maps, each multiplied by ``mask`` (z, y, x) where one is given. Shells 0..box // 2.

    Raises InputError where the maps or the mask do not fit each other or hold values that are not finite.
    """
    _check(a, b, mask)
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


def corrected(a: Map, b: Map, mask: np.ndarray, rng: np.random.Generator) -> dict[str, Curve]:
    """Masked FSC t, the same with random phases n, and the masked FSC freed of what the mask added.

    Keys "masked", "randomised", "corrected". Phases are random from r0, the first shell whose unmasked FSC is below
    RANDOMISE_BELOW. Corrected = t below r0 + RANDOMISED_SKIP, (t - n) / (1 - n) from there on, 0 where n >= t: there
    the mask explains all. Without such a shell nothing is randomised and corrected = masked = randomised.
    Source: Chen et al. 2013, Ultramicroscopy 135:24; RELION 5, postprocess.
    """
    curves = masked_and_corrected(a, b, mask, rng)
    return {name: curves[name] for name in ("masked", "randomised", "corrected")}


def masked_and_corrected(half1: Map, half2: Map, mask: np.ndarray, rng: np.random.Generator) -> dict[str, Curve]:
    """The curves of ``corrected`` and "no_mask", which it needs anyway: what a refinement asks for every iteration."""
    _check(half1, half2, mask)
    transforms = [_transform(half.data, None) for half in (half1, half2)]
    unmasked = _curve(*transforms, half1, "no_mask")
    return {"no_mask": unmasked, **_corrected(half1, half2, transforms, unmasked, mask, rng)}


def randomised_from(unmasked: Curve) -> int | None:
    """The first shell whose unmasked FSC is below RANDOMISE_BELOW: phases are random from there on. None if none is."""
    below = np.flatnonzero(~(unmasked.values[1:] >= RANDOMISE_BELOW))
    return int(below[0]) + 1 if len(below) else None


def report(half1: Map, half2: Map, rng: np.random.Generator, mask: np.ndarray | None = None) -> dict[str, Curve]:
    """All curves of two half-maps; the resolution to quote is "corrected" at THRESHOLD.

    Keys "no_mask", "spherical", "loose", "tight", "randomised", "corrected", the last two for the tight mask. Where
    the user gives a mask, it takes their place: "no_mask", "spherical", "masked", "randomised", "corrected".
    Loose and tight masks: see ``standard_masks``. Raises InputError as ``curve`` and ``maps.masks.dynamic``.
    """
    _check(half1, half2, mask)
    transforms = [_transform(half.data, None) for half in (half1, half2)]
    curves = {"no_mask": _curve(*transforms, half1, "no_mask")}
    curves["spherical"] = _masked(half1, half2, _sphere(half1.box), "spherical")
    if mask is None:
        loose, tight = standard_masks(half1, half2, curves["no_mask"])
        curves["loose"] = _masked(half1, half2, loose, "loose")
        through_tight = _corrected(half1, half2, transforms, curves["no_mask"], tight, rng)
        return {**curves, "tight": _named(through_tight.pop("masked"), "tight"), **through_tight}
    return {**curves, **_corrected(half1, half2, transforms, curves["no_mask"], mask, rng)}


def standard_masks(half1: Map, half2: Map, unmasked: Curve) -> tuple[np.ndarray, np.ndarray]:
    """The loose and the tight mask, (z, y, x) float32, of the mean of both halves: never of one half alone.

    The mean is low-passed where the unmasked FSC falls below 0.5, but not finer than MASK_RESOLUTION_A and not coarser
    than MASK_LOWEST_SHELL, and thresholded at MASK_THRESHOLD of its maximum. Halves that share nothing (unmasked
    crossing of THRESHOLD below MASK_LOWEST_SHELL) have no shape, and a mask around the peaks of their mean would itself
    correlate them (noise then claims shell 5 to 9): both masks are the spherical one. So they are where the tight mask
    leaves fewer than MASK_LEAST_MODES independent values in the shell of the unmasked crossing: chance alone would lift
    a curve over THRESHOLD there.
    """
    ball = _sphere(half1.box)
    shell = crossing(unmasked)
    if shell < MASK_LOWEST_SHELL:
        return ball, ball
    mean = Map((half1.data + half2.data) / 2, half1.voxel_size_A)
    resolution = max(resolution_A(unmasked, 0.5), MASK_RESOLUTION_A)
    resolution = min(resolution, unmasked.resolution_A(MASK_LOWEST_SHELL))
    region_of = (mean, resolution, MASK_THRESHOLD)
    tight = masks.dynamic(*region_of, *TIGHT_A).data
    if 2 * np.pi * shell**2 * _volume_fraction(tight) < MASK_LEAST_MODES:
        return ball, ball
    return masks.dynamic(*region_of, *LOOSE_A).data, tight


def _volume_fraction(mask: np.ndarray) -> float:
    """Fraction of the box, hence of the independent Fourier values, that a soft mask keeps."""
    return float(mask.sum(dtype=float) ** 2 / (mask.astype(float) ** 2).sum() / mask.size)


def labels(given: str = "given mask") -> dict[str, str]:
    """What a legend says of the mask of each curve of ``report``; ``given`` names the mask of "masked"."""
    tight, loose = (f"{MASK_THRESHOLD:g} max, {near:g}-{far:g} A" for near, far in (TIGHT_A, LOOSE_A))
    return {"no_mask": "no mask", "spherical": "spherical", "loose": f"loose, {loose}", "tight": f"tight, {tight}",
            "masked": given}


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


def _corrected(half1, half2, transforms, unmasked: Curve, mask: np.ndarray, rng) -> dict[str, Curve]:
    masked = _masked(half1, half2, mask, "masked")
    start = randomised_from(unmasked)
    if start is None:
        return {"masked": masked, "randomised": _named(masked, "randomised"), "corrected": _named(masked, "corrected")}
    noise = [_transform(_randomised(transform, start, half1.box, rng), mask) for transform in transforms]
    randomised = _curve(*noise, half1, "randomised")
    t, n = masked.values, randomised.values
    true = np.where(n >= t, 0.0, (t - n) / np.where(n >= t, 1.0, 1 - n))
    values = np.where(np.arange(len(t)) < start + RANDOMISED_SKIP, t, true)
    return {"masked": masked, "randomised": randomised, "corrected": _like(half1, "corrected", values)}


def _randomised(transform: np.ndarray, shell: int, box: int, rng: np.random.Generator) -> np.ndarray:
    """The map (z, y, x) of an rfftn transform with random phases from ``shell`` on, amplitudes kept.

    The phases are those of white noise: uniform, and those of Friedel mates opposite, so the map stays real.
    """
    noise = scipy.fft.rfftn(rng.random((box,) * 3, dtype=np.float32) - 0.5, workers=device.threads(), overwrite_x=True)
    result = np.empty_like(transform)
    for z in range(box):
        phase = noise[z] / np.maximum(np.abs(noise[z]), np.finfo(np.float32).tiny)
        result[z] = transform[z] * np.where(shells.shell_of_plane(box, z) >= shell, phase, 1)
    return scipy.fft.irfftn(result, s=(box,) * 3, workers=device.threads(), overwrite_x=True)


def _transform(data: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    masked = data if mask is None else data * mask
    return scipy.fft.rfftn(masked, workers=device.threads())


def _masked(half1: Map, half2: Map, mask: np.ndarray, name: str) -> Curve:
    return _curve(_transform(half1.data, mask), _transform(half2.data, mask), half1, name)


def _curve(fa: np.ndarray, fb: np.ndarray, like: Map, name: str) -> Curve:
    return _like(like, name, shells.correlation(fa, fb, like.box))


def _like(map: Map, name: str, values: np.ndarray) -> Curve:
    return Curve(name, values, map.box, map.voxel_size_A)


def _named(curve: Curve, name: str) -> Curve:
    return Curve(name, curve.values, curve.box, curve.voxel_size_A)


def _sphere(box: int) -> np.ndarray:
    return masks.sphere(box, SPHERE_INNER * box / 2, (1 - SPHERE_INNER) * box / 2)


def _check(a: Map, b: Map, mask: np.ndarray | None) -> None:
    """Raise one InputError with every reason why these cannot be compared."""
    faults = []
    if a.data.shape != b.data.shape:
        faults.append(f"half-maps: boxes {a.data.shape} and {b.data.shape} differ; resample one to the other")
    if not np.isclose(a.voxel_size_A, b.voxel_size_A, rtol=1e-3):
        faults.append(f"half-maps: voxel sizes {a.voxel_size_A} and {b.voxel_size_A} A differ; resample or correct one")
    if mask is not None and mask.shape != a.data.shape:
        faults.append(f"mask: box {mask.shape} differs from that of the maps {a.data.shape}; resample it")
    for name, data in (("half-map 1", a.data), ("half-map 2", b.data), ("mask", mask)):
        if data is not None and not np.isfinite(data).all():
            faults.append(f"{name}: holds values that are not finite; repair or remake it")
    if faults:
        raise InputError(faults)
