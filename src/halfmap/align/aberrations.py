"""Fits of what is common to an optics group: phases of the lens beyond the known ones, and its distortion.

Images come with the known odd phase taken out and the known even phase in their CTF; what is found here is added.
Shifts (odd, k), defocus and astigmatism (even, k^2) are fitted beside and left away: they belong to the particles.
Source of the idea: Zivanov et al. 2020, IUCrJ 7:253; the likelihood is here that of whole phases, not linearised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.align.views import Views
from halfmap.fourier import shells
from halfmap.kernels.aberrations import distortion_sums, phase_sums
from halfmap.kernels.project.reference import in_band
from halfmap.physics.aberrations import even_degree, odd_degree, true_frequencies, zernike
from halfmap.physics.electrons import wavelength_A
from halfmap.physics.projection import Projector
from halfmap.types import Map, Optics

GROWTH = 1.15  # of the band from one stage of a fit to the next: a phase of k^3 then grows by half
CAUTION_RAD = 3.0  # standard deviation of each term's phase at the edge of a stage that is not the last
STAGE_SHELLS = 3  # of the first stage
ROUNDS = 30  # Newton steps of a stage at most
ENOUGH = 1e-3  # gain in log likelihood below which a stage is done
SHOWN = (0.1, 4.0)  # least slope of data on model, and its least size in standard deviations: else nothing was seen
WORTH = 2.0  # gain in log likelihood per term that makes a change: two standard deviations
FAINTEST_FSC = 0.143  # of a shell: what the echo of a fainter one is, its FSC is too uncertain to tell
NO_CS_A = 1e4  # 1 um: below, the microscope is corrected and a beam tilt no measure of its coma


# ---- terms: what can be fitted


class Term(Protocol):
    """An aberration of a few parameters, in the order of ``parameters`` (names that end in their unit)."""

    name: str
    parameters: tuple[str, ...]

    def waves(self, optics: Optics, qx: np.ndarray, qy: np.ndarray) -> list[np.ndarray]:
        """Phase in rad of each parameter at 1: of the images (odd terms) or of the CTF, chi (even terms)."""

    def added(self, optics: Optics, values: np.ndarray) -> Optics:
        """The optics with these values on top."""


@dataclass(frozen=True)
class Tilt:
    """Axial coma as a tilt of the beam."""

    name: str = "tilt"
    parameters: tuple[str, ...] = ("tilt_x_rad", "tilt_y_rad")

    def waves(self, optics, qx, qy):
        factor = -2 * np.pi * optics.spherical_aberration_A * wavelength_A(optics.voltage_kV) ** 2 * (qx**2 + qy**2)
        return [factor * qx, factor * qy]

    def added(self, optics, values):
        x, y = optics.beam_tilt_rad
        return replace(optics, beam_tilt_rad=(x + float(values[0]), y + float(values[1])))


@dataclass(frozen=True)
class Spherical:
    """Spherical aberration as a change of Cs. Beam tilts are scaled with it: what was measured is Cs times tilt."""

    name: str = "spherical"
    parameters: tuple[str, ...] = ("spherical_aberration_A",)

    def waves(self, optics, qx, qy):
        return [-np.pi / 2 * wavelength_A(optics.voltage_kV) ** 3 * (qx**2 + qy**2) ** 2]

    def added(self, optics, values):
        old, new = optics.spherical_aberration_A, optics.spherical_aberration_A + float(values[0])
        ratio = old / new if new > NO_CS_A else 1.0
        tilt = tuple(float(t * ratio) for t in optics.beam_tilt_rad)
        return replace(optics, spherical_aberration_A=new, beam_tilt_rad=tilt)


@dataclass(frozen=True)
class Zernike:
    """Zernike coefficients; of each parameter the places it adds to and their weights: pure powers of |q| are sums."""

    name: str
    parameters: tuple[str, ...]
    places: tuple[dict[int, float], ...]
    field: str  # of Optics
    degree: Callable[[int], tuple[int, int]]
    sign: float  # of the wave: even phases are subtracted

    def waves(self, optics, qx, qy):
        return [self.sign * sum(weight * zernike(*self.degree(place), qx, qy) for place, weight in each.items())
                for each in self.places]  # fmt: skip

    def added(self, optics, values):
        old = getattr(optics, self.field)
        last = max(place for each in self.places for place in each)
        new = np.zeros(max(len(old), last + 1))
        new[: len(old)] = old
        for value, each in zip(values, self.places, strict=True):
            for place, weight in each.items():
                new[place] += value * weight
        return replace(optics, **{self.field: tuple(map(float, new))})


def _odd(name, parameters, places):
    return Zernike(name, parameters, places, "odd_zernike", odd_degree, 1.0)


TILT = Tilt()
SPHERICAL = Spherical()
# q^3 cos t = (Z_3^1 + 2 Z_1^1) / 3
COMA = _odd("tilt", ("coma_x_rad_A3", "coma_y_rad_A3"), ({4: 1 / 3, 1: 2 / 3}, {3: 1 / 3, 0: 2 / 3}))
TREFOIL = _odd("trefoil", ("trefoil_x_rad_A3", "trefoil_y_rad_A3"), ({5: 1.0}, {2: 1.0}))
# q^4 cos 2t = (Z_4^2 + 3 Z_2^2) / 4
TETRAFOIL = Zernike(
    "tetrafoil", tuple(f"tetrafoil_{name}_rad_A4" for name in ("2x", "2y", "4x", "4y")),
    ({7: 0.25, 3: 0.75}, {5: 0.25, 1: 0.75}, {8: 1.0}, {4: 1.0}), "even_zernike", even_degree, -1.0,
)  # fmt: skip


def coma_of(optics: Optics) -> Term:
    """How axial coma is told of this microscope: as a beam tilt, without Cs as Zernike coefficients."""
    return TILT if optics.spherical_aberration_A >= NO_CS_A else COMA


# ---- sums over images


def echo_of(fsc: np.ndarray) -> np.ndarray:
    """How many times the model an image holds of it only because the reference was made with this image, per shell.

    With W the sum of c^2 over a half-set at a voxel, an image adds c n / W of its noise n to the map V, and finds
    c^2 |n|^2 / W of it again: against the signal c^2 |V|^2 that is 1 / (W |V|^2) = (1 - F) / F, F the FSC of the
    halves. The echo has the phase, defocus and place that the image was laid in with, so it speaks against every
    change: at F = 0.5 half of a change would be missed. In a mask, signal, noise and F change alike.
    """
    known = np.clip(fsc, FAINTEST_FSC, 1.0)
    return (1 - known) / known


def gradient_of(one: Map, other: Map) -> np.ndarray:
    """How much of the gradient of a half-map's transform is signal, per shell, over how much of the transform is.

    A distortion is told by gradients, and the gradient at k is the transform of the map times its coordinates: noise
    far from the centre counts more than the molecule, which makes a distortion look smaller than it is. Both parts are
    FSCs of the two references; the ratio is at most 1, and 1 where noise fills the same space as signal.
    """
    axis = np.arange(one.box) - one.box // 2
    arms = (axis[:, None, None], axis[:, None], axis)
    plain = shells.cross_sums(*(_transform(m.data) for m in (one, other)))
    moments = sum(shells.cross_sums(*(_transform(m.data * arm) for m in (one, other))) for arm in arms)
    signal, gradient = (c / np.maximum(np.sqrt(a * b), 1e-30) for c, a, b in (plain, moments))
    return np.clip(gradient / np.maximum(signal, FAINTEST_FSC), FAINTEST_FSC, 1.0)


def _transform(data: np.ndarray) -> np.ndarray:
    return scipy.fft.rfftn(data.astype(np.float32), workers=device.threads())


@dataclass(frozen=True)
class PhaseSums:
    """Sums of kernels.aberrations.phase_sums over images; additive."""

    cross: np.ndarray  # (2, 2K+1, K+1) complex128
    power: np.ndarray  # (3, 2K+1, K+1) float64
    length_A: float
    images: int

    @classmethod
    def of(cls, projector: Projector, views: Views, radius: int) -> PhaseSums:
        """Of one batch, up to ``radius`` shells or as far as it goes."""
        x = views.images
        sums = phase_sums(projector.half, x.unmasked, x.ctf, views.quadrature, views.matrices, views.phases,
                          views.reach(projector, radius), projector.padding)
        return cls(*sums, views.length_A, len(views))

    @property
    def radius(self) -> int:
        return self.power.shape[-1] - 1

    def without(self, odd_phase: np.ndarray) -> PhaseSums:
        """The sums as they were if this odd phase (2K+1, K+1) had been taken out of the images."""
        return replace(self, cross=self.cross * np.exp(-1j * odd_phase))

    def without_echo(self, echo: np.ndarray) -> PhaseSums:
        """The sums as against a reference that holds nothing of these images; ``echo`` (K+1,) as in `echo_of`."""
        k = self.radius
        ky, kx = np.mgrid[-k : k + 1, 0 : k + 1]
        own = echo[np.minimum(np.rint(np.hypot(kx, ky)).astype(int), k)]
        return replace(self, cross=self.cross - own * self.power[:2])

    def __add__(self, other: PhaseSums) -> PhaseSums:
        return PhaseSums(self.cross + other.cross, self.power + other.power, self.length_A, self.images + other.images)


@dataclass(frozen=True)
class DistortionSums:
    """Sums of kernels.aberrations.distortion_sums over images; additive."""

    shells: np.ndarray  # (K+1, 15) float64
    images: int

    @classmethod
    def of(cls, projector: Projector, views: Views, radius: int) -> DistortionSums:
        x = views.images
        sums = distortion_sums(projector.half, x.unmasked, x.ctf, views.matrices, views.phases,
                               views.reach(projector, radius), projector.padding)
        return cls(sums, len(views))

    @property
    def radius(self) -> int:
        return len(self.shells) - 1

    def without_echo(self, echo: np.ndarray) -> DistortionSums:
        """The sums as against a reference that holds nothing of these images; ``echo`` (K+1,) as in `echo_of`."""
        clear = self.shells.copy()
        clear[:, 14] -= echo * clear[:, 13]
        return replace(self, shells=clear)

    def __add__(self, other: DistortionSums) -> DistortionSums:
        return DistortionSums(self.shells + other.shells, self.images + other.images)


# ---- fits


@dataclass(frozen=True)
class Fit:
    """Changes found for one optics group."""

    values: dict[str, float]  # parameter -> change
    errors: dict[str, float]  # parameter -> standard error
    gain: float  # log likelihood the changes are worth
    slope: float  # of the data along the model: 1 where the images are what the map says
    significant: bool
    optics: Optics  # with the changes; as it was where they are not significant


@dataclass(frozen=True)
class PhaseFit(Fit):
    """The same with pictures, (2K+1, K+1) float32 rad, NaN outside the band: each pixel's own phase, and the fit's."""

    measured: np.ndarray
    fitted: np.ndarray
    whole: np.ndarray  # (2K+1, K+1) float64 rad: the fit with what was fitted beside, 0 outside the band

    @property
    def beside(self) -> np.ndarray:
        """(2K+1, K+1) float32 rad: what was fitted beside, shifts or defocus and astigmatism; NaN outside the band."""
        return (self.whole - self.fitted).astype(np.float32)


def fit_odd(sums: PhaseSums, optics: Optics, terms: tuple[Term, ...], band: tuple[int, int]) -> PhaseFit:
    """Odd ``terms`` from the shells ``band`` (first, last)."""
    grid = _Grid.of(sums, optics, band)
    landscape = Odd(*(grid.values(plane) for plane in (sums.cross[0], sums.power[0])))
    return _fitted(landscape, grid, optics, terms, [grid.qx, grid.qy])


def fit_even(sums: PhaseSums, optics: Optics, terms: tuple[Term, ...], band: tuple[int, int]) -> PhaseFit:
    """Even ``terms`` from the shells ``band`` (first, last).

    An odd phase still in the images makes data and model look less alike than they are: fit it first, and hand in the
    sums ``without`` it.
    """
    grid = _Grid.of(sums, optics, band)
    landscape = Even(*(grid.values(plane) for plane in (*sums.cross.real, *sums.power)))
    beside = [grid.qx**2 + grid.qy**2, grid.qx**2 - grid.qy**2, 2 * grid.qx * grid.qy]
    return _fitted(landscape, grid, optics, terms, beside)


@dataclass(frozen=True)
class _Grid:
    """The pixels of a band: their shells and true frequencies."""

    inside: np.ndarray  # (2K+1, K+1) bool
    shell: np.ndarray  # (pixels,)
    qx: np.ndarray
    qy: np.ndarray

    @classmethod
    def of(cls, sums: PhaseSums, optics: Optics, band: tuple[int, int]) -> _Grid:
        k = sums.radius
        ky, kx = np.mgrid[-k : k + 1, 0 : k + 1]
        shell = np.rint(np.hypot(kx, ky)).astype(int)
        inside = in_band(k, k) & (shell >= band[0]) & (shell <= band[1]) & (sums.power[0] + sums.power[2] > 0)
        return cls(inside, shell[inside], *(q[inside] for q in true_frequencies(optics, k, sums.length_A)))

    def values(self, plane: np.ndarray) -> np.ndarray:
        return plane[self.inside]

    def picture(self, values: np.ndarray) -> np.ndarray:
        plane = np.full(self.inside.shape, np.nan, np.float32)
        plane[self.inside] = values
        return plane


@dataclass(frozen=True)
class Odd:
    """Log likelihood, per pixel, of an odd phase."""

    cross: np.ndarray
    power: np.ndarray

    def value(self, phase):
        return 2 * (self.cross * np.exp(-1j * phase)).real - self.power

    def slope(self, phase):
        return 2 * (self.cross * np.exp(-1j * phase)).imag

    def curvature(self, phase):
        return 2 * self.power

    def match(self, phase) -> tuple[np.ndarray, np.ndarray]:
        """Data along the model, and the model's power."""
        return (self.cross * np.exp(-1j * phase)).real, self.power

    def measured(self):
        return np.angle(self.cross)


