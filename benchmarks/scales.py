"""Grey scales of single particles against the truth.

    scales.py --bench DIR --out DIR [--ledger FILE]

The set "scales" of make_data.py: 128 px, SNR 0.1, contrast of the particles with a standard deviation of 0.3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ledger import Ledger, parser, refine

from halfmap.data import relion

LEAST_CORRELATION = 0.9


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--bench", type=Path, required=True)
    flags.add_argument("--out", type=Path, required=True)
    chosen = flags.parse_args()
    ledger, source = Ledger(chosen.ledger), chosen.bench / "scales"
    job = refine(source / "particles.star", source / "map.mrc", "D2", chosen.out, "--per-particle-scale", "--seed", 1)
    found = relion.read(job.folder / "particles.star")
    truth = np.load(source / "truth_extra.npz")["scale"][found.index]
    scale = found.defocus.scale * found.scale
    correlation = float(np.corrcoef(scale, truth)[0, 1])
    error = float(np.sqrt(np.mean((scale / np.median(scale) - truth / np.median(truth)) ** 2)))
    ledger.row("scales: correlation of fitted scales with the truth", round(correlation, 4), f">= {LEAST_CORRELATION}",
               correlation >= LEAST_CORRELATION, rms_error=round(error, 4), resolution_A=job.summary["resolution_A"])
    ledger.exit()


if __name__ == "__main__":
    main()
