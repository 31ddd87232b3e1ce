"""A folder of files that leaves the house: copied bit by bit or written, listed in a manifest with their hashes.

Owns manifest.json and SHA256SUMS. Knows no kind of file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halfmap.errors import InputError
from halfmap.io import digest, mrc
from halfmap.jobs.running import record

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
SAME_LENGTH = 1e-4  # relative: cells in headers are single precision


@dataclass(frozen=True)
class File:
    """A file of the bundle: its name in it, what it is, what it was copied from if it was, size and SHA-256."""

    name: str
    role: str
    copy_of: str | None
    bytes: int
    sha256: str


class Bundle:
    """The folder as it is filled; ``files`` lists what is in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.files: list[File] = []

    def copy(self, source: Path, name: str, role: str) -> None:
        """A copy of a file, bit by bit."""
        shutil.copyfile(source, self._place(name))
        self._list(name, role, source.name)

    def text(self, name: str, content: str, role: str) -> None:
        """A text file."""
        record.write_text(self._place(name), content)
        self._list(name, role, None)

    def note(self, name: str, role: str) -> None:
        """List a file that a writer of its own has put into the folder."""
        self._list(name, role, None)

    def link(self, source: Path, name: str) -> None:
        """A relative link to a file, which stays where it is and is not listed."""
        place = self._place(name)
        place.symlink_to(os.path.relpath(os.path.realpath(source), os.path.realpath(place.parent)))

    def finish(self, origin: Mapping[str, Any]) -> None:
        """Write manifest.json and SHA256SUMS, which ``sha256sum -c`` checks."""
        record.write_text(self.folder / SUMS, "".join(f"{file.sha256}  {file.name}\n" for file in self.files))
        record.write_json(self.folder / MANIFEST, {"origin": dict(origin), "files": [asdict(f) for f in self.files]})

    def _place(self, name: str) -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _list(self, name: str, role: str, copy_of: str | None) -> None:
        place = self.folder / name
        self.files.append(File(name, role, copy_of, place.stat().st_size, digest.sha256(place)))


def header_faults(paths: list[Path]) -> list[str]:
    """What other programs would stumble over in the headers of maps that belong together, a line each.

    Maps are mode 2, cubes with one voxel size, their axes in the order x, y, z, origin 0, all on one grid.
    """
    first = mrc.read_header(paths[0])
    return [f"{path}: {fault}; write the map again, for example with halfmap import volume" for path in paths
            for fault in _header_faults(mrc.read_header(path), first)]  # fmt: skip


def _header_faults(header: mrc.Header, first: mrc.Header) -> list[str]:
    sides, sizes = (header.nx, header.ny, header.nz), header.cell_voxel_A
    checks = {
        f"mode {header.mode}, not 2 (float32)": header.mode != 2,
        f"sides {sides}, no cube": len(set(sides)) != 1,
        f"axes in the order {header.axes}, not x, y, z": header.axes != (1, 2, 3),
        f"voxels of {sizes} A": min(sizes) <= 0 or max(sizes) - min(sizes) > SAME_LENGTH * max(sizes),
        f"origin at {header.origin_A} A, not 0": any(header.origin_A),
        f"a box of {header.nx} voxels, but {first.path.name} has {first.nx}": header.nx != first.nx,
        f"voxels of {sizes[0]:.6g} A, but {first.path.name} has {first.cell_voxel_A[0]:.6g}":
            abs(sizes[0] - first.cell_voxel_A[0]) > SAME_LENGTH * first.cell_voxel_A[0],
    }  # fmt: skip
    return [fault for fault, wrong in checks.items() if wrong]


def require_sound(paths: list[Path]) -> None:
    """Raise InputError with everything that ``header_faults`` finds."""
    faults = header_faults(paths)
    if faults:
        raise InputError(faults)
