"""The curvature of the Ewald sphere, simulated: what it costs when ignored, and what the correction gives back.

    ewald.py --out DIR [--voltage 100] [--diameter 150] [--symmetry O] [--n 300] [--box 192] [--pixel 1] [--snr 0.1]
             [--ledger FILE]

Atoms at random places of a ball, at the density of protein; each image is the sum of layers LAYER_A thick along the
beam, every layer with the defocus of its own height, which is what the curvature does (docs/CONVENTIONS.md). No code is
shared with the correction. The images are periodic: nothing is lost to delocalisation beyond the box. `halfmap
reconstruct` with the true poses three times: --ewald-sphere off, the true sign and the other one. Rows:
1. Shells gained by the true sign over none, by the corrected FSC of the halves.
2. Shells lost by planes against the true sign, over those that theory predicts, and the same for the wrong sign. An
   atom r from the centre is seen at all heights z = r cos; the phase pi lambda z q^2 that planes neglect leaves
   sin x / x of its amplitude, x = pi lambda r q^2, and the wrong sign doubles it. The signal to noise of the halves,
   FSC / (1 - FSC) with the true sign, falls by the mean of its square over the ball. Within a factor FACTOR: the masks
   and where the curve crosses 0.143 have their scatter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.fft
from ledger import Job, Ledger, demanded, halfmap, parser

from halfmap.data import relion
from halfmap.data.particles import Particles
from halfmap.geometry import rotations, symmetry
from halfmap.io import mrc
from halfmap.physics.electrons import wavelength_A
from halfmap.types import Defocus, Optics, Poses

ATOMS_PER_A3 = 7 / 134.0  # of protein: 7 atoms without hydrogen in a residue of 134 A^3
LAYER_A = 4.0  # linear between layers: the phase is then right to (pi lambda LAYER q^2)^2 / 8, 1e-3 at 2 A and 100 kV
FINER = 2  # pixels of the grid atoms are spread on, per pixel of the image
BFACTOR_A2 = 40.0
DEFOCUS_A = (5000.0, 15000.0)
FACTOR = 2.0
LEAST_GAIN = 1.0  # shells


def ball_of_atoms(diameter_A: float, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(m, 3) x, y, z of atoms from the box centre, A, with the symmetry of the group."""
    n = int(np.pi / 6 * diameter_A**3 * ATOMS_PER_A3 / len(group))
    direction = rng.standard_normal((n, 3))
    direction *= diameter_A / 2 * np.cbrt(rng.random((n, 1))) / np.linalg.norm(direction, axis=1, keepdims=True)
    return np.concatenate([direction @ operator.T for operator in group])


def spread(places_px: np.ndarray, layer: np.ndarray, layers: int, size: int) -> np.ndarray:
    """(layers, size, size) grid with cubic B-splines at ``places_px`` (m, 2), linear between layers."""
    floor = np.floor(places_px).astype(int)
    t = places_px - floor
    spline = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    below = np.floor(layer).astype(int)
    x, y = ((floor[:, axis] + np.arange(-1, 3)[:, None]) % size for axis in (0, 1))  # (4, m)
    z = below + np.arange(2)[:, None]
    share = np.stack([1 - (layer - below), layer - below])
    where = (z[:, None, None] * size + y[:, None]) * size + x  # (2, 4, 4, m)
    weight = share[:, None, None] * spline[:, None, :, 1] * spline[..., 0]
    return np.bincount(where.ravel(), weight.ravel(), layers * size * size).reshape(layers, size, size)


class Microscope:
    """Everything the images share."""

    def __init__(self, chosen):
        box, self.size = chosen.box, FINER * chosen.box
        self.step_A, self.box = chosen.pixel / FINER, box
        ky, kx = np.meshgrid(scipy.fft.fftfreq(box, chosen.pixel), scipy.fft.rfftfreq(box, chosen.pixel), indexing="ij")
        self.square, self.theta = kx**2 + ky**2, np.arctan2(ky, kx)
        self.wavelength = wavelength_A(chosen.voltage)
        self.cs_A = 2.7e7
        gaussian = np.exp(-BFACTOR_A2 / 4 * self.square) * (self.square < 0.25 / chosen.pixel**2)
        self.envelope = gaussian / (np.sinc(kx * self.step_A) * np.sinc(ky * self.step_A)) ** 4  # of the spline
        self.half_layers = int(np.ceil(chosen.diameter / 2 / LAYER_A)) + 1

    def image(self, seen_A: np.ndarray, u_A: float, v_A: float, angle: float) -> np.ndarray:
        """(box, box) of atoms at ``seen_A`` (m, 3) in image coordinates; height z lowers the defocus by z."""
        layers = 2 * self.half_layers + 1
        grid = spread(seen_A[:, :2] / self.step_A, seen_A[:, 2] / LAYER_A + self.half_layers, layers, self.size)
        cut = self.box // 2
        spectra = scipy.fft.rfft2(grid)[:, :, : cut + 1]
        spectra = np.concatenate([spectra[:, :cut], spectra[:, -cut:]], axis=1)
        under = (u_A + v_A) / 2 + (u_A - v_A) / 2 * np.cos(2 * (self.theta - angle))
        fixed = np.arcsin(0.1) - np.pi / 2 * self.cs_A * self.wavelength**3 * self.square**2
        turn = np.pi * self.wavelength * self.square
        heights = LAYER_A * (np.arange(layers) - self.half_layers)
        total = sum(s * np.sin(fixed + turn * (under - z)) for s, z in zip(spectra, heights, strict=True))
        return scipy.fft.fftshift(scipy.fft.irfft2(total * self.envelope, s=(self.box, self.box)))


