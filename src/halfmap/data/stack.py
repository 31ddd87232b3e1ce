"""The images behind a particle table: read lazily, in the order of the disk, ahead of their use.

Owns batches, read-ahead and the checks of image files. Images keep the type of their file (float16 stays float16).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from halfmap.data import cache
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.io import faults, mrc

_AHEAD = 2  # batches read before they are asked for: one being read, one ready
_HEADER_READERS = 8  # headers are waited for, not computed: more than the cores pay off on network file systems
LARGEST_GREY = 1e12  # root mean square: detectors count to 1e5, and powers of more leave the range of float32
_HALF_INFINITY = 0x7C00  # float16: exponent bits of infinity and NaN

Batch = tuple[np.ndarray, np.ndarray]


class Stack:
    """The images of ``particles``. Opening it reads nothing."""

    def __init__(self, particles: Particles):
        self._particles = particles

    def batches(self, rows: np.ndarray, size: int) -> Iterator[Batch]:
        """(rows, images) until all ``rows`` have come once; images (b, N, N), b <= ``size``, native byte order.

        A batch holds one optics group, its rows sorted by file and image, so that files are read front to back.
        One thread reads ahead; it ends when the iterator is used up, closed or thrown away.
        Raises: InputError where a file is absent or ends too early.
        """
        plan = self._plan(np.asarray(rows, dtype=np.int64), size)
        with _OpenFile() as opened:  # the file that one batch ends in stays open for the next
            yield from _ahead(lambda batch: self._read(batch, opened), plan)

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Images of these rows of one optics group, in this order. For a few images; use ``batches`` for many."""
        rows = np.asarray(rows, dtype=np.int64)
        order = np.lexsort((self._particles.index[rows], self._particles.file[rows]))
        with _OpenFile() as opened:
            images = self._read(rows[order], opened)
        return images[np.argsort(order)]

    def _plan(self, rows: np.ndarray, size: int) -> list[np.ndarray]:
        table = self._particles
        rows = rows[np.lexsort((table.index[rows], table.file[rows], table.group[rows]))]
        groups = np.split(rows, np.flatnonzero(np.diff(table.group[rows])) + 1)
        return [group[start : start + size] for group in groups for start in range(0, len(group), size)]

    def _read(self, rows: np.ndarray, opened: _OpenFile) -> np.ndarray:
        table = self._particles
        edges = np.flatnonzero(np.diff(table.file[rows])) + 1
        parts = []
        for part in np.split(rows, edges):
            reader = opened.reader(table.files[table.file[part[0]]])
            _refuse_odd_one(reader.header, table, part)
            parts.append(reader.images(table.index[part]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def check(particles: Particles) -> list[str]:
    """Faults of the image files, found from their headers and sizes alone; one line per file and kind.

    Missing, truncated or foreign files, images beyond the end, boxes that are odd, not square or not what the optics
    group says. An empty list means that every image can be read.
    """
    found = check_files(particles)
    return faults.capped([line for lines in found.values() for line in lines], "image files")


def check_files(particles: Particles) -> dict[int, list[str]]:
    """The same for each file that is used, all faults: number of the file -> lines, none where it is sound."""
    order = np.lexsort((particles.index, particles.file))
    edges = np.flatnonzero(np.diff(particles.file[order])) + 1
    parts = [part for part in np.split(order, edges) if len(part)]
    with ThreadPoolExecutor(_HEADER_READERS) as pool:
        found = list(pool.map(lambda part: _file_faults(particles, part), parts))
    return {int(particles.file[part[0]]): lines for part, lines in zip(parts, found, strict=True)}


def faulty(images: np.ndarray) -> np.ndarray:
    """(b,) True where an image (N, N) holds NaN, infinity or grey values beyond LARGEST_GREY, or only one value."""
    bad = ~_finite(images)
    flat_row = np.all(images[:, 0, :] == images[:, 0, :1], axis=-1)
    for image in np.flatnonzero(flat_row & ~bad):
        bad[image] = np.all(images[image] == images[image, 0, 0])
    return bad


def _finite(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.float16:  # numpy adds float16 in software; the bits can be compared directly
        bits = images.view(np.uint16) & np.uint16(0x7FFF)
        return bits.max(axis=(1, 2)) < _HALF_INFINITY
    if images.dtype.kind != "f":
        return np.ones(len(images), dtype=bool)
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity survive in a sum of squares, in one pass
        power = np.einsum("bij,bij->b", images, images)
        return power < LARGEST_GREY**2 * images[0].size if len(images) else power == 0


def _refuse_odd_one(header: mrc.Header, table: Particles, rows: np.ndarray) -> None:
    """A file that changed its size since ``check`` must not end in a shape error deep inside numpy."""
    box = table.optics[table.group[rows[0]]].box
    if (header.ny, header.nx) != (box, box):
        raise InputError(f"{header.path}: images of {header.nx} x {header.ny} pixels, expected {box} x {box}")
    if table.index[rows[-1]] >= header.nz:
        raise InputError(f"{header.path}: image {table.index[rows[-1]] + 1} asked for, the file has {header.nz}")


def _file_faults(particles: Particles, rows: np.ndarray) -> list[str]:
    """``rows`` are all rows of one file, sorted by image."""
    path = particles.files[particles.file[rows[0]]]
    used = f"used by {len(rows):,} particles, first in row {rows.min() + 1}"
    try:
        header = mrc.read_header(path)
    except InputError as error:
        return [f"{fault} ({used})" for fault in error.faults]
    return [f"{path}: {what} ({used})" for what in (*_size_faults(header), *_use_faults(particles, rows, header))]


def _size_faults(header: mrc.Header) -> list[str]:
    if header.nx != header.ny:
        return [f"images of {header.nx} x {header.ny} pixels are not square; extract them again"]
    if header.nx % 2:
        return [f"odd box of {header.nx} pixels; extract again with an even box"]
    return []


def _use_faults(particles: Particles, rows: np.ndarray, header: mrc.Header) -> list[str]:
    boxes = {particles.optics[group].box for group in np.unique(particles.group[rows])}
    what = [f"box {header.nx} pixels, its optics group says {box}; correct one of them" for box in boxes - {header.nx}]
    last = int(particles.index[rows[-1]])
    if last >= header.nz:
        beyond = np.count_nonzero(particles.index[rows] >= header.nz)
        what.append(f"{header.nz:,} images, but image {last + 1:,} is asked for ({beyond:,} rows beyond the end)")
    return what


class _OpenFile:
    """Keeps the stack that was used last open."""

    def __init__(self):
        self._path: Path | None = None
        self._reader: mrc.Reader | None = None

    def __enter__(self) -> _OpenFile:
        return self

    def __exit__(self, *_) -> None:
        if self._reader is not None:
            self._reader.close()
        self._path = self._reader = None

    def reader(self, path: Path) -> mrc.Reader:
        if path != self._path:
            self.__exit__()
            self._reader = _opened(path)
            self._path = path
        return self._reader


def _opened(path: Path) -> mrc.Reader:
    """A stack, through the cache where there is one: where its copy was thrown out just now, the stack itself."""
    kept = cache.current()
    if kept is None:
        return mrc.Reader(path)
    try:
        return mrc.Reader(kept.path(path))
    except InputError:
        return mrc.Reader(path)


def _ahead(read: Callable[[np.ndarray], np.ndarray], plan: list[np.ndarray]) -> Iterator[Batch]:
    """(rows, read(rows)) in order, one thread up to ``_AHEAD`` batches in front. An exception of ``read`` is raised
    in its place; when the iterator is closed, reads not yet begun are dropped and the one under way is waited for."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="halfmap-read-ahead")
    pending: deque[tuple[np.ndarray, Future]] = deque()
    try:
        for rows in plan:
            pending.append((rows, pool.submit(read, rows)))
            if len(pending) > _AHEAD:
                yield _finished(pending)
        while pending:
            yield _finished(pending)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(pending: deque[tuple[np.ndarray, Future]]) -> Batch:
    rows, reading = pending.popleft()
    return rows, reading.result()
