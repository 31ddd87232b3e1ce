"""Beam tilt, trefoil and anisotropic magnification, simulated: what they cost when ignored, and when known.

    aberrations.py --out DIR [--map MAP.mrc] [--symmetry D2] [--n 3000] [--box 128] [--pixel 1.2] [--snr 0.1]
                   [--beam-tilt 1.5] [--trefoil 25] [--anisotropy 0.03] [--ledger FILE]

Two sets of the same particles, noise and poses (same seed), from halfmap's own simulator, whose images with every
aberration tests/simulate/test_images.py compares with a direct sum: one with a perfect lens, one with the aberrations.
``--map``: else a protein-like object of ``--box`` and ``--pixel``. Trefoil in rad A^3, as in an odd Zernike list.
Three refinements: the perfect set; the aberrated one, its table telling; the same with the --ignore settings.
Rows:
1. Known: shells lost against the perfect set, resolution of the corrected FSC.
2. Ignored: the last shell must be the one theory predicts, within a factor FACTOR of the shells lost. A map's transform
   is then left multiplied, in shell s, by the mean over images and azimuth of
   C(M k) C(k) cos(phi(k) - c.k) D(k) / <C(k)^2>: the CTF at the wrong frequency (far the largest part: the distortion
   is astigmatism to it), the odd phase less the image shift c that poses take up, and the blur
   D = <sin(x) / x>, x = 2 pi |M k - k| r, over the ball of the particle. The half-maps' signal to noise,
   FSC / (1 - FSC) of the perfect set, falls by its square; the predicted shell is where its FSC crosses 0.143.
3. Ignored, each term alone: printed, no bar.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ledger import Job, Ledger, demanded, halfmap, parser, refine

from halfmap.data import relion
from halfmap.data.particles import Particles
from halfmap.physics import aberrations, ctf
from halfmap.types import Optics

LOST_SHELLS = 1.0
FACTOR = 2.0
IGNORE = {"tilt": "--ignore-tilt", "trefoil": "--ignore-trefoil", "magnification": "--ignore-anisotropic-magnification"}
SAMPLE = 200  # particles whose CTFs stand for all


@dataclass(frozen=True)
class Sets:
    """Folders of the two simulated sets."""

    perfect: Path
    aberrated: Path


def simulated(chosen, name: str, *lens: object) -> Path:
    """A set in ``out``/``name``; left alone where it exists."""
    folder = chosen.out / name
    if not (folder / "truth.star").exists():
        object_ = ("--map", chosen.map) if chosen.map else (
            "--box-size", chosen.box, "--pixel-size", chosen.pixel, "--symmetry", chosen.symmetry)  # fmt: skip
        given = ("-n", chosen.n, "--snr", chosen.snr, "--seed", 1, "--out", folder)
        demanded(halfmap("simulate", *object_, *given, *lens))
    return folder


def simulate_both(chosen) -> Sets:
    trefoil = [word for value in (0, 0, 0, 0, 0, chosen.trefoil) for word in ("--odd-zernike", value)]
    lens = ("--beam-tilt-x", chosen.beam_tilt, *trefoil, "--magnification-anisotropy", chosen.anisotropy,
            "--magnification-axis", 30)  # fmt: skip
    return Sets(simulated(chosen, "perfect"), simulated(chosen, "aberrated", *lens))


def length_of(optics: Optics) -> float:
    """Box length, A."""
    return optics.box * optics.pixel_size_A


def shell(job: Job, length_A: float) -> float:
    return length_A / job.summary["resolution_A"]


def survives(particles: Particles, diameter_A: float, signal: np.ndarray) -> np.ndarray:
    """Part of the amplitude that is left in each shell when the lens is taken for a perfect one, (shells,)."""
    optics, radius = particles.optics[0], len(signal) - 1
    plain = aberrations.without_distortion(optics)
    sample = particles.defocus[np.linspace(0, len(particles) - 1, SAMPLE).astype(int)]
    true, told = (ctf.half_plane(o, sample, radius).astype(float) for o in (optics, plain))
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    shells = np.rint(np.hypot(kx, ky)).astype(int)
    phase = less_shift(aberrations.odd_phase(optics, radius, length_of(optics)), kx, ky, shells, signal)
    blur = of_ball(optics, kx, ky, diameter_A / 2)
    left = ((true * told).mean(0) * np.cos(phase) * blur).ravel()
    total = [np.bincount(shells.ravel(), part, radius + 1) for part in (left, (told**2).mean(0).ravel())]
    return np.clip(total[0] / total[1], 0, 1)[: radius + 1]


def less_shift(phase: np.ndarray, kx: np.ndarray, ky: np.ndarray, shells: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """The odd phase less the plane c.k that leaves most signal: by weighted least squares, then scaled by trial."""
    weight = np.where(shells < len(signal), signal[np.minimum(shells, len(signal) - 1)], 0).ravel()
    k = np.stack([kx.ravel(), ky.ravel()], axis=1)
    c = np.linalg.lstsq(k * np.sqrt(weight)[:, None], phase.ravel() * np.sqrt(weight), rcond=None)[0]
    planes = [factor * (k @ c).reshape(phase.shape) for factor in np.linspace(0, 1.5, 16)]
    return phase - max(planes, key=lambda plane: float(weight @ np.cos(phase - plane).ravel()))


def of_ball(optics: Optics, kx: np.ndarray, ky: np.ndarray, radius_A: float) -> np.ndarray:
    """Mean of sin(x) / x, x = 2 pi |M k - k| r, over a ball."""
    (xx, xy), (yx, yy) = optics.magnification
    wrong = np.hypot((xx - 1) * kx + xy * ky, yx * kx + (yy - 1) * ky) / length_of(optics)
    r = np.linspace(0.05, 1, 20)[:, None, None]
    return (np.sinc(2 * wrong * r * radius_A) * r**2).sum(0) / (r**2).sum()


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
    sets = simulate_both(chosen)
    particles = relion.read_table(sets.aberrated / "particles.star")
    length_A = length_of(particles.optics[0])

    def refined(name: str, source: Path, *flags: str) -> Job:
        out = chosen.out / f"refined_{name}"
        return refine(source / "particles.star", sets.perfect / "map.mrc", chosen.symmetry, out, "--seed", 1, *flags)

    perfect, known = refined("perfect", sets.perfect), refined("known", sets.aberrated)
    best = shell(perfect, length_A)
    lost = best - shell(known, length_A)
    ledger.row("aberrations known: shells lost against a perfect lens", round(lost, 2), f"<= {LOST_SHELLS:g}",
               lost <= LOST_SHELLS, perfect_A=perfect.summary["resolution_A"], known_A=known.summary["resolution_A"])
    ignored = refined("ignored", sets.aberrated, *IGNORE.values())
    signal = signal_of(perfect)
    left = survives(particles, chosen.diameter or 0.65 * length_A, signal)
    predicted, lost = best - crossing(signal * left**2), best - shell(ignored, length_A)
    ledger.row("aberrations ignored: shells lost over shells predicted", f"{lost:.2f} / {predicted:.2f}",
               f"{1 / FACTOR} to {FACTOR}", predicted / FACTOR <= lost <= FACTOR * predicted,
               ignored_A=ignored.summary["resolution_A"], predicted_A=round(length_A / (best - predicted), 2),
               left=[round(float(v), 3) for v in left])
    for name, flag in IGNORE.items():
        job = refined(f"without_{name}", sets.aberrated, flag)
        ledger.row(f"{name} alone ignored: shells lost", round(best - shell(job, length_A), 2), "printed", True,
                   resolution_A=job.summary["resolution_A"])


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--map", type=Path)
    flags.add_argument("--symmetry", default="D2")
    flags.add_argument("--n", type=int, default=3000)
    flags.add_argument("--box", type=int, default=128)
    flags.add_argument("--pixel", type=float, default=1.2)
    flags.add_argument("--snr", type=float, default=0.1)
    flags.add_argument("--diameter", type=float, help="of the particle, A; else 65 % of the box")
    flags.add_argument("--beam-tilt", type=float, default=1.5, help="mrad")
    flags.add_argument("--trefoil", type=float, default=25.0, help="rad A^3: 0.9 rad at 3 A")
    flags.add_argument("--anisotropy", type=float, default=0.03)
    chosen = flags.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(chosen.ledger)
    measure(ledger, chosen)
    ledger.exit()


if __name__ == "__main__":
    main()
