"""Changes that know a format: the columns of a STAR table, the fields of a ``.cs`` table, the header of an MRC file.

Changes of single bytes seldom leave a file that is read to its end. These keep the syntax whole and change what it
says: columns lost, doubled, renamed, of another type or shape; values out of range; headers that promise more, or less,
than is there. Each takes (rng, bytes) and gives bytes; what it does not understand it gives back as it is.
"""

from __future__ import annotations

import io
import json
import random
import struct
import warnings

import numpy as np

# ---- STAR

VALUES = (
    b"0", b"1", b"2", b"3", b"-1", b"-0.0", b"0.5", b"1e-308", b"1e308", b"-1e308", b"nan", b"inf", b"2147483648",
    b"9223372036854775808", b"1e19", b"None", b".", b'""', b"'a b'", b"[]", b"[0,0.5]", b"[1e308,1]",
    b"[1e999]", b"[" + b"0," * 400 + b"0]", b"000001@a.mrcs", b"0@a.mrcs", b"-1@a.mrcs", b"1e3@a.mrcs", b"@", b"@a",
    b"1@", b"999999999999999999@a.mrcs", b"9999999999999999999@a.mrcs", b"1@/dev/zero", b"1@" + b"x" * 300,
    b"1@/", b"1@\xff", b"1@a@b", b"18446744073709551615", b"18446744073709551616",
)  # fmt: skip
BLOCKS = (b"data_\n", b"data_optics\n", b"data_particles\n", b"data_micrographs\n", b"data_general\n", b"data_a\n")


class Tables:
    """Blocks with a loop: tags and rows of words; anything else stays text."""

    def __init__(self, data: bytes):
        self.parts: list[bytes | tuple[bytes, list[bytes], list[list[bytes]]]] = []
        for block in _blocks(data):
            head, loop, body = block.partition(b"loop_\n")
            lines = [line.split() for line in body.split(b"\n")]
            tags = [words[0] for words in lines if words and words[0][:1] == b"_"]
            rows = [words for words in lines if words and words[0][:1] != b"_"]
            self.parts.append((head, tags, rows) if loop and tags else block)

    @property
    def loops(self) -> list[tuple[bytes, list[bytes], list[list[bytes]]]]:
        return [part for part in self.parts if isinstance(part, tuple)]

    def data(self) -> bytes:
        return b"".join(part if isinstance(part, bytes) else _loop(*part) for part in self.parts)


def _blocks(data: bytes) -> list[bytes]:
    first, *others = data.replace(b"\r\n", b"\n").split(b"\ndata_")
    return [first, *(b"\ndata_" + other for other in others)]


def _loop(head: bytes, tags: list[bytes], rows: list[list[bytes]]) -> bytes:
    return head + b"loop_\n" + b"\n".join([*tags, *map(b" ".join, rows)]) + b"\n"


def star(known: tuple[str, ...]):
    """The change of STAR files whose columns may be called as ``known``."""
    names = [b"_" + tag.encode() for tag in known]

    def change(rng: random.Random, data: bytes) -> bytes:
        tables = Tables(data)
        if not tables.loops:
            return data
        _, tags, rows = rng.choice(tables.loops)
        place = rng.randrange(len(tags))
        rng.choice((_value, _value, _column, _one_value, _lose, _double, _rename, _add, _rows, _swap))(
            rng, tags, rows, place, names)  # fmt: skip
        if rng.random() < 0.05:
            _another_block(rng, tables)
        return tables.data()

    return change


def _value(rng, tags, rows, place, names) -> None:
    if rows:
        row = rng.choice(rows)
        row[min(place, len(row) - 1)] = rng.choice(VALUES)


def _column(rng, tags, rows, place, names) -> None:
    for row in rows:
        row[min(place, len(row) - 1)] = rng.choice(VALUES)


def _one_value(rng, tags, rows, place, names) -> None:
    value = rng.choice(VALUES)
    for row in rows:
        row[min(place, len(row) - 1)] = value


def _lose(rng, tags, rows, place, names) -> None:
    del tags[place]
    for row in rows:
        del row[place : place + 1]


