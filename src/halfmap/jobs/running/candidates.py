"""What is known of the pose of every particle beside the best one: candidates.npz, and expected errors for the table.

Owns names, units and order of the arrays; docs/JOB_FOLDER.md lists them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from halfmap.align import posterior
from halfmap.geometry import rotations
from halfmap.io import atomic
from halfmap.refine.state import Posterior

FILE = "candidates.npz"
UNKNOWN = 999.0  # an infinite error in a table: STAR files have no infinity, RELION writes the same for a resolution
ABOUT = {
    "rows": "those of particles.star; poses best first, NaN and probability 0 where a particle has fewer",
    "euler_deg": "(n, c, 3) rot, tilt, psi as in RELION, degrees",
    "shifts_A": "(n, c, 2) x, y as origins in RELION: moving the image by them centres it; Angstrom",
    "probability": "(n, c) posterior probability of each pose",
    "log_likelihood": "(n, c) at its peak, relative to an image without particle",
    "covariance": "(n, 5, 5) of the best pose: rotation vector w about x, y, z of the image, rad, A(true) = exp[w]x A; "
    "then shift x, y, Angstrom; infinite where the image says nothing",
}


def write(folder: Path, known: Posterior) -> None:
    """Write candidates.npz whole or not at all."""
    with atomic.writing(folder / FILE) as stream:
        np.savez(stream, **arrays(known), about=np.array(json.dumps(ABOUT)))


def arrays(known: Posterior) -> dict[str, np.ndarray]:
    """float32 arrays as ``ABOUT`` describes them, no wider than the most poses any particle has."""
    present = np.isfinite(known.candidates.log_likelihood)
    width = max(1, int(present.sum(1).max(initial=0)))
    present = present[:, :width]
    euler = np.stack(rotations.matrix_to_euler(known.candidates.rotations[:, :width].reshape(-1, 3, 3)), axis=-1)
    values = {
        "euler_deg": euler.reshape(*present.shape, 3),
        "shifts_A": known.candidates.shifts_A[:, :width],
        "log_likelihood": known.candidates.log_likelihood[:, :width],
    }
    blanked = {name: np.where(present.reshape(present.shape + (1,) * (v.ndim - 2)), v, np.nan)
               for name, v in values.items()}  # fmt: skip
    whole = {**blanked, "probability": known.probability[:, :width],
             "covariance": posterior.covariance(known.information)}  # fmt: skip
    return {name: value.astype(np.float32) for name, value in whole.items()}


def errors(known: Posterior | None) -> dict[str, np.ndarray]:
    """Columns for the particle table: the errors that each image allows its pose, root mean square."""
    if known is None:
        return {}
    rotation, shift = posterior.expected_errors(known.information)
    columns = {"rotation_sd_deg": np.rad2deg(rotation), "shift_sd_A": shift}
    return {name: np.where(np.isfinite(value), value, UNKNOWN) for name, value in columns.items()}