@dataclass(frozen=True)
class Even:
    """Log likelihood, per pixel, of a change of chi."""

    cross: np.ndarray
    turned: np.ndarray
    power: np.ndarray
    mixed: np.ndarray
    turned_power: np.ndarray

    def value(self, phase):
        cross, power = self.match(phase)
        return 2 * cross - power

    def slope(self, phase):
        c, s = np.cos(phase), np.sin(phase)
        back = self.mixed * (c * c - s * s) + (self.turned_power - self.power) * s * c
        return 2 * (self.turned * c - self.cross * s - back)

    def curvature(self, phase):
        c, s = np.cos(phase), np.sin(phase)
        return 2 * (self.power * s * s - 2 * self.mixed * s * c + self.turned_power * c * c)

    def match(self, phase):
        c, s = np.cos(phase), np.sin(phase)
        power = self.power * c * c + 2 * self.mixed * c * s + self.turned_power * s * s
        return self.cross * c + self.turned * s, power

    def measured(self):
        return np.clip((self.turned - self.mixed) / np.maximum(self.turned_power, 1e-30), -np.pi, np.pi)


def _fitted(landscape: Odd | Even, grid: _Grid, optics: Optics, terms: tuple[Term, ...], beside) -> PhaseFit:
    names = [name for term in terms for name in term.parameters]
    waves = [wave for term in terms for wave in term.waves(optics, grid.qx, grid.qy)]
    columns = np.stack([*waves, *beside], axis=1)
    unit = np.maximum(abs(columns).max(axis=0, initial=0), 1e-30)
    found = _climbed(landscape, columns / unit, grid.shell)
    phase = columns @ (found / unit)
    cross, power = (float(part.sum()) for part in landscape.match(phase))
    slope = cross / max(power, 1e-30)
    covariance = _covariance(landscape, columns / unit, phase, max(abs(slope), 1 / np.sqrt(2 * max(power, 1e-30))))
    n = len(names)
    values, errors = (found / unit)[:n], (np.sqrt(np.diag(covariance)) / unit)[:n]
    gain = _worth(found[:n], covariance[:n, :n])
    significant = _seen(slope, power) and gain > WORTH * n
    return PhaseFit(
        dict(zip(names, values.tolist(), strict=True)), dict(zip(names, errors.tolist(), strict=True)), gain, slope,
        significant, _with(optics, terms, values) if significant else optics,
        grid.picture(landscape.measured()), grid.picture(columns[:, :n] @ values),
        np.nan_to_num(grid.picture(phase)).astype(float),
    )  # fmt: skip