def _double(rng, tags, rows, place, names) -> None:
    tags.append(tags[place])
    for row in rows:
        row += row[place : place + 1] or [b"1"]


def _rename(rng, tags, rows, place, names) -> None:
    tags[place] = rng.choice(names)


def _add(rng, tags, rows, place, names) -> None:
    new = rng.choice(names)
    if new not in tags:
        tags.append(new)
        for row in rows:
            row.append(rng.choice(VALUES))


def _rows(rng, tags, rows, place, names) -> None:
    """None, one, or the same again and again."""
    rows[:] = rng.choice(([], rows[:1], rows + [list(row) for row in rows] * rng.randrange(1, 8)))


def _swap(rng, tags, rows, place, names) -> None:
    other = rng.randrange(len(tags))
    tags[place], tags[other] = tags[other], tags[place]


def _another_block(rng: random.Random, tables: Tables) -> None:
    place = rng.choice([i for i, part in enumerate(tables.parts) if isinstance(part, tuple)])
    tables.parts[place] = (b"\n" + rng.choice(BLOCKS), *tables.parts[place][1:])


# ---- .cs

TYPES = ("<u8", ">u8", "<u4", "<i8", "<f4", ">f4", "<f8", "<f2", "<i1", "|b1", "|S0", "|S1", "|S20", "|S300", "<U4")
ODD_TYPES = ("|V0", "|V8", "|O", "<M8[ns]", "u4,u4", "(2,)u4", "(0,)u4", "S", "U", "V2147483647", "no type", "", "f16")
SHAPES = ((), (1,), (2,), (3,), (4,), (0,), (2, 2), (1, 1, 1), (7,))
ODD_SHAPES = ([-1], [2147483647, 2], [1 << 31], [1.5], [None], ["2"], [True], [0] * 70, [0, 2147483647], 3)
NUMBERS = (0, 1, 2, -1, 7, 255, 65535, 1e30, -1e30, 1e-30, 3.4e38, float("nan"), float("inf"), 2**31, 2**32 - 1, 2**63)
TEXTS = (b"", b">", b">>", b"a.mrc", b">J1/a.mrc", b"/", b"/dev/zero", b"../a", b"a b", b"\xff", b"x" * 300, b"nan")
LENGTHS = (0, 1, -1, 5, 1000, 10**9, 1 << 31, 1 << 62, 10**40, 1.0, "1", None, True)


def cs(known: tuple[str, ...]):
    """The change of ``.cs`` files, of either format, whose fields may be called as ``known``."""

    def change(rng: random.Random, data: bytes) -> bytes:
        fields = _fields(data)
        if not fields:
            return data
        for _ in range(1 + int(rng.expovariate(1.5))):
            rng.choice((_set, _set, _set, _set_all, _retype, _reshape, _drop, _name, _new, _again))(rng, fields, known)
            if not fields:
                return data
        return rng.choice((_npy, _npy, _csdat, _odd_csdat))(rng, fields)

    return change


def _fields(data: bytes) -> list[tuple[str, np.ndarray]]:
    """Name and values of each field of a sound table of numbers and texts; none where it is not."""
    found = _sound_fields(data)
    return found if all(values.dtype.kind in "biufS" for _, values in found) else []


def _sound_fields(data: bytes) -> list[tuple[str, np.ndarray]]:
    try:
        if data[:6] == b"\x93NUMPY":
            table = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
            return [(name, table[name].copy()) for name in table.dtype.names or ()]
        size = struct.unpack("<I", data[6:10])[0]
        head, place, fields = json.loads(data[10 : 10 + size]), 10 + size, []
        for name, kind, *shape in head["dtype"]:
            dtype = np.dtype("<u8" if kind == "|O" else kind)
            count = head["length"] * int(np.prod(shape[0] if shape else (), dtype=np.int64))
            values = np.frombuffer(data, dtype, count, place + 4)
            fields.append((str(name), values.reshape(head["length"], *(shape[0] if shape else ())).copy()))
            place += 4 + values.nbytes
        return fields
    except Exception:  # whatever a spoilt input does to this second reader, the fuzzer goes on with other changes
        return []


