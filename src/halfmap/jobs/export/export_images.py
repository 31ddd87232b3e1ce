"""Particles that leave with their images: the table of a finished job, its stacks linked or copied under safe names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from halfmap.data import stack, tables
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.jobs.export.bundle import Bundle
from halfmap.jobs.running import finished
from halfmap.jobs.running.finished import Finished


def read(job: Finished, images_root: Path | None) -> Particles:
    """The particles of a finished job, their stacks found and checked.

    Names start from ``images_root``; None: from where the job was run. Raises InputError with every fault.
    """
    finished.require(job, ("particles.star",))
    run_in = Path(job.job["working_folder"])
    root = images_root or (run_in if run_in.is_dir() else None)
    particles = tables.read(job.folder / "particles.star", root)
    if particles.poses is None:
        raise InputError(f"{job.folder / 'particles.star'}: has no poses; name the folder of a refinement")
    faults = stack.check(particles)
    if faults:
        raise InputError(faults)
    return particles


def named(files: Iterable[Path], folder: str, suffix: str | None) -> dict[Path, str]:
    """A name of its own for each stack, in ``folder``: its own name, numbered where two stacks share it."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for number, file in enumerate(files, 1):
        name = f"{file.stem}{suffix or file.suffix}"
        names[file] = f"{folder}/{f'{number:04d}_{name}' if name in taken else name}"
        taken.add(name)
    return names


def put(place: Bundle, stacks: dict[Path, str], copied: bool) -> None:
    """Link the stacks into the folder, or copy them."""
    for file, name in stacks.items():
        if copied:
            place.copy(file, name, "images")
        else:
            place.link(file, name)
