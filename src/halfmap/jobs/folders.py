"""A job folder as an input of another job: which of its files is meant.

Owns the obvious output for each input. Looks at names only; reads nothing.
"""

from __future__ import annotations

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
    for name in inputs:
        given = getattr(params, name)
        if name not in OUTPUTS or name in params.takes_folders or not isinstance(given, str | Path):
            continue
        if Path(given).is_dir():
            files = [Path(given) / file for file in OUTPUTS[name]]
            found[name] = next((file for file in files if file.is_file()), None)
            if found[name] is None:
                faults.append(f"{given}: holds no {' or '.join(OUTPUTS[name])}; name a file, or the folder of a job "
                              "that has ended")
    if faults:
        raise InputError(faults)
    # a setting that is a word or a file is text
    files = {name: str(file) if isinstance(getattr(params, name), str) else file for name, file in found.items()}
    return params.model_copy(update=files) if files else params