def _cast(values, dtype: np.dtype) -> np.ndarray:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dtype.kind == "S":
            return np.asarray(values).astype("S").astype(dtype)
        return np.asarray(values).astype(np.float64, copy=False).astype(dtype)


def _any(rng: random.Random, dtype: np.dtype):
    return np.array(rng.choice(TEXTS), dtype) if dtype.kind == "S" else _cast(float(rng.choice(NUMBERS)), dtype)


def _set(rng, fields, known) -> None:
    _, values = rng.choice(fields)
    if values.size:
        values.reshape(-1)[rng.randrange(values.size)] = _any(rng, values.dtype)


def _set_all(rng, fields, known) -> None:
    place = rng.randrange(len(fields))
    name, values = fields[place]
    if values.dtype.kind == "S":
        values = values.astype(f"S{rng.choice((1, 20, 300))}")
    values[...] = _any(rng, values.dtype)
    fields[place] = name, values


def _retype(rng, fields, known) -> None:
    place = rng.randrange(len(fields))
    name, values = fields[place]
    dtype = np.dtype(rng.choice(TYPES))
    try:
        fields[place] = name, _cast(values, dtype)
    except ValueError:  # text that is no number
        fields[place] = name, np.zeros(values.shape, dtype)


def _reshape(rng, fields, known) -> None:
    place = rng.randrange(len(fields))
    name, values = fields[place]
    fields[place] = name, np.resize(values, (len(values), *rng.choice(SHAPES)))


def _drop(rng, fields, known) -> None:
    del fields[rng.randrange(len(fields))]


def _name(rng, fields, known) -> None:
    place = rng.randrange(len(fields))
    fields[place] = rng.choice((*known, "f1", "\ud800", "a\n", "x" * 300)), fields[place][1]


def _new(rng, fields, known) -> None:
    rows, dtype = len(fields[0][1]), np.dtype(rng.choice(TYPES))
    values = np.zeros((rows, *rng.choice(SHAPES)), dtype)
    values[...] = _any(rng, dtype) if dtype.kind in "S" else _cast(rng.choice(NUMBERS), dtype)
    fields.append((rng.choice(known), values))


def _again(rng, fields, known) -> None:
    """Some rows only, or more of them; uids may repeat."""
    rows = [rng.randrange(max(1, len(fields[0][1]))) for _ in range(rng.choice((0, 1, 2, 6, 12)))]
    if len(fields[0][1]):
        fields[:] = [(name, values[rows]) for name, values in fields]


def _npy(rng, fields) -> bytes:
    types, seen = [], set()
    for name, values in fields:
        if name and name not in seen:
            types.append((name, values.dtype.str, values.shape[1:]))
            seen.add(name)
    rows, columns = len(fields[0][1]), dict(fields)
    content = b"".join(columns[name][row].tobytes() for row in range(rows) for name, *_ in types)
    told = rng.choice(LENGTHS) if rng.random() < 0.05 else rows
    text = repr({"descr": types, "fortran_order": rng.random() < 0.02, "shape": (told,)}).encode("utf-8", "replace")
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text) + 1) + text + b"\n" + content


def _csdat(rng, fields) -> bytes:
    """Texts go to the heap; names may repeat."""
    types, columns, heap = [], b"", b""
    for name, values in fields:
        kind = values.dtype.str
        if values.dtype.kind == "S" and rng.random() < 0.8:
            texts, kind = values.reshape(-1).tolist(), "|O"
            starts = np.cumsum([0, *(len(text) + 1 for text in texts)])[:-1] + len(heap)
            heap += b"".join(text + b"\0" for text in texts)
            values = starts.astype("<u8").reshape(values.shape)
        types.append([name, kind, list(values.shape[1:])] if values.ndim > 1 else [name, kind])
        columns += struct.pack("<I", values.nbytes) + values.tobytes()
    return _with_head({"length": len(fields[0][1]), "dtype": types}, columns + heap)


