"""A finished refinement as result groups of cryoSPARC: particles and volume, for its job Import Result Group."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from halfmap.data import cryosparc_files
from halfmap.data.particles import Particles
from halfmap.io import mrc
from halfmap.jobs.export import bundle, export_images
from halfmap.jobs.export.bundle import Bundle
from halfmap.jobs.running import finished
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.finished import Finished
from halfmap.params.export import Export

STACKS = "stacks"
FORMAT = "v4.4.1"  # of cryoSPARC, whose exported groups ours are written like
MAPS = {
    "map.mrc": ("map", "map of both halves, filtered by their FSC"),
    "map_sharp.mrc": ("map_sharp", "the same, sharpened"),
    "half1.mrc": ("map_half_A", "first half-map, unfiltered"),
    "half2.mrc": ("map_half_B", "second half-map, unfiltered"),
    "mask_refine.mrc": ("mask_refine", "mask of the reference"),
    "mask_fsc.mrc": ("mask_fsc", "FSC mask"),
    "mask_fsc_auto.mrc": ("mask_fsc_auto", "FSC mask that took its place"),
}
NEEDED = ("map.mrc", "half1.mrc", "half2.mrc")


@dataclass(frozen=True)
class Content:
    """All that is to be written. ``stem``: how file names begin; ``stacks``: real file -> name in the folder."""

    job: Finished
    particles: Particles
    stacks: dict[Path, str]
    maps: list[str]
    stem: str
    copied: bool


def gathered(job: Finished, params: Export, target: Path, watch: Watch | Passing) -> Content:
    """Read particles and maps. Raises InputError with what is missing or unsound."""
    finished.require(job, NEEDED)
    maps = [file for file in MAPS if job.file(file) is not None]
    bundle.require_sound([job.folder / file for file in maps])
    particles = export_images.read(job, params.images_root)
    stacks = export_images.named(particles.files, STACKS, None)
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", job.folder.name) or "job"
    return Content(job, particles, stacks, maps, f"{name}_{job.summary.get('iterations', 0):03d}", params.copy_images)


def fill(place: Bundle, content: Content) -> dict:
    """Write the folder."""
    volumes = _volumes(place, content)
    export_images.put(place, content.stacks, content.copied)
    table = place.folder / f"{content.stem}_particles.cs"
    rest = place.folder / f"{content.stem}_passthrough_particles.cs"
    names = [f">{content.stacks[file]}" for file in content.particles.files]
    slots = cryosparc_files.write_split(table, rest, content.particles, names)
    for file in dict.fromkeys(slots.values()):
        place.note(file.name, "particles: what the refinement set" if file == table else "particles: inherited fields")
    _group(place, table.with_suffix(".csg"), "particle", "All particles", slots, len(content.particles))
    _group(place, volumes.with_suffix(".csg"), "volume", "Refined volume", _slots(content, volumes), 1)
    place.text("README.txt", readme(content), "what to do next")
    return {"n_particles": len(content.particles), "n_stacks": len(content.stacks)}


def _volumes(place: Bundle, content: Content) -> Path:
    """Copy the maps and write their table; returns it."""
    files = {}
    for file in content.maps:
        slot, role = MAPS[file]
        name = f"{content.stem}_volume_{slot}.mrc"
        place.copy(content.job.folder / file, name, role)
        files[slot] = f">{name}"
    header = mrc.read_header(content.job.folder / content.maps[0])
    table = place.folder / f"{content.stem}_volume.cs"
    cryosparc_files.write_volumes(table, files, header.nx, header.voxel_size_A)
    place.note(table.name, "table of the maps")
    return table


def _slots(content: Content, table: Path) -> dict[str, Path]:
    return {MAPS[file][0]: table for file in content.maps}


def _group(place: Bundle, path: Path, kind: str, title: str, slots: dict[str, Path], rows: int) -> None:
    told = cryosparc_files.group_description(kind, title, slots, rows)
    told = {"created": time.strftime("%Y-%m-%d %H:%M:%S"), **told, "version": FORMAT}
    place.text(path.name, yaml.safe_dump(told), f"result group of the {kind}s")


def readme(content: Content) -> str:
    """What to do in cryoSPARC."""
    return f"""Made by halfmap from its job {content.job.name!r}, in the form of result groups that cryoSPARC 4 exports.

In cryoSPARC: Import Result Group, with {content.stem}_particles.csg, and again with {content.stem}_volume.csg.
Names that begin with > are files in this folder; keep it together.

Where that is refused: Import 3D Volumes takes the .mrc files, and Import Particle Stack takes particles.star of the
folder that `halfmap export --to relion` makes.
"""
