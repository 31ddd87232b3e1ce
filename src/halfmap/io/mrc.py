"""MRC2014 files: maps, stacks of images, their headers.

Owns the 1024-byte header, both byte orders, modes 0, 1, 2, 6 and 12, axis order and voxel size. Knows nothing of
particles. Mode 0 is signed, as MRC2014 says. Where a map lies (ORIGIN, NXSTART) only ``read_region`` asks for; written
maps have 0.
"""

from __future__ import annotations

import math
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.io import atomic, patience
from halfmap.types import Map, Region

HEADER_BYTES = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
# Detectors and tomograms end near 10^5; a header read in the wrong byte order gives numbers above 10^7.
LARGEST_SIDE = 1 << 20
_LARGEST_MODE = 127
_ANISOTROPY = 1e-3  # voxel sides may differ by 0.1 %: rounding of the cell in angstrom
_SIZES_A = (1e-3, 1e6)  # of a voxel that is believed: from far below an atom to a tenth of a millimetre
_STAMPS = {"<": (b"\x44\x44", b"\x44\x41"), ">": (b"\x11\x11",)}
_LABEL = b"halfmap"


@dataclass(frozen=True)
class Header:
    """What the header says. ``nx`` runs fastest in the file; ``voxel_size_A`` is 0 where the cell is not set."""

    path: Path
    mode: int
    nx: int
    ny: int
    nz: int
    byte_order: str  # "<" or ">"
    data_offset: int  # bytes
    cell_voxel_A: tuple[float, float, float]  # x, y, z; 0 where not set
    axes: tuple[int, int, int]  # MAPC, MAPR, MAPS: 1 = x, 2 = y, 3 = z
    space_group: int
    file_bytes: int
    origin_A: tuple[float, float, float]  # x, y, z of the first voxel: ORIGIN, or NXSTART .. where that is 0

    @property
    def voxel_size_A(self) -> float:
        return self.cell_voxel_A[0]

    @property
    def is_stack(self) -> bool:
        """Images rather than a map: space group 0 (older programs write 0 for maps too)."""
        return self.space_group == 0

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.byte_order + MODES[self.mode])

    @property
    def image_bytes(self) -> int:
        return self.nx * self.ny * self.dtype.itemsize

    @property
    def complete_images(self) -> int:
        """Images that are really there, whatever NZ promises."""
        return max(0, min(self.nz, (self.file_bytes - self.data_offset) // self.image_bytes))


def read_header(path: str | Path) -> Header:
    """Raises: InputError if the file is absent, no MRC file, of an unknown mode, or shorter than its header says."""
    path = Path(path)
    header = patience.steadily(path, lambda: _fresh_header(path))
    if header.complete_images < header.nz:
        raise InputError(_truncated(header))
    return header


def read(path: str | Path, voxel_size_A: float | None = None) -> Map:
    """The map of a file, float32, axes brought to z, y, x. ``voxel_size_A`` overrules the header.

    Raises: InputError if it is no complete cube of finite numbers with one voxel size.
    """
    header = read_header(path)
    size = voxel_size_A if voxel_size_A is not None else _one_voxel_size(header)
    if not header.nx == header.ny == header.nz:
        sides = f"{header.nx} x {header.ny} x {header.nz}"
        raise InputError(f"{path}: a map must be a cube, this is {sides}; pad or crop it to a cube")
    return Map(_voxels(header), float(size))


def read_region(path: str | Path) -> Region:
    """The map of a file, a cube or not, and where it lies, as ChimeraX reads it: ORIGIN, else NXSTART to NZSTART.

    Raises: InputError if it is not complete, or not of finite numbers with one voxel size.
    """
    header = read_header(path)
    return Region(_voxels(header), float(_one_voxel_size(header)), header.origin_A)


def _voxels(header: Header) -> np.ndarray:
    """(z, y, x) float32. Raises: InputError where some are no numbers."""
    data = patience.steadily(header.path, lambda: _all(header))
    data = np.ascontiguousarray(_to_zyx(data, header.axes), dtype=np.float32)
    wrong = data.size - int(np.count_nonzero(np.isfinite(data)))
    if wrong:
        raise InputError(f"{header.path}: {wrong:,} voxels are NaN or infinite; write the map again without them")
    return data


def _all(header: Header) -> np.ndarray:
    with _opened(header.path) as file:
        return _read_run(header, file.fileno(), 0, header.nz)


def write(path: str | Path, map: Map) -> None:
    """Mode 2, space group 1, origin 0; written whole or not at all."""
    data = np.ascontiguousarray(map.data, dtype="<f4")
    nz, ny, nx = data.shape
    size = map.voxel_size_A
    header = _pack_header((nx, ny, nz), 2, (nx, ny, nz), (nx * size, ny * size, nz * size), 1, _statistics(data))
    with atomic.writing(path, HEADER_BYTES + data.nbytes) as file:
        file.write(header)
        file.write(data.data)


def read_images(source: str | Path | Header, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    """Images (n, ny, nx) of a stack in the given order; the file's own dtype in native byte order.

    ``indices`` count from 0. Neighbouring images are read in one go; for many calls on one file use ``Reader``.
    Raises: InputError as ``read_header``; IndexError for an index outside the stack.
    """
    path = source.path if isinstance(source, Header) else source
    with Reader(path) as reader:
        return reader.images(indices)


class Reader:
    """An open stack: the header is read once, images as often as wanted. A context manager."""

    def __init__(self, path: str | Path):
        self.header = patience.steadily(path, lambda: _fresh_header(Path(path)))
        self._file = _opened(self.header.path)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Images (n, ny, nx), native byte order. Raises: IndexError; InputError where the file ends too early."""
        header = self.header
        self._refuse_absent(np.asarray(indices, dtype=np.int64))  # before memory is asked for what a header promises
        out = np.empty((len(indices), header.ny, header.nx), header.dtype.newbyteorder("="))
        self.into(out, indices)
        return out

    def into(self, out: np.ndarray, indices: Sequence[int] | np.ndarray) -> None:
        """Fill ``out`` (n, ny, nx), C-contiguous, of any dtype; without a copy where it is the file's own."""
        indices = np.asarray(indices, dtype=np.int64)
        self._refuse_absent(indices)
        for start, stop in _runs(indices):
            run = out[start:stop], int(indices[start])
            patience.steadily(self.header.path, lambda run=run: self._run_into(*run), self._reopen)

    def _refuse_absent(self, indices: np.ndarray) -> None:
        header = self.header
        if len(indices) and not (0 <= indices.min() and indices.max() < header.nz):
            raise IndexError(f"{header.path}: image {indices.max() + 1} of {header.nz}")
        if len(indices) and indices.max() >= header.complete_images:
            raise InputError(_truncated(header))

    def _run_into(self, out: np.ndarray, first: int) -> None:
        if self.header.dtype == out.dtype:
            _read_into(self.header, self._file.fileno(), first, out)
        else:
            out[:] = _read_run(self.header, self._file.fileno(), first, len(out))

    def _reopen(self) -> None:
        """A stale handle stays stale: the file is opened anew."""
        self._file.close()
        self._file = _opened(self.header.path)


def write_stack(path: str | Path, images: np.ndarray | Iterable[np.ndarray], pixel_size_A: float, mode: int = 2) -> int:
    """Write images (n, N, N), or an iterable of (N, N) or (b, N, N) arrays, as they come. Returns their number.

    ``mode`` 2 is float32, 12 is float16. Space group 0; written whole or not at all.
    Raises: InputError if a value does not fit into float16, or the images differ in size, or there are none.
    """
    totals = _Totals()
    with atomic.writing(path) as file:
        file.write(bytes(HEADER_BYTES))
        for batch in [images] if isinstance(images, np.ndarray) else images:
            file.write(totals.add(path, _as_mode(path, batch, mode)).data)
        if totals.shape is None:
            raise InputError(f"{path}: no images to write")
        ny, nx = totals.shape
        cell = (nx * pixel_size_A, ny * pixel_size_A, pixel_size_A)
        file.seek(0)
        file.write(_pack_header((nx, ny, totals.count), mode, (nx, ny, 1), cell, 0, totals.statistics()))
    return totals.count


class _Totals:
    """Number, size and grey values of the images written so far."""

    def __init__(self):
        self.shape: tuple[int, int] | None = None
        self.count = 0
        self._low, self._high, self._sum, self._squares = math.inf, -math.inf, 0.0, 0.0

    def add(self, path: str | Path, batch: np.ndarray) -> np.ndarray:
        self.shape = self.shape or batch.shape[1:]
        if batch.shape[1:] != self.shape:
            raise InputError(f"{path}: images of {batch.shape[1:]} and {self.shape} pixels cannot share a stack")
        self.count += len(batch)
        if batch.size:
            with np.errstate(invalid="ignore"):  # signalling NaNs, infinities of both signs
                self._note(batch.astype(np.float64))
        return batch

    def _note(self, values: np.ndarray) -> None:
        self._low, self._high = min(self._low, values.min()), max(self._high, values.max())
        self._sum += values.sum()
        self._squares += np.square(values).sum()

    def statistics(self) -> tuple[float, float, float, float]:
        pixels = max(1, self.count * math.prod(self.shape or (1, 1)))
        mean = self._sum / pixels
        with np.errstate(invalid="ignore"):  # images with infinite pixels have no deviation
            variance = self._squares / pixels - mean**2
        return self._low, self._high, mean, math.sqrt(max(0.0, variance))


def _as_mode(path: str | Path, batch: np.ndarray, mode: int) -> np.ndarray:
    batch = np.asarray(batch)
    batch = batch[None] if batch.ndim == 2 else batch
    with np.errstate(over="ignore", invalid="ignore"):  # a signalling NaN becomes a quiet one
        converted = np.ascontiguousarray(batch, dtype="<" + MODES[mode])
    if mode == 12 and np.any(np.isinf(converted) & np.isfinite(batch)):
        raise InputError(f"{path}: grey values above 65504 do not fit into float16; normalise them or use float32")
    return converted


def _fresh_header(path: Path) -> Header:
    with _opened(path) as file:
        return _header_of(path, file.fileno())


def _opened(path: Path):
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        if error.errno in patience.PASSING:
            raise  # for those who try again
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _header_of(path: Path, descriptor: int) -> Header:
    raw = os.pread(descriptor, HEADER_BYTES, 0)
    size = os.fstat(descriptor).st_size
    if len(raw) < HEADER_BYTES:
        raise InputError(f"{path}: only {size} bytes, an MRC header has {HEADER_BYTES}; copy the file again")
    order = _byte_order(raw)
    if order is None:
        raise InputError(f"{path}: not an MRC file (size and mode in the header make no sense)")
    header = _unpack_header(path, raw, order, size)
    if header.mode not in MODES:
        raise InputError(f"{path}: MRC mode {header.mode} is not supported; use one of {sorted(MODES)}")
    return header


def _byte_order(raw: bytes) -> str | None:
    """The machine stamp is right in most files and absent in many: it only decides which order is tried first."""
    orders = sorted("<>", key=lambda order: raw[212:214] not in _STAMPS[order])
    plausible = [order for order in orders if _plausible(raw, order)]
    known = [order for order in plausible if struct.unpack_from(order + "i", raw, 12)[0] in MODES]
    return next(iter(known + plausible), None)


def _plausible(raw: bytes, order: str) -> bool:
    *sides, mode = struct.unpack_from(order + "4i", raw, 0)
    return all(0 < side <= LARGEST_SIDE for side in sides) and 0 <= mode <= _LARGEST_MODE


def _unpack_header(path: Path, raw: bytes, order: str, file_bytes: int) -> Header:
    nx, ny, nz, mode = struct.unpack_from(order + "4i", raw, 0)
    starts = struct.unpack_from(order + "3i", raw, 16)
    samples = struct.unpack_from(order + "3i", raw, 28)
    cell = struct.unpack_from(order + "3f", raw, 40)
    axes = struct.unpack_from(order + "3i", raw, 64)
    space_group, extended = struct.unpack_from(order + "2i", raw, 88)
    voxel = tuple(_ratio(length, count) for length, count in zip(cell, samples, strict=True))
    axes = axes if sorted(axes) == [1, 2, 3] else (1, 2, 3)
    offset = HEADER_BYTES + max(0, extended)
    origin = _origin(struct.unpack_from(order + "3f", raw, 196), starts, axes, voxel)
    return Header(path, mode, nx, ny, nz, order, offset, voxel, axes, space_group, file_bytes, origin)


def _origin(told_A: tuple, starts: tuple, axes: tuple, voxel_A: tuple) -> tuple[float, float, float]:
    """x, y, z of the first voxel, A. Start indices are in the order of the file, and counted in voxels.

    Files before MRC2014 have anything in ORIGIN: what is no number is no origin.
    """
    if all(map(math.isfinite, told_A)) and any(told_A):
        return told_A
    start = dict(zip(axes, starts, strict=True))
    return tuple(start[axis] * size for axis, size in zip((1, 2, 3), voxel_A, strict=True))


def _ratio(length: float, count: int) -> float:
    """The cell is a float32: its shortest decimal is what was meant, 318.6 A over 360 voxels and not 318.60000610.

    0, which says that the header has none, for what is no size of anything a microscope shows.
    """
    size = float(str(np.float32(length))) / count if count > 0 else 0.0
    return size if _SIZES_A[0] <= size <= _SIZES_A[1] else 0.0


def _one_voxel_size(header: Header) -> float:
    sizes = header.cell_voxel_A
    if min(sizes) <= 0:
        raise InputError(f"{header.path}: the header has no voxel size; set it, for example with relion_image_handler")
    if max(sizes) - min(sizes) > _ANISOTROPY * max(sizes):
        text = " x ".join(f"{size:.5g}" for size in sizes)
        raise InputError(f"{header.path}: voxels of {text} A are not cubes; resample the map or correct its header")
    return sizes[0]


def _to_zyx(data: np.ndarray, axes: tuple[int, int, int]) -> np.ndarray:
    """File order is sections, rows, columns; MAPS, MAPR and MAPC say which of x, y, z each is."""
    columns, rows, sections = axes
    position = {sections: 0, rows: 1, columns: 2}
    return data.transpose(position[3], position[2], position[1])


def _truncated(header: Header) -> str:
    expected = header.data_offset + header.nz * header.image_bytes
    sides = f"{header.nx} x {header.ny} x {header.nz}, mode {header.mode}"
    return (
        f"{header.path}: truncated: {header.file_bytes:,} bytes where the header ({sides}) asks for {expected:,}; "
        f"{header.complete_images:,} of {header.nz:,} sections are complete; copy the file again"
    )


def _runs(indices: np.ndarray) -> Iterable[tuple[int, int]]:
    """(start, stop) of every stretch of neighbouring images."""
    if not len(indices):
        return []
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    return zip([0, *breaks.tolist()], [*breaks.tolist(), len(indices)], strict=True)


def _read_run(header: Header, descriptor: int, first: int, count: int) -> np.ndarray:
    out = np.empty((count, header.ny, header.nx), header.dtype)
    _read_into(header, descriptor, first, out)
    native = header.byte_order == ("<" if sys.byteorder == "little" else ">")
    return out if native else out.astype(out.dtype.newbyteorder("="))


def _read_into(header: Header, descriptor: int, first: int, out: np.ndarray) -> None:
    view = memoryview(out.reshape(-1).view(np.uint8))  # ``out`` is contiguous: no copy
    offset = header.data_offset + first * header.image_bytes
    done = 0
    while done < len(view):  # one system call moves 2 GiB at most
        read = os.preadv(descriptor, [view[done:]], offset + done)
        if read == 0:
            raise InputError(_truncated(header))
        done += read


def _statistics(data: np.ndarray) -> tuple[float, float, float, float]:
    return float(data.min()), float(data.max()), float(data.mean(dtype=np.float64)), float(data.std(dtype=np.float64))


def _pack_header(
    sides: tuple[int, int, int],
    mode: int,
    samples: tuple[int, int, int],
    cell_A: tuple[float, float, float],
    space_group: int,
    statistics: tuple[float, float, float, float],
) -> bytes:
    low, high, mean, deviation = statistics
    raw = bytearray(HEADER_BYTES)
    struct.pack_into("<10i", raw, 0, *sides, mode, 0, 0, 0, *samples)
    struct.pack_into("<6f", raw, 40, *cell_A, 90.0, 90.0, 90.0)
    struct.pack_into("<3i3fi", raw, 64, 1, 2, 3, low, high, mean, space_group)
    struct.pack_into("<i", raw, 108, 20141)
    raw[208:216] = b"MAP \x44\x44\x00\x00"
    struct.pack_into("<fi", raw, 216, deviation, 1)
    raw[224 : 224 + len(_LABEL)] = _LABEL
    return bytes(raw)