def _odd_csdat(rng, fields) -> bytes:
    """One thing in the header that does not fit."""
    data = _csdat(rng, fields)
    size = struct.unpack("<I", data[6:10])[0]
    head = json.loads(data[10 : 10 + size])
    entry = rng.choice(head["dtype"])
    what = rng.randrange(6)
    if what == 0:
        head["length"] = rng.choice(LENGTHS)
    elif what == 1:
        entry[1] = rng.choice(ODD_TYPES)
    elif what == 2:
        entry[2:] = [rng.choice(ODD_SHAPES)]
    elif what == 3:
        entry[rng.randrange(len(entry))] = rng.choice((None, 1, [], {}, "", True, [["a", "<f4"]], "\ud800"))
    elif what == 4:
        head["compressed_fields"] = rng.choice((5, "uid", ["uid"], {"uid": 1}, True, [], None))
    else:
        head["dtype"].append(list(entry))
    return _with_head(head, data[10 + size :])


def _with_head(head: dict, rest: bytes) -> bytes:
    text = json.dumps(head).encode()
    return b"\x95CSDAT" + struct.pack("<I", len(text)) + text + rest


# ---- MRC

WHOLE = {  # what a header says in four bytes -> values that matter there
    "nx ny nz": ((0, 4, 8), (0, 1, 2, 3, 6, 8, 27, 36, 216, 1 << 20, (1 << 20) + 1, 10**9, (1 << 31) - 1, -1)),
    "mode": ((12,), (0, 1, 2, 3, 4, 6, 7, 12, 13, 101, 127, 128, 154285104, -1)),
    "starts": ((16, 20, 24), (0, 1, -1, -(1 << 31), (1 << 31) - 1)),
    "samples": ((28, 32, 36), (0, 1, -1, 6, 8, 3, (1 << 31) - 1)),
    "axes": ((64, 68, 72), (0, 1, 2, 3, 4, -1)),
    "space group, extended": ((88, 92), (0, 1, 401, 4, 1024, 20, 10**9, (1 << 31) - 1, -1)),
    "stamp": ((212,), (0x4444, 0x4144, 0x1111, 0, -1)),
}
REAL = (40, 44, 48, 196, 200, 204)  # cell and origin
REALS = (0.0, -1.0, 9.0, 9.01, 1.5, 1e-38, 3.4e38, 1e-45, float("nan"), float("inf"), -float("inf"))
VOXELS = (float("nan"), float("inf"), -float("inf"), 3.4e38, 0.0, 65504.0)


def mrc(rng: random.Random, data: bytes) -> bytes:
    """A field of the header, the voxels, or the length of the file changed."""
    out = bytearray(data)
    if len(out) < 1024:
        return data
    order = ">" if out[212:213] == b"\x11" else "<"
    for _ in range(1 + int(rng.expovariate(1.0))):
        rng.choice((_whole_field, _whole_field, _real_field, _axes, _same_volume, _voxel, _length))(rng, out, order)
    return bytes(out)


def _whole_field(rng, out, order) -> None:
    places, values = rng.choice(tuple(WHOLE.values()))
    struct.pack_into(order + "i", out, rng.choice(places), rng.choice(values))


def _real_field(rng, out, order) -> None:
    struct.pack_into(order + "f", out, rng.choice(REAL), rng.choice(REALS))


def _axes(rng, out, order) -> None:
    struct.pack_into(order + "3i", out, 64, *rng.sample((1, 2, 3), 3))


def _same_volume(rng, out, order) -> None:
    """Other sides, as many voxels."""
    sides = list(struct.unpack_from(order + "3i", out, 0))
    rng.shuffle(sides)
    if rng.random() < 0.5 and sides[0] % 2 == 0:
        sides = [sides[0] // 2, sides[1] * 2 & 0x7FFFFFFF, sides[2]]
    struct.pack_into(order + "3i", out, 0, *sides)


def _voxel(rng, out, order) -> None:
    if len(out) >= 1028:
        struct.pack_into(order + "f", out, 4 * rng.randrange(256, len(out) // 4), rng.choice(VOXELS))


def _length(rng, out, order) -> None:
    cut = rng.choice((1024, 1028, 1025, len(out) - 1, len(out) - 4, len(out) // 2))
    if rng.random() < 0.5:
        del out[max(1024, cut) :]
    else:
        out += bytes(rng.choice((1, 4, 20, 1024)))
