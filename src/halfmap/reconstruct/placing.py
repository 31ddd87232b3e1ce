"""Back-projection sums of a map that is seen in another frame.

Owns what a change of frame does to sums. The law for maps and poses is in geometry.frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfmap.geometry.frames import Frame
from halfmap.kernels import grid
from halfmap.reconstruct import online
from halfmap.types import Sums


def placed(sums: Sums, frame: Frame) -> Sums:
    """The sums as if every image had been laid in at its pose in the new frame, but for interpolation.

    V'(r') = V(S^T r' + c) has the transform F'(k) = F(S^T k) exp(2 pi i (S^T k) c). Where S maps the grid onto itself,
    nothing is interpolated; elsewhere linearly, as in averages over a point group.
    """
    there = online.moved(sums, frame.centre_A)
    numerator, weight = grid.symmetrised(there.numerator, there.weight, np.ascontiguousarray(frame.rotation.T)[None])
    return replace(sums, numerator=numerator, weight=weight)