def _with(optics: Optics, terms: tuple[Term, ...], values: np.ndarray) -> Optics:
    first = 0
    for term in terms:
        optics = term.added(optics, values[first : first + len(term.parameters)])
        first += len(term.parameters)
    return optics


def _seen(slope: float, power: float) -> bool:
    """Whether the data show the model at all: of mere noise any phase can be read."""
    return slope > SHOWN[0] + SHOWN[1] / np.sqrt(2 * max(power, 1e-30))


def _worth(values: np.ndarray, covariance: np.ndarray) -> float:
    return float(values @ np.linalg.lstsq(covariance, values, rcond=None)[0] / 2)


def _climbed(landscape: Odd | Even, columns: np.ndarray, shell: np.ndarray) -> np.ndarray:
    """Coefficients (n,) of ``columns`` (pixels, n): band by band outwards, so that no phase is ever far from its fit.

    Phases of high shells may exceed a turn, and the likelihood then has many maxima.
    """
    found, last = np.zeros(columns.shape[1]), shell.max(initial=0)
    if not len(shell):
        return found
    stage = float(min(shell.min() + STAGE_SHELLS, last))
    while True:
        inside = shell <= stage
        final = stage >= last
        caution = np.zeros(len(found)) if final else (abs(columns[inside]).max(axis=0) / CAUTION_RAD) ** 2
        found = _newton(_only(landscape, inside), columns[inside], caution, found)
        if final:
            return found
        stage = min(max(GROWTH * stage, stage + 1), last)


