"""Which particles there are, and what each image looks like.

Owns the random draws (poses, defocus, half-sets, hinge angles, junk), the noise and the normalisation of images. All
of them follow from one generator: drawn truth first, then a seed for each image, so that batches, threads and order
change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.fft

from halfmap import device
from halfmap.data.particles import Particles
from halfmap.errors import UsageError
from halfmap.geometry import rotations
from halfmap.physics import aberrations, ctf
from halfmap.simulate import slices
from halfmap.types import Defocus, Map, Optics, Poses

BATCH = 64  # images made at a time
SIGNAL_IMAGES = 64  # clean images whose mean variance defines the signal
NOISE_FALL = 0.06  # cycles per pixel over which the excess of coloured noise falls to 1/e, as in thin ice
BACKGROUND_RADIUS = 0.45  # of the box: what lies outside has mean 0 and standard deviation 1, as RELION normalises


@dataclass(frozen=True)
class Hinge:
    """A domain that turns about a point of the molecule.

    ``moving``: its map, on the grid of the main map, which must not hold it too. ``pivot_A``: x y z from the box
    centre. ``sigma_rad``: standard deviation of the rotation vector, per axis.
    """

    moving: Map
    pivot_A: tuple[float, float, float]
    sigma_rad: float


@dataclass(frozen=True)
class Settings:
    """How the images are taken; the defaults are a good day on a 300 kV microscope.

    ``snr``: variance of the clean images over that of the noise, within the box.
    ``noise_rise``: variance of the noise at zero frequency over that at high frequency, less 1; 0 = white.
    ``bfactor_A2`` and ``scale_sd`` shape the images but are not told in particles.star, as in real data.
    """

    snr: float = 0.05
    voltage_kV: float = 300.0
    spherical_aberration_A: float = 2.7e7
    amplitude_contrast: float = 0.1
    phase_shift_rad: float = 0.0
    defocus_A: tuple[float, float] = (8000.0, 25000.0)
    astigmatism_A: float = 500.0  # largest u - v
    bfactor_A2: float = 60.0
    shift_sd_A: float = 4.0  # per axis
    scale_sd: float = 0.1  # of the contrast, about 1
    noise_rise: float = 3.0
    junk: float = 0.0  # fraction of images without a particle
    groups: int = 1  # optics groups, alike but for their names
    beam_tilt_rad: tuple[float, float] = (0.0, 0.0)  # this and the next three as in types.Optics
    odd_zernike: tuple[float, ...] = ()
    even_zernike: tuple[float, ...] = ()
    magnification: tuple[tuple[float, float], tuple[float, float]] = aberrations.IDENTITY
    hinge: Hinge | None = None


@dataclass(frozen=True)
class Simulation:
    """Drawn particles and the means to make their images.

    ``particles``: poses, defocus, half-sets as truth.star tells them; ``files`` is empty until they are written.
    ``moving``: poses of the hinged domain as a map of its own, None without one.
    ``junk`` (n,) bool; ``scale`` (n,) contrast; ``seeds`` (n,) of each image's noise.
    """

    map: Map
    settings: Settings
    particles: Particles
    moving: Poses | None
    junk: np.ndarray
    scale: np.ndarray
    seeds: np.ndarray

    def clean(self) -> Iterator[np.ndarray]:
        """Batches (b, N, N) float32 of images without noise, in grey values of the map; junk ones are zero."""
        yield from _Camera(self).batches(_Camera.clean)

    def exposed(self) -> Iterator[tuple[np.ndarray, float]]:
        """The same batches, each with the standard deviation that noise must have for the SNR asked for."""
        camera = _Camera(self)
        for batch in camera.batches(_Camera.clean):
            yield batch, camera.noise_sd

    def images(self) -> Iterator[np.ndarray]:
        """Batches (b, N, N) float32 of finished images, normalised."""
        yield from _Camera(self).batches(_Camera.noisy)


def simulation(map: Map, n: int, rng: np.random.Generator, settings: Settings | None = None) -> Simulation:
    """Draw ``n`` particles of ``map``: poses uniform, halves balanced. Images are made when asked for.

    Raises UsageError for an odd box, a setting out of range or a moving map on another grid.
    """
    settings = Settings() if settings is None else settings
    _check(map, n, settings)
    poses = Poses(rotations.random(n, rng), rng.normal(0, settings.shift_sd_A, (n, 2)))
    particles = _particles(map, poses, rng, settings)
    moving = None if settings.hinge is None else _moving(poses, settings.hinge, rng)
    scale = np.clip(rng.normal(1, settings.scale_sd, n), 0.3, 1.7)
    junk = rng.random(n) < settings.junk
    seeds = rng.integers(2**63, size=n)
    return Simulation(map, settings, particles, moving, junk, scale, seeds)


def noise(n: int, box: int, rng: np.random.Generator, rise: float = 3.0) -> Iterator[np.ndarray]:
    """Batches (b, box, box) float32 of ``n`` images of noise alone, normalised; ``rise`` as ``Settings.noise_rise``."""
    amplitude, background = _noise_amplitude(box, rise), _background(box)
    for start in range(0, n, BATCH):
        images = [_noise_image(amplitude, rng) for _ in range(min(BATCH, n - start))]
        yield np.stack([_normalised(image, background) for image in images])


def noise_field(size: int, rise: float, rng: np.random.Generator) -> np.ndarray:
    """One image (size, size) float32 of noise with mean square 1; ``rise`` as ``Settings.noise_rise``."""
    return _noise_image(_noise_amplitude(size, rise), rng)


class _Camera:
    """Everything the images of one simulation share."""

    def __init__(self, simulation: Simulation):
        hinge = simulation.settings.hinge
        self.simulation = simulation
        self.box = simulation.map.box
        parts = [(simulation.map, simulation.particles.poses)]
        if hinge is not None:
            parts.append((hinge.moving, simulation.moving))
        self.stretch = np.array(simulation.particles.optics[0].magnification)
        self.parts = [(slices.Slices(map), poses) for map, poses in parts]
        self.amplitude = _noise_amplitude(self.box, simulation.settings.noise_rise)
        self.background = _background(self.box)

    def batches(self, make: Callable[[_Camera, int, np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
        """``make(self, row, transfer)`` for all rows, several at a time."""
        n = len(self.simulation.particles)
        with ThreadPoolExecutor(device.threads()) as pool:
            self.noise_sd = self._noise_sd(pool)
            for start in range(0, n, BATCH):
                yield np.stack(self._made(pool, partial(make, self), range(start, min(start + BATCH, n))))

    def clean(self, row: int, transfer: np.ndarray) -> np.ndarray:
        if self.simulation.junk[row]:
            return np.zeros((self.box, self.box), np.float32)
        return self._particle(row, transfer)

    def noisy(self, row: int, transfer: np.ndarray) -> np.ndarray:
        grain = _noise_image(self.amplitude, np.random.default_rng(self.simulation.seeds[row]))
        return _normalised(self.clean(row, transfer) + self.noise_sd * grain, self.background)

    def _made(self, pool: ThreadPoolExecutor, make: Callable, rows: range) -> list[np.ndarray]:
        # the CTF kernel has threads of its own, which not every threading layer lets several callers use at once
        return list(pool.map(make, rows, self._transfers(rows)))

    def _particle(self, row: int, transfer: np.ndarray) -> np.ndarray:
        pixel_size_A = self.simulation.map.voxel_size_A
        total = np.zeros((self.box, self.box // 2 + 1), np.complex64)
        for part, poses in self.parts:
            # the particle lies at (box centre - shift)
            seen = rotations.stretched(poses.rotations[row], self.stretch)
            total += part.at(seen) * slices.moved(self.box, *(-poses.shifts_A[row] / pixel_size_A))
        return slices.image(total * transfer)

    def _transfers(self, rows: range) -> np.ndarray:
        """CTF, odd phase, envelope and contrast (b, N, N//2+1) in the layout of rfft2; optics groups are alike."""
        table, rows = self.simulation.particles, np.asarray(rows)
        bfactor = np.full(len(rows), self.simulation.settings.bfactor_A2)
        defocus = replace(table.defocus[rows], bfactor_A2=bfactor, scale=self.simulation.scale[rows])
        optics, radius = table.optics[0], self.box // 2
        half = ctf.half_plane(optics, defocus, radius)
        if aberrations.is_odd(optics):
            half = (half * aberrations.modulation(optics, radius, self.box * optics.pixel_size_A)).astype(np.complex64)
        return scipy.fft.ifftshift(half[:, :-1], axes=1)

    def _noise_sd(self, pool: ThreadPoolExecutor) -> float:
        images = self._made(pool, self._particle, range(min(SIGNAL_IMAGES, len(self.simulation.particles))))
        return float(np.sqrt(np.mean([image.var() for image in images]) / self.simulation.settings.snr))


def _check(map: Map, n: int, settings: Settings) -> None:
    hinge = settings.hinge
    faults = {
        f"box {map.box}: the map's box must be even; crop or pad it by one voxel": map.box % 2 != 0,
        f"number of particles {n}: give at least 2, one for each half": n < 2,
        f"snr {settings.snr}: give a positive number": not settings.snr > 0,
        f"junk {settings.junk}: give a fraction from 0 to 1": not 0 <= settings.junk <= 1,
        f"optics groups {settings.groups}: give at least 1": settings.groups < 1,
        "moving map: its box or voxel size differs from the map's; resample it": hinge is not None
        and (hinge.moving.box != map.box or not np.isclose(hinge.moving.voxel_size_A, map.voxel_size_A, rtol=1e-4)),
    }
    found = [fault for fault, present in faults.items() if present]
    if found:
        raise UsageError("simulate: " + "; ".join(found))


def _particles(map: Map, poses: Poses, rng: np.random.Generator, settings: Settings) -> Particles:
    n = len(poses)
    names = [f"opticsGroup{number}" for number in range(1, settings.groups + 1)]
    microscope = (settings.voltage_kV, settings.spherical_aberration_A, settings.amplitude_contrast)
    lens = (settings.beam_tilt_rad, settings.odd_zernike, settings.even_zernike, settings.magnification)
    return Particles(
        files=(),
        file=np.zeros(n, np.int32),
        index=np.arange(n),
        optics=tuple(Optics(name, *microscope, map.voxel_size_A, map.box, False, *lens) for name in names),
        group=rng.integers(settings.groups, size=n).astype(np.int32),
        defocus=_defocus(n, rng, settings),
        poses=poses,
        half=rng.permutation(1 + np.arange(n) % 2).astype(np.int8),
        scale=np.ones(n),
        columns={},
        optics_columns={},
    )


def _defocus(n: int, rng: np.random.Generator, settings: Settings) -> Defocus:
    """Mean defocus and astigmatism uniform in their ranges, any direction; no B-factor, contrast 1."""
    mean = rng.uniform(*settings.defocus_A, n)
    half_difference = rng.uniform(0, settings.astigmatism_A, n) / 2
    angle = rng.uniform(0, np.pi, n)
    phase = np.full(n, settings.phase_shift_rad)
    return Defocus(mean + half_difference, mean - half_difference, angle, phase, np.zeros(n), np.ones(n))


def _moving(poses: Poses, hinge: Hinge, rng: np.random.Generator) -> Poses:
    """Poses of the domain: its point r moves to H (r - p) + p, so A' = A H and the origin moves by A (p - H p)."""
    turns = rotations.exp_so3(rng.normal(0, hinge.sigma_rad, (len(poses), 3)))
    pivot = np.asarray(hinge.pivot_A, float)
    offset = np.einsum("nij,nj->ni", poses.rotations, pivot - turns @ pivot)
    return Poses(poses.rotations @ turns, poses.shifts_A - offset[:, :2])


def _noise_amplitude(box: int, rise: float) -> np.ndarray:
    """Standard deviation of the noise per frequency (N, N//2+1), its mean variance over the image 1."""
    frequency = np.hypot(scipy.fft.fftfreq(box)[:, None], scipy.fft.rfftfreq(box))
    variance = 1 + rise * np.exp(-frequency / NOISE_FALL)
    # columns other than the first and last stand for two of the full transform
    twice = np.concatenate([variance, variance[:, 1 : box // 2]], axis=1)
    return np.sqrt(variance / twice.mean()).astype(np.float32)


def _noise_image(amplitude: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    white = rng.standard_normal((len(amplitude),) * 2, dtype=np.float32)
    return scipy.fft.irfft2(scipy.fft.rfft2(white) * amplitude, s=white.shape)


def _background(box: int) -> np.ndarray:
    """Pixels (N, N) bool outside the circle of BACKGROUND_RADIUS."""
    offset = np.arange(box) - box // 2
    return np.hypot(offset[:, None], offset) > BACKGROUND_RADIUS * box


def _normalised(image: np.ndarray, background: np.ndarray) -> np.ndarray:
    outside = image[background]
    return (image - outside.mean()) / outside.std()
