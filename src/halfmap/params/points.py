"""A point or a vector as a user writes it: "x,y,z", with px or A behind it."""

from __future__ import annotations

import re

_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_POINT = re.compile(rf"\s*\(?\s*{_NUMBER}\s*[,;\s]\s*{_NUMBER}\s*[,;\s]\s*{_NUMBER}\s*\)?\s*(px|A)?\s*\)?\s*")


def point(text: str) -> tuple[tuple[float, float, float], str]:
    """((x, y, z), "px" or "A") of a text like "178.2, 178.6, 180.9" (px) or "249.5,250.1,253.3A". Raises ValueError."""
    match = _POINT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no point: give three numbers x,y,z, with px (voxels, the usual) or A behind "
                         "them, like 178.2,178.6,180.9 or 249.5,250.1,253.3A")
    x, y, z, unit = match.groups()
    return (float(x), float(y), float(z)), unit or "px"


def in_voxels(text: str, voxel_size_A: float) -> tuple[float, float, float]:
    """x, y, z of such a text in voxels. Raises ValueError."""
    (x, y, z), unit = point(text)
    voxel = voxel_size_A if unit == "A" else 1.0
    return x / voxel, y / voxel, z / voxel