def _only(landscape: Odd | Even, inside: np.ndarray) -> Odd | Even:
    return type(landscape)(*(getattr(landscape, name)[inside] for name in landscape.__dataclass_fields__))


def _newton(landscape: Odd | Even, columns: np.ndarray, caution: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Gauss-Newton with halved steps from ``start``; ``caution`` is the precision of a normal prior about 0."""

    def value(at):
        return landscape.value(columns @ at).sum() - 0.5 * caution @ at**2

    found, best = start, value(start)
    for _ in range(ROUNDS):
        phase = columns @ found
        gradient = columns.T @ landscape.slope(phase) - caution * found
        step = _solve(_information(landscape, columns, phase) + np.diag(caution), gradient)
        for _ in range(8):
            new = value(found + step)
            if new > best:
                break
            step = step / 2
        if not new > best:
            return found
        found, gain, best = found + step, new - best, new
        if gain < ENOUGH:
            return found
    return found


def _information(landscape: Odd | Even, columns: np.ndarray, phase: np.ndarray) -> np.ndarray:
    return columns.T @ (landscape.curvature(phase)[:, None] * columns)


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.linalg.solve(matrix + 1e-12 * (np.trace(matrix) + 1e-30) * np.eye(len(matrix)), right)


def _covariance(landscape: Odd | Even, columns: np.ndarray, phase: np.ndarray, slope: float) -> np.ndarray:
    """Inverse of the Fisher information, larger where the data are fainter than the model; huge where they are mute."""
    information = _information(landscape, columns, phase)
    return _solve(information, np.eye(len(information))) / slope**2


@dataclass(frozen=True)
class DistortionFit(Fit):
    """The same for the magnification matrix: ``change`` D (2, 2), k to be read as (1 + D) k, and its covariance.

    ``optics`` has M (1 + D), all of D: its mean scale and its rotation are the caller's to judge, since a map of
    another size and poses turned in the plane look the same.
    """

    change: np.ndarray
    covariance: np.ndarray  # (4, 4) of D row by row


def fit_distortion(sums: DistortionSums, optics: Optics, band: tuple[int, int],
                   gradient: np.ndarray | float = 1.0) -> DistortionFit:
    """Linear least squares for D, each shell weighted by how well its data are along the model.

    A phase error that spreads with variance v makes both the sine, which tells D, and the cosine, the slope, smaller by
    exp(-v / 2): over the slope of its shell the sine is right again. ``gradient`` (K+1,) is that of `gradient_of`.
    """
    used = slice(band[0], band[1] + 1)
    rows = sums.shells[used]
    slope = rows[:, 14] / np.maximum(rows[:, 13], 1e-30)
    heard = slope > SHOWN[0] + SHOWN[1] / np.sqrt(2 * np.maximum(rows[:, 13], 1e-30))
    weight = np.where(heard, slope, 0) * np.broadcast_to(gradient, len(sums.shells))[used]
    right = weight @ rows[:, :4]
    covariance = _solve(2 * _normal(weight**2 @ rows[:, 4:13]), np.eye(4))
    values = 2 * covariance @ right
    names = [f"magnification_{place}" for place in ("00", "01", "10", "11")]
    gain = _worth(values, covariance)
    significant = bool(heard.any()) and gain > WORTH * 4
    change = values.reshape(2, 2)
    matrix = np.array(optics.magnification) @ (np.eye(2) + change)
    return DistortionFit(
        dict(zip(names, values.tolist(), strict=True)),
        dict(zip(names, np.sqrt(np.diag(covariance)).tolist(), strict=True)), gain,
        float(rows[:, 14].sum() / max(rows[:, 13].sum(), 1e-30)), significant,
        replace(optics, magnification=as_tuple(matrix)) if significant else optics, change, covariance,
    )  # fmt: skip


@dataclass(frozen=True)
class Strain:
    """The part of a distortion that poses cannot take up, of the true frequency: q -> (1 + G) q, G symmetric."""

    values: np.ndarray  # (3,) mean scale, (G00 - G11) / 2, G01
    covariance: np.ndarray  # (3, 3)

    @classmethod
    def of(cls, fit: DistortionFit, optics: Optics) -> Strain:
        """Of a fit on top of ``optics``: G = M D M^-1 without its rotation."""
        matrix = np.array(optics.magnification)
        parts = np.array([[0.5, 0, 0, 0.5], [0.5, 0, 0, -0.5], [0, 0.5, 0.5, 0]])
        parts = parts @ np.kron(matrix, np.linalg.inv(matrix).T)
        return cls(parts @ fit.change.ravel(), parts @ fit.covariance @ parts.T)

    def gains(self) -> tuple[float, float]:
        """Log likelihood that the scale is worth, and that the other two are."""
        return _worth(self.values[:1], self.covariance[:1, :1]), _worth(self.values[1:], self.covariance[1:, 1:])

    def added(self, optics: Optics) -> Optics:
        """(1 + G) M."""
        scale, plus, cross = self.values
        strain = np.array([[1 + scale + plus, cross], [cross, 1 + scale - plus]])
        return replace(optics, magnification=as_tuple(strain @ np.array(optics.magnification)))


def as_tuple(matrix: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    """(2, 2) as Optics.magnification holds it."""
    return tuple((float(a), float(b)) for a, b in matrix)


def _normal(sums: np.ndarray) -> np.ndarray:
    """(4, 4) normal matrix of D row by row, from the nine sums of t_a t_b times k_a k_b."""
    xx, xy, yy = (np.array([[s[0], s[1]], [s[1], s[2]]]) for s in (sums[:3], sums[3:6], sums[6:9]))
    return np.block([[xx, xy], [xy, yy]])
