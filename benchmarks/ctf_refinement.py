"""CTF refinement on the fly: defocus of single particles, and a lens that nobody told the program of.

    ctf_refinement.py --out DIR [--bench DIR] [--set 6cvm_128:D2] [--map MAP.mrc] [--symmetry D2] [--n 3000]
                      [--ledger FILE]

Defocus (needs ``--bench``, see make_data.py): the set refined with its true defocus, with errors of 500 A (normal, u
and v together), and with those errors and --refine-defocus. Rows:
1. Resolution with true values: the set must be one on which defocus matters.
2. Root mean square error of the defocus after refinement. The error before, the resolutions of all three and the
   median error are printed beside.
Lens: the sets of aberrations.py (beam tilt, trefoil, anisotropic magnification); the aberrated one with the --ignore
settings and --refine-group-ctf with --fit-anisotropic-magnification. Rows:
3. Beam tilt, trefoil and anisotropy found, as the length of the error over the length of the truth. Of a
   magnification only what poses and the size of the map cannot take up is compared: its symmetric part without trace.
4. Shells lost against the perfect lens.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from aberrations import IGNORE, length_of, shell, simulate_both
from ledger import Job, Ledger, parser, refine

from halfmap.data import relion
from halfmap.data.particles import Particles
from halfmap.types import Optics

ERROR_A = 500.0
REACHED_A = 3.5
LEFT_A = 150.0
PART = 0.1
LOST_SHELLS = 2.0
TREFOIL = [5, 2]  # places in the odd list


def blurred(source: Path, out: Path) -> Path:
    """The particle table with errors in its defocus; returns its path."""
    particles = relion.read(source)
    error = np.random.default_rng(1).normal(0, ERROR_A, len(particles))
    defocus = replace(particles.defocus, u_A=particles.defocus.u_A + error, v_A=particles.defocus.v_A + error)
    relion.write(out, replace(particles, defocus=defocus))
    return out


def defocus_error_A(found: Path, truth: Path) -> np.ndarray:
    """(n,) mean defocus of every particle found, less the true one; images are told apart by their name."""
    means = []
    for path in (found, truth):
        table = relion.read(path)
        means.append({table.image_name(row): (table.defocus.u_A[row] + table.defocus.v_A[row]) / 2
                      for row in range(len(table))})  # fmt: skip
    return np.array([value - means[1][name] for name, value in means[0].items()])


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def measure_defocus(ledger: Ledger, source: Path, symmetry: str, out: Path) -> None:
    """Rows 1 and 2."""
    truth = source / "particles.star"
    wrong = blurred(truth, out / "blurred.star")

    def refined(name: str, table: Path, *flags: object) -> Job:
        return refine(table, source / "map.mrc", symmetry, out / name, "--seed", 1, *flags)

    best, spoilt = refined("defocus_true", truth), refined("defocus_wrong", wrong)
    repaired = refined("defocus_refined", wrong, "--refine-defocus")
    resolutions = {job.folder.name: job.summary["resolution_A"] for job in (best, spoilt, repaired)}
    ledger.row("resolution with true defocus, A", resolutions["defocus_true"], f"<= {REACHED_A:g}",
               resolutions["defocus_true"] <= REACHED_A, **resolutions)  # fmt: skip
    left = defocus_error_A(repaired.folder / "particles.star", truth)
    before = defocus_error_A(wrong, truth)
    ledger.row("defocus error after refinement, A rms", round(rms(left), 1), f"<= {LEFT_A:g}", rms(left) <= LEFT_A,
               before_A=round(rms(before), 1), median_A=round(float(np.median(abs(left))), 1),
               mean_A=round(float(left.mean()), 1), beyond_500_A=round(float((abs(left) > 500).mean()), 4))  # fmt: skip


def strain(optics: Optics) -> np.ndarray:
    """What is left of a magnification matrix without scale and turn: (M00 - M11) / 2 and (M01 + M10) / 2."""
    (xx, xy), (yx, yy) = optics.magnification
    return np.array([(xx - yy) / 2, (xy + yx) / 2])


def terms(optics: Optics) -> dict[str, np.ndarray]:
    """Two numbers of each aberration."""
    odd = np.zeros(6)
    odd[: len(optics.odd_zernike)] = optics.odd_zernike[:6]
    return {"beam tilt": np.array(optics.beam_tilt_rad), "trefoil": odd[TREFOIL], "anisotropy": strain(optics)}


def measure_lens(ledger: Ledger, chosen) -> None:
    """Rows 3 and 4."""
    sets = simulate_both(chosen)

    def refined(name: str, source: Path, *flags: object) -> Job:
        return refine(source / "particles.star", sets.perfect / "map.mrc", chosen.symmetry, chosen.out / name,
                      "--seed", 1, *flags)  # fmt: skip

    perfect = refined("lens_perfect", sets.perfect)
    found = refined("lens_refined", sets.aberrated, *IGNORE.values(), "--refine-group-ctf",
                    "--fit-anisotropic-magnification")  # fmt: skip
    truth = relion.read_table(sets.aberrated / "particles.star")
    compare_terms(ledger, relion.read_table(found.folder / "particles.star"), truth)
    length_A = length_of(truth.optics[0])
    lost = shell(perfect, length_A) - shell(found, length_A)
    ledger.row("aberrations refined: shells lost against a perfect lens", round(lost, 2), f"<= {LOST_SHELLS:g}",
               lost <= LOST_SHELLS, perfect_A=perfect.summary["resolution_A"],
               refined_A=found.summary["resolution_A"])  # fmt: skip


def compare_terms(ledger: Ledger, found: Particles, truth: Particles) -> None:
    """Row 3, one for each aberration."""
    true = terms(truth.optics[0])
    for name, value in terms(found.optics[0]).items():
        error = float(np.linalg.norm(value - true[name]) / np.linalg.norm(true[name]))
        ledger.row(f"{name} refined: error over truth", round(error, 3), f"<= {PART}", error <= PART,
                   found=value.tolist(), truth=true[name].tolist())  # fmt: skip


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--bench", type=Path)
    flags.add_argument("--set", default="6cvm_128:D2", metavar="NAME:SYMMETRY")
    flags.add_argument("--map", type=Path)
    flags.add_argument("--symmetry", default="D2")
    flags.add_argument("--n", type=int, default=3000)
    flags.add_argument("--box", type=int, default=128)
    flags.add_argument("--pixel", type=float, default=1.2)
    flags.add_argument("--snr", type=float, default=0.1)
    flags.add_argument("--beam-tilt", type=float, default=1.5, help="mrad")
    flags.add_argument("--trefoil", type=float, default=25.0, help="rad A^3: 0.9 rad at 3 A")
    flags.add_argument("--anisotropy", type=float, default=0.03)
    chosen = flags.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(chosen.ledger)
    if chosen.bench is None:
        ledger.skipped("defocus error after refinement", "no --bench folder with simulated sets given")
    else:
        name, symmetry = chosen.set.split(":")
        measure_defocus(ledger, chosen.bench / name, symmetry, chosen.out)
    measure_lens(ledger, chosen)
    ledger.exit()


if __name__ == "__main__":
    main()
