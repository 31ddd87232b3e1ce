"""What is fuzzed: the readers of STAR, MRC and .cs, their syntax and the meaning of their columns.

Beyond not failing, what was read must survive writing and reading again, and the two bodies of the STAR reader must
agree.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from halfmap.data import (
    cryosparc,
    cryosparc_fields,
    cryosparc_files,
    cryosparc_uids,
    cryosparc_writing,
    expansion,
    halves,
    originals,
    picks,
    preflight,
    relion,
    relion_columns,
    relion_micrographs,
    relion_project,
    relion_run,
    tables,
)
from halfmap.data.particles import Particles
from halfmap.errors import HalfmapError
from halfmap.io import cs, mrc, star
from halfmap.physics import electrons
from halfmap.types import Map
from tests.data import test_cryosparc, test_relion
from tests.fuzz import structures
from tests.fuzz.fuzzer import Target
from tests.io import test_cs

_FILES_OF_RELION = tuple(f"data/relion{part}.py" for part in ("", "_columns", "_table", "_writing", "_micrographs"))
_FILES_OF_CRYOSPARC = (
    "io/cs.py", "data/cryosparc.py", "data/carried.py", "data/expansion.py",
    *(f"data/cryosparc_{part}.py" for part in ("fields", "table", "digits", "uids", "writing", "files")),
)  # fmt: skip
_OTHERS = (*_FILES_OF_RELION, "data/image_names.py", "data/picks.py", "data/relion_project.py")
_SCRATCH = Path(tempfile.mkdtemp(prefix="halfmap-fuzz-"))


def _file(data: bytes, suffix: str) -> Path:
    path = _SCRATCH / f"input{suffix}"
    path.write_bytes(data)
    return path


def written(write: Callable[[Path], object], suffix: str) -> bytes:
    """The bytes of what ``write(path)`` writes."""
    path = _SCRATCH / f"seed{suffix}"
    write(path)
    return path.read_bytes()


# ---- STAR


def _star(data: bytes) -> None:
    blocks = star.read(_file(data, ".star"))
    for block in blocks.values():
        for tag in block.columns:
            block.strings(tag)
            _own_errors_only(lambda block=block, tag=tag: block.numbers(tag))
            _own_errors_only(lambda block=block, tag=tag: block.integers(tag))
    _same_blocks(blocks, star.read(_file(data, ".star")))


def _star_long(data: bytes) -> None:
    """The compiled body must say what the plain one says."""
    path = _file(data, ".star")
    short = _said(lambda: star.read(path))
    with _long_bodies():
        long = _said(lambda: star.read(path))
    if isinstance(short, dict) and isinstance(long, dict):
        _same_blocks(short, long)
    elif type(short) is not type(long) or str(short) != str(long):
        raise AssertionError(f"plain body: {short}; compiled body: {long}")


def _relion(data: bytes) -> None:
    path = _file(data, ".star")
    _own_errors_only(lambda: relion.read(path))
    particles = relion.read_table(path)
    _used(particles, path)
    again = _SCRATCH / "again.star"
    back = _kept_promise(lambda: (relion.write(again, particles), relion.read_table(again))[1])
    np.testing.assert_array_equal(back.index, particles.index)
    np.testing.assert_array_equal(back.half, particles.half)
    np.testing.assert_allclose(back.defocus.u_A, particles.defocus.u_A, rtol=1e-9, atol=1e-6)
    if not cryosparc_writing.faults_of(particles, str(path), new_halves=False):  # asked before a job begins
        _kept_promise(lambda: cryosparc_files.write(_SCRATCH / "again.cs", particles))


def _relion_others(data: bytes) -> None:
    """The other tables: of an MTF, of picks and micrographs, of a pipeline."""
    path = _file(data, ".star")
    _own_errors_only(lambda: relion.read_mtf(path))
    _own_errors_only(lambda: picks.of_particles(path, None, None))
    _own_errors_only(lambda: picks.of_particles(path, path, None))
    pipeline = _said(lambda: relion_project.read(path))
    if not isinstance(pipeline, HalfmapError):
        job = relion_project.Listed("Refine3D/job019/", {"a.star": "particles in"}, {"b.mrc": "map"})
        _own_errors_only(lambda: relion_project.with_job(pipeline, job, relion_project.RUNNING))
        _own_errors_only(lambda: relion_project.places(pipeline, job))
    relion_micrographs.picked(path, path)


def _used(particles: Particles, path: Path) -> None:
    """What a job does with a table before it looks at images: it may find fault with it, in our own words."""
    _own_errors_only(lambda: preflight.table(preflight.Findings(), particles, 50.0))
    _own_errors_only(lambda: expansion.copies(particles))
    _own_errors_only(lambda: halves.audit(particles))
    _own_errors_only(lambda: relion_run.groups_of(particles))
    _own_errors_only(lambda: originals.reverted(particles, True, path))
    _own_errors_only(lambda: tables.located(particles, path, None))
    for entry in particles.optics:
        assert all(map(math.isfinite, (entry.voltage_kV, entry.spherical_aberration_A, entry.pixel_size_A)))
        assert np.isfinite(electrons.wavelength_A(entry.voltage_kV)) and abs(entry.amplitude_contrast) <= 1
        assert entry.pixel_size_A > 0 and 0 <= entry.box <= 1 << 20
    assert particles.index.min() >= 0 and np.all(np.isfinite(particles.defocus.u_A))


def _kept_promise(do):
    """What was read without a fault can be written and read again: a fault of our own is one too."""
    try:
        return do()
    except HalfmapError as fault:
        raise AssertionError(f"read, but not written and read again: {fault}") from fault


def _said(read):
    try:
        return read()
    except HalfmapError as fault:
        return fault


def _own_errors_only(read) -> None:
    try:
        read()
    except HalfmapError:
        pass


def _same_blocks(one: dict, other: dict) -> None:
    assert list(one) == list(other)
    for name, block in one.items():
        assert list(block.columns) == list(other[name].columns)
        for tag, column in block.columns.items():
            assert column.tolist() == other[name].columns[tag].tolist(), (name, tag)


@contextmanager
def _long_bodies():
    before, star._SHORT_FILE_BYTES = star._SHORT_FILE_BYTES, 0
    try:
        yield
    finally:
        star._SHORT_FILE_BYTES = before


def _star_seeds() -> list[bytes]:
    two = [test_relion.block("optics", test_relion.OPTICS), test_relion.block("particles", test_relion.PARTICLES)]
    old = {tag: values for tag, values in test_relion.PARTICLES.items() if tag != "rlnOpticsGroup"}
    old |= {
        "rlnVoltage": [300] * 4,
        "rlnSphericalAberration": [2.7] * 4,
        "rlnAmplitudeContrast": [0.1] * 4,
        "rlnMagnification": [50000] * 4,
        "rlnDetectorPixelSize": [7.5] * 4,
    }
    lens = {
        **test_relion.OPTICS,
        "rlnOddZernike": ["[0.1,0.2]", "[]"],
        "rlnMagMat00": [1.01, 1.0],
        "rlnMagMat01": [0, 0],
        "rlnMagMat10": [0, 0],
        "rlnMagMat11": [1, 1],
        "rlnBeamTiltX": [0.1, 0],
        "rlnBeamTiltY": [0, 0.2],
    }
    blocks = [two, [test_relion.block("", old)], [test_relion.block("optics", lens), two[1]]]
    texts = [
        b"data_a\n\n_x 1\n_y 'two words'\n\ndata_b\nloop_\n_p #1\n_q #2\n1 2 # note\n3 \"4 5\"\n\n",
        b"data_\r\nloop_\r\n_p\r\n_q\r\n1 2\r\n3 4\r\n",
        b"# only a comment\n",
        b"data_a\nloop_\n_p\n",
    ]
    return [*(written(lambda path, each=each: star.write(path, each), ".star") for each in blocks), *texts]


def _relion_seeds() -> list[bytes]:
    """Also a table with picks, and one that was a ``.cs``."""
    particles = cryosparc.read_table(_file(_cryosparc_seeds()[0], ".cs"))
    carried = written(lambda path: relion.write(path, particles), ".star")
    return [*_star_seeds(), *_other_seeds()[:1], carried]


def _other_seeds() -> list[bytes]:
    """Both tables of picks in one file, a pipeline of each version, an MTF."""
    table = {
        **{tag: values for tag, values in test_relion.PARTICLES.items() if not tag.startswith("rlnAngle")},
        "rlnMicrographName": ["m1.mrc", "m2.mrc", "m1.mrc", "m2.mrc"],
        "rlnCoordinateX": [10, 20.5, 3000, 5],
        "rlnCoordinateY": [7, 20.5, 3000, 5],
    }
    of_micrograph = ("rlnMicrographName", "rlnOpticsGroup", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
    micrographs = {tag: table[tag][:2] for tag in of_micrograph if tag in table}
    shared = test_relion.OPTICS | {"rlnMicrographPixelSize": [1.0] * len(test_relion.OPTICS["rlnOpticsGroup"])}
    blocks = [test_relion.block("optics", shared), test_relion.block("particles", table),
              test_relion.block("micrographs", micrographs)]  # fmt: skip
    mtf = test_relion.block("", {"rlnResolutionInversePixel": [0.0, 0.25, 0.5], "rlnMtfValue": [1.0, 0.7, 0.4]})
    general = b"# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter 20\n\n"
    process = b"data_pipeline_processes\n\nloop_\n_rlnPipeLineProcessName #1\n_rlnPipeLineProcessAlias #2\n" \
              b"_rlnPipeLineProcessType #3\n_rlnPipeLineProcessStatus #4\nRefine3D/job019/ None 10 2\n"  # fmt: skip
    later = general.replace(b"30001", b"50001") + process.replace(b"Type ", b"TypeLabel ").replace(
        b"Status ", b"StatusLabel ")  # fmt: skip
    stars = [written(lambda path, each=each: star.write(path, each), ".star") for each in (blocks, [mtf])]
    return [*stars, general + process, later]


STAR_TOKENS = (
    b"data_",
    b"\ndata_optics\n",
    b"loop_",
    b"\nloop_\n",
    b"_",
    b"\n_rlnImageName #1\n",
    b"'",
    b'"',
    b"#",
    b" ",
    b"\t",
    b"\r\n",
    b"\n",
    b"\n\n",
    b"@",
    b"000001@",
    b"\x0b",
    b"\x0c",
    b"\x00",
    b"\x85",
    b"\xa0",
    b"stop_",
    b"save_x",
    b"\n;\n",
    b"[0.1,nan]",
    b"rlnOpticsGroup",
    b"rlnImagePixelSize",
    b"0",
    b"1e308",
)


# ---- MRC


def _mrc(data: bytes) -> None:
    path = _file(data, ".mrc")
    _own_errors_only(lambda: mrc.read_images(path, [0]))  # without a look at the header, as a stack is read
    header = mrc.read_header(path)
    assert math.prod((header.nx, header.ny, header.nz)) * header.dtype.itemsize <= len(data)
    for read in (mrc.read, mrc.read_region):
        _own_errors_only(lambda read=read: read(path))
    with mrc.Reader(path) as reader:
        images = reader.images(np.arange(min(3, header.nz)))
        assert images.shape[1:] == (header.ny, header.nx) and images.dtype.isnative
    voxels = _said(lambda: mrc.read_region(path))
    _written_and_read_again(images.astype(np.float32), path)
    if not isinstance(voxels, HalfmapError):
        assert np.all(np.isfinite(voxels.data)) and voxels.voxel_size_A > 0 and np.all(np.isfinite(voxels.origin_A))


def _written_and_read_again(images: np.ndarray, path: Path) -> None:
    again = _SCRATCH / "again.mrcs"
    for mode in (2, 12):
        written = _said(lambda mode=mode: mrc.write_stack(again, images, 1.5, mode))  # too large for float16
        if not isinstance(written, HalfmapError):
            back = mrc.read_images(again, np.arange(written))
            with np.errstate(invalid="ignore"):  # signalling NaNs
                np.testing.assert_array_equal(back, images.astype(back.dtype))
    map = _said(lambda: mrc.read(path))
    if not isinstance(map, HalfmapError):
        mrc.write(again, map)
        np.testing.assert_array_equal(_kept_promise(lambda: mrc.read(again)).data, map.data)


def _mrc_seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    cube, images = rng.normal(size=(6, 6, 6)).astype(np.float32), rng.normal(size=(3, 8, 8)).astype(np.float32)
    small = [
        written(lambda path: mrc.write(path, Map(cube, 1.5)), ".mrc"),
        *(written(lambda path, mode=mode: mrc.write_stack(path, images, 1.5, mode), ".mrcs") for mode in (2, 12)),
    ]
    return [*small, _swapped(small[0]), small[1][:900], small[1][:1400]]


def _swapped(data: bytes) -> bytes:
    """The same file with its numbers the other way round."""
    words = np.frombuffer(data, "<u4").byteswap().tobytes()
    return words[:208] + b"MAP \x11\x11\x00\x00" + words[216:]


MRC_TOKENS = (
    b"MAP ",
    b"\x44\x44\x00\x00",
    b"\x11\x11\x00\x00",
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x00\x00\x80\x7f",
    b"\x00\x00\xc0\x7f",
    b"\x00\x00\x80\xff",
    b"\x01\x00\x00\x00",
    b"\x0c\x00\x00\x00",
    b"\x00\x00\x80\x3f",
    b"CCP4",
    b"FEI1",
)


# ---- .cs


def _cs(data: bytes) -> None:
    table = cs.read(_file(data, ".cs"))
    again = _SCRATCH / "again.cs"
    back = _kept_promise(lambda: (cs.write(again, table), cs.read(again))[1])
    assert back.dtype == table.dtype and back.tobytes() == table.tobytes()


def _cryosparc(data: bytes) -> None:
    path = _file(data, ".cs")
    particles = cryosparc.read_table(path)
    _own_errors_only(lambda: cryosparc.read(path))
    _own_errors_only(lambda: cryosparc.read_table(path, path))
    _used(particles, path)
    cryosparc.lens_lengths(particles)
    cryosparc_uids.uids(particles)
    again = _SCRATCH / "again.cs"
    back = _kept_promise(lambda: (cryosparc_files.write(again, particles), cryosparc.read_table(again))[1])
    np.testing.assert_array_equal(back.index, particles.index)
    np.testing.assert_array_equal(back.half, particles.half)
    star_file = _SCRATCH / "again.star"
    _kept_promise(lambda: (relion.write(star_file, particles), relion.read_table(star_file)))


def _cs_seeds() -> list[bytes]:
    tables = [test_cs.made(), test_cs.made(1), test_cryosparc.made(), test_cs.made(0)]
    plain = [written(lambda path, table=table: cs.write(path, table), ".cs") for table in tables]
    return [*plain, *(test_cs.csdat(table) for table in (tables[0], tables[1]))]


def _cryosparc_seeds() -> list[bytes]:
    table = test_cryosparc.made()
    bare = test_cryosparc.fields(table, "blob", "ctf")
    plain = [written(lambda path, each=each: cs.write(path, each), ".cs") for each in (table, bare)]
    columns = {"rlnImageName": [f"{i}@a.mrcs" for i in range(1, 5)], **test_relion.PARTICLES}
    blocks = [test_relion.block("optics", test_relion.OPTICS), test_relion.block("particles", columns)]
    source = _file(written(lambda path: star.write(path, blocks), ".star"), ".star")
    once_star = written(lambda path: cryosparc_files.write(path, relion.read_table(source)), ".cs")
    return [*plain, once_star, test_cs.csdat(table)]


CS_TOKENS = (
    b"\x93NUMPY\x01\x00",
    b"\x95CSDAT",
    b"'descr': ",
    b"'<f4'",
    b"'|O'",
    b"'<u8'",
    b"'shape': (",
    b"(99999999999,)",
    b"(-1,)",
    b"True",
    b"[",
    b"(",
    b"((((((((",
    b"'uid'",
    b"'<M8[ns]'",
    b"'|V8'",
    b"'<U4'",
    b"'>f4'",
    b"'<c8'",
    b'"length": ',
    b'"dtype": ',
    b"null",
    b"1e999",
    b'["uid","<u8"]',
    b'["a","|O",[2]]',
    b'["a","<f4",[-1]]',
    b'["a","f4,f4"]',
    b"99999999999",
    b"\x00\x00\xc0\x7f",
    b"blob/idx",
    b"ctf/df1_A",
)


def _names_of(module, prefix: str) -> tuple[str, ...]:
    """Every name of a column that a module keeps as a constant."""
    texts = (value for value in vars(module).values() if isinstance(value, (str, tuple)))
    flat = (text for value in texts for text in ((value,) if isinstance(value, str) else value))
    return tuple(sorted({text for text in flat if isinstance(text, str) and text.startswith(prefix)}))


def _star_change():
    own = ("halfmapParent", "halfmapSymmetryMate", "rlnGroupName", "rlnCtfDataArePhaseFlipped")
    carried = ("cs:uid:u8", "cs:blob/path:S20", "cs:a:f4:2:0", "cs:a:f4:2:1", "cs:a:f4:99999999999:0", "cs:a:u4:0:0",
               "cs:a:b2", "cs:a:f1", "cs:a:S99999999999", "cs:a:S99999999", "cs:ctf/tilt_A:f4:2:0",
               "cs:location/micrograph_uid:u8", "cs:ctf/trefoil_A:f4:2:0", "cs:sym_expand/src_uid:u8")  # fmt: skip
    known = (*_names_of(relion_columns, "rln"), *_names_of(originals, "halfmap"), *_names_of(relion_project, "rln"))
    return structures.star((*known, *own, *carried))


def _cs_change():
    slots = ("blob/", "ctf/", "alignments3D/", "location/", "sym_expand/", "uid")
    known = tuple(name for slot in slots for name in _names_of(cryosparc_fields, slot))
    own = ("own/x", "ctf/shift_A", "star/rlnImageName", "star/rlnOpticsGroup", "star/rlnVoltage",
           "star_optics/rlnVoltage", "star_optics/rlnOpticsGroup",
           "star/rlnDefocusU", "star/halfmapParent", "star/cs:a:f4:2:0")  # fmt: skip
    return structures.cs((*known, *own))


def targets() -> dict[str, Target]:
    """All by name; seeds are made when asked for."""
    syntax = ("io/star.py", "io/faults.py")
    meaning = (*_FILES_OF_RELION, "data/image_names.py", "data/carried.py")
    star_change, cs_change = _star_change(), _cs_change()
    all_of_them = (
        Target("star", _star, _star_seeds(), STAR_TOKENS, syntax, star_change),
        Target("star_long", _star_long, _star_seeds(), STAR_TOKENS, (*syntax, "io/rows.py"), star_change),
        Target("relion", _relion, _relion_seeds(), STAR_TOKENS, (*syntax, *meaning), star_change),
        Target("relion_others", _relion_others, _other_seeds(), STAR_TOKENS, (*syntax, *_OTHERS), star_change),
        Target("mrc", _mrc, _mrc_seeds(), MRC_TOKENS, ("io/mrc.py",), structures.mrc),
        Target("cs", _cs, _cs_seeds(), CS_TOKENS, ("io/cs.py",), cs_change),
        Target("cryosparc", _cryosparc, _cryosparc_seeds(), CS_TOKENS, _FILES_OF_CRYOSPARC, cs_change),
    )
    _star_long(all_of_them[1].seeds[0])  # compiled now, not while memory is short
    for target in all_of_them:  # and what is imported late
        target.read(target.seeds[0])
    return {target.name: target for target in all_of_them}
