"""The particle table: one row per particle.

Owns which columns a particle has. Knows no file format and no foreign column names; ``columns`` only carries what a
file brought along, so that it reaches the output.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from halfmap.types import Defocus, Optics, Poses

UNASSIGNED, FIRST, SECOND = 0, 1, 2  # values of ``half``


@dataclass(frozen=True)
class Particles:
    """n particles. Rows are numbered from 0; every array has n entries along its first axis."""

    files: tuple[Path, ...]  # stacks, absolute paths
    file: np.ndarray  # (n,) int32, index into ``files``
    index: np.ndarray  # (n,) int64, image in that stack, from 0
    optics: tuple[Optics, ...]
    group: np.ndarray  # (n,) int32, index into ``optics``
    defocus: Defocus
    poses: Poses | None  # None where the input has none
    half: np.ndarray  # (n,) int8: 0 not assigned, 1, 2
    scale: np.ndarray  # (n,) float64, grey scale of each particle relative to the model; 1 where not estimated
    columns: dict[str, np.ndarray] = field(default_factory=dict)  # (n,) each, in order, as read (STAR: verbatim bytes)
    optics_columns: dict[str, np.ndarray] = field(default_factory=dict)  # the same, one entry per optics group

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, rows) -> Particles:
        """The table of these rows: a slice, an index array or a boolean mask. Files and optics stay whole."""
        return dataclasses.replace(
            self,
            file=self.file[rows],
            index=self.index[rows],
            group=self.group[rows],
            defocus=self.defocus[rows],
            poses=None if self.poses is None else self.poses[rows],
            half=self.half[rows],
            scale=self.scale[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def image_name(self, row: int) -> str:
        """``image@stack``, the image counted from 1, for messages."""
        return f"{self.index[row] + 1}@{self.files[self.file[row]]}"
