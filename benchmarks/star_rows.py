"""Seconds to read a STAR file of a million particles with 22 columns, and to write it again. Prints one line of JSON.

The file is made in a temporary folder. ``first_read`` includes loading numba and, on a fresh installation, compiling;
``read`` is the median of the reads after it. ``particles`` is ``data.relion.read_table``, columns understood.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from halfmap import device
from halfmap.data import relion
from halfmap.io import star

PER_STACK = 250  # particles per micrograph, typical of a data set of this size
ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
NUMBERS = (
    *("rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"),
    *("rlnCtfBfactor", "rlnCtfScalefactor", "rlnPhaseShift", "rlnCtfMaxResolution", "rlnCtfFigureOfMerit", *ANGLES),
    *("rlnOriginXAngst", "rlnOriginYAngst", "rlnNormCorrection"),
)
OPTICS = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnAmplitudeContrast #3
_rlnSphericalAberration #4
_rlnVoltage #5
_rlnImagePixelSize #6
_rlnImageSize #7
1 opticsGroup1 0.100000 2.700000 300.000000 1.060000 256

"""


def make(path: Path, rows: int, rng: np.random.Generator) -> None:
    """Numbers in the width that RELION writes; 22 columns."""
    tags = [*NUMBERS, "rlnImageName", "rlnMicrographName", "rlnOpticsGroup", "rlnClassNumber", "rlnRandomSubset"]
    with open(path, "w") as file:
        file.write(OPTICS + "data_particles\n\nloop_\n" + "".join(f"_{tag} #{i}\n" for i, tag in enumerate(tags, 1)))
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            values = rng.uniform(1, 20_000, (count, len(NUMBERS)))
            pattern = " ".join(["%12.6f"] * len(NUMBERS))
            for i, line in enumerate(values.tolist(), start):
                micrograph = f"FoilHole_{i // PER_STACK:07d}_Data_20180810_2123"
                image = f"{i % PER_STACK + 1:06d}@Extract/job133/Micrographs/{micrograph}_DW.mrcs"
                file.write(f"{pattern % tuple(line)} {image} Micrographs/{micrograph}_DW.mrc 1 1 {i % 2 + 1}\n")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "particles.star", Path(folder) / "copy.star"
        make(path, options.rows, np.random.default_rng(0))
        result = {"rows": options.rows, "file_MB": path.stat().st_size / 1e6, "threads": device.threads()}
        result["first_read_s"] = seconds(lambda: star.read(path))
        result["read_s"] = statistics.median(seconds(lambda: star.read(path)) for _ in range(options.repeats))
        result["particles_s"] = statistics.median(
            seconds(lambda: relion.read_table(path)) for _ in range(options.repeats)
        )
        particles = relion.read_table(path)
        result["write_s"] = seconds(lambda: relion.write(copy, particles))
        result["peak_memory_GB"] = device.peak_memory_GB()
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))


if __name__ == "__main__":
    main()
