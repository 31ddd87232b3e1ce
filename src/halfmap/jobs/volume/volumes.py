"""A map and what belongs to it, half-maps and masks, as files of a job folder: read together, changed together.

Owns which files of a folder are volumes and that all of a group lie on one grid. Knows no operation on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.io import mrc
from halfmap.jobs.running import inputs
from halfmap.params.volumes import VolumeInput
from halfmap.types import Map

DENSITIES = ("map", "map_sharp", "half1", "half2")
MASKS = ("mask_refine", "mask_fsc", "mask_fsc_auto", "mask")  # the last that is there judges an FSC


@dataclass(frozen=True)
class Group:
    """Volumes on one grid by their names in a job folder, without ``.mrc``: those of DENSITIES and MASKS there are."""

    volumes: dict[str, Map]

    @property
    def map(self) -> Map:
        """The map itself; where a folder has half-maps only, their mean."""
        if "map" in self.volumes:
            return self.volumes["map"]
        half1, half2 = self.halves
        return Map((half1.data + half2.data) / np.float32(2), half1.voxel_size_A)

    @property
    def halves(self) -> tuple[Map, Map]:
        """Both half-maps. Raises InputError without them."""
        if "half1" not in self.volumes or "half2" not in self.volumes:
            raise InputError("this needs both half-maps: name a job folder that has them, or --half1 and --half2")
        return self.volumes["half1"], self.volumes["half2"]

    @property
    def mask(self) -> Map | None:
        """The mask given, else the one by which the FSC was judged; None without any."""
        found = [self.volumes[name] for name in MASKS if name in self.volumes]
        return found[-1] if found else None

    def each(self, change: Callable[[Map], Map], of_masks: Callable[[Map], Map] | None = None) -> Group:
        """All volumes changed, masks by ``of_masks`` where it is given."""
        changed = {name: (of_masks or change if name in MASKS else change)(map) for name, map in self.volumes.items()}
        return Group(changed)


def read(params: VolumeInput) -> Group:
    """The volumes that the settings name. Raises InputError with the faults of all files, and for unlike grids."""
    return read_files(named(params))


def read_files(paths: dict[str, Path]) -> Group:
    """The volumes of these files, by their names. Raises InputError with the faults of all, and for unlike grids."""
    return grouped(paths, inputs.read_all(*(lambda path=path: mrc.read(path) for path in paths.values())))


def grouped(paths: dict[str, Path], maps: list[Map]) -> Group:
    """Volumes read from ``paths``, by their names. Raises InputError for unlike grids."""
    group = Group(dict(zip(paths, maps, strict=True)))
    faults = _unlike(paths, group)
    if faults:
        raise InputError(faults)
    return group


def named(params: VolumeInput) -> dict[str, Path]:
    """The file of each volume by its name in a job folder. Raises InputError for a folder without a map."""
    return files(params.volume, half1=params.half1, half2=params.half2, mask=params.mask)


def files(volume: Path, **given: Path | None) -> dict[str, Path]:
    """The same of a map, or of a folder that holds one; ``given``: files that take the place of its own.

    Raises InputError for a folder without a map.
    """
    found = {"map": volume}
    if volume.is_dir():
        found = {name: volume / f"{name}.mrc" for name in (*DENSITIES, *MASKS)}
        found = {name: path for name, path in found.items() if path.is_file()}
        if not found:
            raise InputError(f"{volume}: holds no map.mrc; name a map, or the folder of a job that made one")
    return {**found, **{name: path for name, path in given.items() if path is not None}}


def write(folder: Path, group: Group) -> None:
    """Every volume of the group as NAME.mrc."""
    for name, map in group.volumes.items():
        mrc.write(folder / f"{name}.mrc", map)


def _unlike(paths: dict[str, Path], group: Group) -> list[str]:
    """Faults where a volume is not on the grid of the first."""
    first, *others = group.volumes
    wanted = group.volumes[first]
    return [
        f"{paths[name]}: {told(group.volumes[name])}, but {paths[first]} has {told(wanted)}; bring it onto that grid "
        f"first: halfmap volume resample --volume {paths[name]} --onto {paths[first]}"
        for name in others
        if not same_grid(group.volumes[name], wanted)
    ]


def same_grid(a: Map, b: Map) -> bool:
    """Whether two maps have the same box, and voxels as equal as headers are written."""
    return a.box == b.box and abs(a.voxel_size_A / b.voxel_size_A - 1) < inputs.SAME_LENGTH


def told(map: Map) -> str:
    """A grid in words."""
    return f"a box of {map.box} voxels of {map.voxel_size_A:.4g} A"
