"""From files to Images: read, centre the window, transform, cut to the band, whiten, attach the CTF.

Owns the geometry of the run: one box length and one grid of shells for all optics groups. Images of another box are
cropped or padded in real space to the same length; what remains of the ratio is ``Images.stretch``, together with the
magnification of the optics group. Odd phases of the lens are taken out of the images here, once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from halfmap.data.particles import Particles
from halfmap.data.stack import Stack, faulty
from halfmap.fourier import transforms
from halfmap.kernels.window import window
from halfmap.physics import aberrations, ctf, noise
from halfmap.reconstruct import ewald
from halfmap.refine.surround import Zeros
from halfmap.types import Defocus, Images, Optics

EDGE_PX = 5.0  # width of the soft edge of the image mask; RELION's width_mask_edge


@dataclass(frozen=True)
class Frame:
    """The grid of the run: the full-size box of the map, and the circle that masks the images."""

    box: int
    voxel_size_A: float
    diameter_A: float

    @property
    def length_A(self) -> float:
        return self.box * self.voxel_size_A

    def shell(self, resolution_A: float) -> int:
        """Shell of a resolution, at most N / 2."""
        return int(min(self.box // 2, max(1, round(self.length_A / resolution_A))))

    def resolution_A(self, shell: float) -> float:
        return self.length_A / shell if shell > 0 else float("inf")


@dataclass
class Clock:
    """Seconds spent per stage: reading, fft, ctf, search, poses, insert, stock, solve."""

    seconds: dict = field(default_factory=dict)

    def add(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now

    def since(self, before: dict) -> dict:
        """Seconds per stage beyond those of an earlier copy."""
        return {stage: total - before.get(stage, 0.0) for stage, total in self.seconds.items()}


@dataclass(frozen=True)
class Source:
    """The particles as a stream of Images."""

    particles: Particles
    stack: Stack
    frame: Frame
    reject: Callable[[np.ndarray, str], None]  # called with rows and reason for images that cannot be used
    clock: Clock = field(default_factory=Clock)
    sphere: ewald.Flat = ewald.Flat()  # noqa: RUF009 - frozen
    surround: Zeros = Zeros()  # noqa: RUF009 - frozen

    def batches(self, rows: np.ndarray, size: int, radius: int, models, shifts_A: np.ndarray,
                scale: np.ndarray) -> Iterator[Images]:
        """Images of ``rows``, whitened with ``models`` (one GroupModel per optics group), cut to ``radius`` shells.

        ``shifts_A`` (all particles, 2): where the window is centred; ``scale`` (all particles,): their grey scales.
        """
        for batch, raw in self._raw(rows, size):
            model = models[self.particles.group[batch[0]]]
            yield self._prepared(batch, raw, radius, model, shifts_A[batch], scale[batch])

    def knowing(self, optics: tuple[Optics, ...], defocus: Defocus) -> Source:
        """The same images with other CTF values."""
        return replace(self, particles=replace(self.particles, optics=optics, defocus=defocus))

    def quadrature(self, images: Images, models, scale: np.ndarray) -> np.ndarray:
        """Derivative of ``images.ctf`` by the phase of the CTF, (b, 2K+1, K+1) float32; arguments as of ``batches``.

        Not of premultiplied images: what they were multiplied by does not change with what is known of the lens.
        """
        group = self.particles.group[images.rows[0]]
        model, reach = models[group], min(images.radius, images.box // 2)
        planes = ctf.quadrature(self.particles.optics[group], self.particles.defocus[images.rows], reach, images.box,
                                images.pixel_size_A)
        planes *= _whitening(model, reach) * (model.grey * scale[images.rows]).astype(np.float32)[:, None, None]
        return _reaching(planes, images.radius)

    def powers(self, rows: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """(optics group, power of each masked image (b, N+1, N/2+1) float32, corrected for the mask) per batch."""
        for batch, raw in self._raw(rows, size):
            group = self.particles.group[batch[0]]
            images, pixel = self._sized(group, raw)
            radius = min(self.frame.box, images.shape[-1]) // 2
            masked, kept = self._windowed(images, pixel, np.zeros((len(batch), 2)))
            half = transforms.half_plane(masked, radius)
            yield group, (half.real**2 + half.imag**2) * np.float32(self._area(images, pixel) ** 2 / kept)

    def _raw(self, rows: np.ndarray, size: int):
        then = time.perf_counter()
        for batch, raw in self.stack.batches(rows, size):
            bad = faulty(raw)
            if bad.any():
                self.reject(batch[bad], "image has NaN, infinite or huge pixels, or is constant")
                batch, raw = batch[~bad], raw[~bad]
            self.clock.add("reading", then)
            if len(batch):
                yield batch, raw
            then = time.perf_counter()

    def _sized(self, group: int, raw: np.ndarray) -> tuple[np.ndarray, float]:
        """float32 images cropped or zero-padded to the length of the frame, and their pixel size."""
        pixel = self.particles.optics[group].pixel_size_A
        box = 2 * round(self.frame.length_A / pixel / 2)
        images = raw.astype(np.float32, copy=False)
        return (images, pixel) if box == raw.shape[-1] else (_crop_pad(images, box), pixel)

    def _windowed(self, images: np.ndarray, pixel: float, shifts_A: np.ndarray) -> tuple[np.ndarray, float]:
        """Images inside the circle about each particle, and the fraction of noise power that leaves."""
        box = images.shape[-1]
        radius = min(self.frame.diameter_A / 2 / pixel, box / 2 - EDGE_PX)
        centred = np.ones((1, box, box), np.float32)
        kept = float((window(centred, np.full((1, 2), box // 2), radius, EDGE_PX) ** 2).mean())
        return window(images, box // 2 - shifts_A / pixel, radius, EDGE_PX), kept

    def _area(self, images: np.ndarray, pixel: float) -> float:
        """Transforms are divided by the pixels of the image; this makes it those of the frame's box length."""
        return (images.shape[-1] * pixel / self.frame.length_A) ** 2

    def _prepared(self, batch, raw, radius: int, model: noise.GroupModel, shifts_A, scale) -> Images:
        then = time.perf_counter()
        group = self.particles.group[batch[0]]
        images, pixel = self._sized(group, raw)
        box = images.shape[-1]
        reach = min(radius, box // 2)
        area = self._area(images, pixel)
        masked, kept = self._windowed(images, pixel, shifts_A)
        own = replace(model, noise_sd=model.noise_sd / area)
        masked, kept = self.surround.filled(masked, kept, batch, own, lambda x: self._windowed(x, pixel, shifts_A)[0])
        weight = _whitening(model, reach)
        optics, length = self.particles.optics[group], box * pixel
        factor = weight * np.float32(area)
        if aberrations.is_odd(optics):
            factor = factor * aberrations.modulation(optics, reach, length).conj()
        masked, plain = (transforms.half_plane(part, reach, factor=factor) for part in (masked, images))
        then = self.clock.add("fft", then)
        transfers = self.sphere.transfers(optics, self.particles.defocus[batch], reach, box, pixel)
        for transfer in transfers:
            transfer *= weight * (model.grey * scale).astype(np.float32)[:, None, None]
        self.clock.add("ctf", then)
        stretch = self.frame.length_A / length * np.array(optics.magnification)
        masked, plain, transfer, *quadrature = (_reaching(p, radius) for p in (masked, plain, *transfers))
        return Images(batch, masked, plain, transfer, model.noise_sd[: reach + 1], box, pixel, stretch, kept,
                      optics.voltage_kV, *quadrature)


def _whitening(model: noise.GroupModel, radius: int) -> np.ndarray:
    """1 / noise sd on the half plane, (2K+1, K+1) float32."""
    return (1 / model.plane(radius)).astype(np.float32)


def _reaching(planes: np.ndarray, radius: int) -> np.ndarray:
    """Half planes padded with zeros to ``radius``: images of coarser pixels end earlier."""
    edge = radius - (planes.shape[-1] - 1)
    return np.pad(planes, ((0, 0), (edge, edge), (0, edge))) if edge else planes


def _crop_pad(images: np.ndarray, box: int) -> np.ndarray:
    """Images (b, N, N) cut or zero-padded about pixel N // 2 to (b, box, box)."""
    old = images.shape[-1]
    if box <= old:
        start = old // 2 - box // 2
        return images[:, start : start + box, start : start + box]
    before = box // 2 - old // 2
    return np.pad(images, ((0, 0), (before, box - old - before), (before, box - old - before)))