def simulated(chosen) -> Path:
    """particles.star of the set in ``out``; left alone where it exists."""
    folder = chosen.out / "simulated"
    if (folder / "particles.star").exists():
        return folder / "particles.star"
    folder.mkdir(exist_ok=True)
    rng, n = np.random.default_rng(1), chosen.n
    atoms = ball_of_atoms(chosen.diameter, symmetry.group(chosen.symmetry), rng)
    poses = Poses(rotations.random(n, rng), rng.normal(0, 2, (n, 2)))
    u = rng.uniform(*DEFOCUS_A, n)
    zero = np.zeros(n)
    known = Defocus(u, u - rng.uniform(0, 300, n), rng.uniform(0, np.pi, n), zero, zero, zero + 1)
    scope = Microscope(chosen)
    mrc.write_stack(folder / "particles.mrcs", images(scope, atoms, poses, known, chosen.snr, rng), chosen.pixel)
    optics = Optics("one", chosen.voltage, scope.cs_A, 0.1, chosen.pixel, chosen.box)
    half = (1 + np.arange(n) % 2).astype(np.int8)
    first = np.zeros(n, np.int32)  # file, and optics group
    files = (folder / "particles.mrcs",)
    table = Particles(files, first, np.arange(n), (optics,), first, known, poses, half, np.ones(n))
    relion.write(folder / "particles.star", table)
    return folder / "particles.star"


def images(scope: Microscope, atoms: np.ndarray, poses: Poses, known: Defocus, snr: float, rng) -> Iterator[np.ndarray]:
    """Batches (1, box, box) with white noise; its variance from the first image."""
    sd = None
    for i in range(len(poses)):
        seen = atoms @ poses.rotations[i].T
        seen[:, :2] -= poses.shifts_A[i]
        image = scope.image(seen, known.u_A[i], known.v_A[i], known.angle_rad[i])
        sd = np.sqrt(image.var() / snr) if sd is None else sd
        yield ((image + rng.normal(0, sd, image.shape)) / sd).astype(np.float32)[None]


def reconstructed(chosen, particles: Path, sphere: str) -> Job:
    out = chosen.out / sphere
    flags = ("--symmetry", chosen.symmetry, "--particle-diameter", chosen.diameter, "--ewald-sphere", sphere)
    inputs = ("--particles", particles, "--out", out, "--overwrite", "--seed", 1)
    return Job(out, demanded(halfmap("reconstruct", *inputs, *flags)))


def left_of(signal: np.ndarray, chosen, phases: float) -> np.ndarray:
    """``signal`` per shell times the power that is left when ``phases`` x pi lambda z q^2 are neglected."""
    q2 = (np.arange(len(signal)) / (chosen.box * chosen.pixel)) ** 2
    r = (np.arange(200) + 0.5) / 200 * chosen.diameter / 2
    left = np.sinc(phases * wavelength_A(chosen.voltage) * np.multiply.outer(q2, r)) ** 2
    return signal * (left * r**2).sum(1) / (r**2).sum()


def signal_of(job: Job) -> np.ndarray:
    """Signal over noise of the half-maps per shell, from the corrected FSC."""
    corrected = np.clip(json.loads((job.folder / "fsc.json").read_text())["corrected"], 0, 0.9999)
    return corrected / (1 - corrected)


def crossing(signal: np.ndarray) -> float:
    """Shell where signal / (1 + signal) first falls below 0.143, interpolated."""
    values = signal / (1 + signal)
    below = np.flatnonzero(values[1:] < 0.143)
    if not len(below):
        return len(values) - 1.0
    last = int(below[0])
    return last + (values[last] - 0.143) / (values[last] - values[last + 1])


def measure(ledger: Ledger, chosen) -> None:
    particles = simulated(chosen)
    jobs = {sphere: reconstructed(chosen, particles, sphere) for sphere in ("off", "positive", "negative")}
    signals = {sphere: signal_of(job) for sphere, job in jobs.items()}
    shells = {sphere: crossing(signal) for sphere, signal in signals.items()}
    told = {f"{sphere}_A": job.summary["resolution_A"] for sphere, job in jobs.items()}
    gain = shells["positive"] - shells["off"]
    name = f"Ewald sphere, {chosen.diameter:g} A at {chosen.voltage:g} kV"
    ledger.row(f"{name}: shells gained by the true sign", round(gain, 2), f">= {LEAST_GAIN:g}", gain >= LEAST_GAIN,
               **told)
    for sphere, phases, words in (("off", 1, "planes"), ("negative", 2, "wrong sign")):
        lost = shells["positive"] - shells[sphere]
        predicted = shells["positive"] - crossing(left_of(signals["positive"], chosen, phases))
        ledger.row(f"{name}, {words}: shells lost over shells predicted", f"{lost:.2f} / {predicted:.2f}",
                   f"{1 / FACTOR} to {FACTOR}", predicted / FACTOR <= lost <= FACTOR * predicted)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--voltage", type=float, default=100.0, help="kV")
    flags.add_argument("--diameter", type=float, default=150.0, help="of the particle, A")
    flags.add_argument("--symmetry", default="O")
    flags.add_argument("--n", type=int, default=300)
    flags.add_argument("--box", type=int, default=192)
    flags.add_argument("--pixel", type=float, default=1.0)
    flags.add_argument("--snr", type=float, default=0.1)
    chosen = flags.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(chosen.ledger)
    measure(ledger, chosen)
    ledger.exit()


if __name__ == "__main__":
    main()
