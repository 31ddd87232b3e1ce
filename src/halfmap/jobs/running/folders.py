"""A job folder as an input of another job: which of its files is meant.

Owns the obvious output for each input. Looks at names only; reads nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from halfmap.errors import InputError
from halfmap.params.common import Job

# The first that is there is taken
OUTPUTS = {
    "particles": ("particles.star", "particles.cs"),
    "volume": ("map.mrc",),
    "map": ("map.mrc",),
    "half1": ("half1.mrc",),
    "half2": ("half2.mrc",),
    "mask": ("mask.mrc", "mask_refine.mrc"),
    "fsc_mask": ("mask.mrc", "mask_fsc_auto.mrc", "mask_fsc.mrc"),
}


def resolved(params: Job, inputs: tuple[str, ...]) -> Job:
    """The settings with every job folder among ``inputs`` replaced by the file in it that is meant.

    Left alone are inputs that the job takes as folders. Raises InputError for a folder without such a file.
    """
    found, faults = {}, []
    for name in (name for name in inputs if name in OUTPUTS and name not in params.takes_folders):
        given = getattr(params, name)
        if isinstance(given, tuple):
            found[name] = tuple(_file(each, name, faults) for each in given)
        elif given is not None:
            found[name] = _file(given, name, faults)
    if faults:
        raise InputError(faults)
    changed = {name: value for name, value in found.items() if value != getattr(params, name)}
    return params.model_copy(update=changed) if changed else params


def _file(given: Path | str, name: str, faults: list[str]) -> Path | str:
    """The file that a setting means, of the kind that was given; ``faults`` gets a line for a folder without it."""
    if not os.path.isdir(given):
        return given
    file = next((file for file in (Path(given) / each for each in OUTPUTS[name]) if file.is_file()), None)
    if file is None:
        faults.append(f"{given}: holds no {' or '.join(OUTPUTS[name])}; name a file, or the folder of a job that has "
                      "ended")
        return given
    return str(file) if isinstance(given, str) else file
