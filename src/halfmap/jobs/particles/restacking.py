"""What jobs that write new particle images share: the disk they need, the tables, and the pictures of some images.

Owns montage.npz: images before and after, and a micrograph with its picks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from halfmap.data.particles import Particles
from halfmap.data.stack import Stack
from halfmap.extract import writing
from halfmap.io import mrc
from halfmap.jobs.running import results
from halfmap.jobs.running.events import Watch
from halfmap.types import Optics

BATCH_BYTES = 64e6  # images in memory at a time, as 32-bit numbers
SORTED_BATCHES = 4  # put in order together: what reading ahead has to work on
ROW_BYTES, PLOTS_BYTES = 800, 3e6  # of a particle in the tables; of pictures and page
SHOWN = 8  # images in the montage
THUMBNAIL = 768  # pixels of the micrograph that is drawn
MONTAGE = "montage.npz"


def disk_GB(particles: Particles, optics: tuple[Optics, ...], float16: bool) -> float:
    """Size of the job folder in 10^9 bytes."""
    pixels = sum(int(np.count_nonzero(particles.group == g)) * entry.box**2 for g, entry in enumerate(optics))
    carried = sum(values.dtype.itemsize for values in particles.columns.values())
    row_bytes = ROW_BYTES + min(carried, 4000)
    return (pixels * (2 if float16 else 4) + len(particles) * row_bytes + PLOTS_BYTES) / 1e9


def batches(particles: Particles, rows: np.ndarray, rejects: writing.Rejects) -> Iterator[writing.Batch]:
    """The images of these rows, in the order of the disk, float32; unusable ones are noted down."""
    for batch, images in rejects.usable(Stack(particles).batches(rows, _batch_size(particles.optics))):
        yield batch, images.astype(np.float32, copy=False)


def in_order_of_rows(rows: np.ndarray, optics: tuple[Optics, ...],
                     stream: Callable[[np.ndarray], Iterator[writing.Batch]]) -> Iterator[writing.Batch]:  # fmt: skip
    """What ``stream`` gives of ``rows``, which rise, in their order: the stack then follows the table.

    Images are read in the order of the disk, and by optics group, within a few batches of neighbouring rows.
    ``optics``: of the new images, all of one box.
    """
    size = SORTED_BATCHES * _batch_size(optics)
    for start in range(0, len(rows), size):
        found = list(stream(rows[start : start + size]))
        if found:
            came = np.concatenate([batch for batch, _ in found])
            order = np.argsort(came)
            yield came[order], np.concatenate([images for _, images in found])[order]


def _batch_size(optics: tuple[Optics, ...]) -> int:
    """Images of the largest box in BATCH_BYTES."""
    return max(1, int(BATCH_BYTES / (4 * max(entry.box for entry in optics) ** 2)))


def counted(stream: Iterator[writing.Batch], total: int, stage: str, watch: Watch) -> Iterator[writing.Batch]:
    """The batches, with an event of progress for each."""
    done = 0
    for rows, images in stream:
        done += len(rows)
        watch("progress", stage=stage, done=done, total=total)
        yield rows, images


def finish(folder: Path, source: Particles, kept: np.ndarray, rejects: writing.Rejects) -> dict:
    """rejected.star; returns what every such summary says. ``kept``: rows of ``source`` that have a new image."""
    results.write_rejected(folder, source, rejects.listed)
    return {"n_particles": len(kept), "n_rejected": len(rejects.reasons)}


def boxes_of(optics: tuple[Optics, ...]) -> dict:
    """Box and pixel size of new images in a summary, a number where all groups agree."""
    boxes, pixels = sorted({entry.box for entry in optics}), sorted({entry.pixel_size_A for entry in optics})
    return {
        "box_size": boxes[0] if len(boxes) == 1 else boxes,
        "pixel_size_A": pixels[0] if len(pixels) == 1 else pixels,
    }


def thumbnail(path: Path) -> tuple[np.ndarray, int]:
    """(a micrograph with at most THUMBNAIL pixels a side, how many of its pixels one of these is)."""
    image = mrc.read_images(path, [0])[0].astype(np.float32)
    step = max(1, -(-max(image.shape) // THUMBNAIL))
    height, width = (size // step * step for size in image.shape)
    return image[:height, :width].reshape(height // step, step, width // step, step).mean(axis=(1, 3)), step


def montage(folder: Path, **arrays: np.ndarray) -> None:
    """Keep images to be drawn: ``after`` (k, N, N), perhaps ``before``, ``micrograph``, ``picks``."""
    np.savez_compressed(folder / MONTAGE, **arrays)
