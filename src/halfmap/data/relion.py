"""RELION's particle files: STAR 3.0 and 3.1 to 5 -> ``Particles`` -> STAR 3.1.

With ``relion_run`` and ``relion_project`` the only file that knows RELION's column names. Owns their meaning, their
defaults, the order in which alternatives are looked up, and where image files are looked for. Source of the rules:
RELION 5 (CTF::readValue, ObservationModel::loadSafely, StarConverter) and its documentation of conventions.
Where images are looked for and how their names are written: ``image_names``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from halfmap.data import image_names
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.geometry import rotations
from halfmap.io import faults, mrc, star
from halfmap.types import Defocus, Optics, Poses

IMAGE, GROUP, HALF = "rlnImageName", "rlnOpticsGroup", "rlnRandomSubset"
VOLTAGE, ABERRATION, CONTRAST = "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"
PIXEL, BOX, DIMENSIONS = "rlnImagePixelSize", "rlnImageSize", "rlnImageDimensionality"
GROUP_NAME, PREMULTIPLIED = "rlnOpticsGroupName", "rlnCtfDataAreCtfPremultiplied"
DETECTOR, MAGNIFICATION = "rlnDetectorPixelSize", "rlnMagnification"
EULER = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
ORIGIN_A = ("rlnOriginXAngst", "rlnOriginYAngst")
ORIGIN_PX = ("rlnOriginX", "rlnOriginY")
MICROGRAPH, COORDINATES = "rlnMicrographName", ("rlnCoordinateX", "rlnCoordinateY")
ORIGINAL_IMAGE = "rlnImageOriginalName"
MICROGRAPH_PIXEL = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")
DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift", "rlnCtfBfactor", "rlnCtfScalefactor")
PIXEL_31 = (PIXEL, "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")
PIXEL_30 = (PIXEL, "rlnPixelSize")

BEAM_TILT = ("rlnBeamTiltX", "rlnBeamTiltY")  # mrad
ODD_ZERNIKE, EVEN_ZERNIKE = "rlnOddZernike", "rlnEvenZernike"
MATRIX = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
MTF = "rlnMtfFileName"
MTF_COLUMNS = ("rlnResolutionInversePixel", "rlnMtfValue")

# What a number must be to be computed with at all; what is merely implausible, ``preflight`` tells.
_PIXEL_LIMITS = (1e-6, 1e6, "A is no pixel size")
_LIMITS = {
    VOLTAGE: (1e-3, 1e5, "kV is no voltage"),
    CONTRAST: (-1.0, 1.0, "is no amplitude contrast; it is a fraction, 0.07 to 0.1 in most data"),
    BOX: (0, mrc.LARGEST_SIDE, "is no box, in pixels"),
    DETECTOR: (1e-6, 1e6, "um is no pixel size"),
    MAGNIFICATION: (1e-3, 1e9, "is no magnification"),
    **dict.fromkeys((*PIXEL_31, *PIXEL_30), _PIXEL_LIMITS),
}
# Columns of 3.0 that the optics table replaces; RELION's own converter drops them too.
_MOVED_TO_OPTICS = (VOLTAGE, ABERRATION, CONTRAST, DETECTOR, MAGNIFICATION, *PIXEL_30, PREMULTIPLIED, *BEAM_TILT)
LARGEST_DISTORTION = 0.5  # of the magnification from 1; microscopes stay within a few per cent
# Values that halfmap does not model yet: column -> (value without effect, name for people).
_UNMODELLED = {
    "rlnCtfDataArePhaseFlipped": (0.0, "images with flipped phases"),
    "rlnCtfDataAreCtfCorrected": (0.0, "images already corrected for their CTF"),
}

# ``extra`` of ``write``: our names of results -> RELION's columns.
# The scale of a particle is no extra: it is ``Particles.scale`` and multiplies rlnCtfScalefactor, because in RELION
# that factor multiplies the CTF (so relion_reconstruct weights as we do), while rlnNormCorrection divides the image.
EXTRA = {
    "log_likelihood": "rlnLogLikeliContribution",
    "max_probability": "rlnMaxValueProbDistribution",
    "significant_poses": "rlnNrOfSignificantSamples",
    "rotation_sd_deg": "halfmapRotationSd",  # RELION tells such errors of a class, not of a particle
    "shift_sd_A": "halfmapShiftSdAngst",
    "effective_poses": "halfmapEffectivePoses",
    "class": "rlnClassNumber",
    "norm_correction": "rlnNormCorrection",
    "scale_group": "rlnGroupNumber",
    "particle_probability": "halfmapParticleProbability",
    "contrast": "halfmapContrast",
    "class_probability": "halfmapClassProbability",
}
_SAME = 5e-7  # numbers closer than the last of RELION's six decimals are the same: the text is kept
_VERSION = "version 30001"  # the comment that RELION 3.1 and later put above each table


def read(path: str | Path, images_root: Path | None = None) -> Particles:
    """Particles of a STAR file, their stacks found (absolute paths).

    Raises: InputError with every fault of the file: syntax, missing columns, text in numbers, unknown optics groups,
    image files that do not exist. The image files themselves are checked by ``stack.check``.
    """
    table = _Table.load(path)
    written = table.particles()
    files, missing = image_names.resolve(written, path, images_root, f"{path}: {IMAGE}")
    table.faults += missing
    particles = with_boxes(replace(written, files=files), table.faults)
    table.finish()
    return particles


def read_table(path: str | Path) -> Particles:
    """The same without looking for images: ``files`` as written, ``box`` 0 where the file does not say it.

    For comparing tables. Raises: InputError with every fault of the table.
    """
    table = _Table.load(path)
    particles = table.particles()
    table.finish()
    return particles


def write(path: str | Path, particles: Particles, extra: dict[str, np.ndarray] | None = None,
          root: Path | None = None) -> None:  # fmt: skip
    """Write STAR 3.1: an optics table and a particle table, whole or not at all.

    Columns of the input stay where they were, character by character, unless their value changed; new ones follow.
    ``extra``: further (n,) columns by our names, see ``EXTRA``. ``root``: the folder that image names start from.
    """
    optics = star.Block("optics", _optics_columns(particles))
    table = star.Block("particles", _particle_columns(particles, extra or {}, root))
    star.write(path, [optics, table], comment=_VERSION)


def read_mtf(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """(frequency in 1/pixel, value) of a detector's MTF, both (n,) float64, frequencies rising.

    Raises InputError for a file without such a table, and naming the rows that are out of order or not positive.
    """
    blocks = [block for block in star.read(path).values() if MTF_COLUMNS[0] in block.columns]
    if len(blocks) != 1 or blocks[0].rows < 2:
        raise InputError(f"{path}: {MTF_COLUMNS[0]}: no table with this column and two rows or more; give an MTF file")
    frequency, value = (blocks[0].measures(tag) for tag in MTF_COLUMNS)
    unordered = np.flatnonzero(~(np.diff(frequency, prepend=-1.0) > 0) | (frequency < 0))
    unusable = np.flatnonzero(~(value > 0))
    wrong = [
        *faults.by_row(f"{path}: {MTF_COLUMNS[0]}", unordered, lambda row: f"{frequency[row]:g} does not rise"),
        *faults.by_row(f"{path}: {MTF_COLUMNS[1]}", unusable, lambda row: f"{value[row]:g} is not positive"),
    ]
    if wrong:
        raise InputError(wrong)
    return frequency, value


def columns_of(particles: Particles) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(columns of the particle table, columns of the optics table) that ``write`` would write."""
    return _particle_columns(particles, {}), _optics_columns(particles)


def is_complete(columns: dict[str, np.ndarray], optics_columns: dict[str, np.ndarray]) -> bool:
    """Whether these columns are a table that ``interpreted`` understands."""
    needed = (IMAGE, DEFOCUS[0], GROUP) if optics_columns else (IMAGE, DEFOCUS[0], VOLTAGE)
    return all(tag in columns for tag in needed)


def interpreted(columns: dict[str, np.ndarray], optics_columns: dict[str, np.ndarray], source: str) -> Particles:
    """Particles of columns that did not come by a STAR file; those of the optics table empty for the form of 3.0.

    Raises: InputError with every fault, each beginning with ``source``.
    """
    optics = star.Block("optics", optics_columns, source=source) if optics_columns else None
    table = _Table(Path(source), star.Block("particles", columns, source=source), optics)
    particles = table.particles()
    table.finish()
    return particles


def without_poses(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns without angles and origins."""
    return {tag: values for tag, values in columns.items() if tag not in (*EULER, *ORIGIN_A, *ORIGIN_PX)}


def positions(particles: Particles) -> tuple[np.ndarray, np.ndarray] | None:
    """((n,) number of the micrograph, (n, 2) x, y of the particle in it, A); None where the table does not tell.

    The picked coordinate less the shift, which is where the particle was found.
    """
    columns = particles.columns
    if not all(tag in columns for tag in (MICROGRAPH, *COORDINATES)):
        return None
    block = star.Block("particles", columns)
    pixels = np.stack([block.measures(tag) for tag in COORDINATES], axis=-1)
    places_A = pixels * micrograph_pixel_A(particles)[:, None]
    if particles.poses is not None:
        places_A = places_A - particles.poses.shifts_A
    return np.unique(block.texts(MICROGRAPH), return_inverse=True)[1], places_A


def recentred(particles: Particles, moved_A: np.ndarray) -> dict[str, np.ndarray]:
    """The columns, their coordinates in the micrograph moved by -``moved_A`` (n, 2); as they are where there are none.

    What the centre of the box moves by, the shift of the particle loses.
    """
    columns = particles.columns
    if not all(tag in columns for tag in COORDINATES):
        return columns
    pixels = np.asarray(moved_A) / micrograph_pixel_A(particles)[:, None]
    block = star.Block("particles", columns)
    return columns | {tag: np.round(block.measures(tag) - step, 6)
                      for tag, step in zip(COORDINATES, pixels.T, strict=True)}  # fmt: skip


def with_micrograph_pixel(particles: Particles, sizes_A: np.ndarray) -> Particles:
    """The particles, the pixel size (groups,) of their micrographs told in a column of the optics table."""
    own = particles.optics_columns
    columns, shared = (particles.columns, own) if own else columns_of(particles)
    return replace(particles, columns=columns, optics_columns=shared | {MICROGRAPH_PIXEL[0]: np.asarray(sizes_A)})


def picked(coordinates: str | Path, micrographs: str | Path) -> Particles:
    """Particles of a table of picked coordinates, with the CTF and optics of their micrographs, files as written.

    Raises: InputError with every fault of both tables, and where a pick names a micrograph that has no entry.
    """
    picks, (block, optics) = _picks(coordinates), _micrographs(micrographs)
    rows = _rows_of_micrographs(picks, block)
    own = {tag: values for tag, values in picks.columns.items() if tag not in (IMAGE, GROUP)}
    shared = {tag: values[rows] for tag, values in block.columns.items() if tag not in own}
    shared[IMAGE] = picks.texts(MICROGRAPH)
    table = _Table(Path(coordinates), star.Block("particles", own | shared, source=str(micrographs)), optics)
    particles = table.particles()
    table.finish()
    return particles


def pixel_sizes_of_micrographs(micrographs: str | Path, particles: Particles, path: str | Path) -> np.ndarray:
    """(n,) pixel size of the micrograph of each particle, from the table of micrographs. Raises as ``picked``."""
    block, optics = _micrographs(micrographs)
    rows = _rows_of_micrographs(star.Block("particles", particles.columns, source=str(path)), block)
    table = _Table(Path(micrographs), block, optics)
    group, entries = table._optics_31()
    table.finish()
    return np.array([entry.pixel_size_A for entry in entries])[group][rows]


def write_picks(path: str | Path, micrographs: tuple[Path, ...], which: np.ndarray, coordinates: np.ndarray) -> None:
    """A table of picked coordinates: (n,) number of the micrograph, (n, 2) x, y in its pixels."""
    places = dict(zip(COORDINATES, np.asarray(coordinates).T, strict=True))
    star.write(path, [star.Block("", {MICROGRAPH: _names(micrographs)[which], **places})])


def write_micrographs(path: str | Path, particles: Particles) -> None:
    """A table of micrographs and their CTF: ``particles`` with one row for each, its image the micrograph."""
    pixels = np.array([entry.pixel_size_A for entry in particles.optics])
    columns, shared = columns_of(replace(particles, poses=None, half=np.zeros_like(particles.half)))
    own = {MICROGRAPH: _names(particles.files)[particles.file], **{t: v for t, v in columns.items() if t != IMAGE}}
    shared = {tag: values for tag, values in shared.items() if tag not in (PIXEL, BOX, DIMENSIONS, PREMULTIPLIED)}
    shared |= dict.fromkeys(MICROGRAPH_PIXEL, pixels)
    star.write(path, [star.Block("optics", shared), star.Block("micrographs", own)], comment=_VERSION)


def in_micrographs(particles: Particles, coordinates: np.ndarray) -> dict[str, np.ndarray]:
    """Columns that tell where particles, whose images are micrographs, are in them."""
    places = zip(COORDINATES, np.asarray(coordinates).T, strict=True)
    return {MICROGRAPH: _names(particles.files)[particles.file], **dict(places)}


def write_templates(path: str | Path, stack: Path, poses: Poses, pixel_size_A: float) -> None:
    """A STAR file of images that are projections: their names, views and pixel size; they have no CTF."""
    n = len(poses)
    names = image_names.join((stack,), np.zeros(n, np.int32), np.arange(n))
    angles = dict(zip(EULER, rotations.matrix_to_euler(poses.rotations), strict=True))
    star.write(path, [star.Block("", {IMAGE: names, **angles, PIXEL_30[1]: np.full(n, pixel_size_A)})])


def unmodelled(particles: Particles) -> list[str]:
    """Warnings: what the file says about the images and halfmap ignores or may read differently. Plain sentences."""
    columns = {**particles.columns, **particles.optics_columns}
    found = {name for tag, (idle, name) in _UNMODELLED.items() if _differs(columns.get(tag), idle)}
    if MTF in columns and any(star.Block("", {MTF: columns[MTF]}).strings(MTF)):
        found.add("the transfer function of the detector (MTF)")
    warnings = [f"The particle file describes {name}; it is ignored." for name in sorted(found)]
    if any(any(entry.beam_tilt_rad) and any(entry.odd_zernike[3:5]) for entry in particles.optics):
        what = "The particle file describes coma twice, by beam tilt and by odd Zernike terms"
        warnings.append(f"{what}; both are added. RELION 3.1 uses the beam tilt alone.")
    return warnings


def _names(files: tuple[Path, ...]) -> np.ndarray:
    return np.array([image_names.written(path) for path in files], dtype=object)


def _picks(path: str | Path) -> star.Block:
    """The table with coordinates of a file. Raises: InputError where there is none, or a coordinate is no number."""
    blocks = [b for b in star.read(path).values() if all(tag in b.columns for tag in (MICROGRAPH, *COORDINATES))]
    if not blocks:
        raise InputError(f"{path}: no table with {MICROGRAPH}, {COORDINATES[0]} and {COORDINATES[1]}")
    if not blocks[0].rows:
        raise InputError(f"{path}: no rows with {MICROGRAPH}; there is nothing to do")
    for tag in COORDINATES:
        blocks[0].measures(tag)
    return blocks[0]


def _micrographs(path: str | Path) -> tuple[star.Block, star.Block]:
    blocks = star.read(path)
    if "optics" not in blocks or MICROGRAPH not in getattr(blocks.get("micrographs"), "columns", {}):
        raise InputError(f"{path}: no data_optics and data_micrographs with {MICROGRAPH}; give the table of a CTF job")
    empty = [f"{path}: data_{name} has no rows" for name in ("micrographs", "optics") if not blocks[name].rows]
    if empty:
        raise InputError(empty)
    return blocks["micrographs"], blocks["optics"]


def _rows_of_micrographs(picks: star.Block, micrographs: star.Block) -> np.ndarray:
    """(n,) row in the table of micrographs of each pick."""
    names = {name: row for row, name in enumerate(micrographs.texts(MICROGRAPH).tolist())}
    wanted = picks.texts(MICROGRAPH).tolist()
    missing = sorted({name for name in wanted if name not in names})
    if missing:
        lines = [f"{picks.where(MICROGRAPH)}: {_shown(name)} is not in {micrographs.source}; add it, or remove its "
                 f"{wanted.count(name)} particles" for name in missing]  # fmt: skip
        raise InputError(faults.capped(lines, picks.where(MICROGRAPH)))
    return np.array([names[name] for name in wanted], np.int64)


# ---- reading


@dataclass
class _Table:
    """Both tables of one file and the faults found so far."""

    path: Path
    block: star.Block
    optics: star.Block | None  # None in 3.0
    faults: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: str | Path) -> _Table:
        blocks = star.read(path)
        block = _particle_block(path, blocks)
        table = cls(Path(path), block, blocks.get("optics"))
        if block.rows == 0:
            table.faults.append(f"{path}: data_{block.name} has no rows; there is nothing to do")
        if table.optics is not None and table.optics.rows == 0:
            table.faults.append(f"{path}: data_optics has no rows; add the optics groups")
        table.finish()
        return table

    def finish(self) -> None:
        if self.faults:
            raise InputError(self.faults)

    def broken(self, tag: str) -> bool:
        return any(fault.startswith(self.block.where(tag) + ":") for fault in self.faults)

    def particles(self) -> Particles:
        """The table as written: files unresolved."""
        image = self._images()
        group, optics = self._optics_31() if self.optics is not None else self._optics_30()
        n = self.block.rows
        return Particles(
            files=image[0],
            file=image[1],
            index=image[2],
            optics=optics,
            group=group,
            defocus=self._defocus(group),
            poses=self._poses(group, optics),
            half=self._half(),
            scale=np.ones(n),
            columns=dict(self.block.columns),
            optics_columns=dict(self.optics.columns) if self.optics is not None else {},
        )

    # -- columns, with faults collected

    def _numbers(self, block: star.Block, tag: str) -> np.ndarray:
        """Numbers that can be computed with; where there are faults, which are kept for later, anything."""
        return self._within_limits(block, tag, self._read(block.measures, tag, block))

    def _integers(self, block: star.Block, tag: str) -> np.ndarray:
        return self._within_limits(block, tag, self._read(block.integers, tag, block).astype(np.int64))

    def _read(self, read: Callable[[str], np.ndarray], tag: str, block: star.Block) -> np.ndarray:
        """Zeros where there are faults."""
        try:
            return read(tag)
        except InputError as error:
            self.faults += error.faults
            return np.zeros(block.rows)

    def _within_limits(self, block: star.Block, tag: str, values: np.ndarray) -> np.ndarray:
        if tag not in _LIMITS or any(fault.startswith(block.where(tag) + ":") for fault in self.faults):
            return values
        low, high, what = _LIMITS[tag]
        wrong = np.flatnonzero((values < low) | (values > high))
        self.faults += faults.by_row(block.where(tag), wrong, lambda row: f"{values[row]:g} {what}")
        return np.clip(values, low, high)

    def _first_present(self, block: star.Block, tags: Iterable[str]) -> str | None:
        return next((tag for tag in tags if tag in block.columns), None)

    # -- images

    def _images(self) -> tuple[tuple[Path, ...], np.ndarray, np.ndarray]:
        """(files as written, file of each row, image in the file from 0)."""
        try:
            names = self.block.texts(IMAGE)
        except InputError as error:
            self.faults += error.faults
            return (), np.zeros(self.block.rows, np.int32), np.zeros(self.block.rows, np.int64)
        files, file, number = image_names.split(names)
        wrong = np.flatnonzero(number < 1)
        self.faults += faults.by_row(
            self.block.where(IMAGE),
            wrong,
            lambda row: f"{_shown(names[row])} is not of the form number@stack with numbers from 1",
        )
        return files, file, np.maximum(number - 1, 0)

    # -- optics

    def _optics_31(self) -> tuple[np.ndarray, tuple[Optics, ...]]:
        numbers = self._integers(self.optics, GROUP)
        repeated = [i for i, number in enumerate(numbers) if number in numbers[:i]]
        self.faults += faults.by_row(
            self.optics.where(GROUP), repeated, lambda row: f"group {numbers[row]} stands twice; remove one"
        )
        group = self._group_of_rows(numbers)
        values = [self._shared(tag, group, len(numbers)) for tag in (VOLTAGE, ABERRATION, CONTRAST)]
        sizes = self._integers(self.optics, BOX) if BOX in self.optics.columns else np.zeros(len(numbers), np.int64)
        flags = self._optional_optics(PREMULTIPLIED, 0)
        names = self.optics.strings(GROUP_NAME) if GROUP_NAME in self.optics.columns else map(_group_name, numbers)
        self._refuse_volumes()
        ctf = zip(*values, strict=True)
        columns = zip(names, ctf, self._pixel_31(), sizes, flags, strict=True)
        optics = [_optics(*row) for row in columns]
        return group, self._aberrated(optics, group)

    def _aberrated(self, optics: list[Optics], group: np.ndarray) -> tuple[Optics, ...]:
        """The groups with the columns of the optics table that describe the lens."""
        tilt = [1e-3 * self._lens(tag, group, 0.0) for tag in BEAM_TILT]
        odd, even = (self._lists(tag) for tag in (ODD_ZERNIKE, EVEN_ZERNIKE))
        matrices = self._matrices(group)
        return tuple(
            replace(entry, beam_tilt_rad=(float(tilt[0][i]), float(tilt[1][i])), odd_zernike=odd[i],
                    even_zernike=even[i], magnification=matrices[i])
            for i, entry in enumerate(optics)
        )

    def _lens(self, tag: str, group: np.ndarray, default: float) -> np.ndarray:
        """(groups,) of the optics table, as RELION does; else of the particle table, where a group must agree."""
        if tag in self.optics.columns or tag not in self.block.columns:
            return self._optional_optics(tag, default)
        return self._shared(tag, group, self.optics.rows)

    def _lists(self, tag: str) -> list[tuple[float, ...]]:
        """Coefficients of each optics group, written as ``[a,b,...]``; none where there is no column."""
        if tag not in self.optics.columns:
            return [()] * self.optics.rows
        texts = self.optics.strings(tag)
        found = [_coefficients(text) for text in texts]
        wrong = [row for row, values in enumerate(found) if values is None]
        self.faults += faults.by_row(
            self.optics.where(tag), wrong, lambda row: f"{texts[row]!r} is no list of numbers like [0,0.5]"
        )
        return [values or () for values in found]

    def _matrices(self, group: np.ndarray) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        rows = np.stack([self._lens(tag, group, tag in MATRIX[::3]) for tag in MATRIX], axis=-1).reshape(-1, 2, 2)
        scales = np.linalg.svd(rows, compute_uv=False)
        wrong = np.flatnonzero((abs(scales - 1) > LARGEST_DISTORTION).any(axis=1))
        self.faults += faults.by_row(
            self.optics.where(f"{MATRIX[0]} to {MATRIX[-1][-2:]}"), wrong,
            lambda row: f"{rows[row].tolist()} is no magnification matrix; without distortion it is [[1, 0], [0, 1]]",
        )
        return [tuple(map(tuple, matrix)) for matrix in rows.tolist()]

    def _group_of_rows(self, numbers: np.ndarray) -> np.ndarray:
        """Position in the optics table of the group number of each particle."""
        wanted = self._integers(self.block, GROUP)
        order = np.argsort(numbers, kind="stable")
        place = np.minimum(np.searchsorted(numbers[order], wanted), len(numbers) - 1)
        group = order[place]
        unknown = np.flatnonzero(numbers[group] != wanted) if not self.broken(GROUP) else ()
        self.faults += faults.by_row(
            self.block.where(GROUP), unknown, lambda row: f"group {wanted[row]} is not in data_optics; add it there"
        )
        return group.astype(np.int32)

    def _shared(self, tag: str, group: np.ndarray, groups: int) -> np.ndarray:
        """(groups,) value of each optics group: from the particle table first, as RELION does, then from optics."""
        if tag not in self.block.columns:
            return self._numbers(self.optics, tag)
        values = self._numbers(self.block, tag)
        of_group = np.zeros(groups)
        of_group[group[::-1]] = values[::-1]  # the first row of each group wins
        differing = np.flatnonzero(of_group[group] != values)
        self.faults += faults.by_row(
            self.block.where(tag),
            differing,
            lambda row: f"{values[row]:g} differs from {of_group[group[row]]:g} of its optics group; split the group",
        )
        return of_group

    def _optional_optics(self, tag: str, default: float) -> np.ndarray:
        present = tag in self.optics.columns
        return self._numbers(self.optics, tag) if present else np.full(self.optics.rows, float(default))

    def _pixel_31(self) -> np.ndarray:
        return self._numbers(self.optics, self._first_present(self.optics, PIXEL_31) or PIXEL)

    def _refuse_volumes(self) -> None:
        dimensions = self._optional_optics(DIMENSIONS, 2)
        wrong = np.flatnonzero(dimensions != 2)
        self.faults += faults.by_row(
            self.optics.where(DIMENSIONS), wrong, lambda row: f"{dimensions[row]:g}D images; only 2D is supported"
        )

    def _optics_30(self) -> tuple[np.ndarray, tuple[Optics, ...]]:
        """Particles with the same voltage, Cs, amplitude contrast, pixel size and beam tilt share a group."""
        values = [self._numbers(self.block, tag) for tag in (VOLTAGE, ABERRATION, CONTRAST)]
        flags = self._numbers(self.block, PREMULTIPLIED) if PREMULTIPLIED in self.block.columns else 0 * values[0]
        tilts = [1e-3 * self._of_particle(tag, None, 0.0) for tag in BEAM_TILT]
        values += [self._pixel_30(), flags, *tilts]
        group, first = _unique_rows(values)
        rows = [[float(column[row]) for column in values] for row in first]
        optics = (_optics(_group_name(i), row[:3], row[3], 0, row[4]) for i, row in enumerate(rows, start=1))
        return group, tuple(
            replace(entry, beam_tilt_rad=tuple(row[5:])) for entry, row in zip(optics, rows, strict=True)
        )

    def _pixel_30(self) -> np.ndarray:
        tag = self._first_present(self.block, PIXEL_30)
        if DETECTOR not in self.block.columns and tag is not None:
            return self._numbers(self.block, tag)
        detector_um, magnification = (self._numbers(self.block, name) for name in (DETECTOR, MAGNIFICATION))
        return detector_um * 1e4 / np.where(magnification > 0, magnification, 1.0)

    # -- what each particle has

    def _defocus(self, group: np.ndarray) -> Defocus:
        u, v, angle, phase, bfactor, scale = DEFOCUS
        u_A = self._of_particle(u, group)
        return Defocus(
            u_A=u_A,
            v_A=self._of_particle(v, group, u_A),
            angle_rad=np.deg2rad(self._of_particle(angle, group, 0.0)),
            phase_shift_rad=np.deg2rad(self._of_particle(phase, group, 0.0)),
            bfactor_A2=self._of_particle(bfactor, group, 0.0),
            scale=self._of_particle(scale, group, 1.0),
        )

    def _of_particle(self, tag: str, group: np.ndarray | None, default: np.ndarray | float | None = None) -> np.ndarray:
        """(n,) values: particle table, else optics table, else ``default``; a fault where that is None."""
        if tag in self.block.columns:
            return self._numbers(self.block, tag)
        if self.optics is not None and tag in self.optics.columns:
            return self._numbers(self.optics, tag)[group]
        if default is None:
            return self._numbers(self.block, tag)
        return np.broadcast_to(default, self.block.rows).astype(np.float64)

    def _poses(self, group: np.ndarray, optics: tuple[Optics, ...]) -> Poses | None:
        """None without rot and tilt: psi alone comes from a picker and says nothing about the view."""
        if not all(tag in self.block.columns for tag in EULER[:2]):
            return None
        angles = [self._of_particle(tag, group, 0.0) for tag in EULER]
        shifts = [self._origin_A(*tags, group, optics) for tags in zip(ORIGIN_A, ORIGIN_PX, strict=True)]
        return Poses(rotations.euler_to_matrix(*angles), np.stack(shifts, axis=-1))

    def _origin_A(self, tag_A: str, tag_px: str, group: np.ndarray, optics: tuple[Optics, ...]) -> np.ndarray:
        if tag_A in self.block.columns or tag_px not in self.block.columns:
            return self._of_particle(tag_A, group, 0.0)
        pixel_size_A = np.array([entry.pixel_size_A for entry in optics])
        return self._numbers(self.block, tag_px) * pixel_size_A[group]

    def _half(self) -> np.ndarray:
        if HALF not in self.block.columns:
            return np.zeros(self.block.rows, dtype=np.int8)
        half = self._integers(self.block, HALF)
        wrong = np.flatnonzero((half < 0) | (half > 2))
        self.faults += faults.by_row(
            self.block.where(HALF), wrong, lambda row: f"{half[row]} is no half-set; use 1 and 2, or 0 for none"
        )
        return np.clip(half, 0, 2).astype(np.int8)


def _particle_block(path: str | Path, blocks: dict[str, star.Block]) -> star.Block:
    """``data_particles``; else the only block with image names (3.0 files name it as they like)."""
    if "particles" in blocks:
        return blocks["particles"]
    found = [block for block in blocks.values() if IMAGE in block.columns]
    if len(found) == 1:
        return found[0]
    have = ", ".join(f"data_{name}" for name in blocks)
    what = "several tables with" if found else "no table with"
    raise InputError(f"{path}: {IMAGE}: {what} this column (found {have}); give a particle file with data_particles")


def _optics(
    name: str, ctf: tuple[float, float, float], pixel_size_A: float, box: float, premultiplied: float
) -> Optics:
    """``ctf``: voltage in kV, spherical aberration in mm, amplitude contrast."""
    voltage_kV, aberration_mm, contrast = ctf
    return Optics(
        name=str(name),
        voltage_kV=float(voltage_kV),
        spherical_aberration_A=float(aberration_mm) * 1e7,
        amplitude_contrast=float(contrast),
        pixel_size_A=float(pixel_size_A),
        box=int(box),
        premultiplied=bool(premultiplied),
    )


def _group_name(number: int) -> str:
    return f"opticsGroup{number}"


def _shown(value: bytes | str) -> str:
    return repr(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value)


def micrograph_pixel_A(particles: Particles) -> np.ndarray:
    """(n,) pixel size of the micrographs; that of the images where the table has no other. Raises: InputError."""
    images = np.array([entry.pixel_size_A for entry in particles.optics])
    tag = next((tag for tag in MICROGRAPH_PIXEL if tag in particles.optics_columns), None)
    if tag is None:
        return images[particles.group]
    sizes = star.Block("optics", particles.optics_columns).measures(tag)
    low, high, what = _LIMITS[tag]
    wrong = np.flatnonzero((sizes < low) | (sizes > high))
    if len(wrong):
        raise InputError(faults.by_row(tag, wrong, lambda row: f"{sizes[row]:g} {what}"))
    return sizes[particles.group]


def _unique_rows(columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(group of each row, first row of each group) of equal rows, groups numbered as they first appear."""
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        if np.all(column == column[:1]):  # almost always: sorting a million equal numbers is wasted time
            continue
        values, inverse = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + inverse, return_inverse=True)[1]
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return np.argsort(order)[inverse].astype(np.int32), first[order]


def with_boxes(particles: Particles, found: list[str]) -> Particles:
    """Optics groups without a size get it from the header of the first stack of the group."""
    optics = list(particles.optics)
    for number in np.unique(particles.group):
        file = particles.files[particles.file[np.argmax(particles.group == number)]] if particles.files else None
        if optics[number].box == 0 and file is not None and os.path.isfile(file):
            try:
                optics[number] = replace(optics[number], box=mrc.read_header(file).nx)
            except InputError as error:
                found += error.faults
    return replace(particles, optics=tuple(optics))


# ---- writing


def _particle_columns(particles: Particles, extra: dict[str, np.ndarray], root: Path | None = None
                      ) -> dict[str, np.ndarray]:  # fmt: skip
    dropped = () if particles.optics_columns else _MOVED_TO_OPTICS
    dropped += ORIGIN_PX if particles.poses is not None else ()
    columns = {tag: values for tag, values in particles.columns.items() if tag not in dropped}
    columns[IMAGE] = image_names.join(particles.files, particles.file, particles.index, root)
    columns[GROUP] = _kept(columns, GROUP, _group_numbers(particles)[particles.group])
    for tag, values in _own_numbers(particles):
        columns[tag] = _kept(columns, tag, values)
    if HALF in columns or np.any(particles.half):
        columns[HALF] = _kept(columns, HALF, particles.half)
    columns.update({EXTRA[name]: np.asarray(values) for name, values in extra.items()})
    return columns


def _own_numbers(particles: Particles) -> Iterable[tuple[str, np.ndarray]]:
    """Columns computed from the particles; those at their default only where the input had them."""
    defocus, scale = particles.defocus, particles.defocus.scale * particles.scale
    angles = np.rad2deg(defocus.angle_rad), np.rad2deg(defocus.phase_shift_rad)
    values = (defocus.u_A, defocus.v_A, *angles, defocus.bfactor_A2, scale)
    defaults = (None, None, None, 0.0, 0.0, 1.0)
    for tag, column, default in zip(DEFOCUS, values, defaults, strict=True):
        if tag in particles.columns or default is None or np.any(column != default):
            yield tag, column
    if particles.poses is not None:
        yield from zip(EULER, rotations.matrix_to_euler(particles.poses.rotations), strict=True)
        yield from zip(ORIGIN_A, particles.poses.shifts_A.T, strict=True)


def _kept(columns: dict[str, np.ndarray], tag: str, values: np.ndarray) -> np.ndarray:
    """The text of the input where it still says ``values``, else the values."""
    text = columns.get(tag)
    return values if text is None or _differs(text, values) else text


def _differs(text: np.ndarray | None, values: np.ndarray | float) -> bool:
    if text is None:
        return False
    try:
        return not np.allclose(star.Block("", {"": text}).numbers(""), values, rtol=0, atol=_SAME)
    except InputError:
        return True


def _coefficients(text: str) -> tuple[float, ...] | None:
    """Numbers of ``[a,b,...]``; None where the text is anything else."""
    inside = text.strip()
    if not (inside.startswith("[") and inside.endswith("]")):
        return None
    words = inside[1:-1].split(",") if inside[1:-1].strip() else []
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _group_numbers(particles: Particles) -> np.ndarray:
    """(groups,) the numbers of the input, else 1, 2, ..."""
    known = particles.optics_columns.get(GROUP)
    if known is not None and len(known) == len(particles.optics):
        return star.Block("", {GROUP: known}).integers(GROUP)
    return np.arange(1, len(particles.optics) + 1)


def _optics_columns(particles: Particles) -> dict[str, np.ndarray]:
    optics = particles.optics
    complete = all(len(values) == len(optics) for values in particles.optics_columns.values())
    columns = dict(particles.optics_columns) if complete else {}
    columns[GROUP] = _kept(columns, GROUP, _group_numbers(particles))
    columns.setdefault(GROUP_NAME, np.array([entry.name for entry in optics], dtype=object))
    values = {
        VOLTAGE: [entry.voltage_kV for entry in optics],
        ABERRATION: [entry.spherical_aberration_A * 1e-7 for entry in optics],
        CONTRAST: [entry.amplitude_contrast for entry in optics],
        PIXEL: [entry.pixel_size_A for entry in optics],
        BOX: [entry.box for entry in optics],
        DIMENSIONS: [2] * len(optics),
        PREMULTIPLIED: [int(entry.premultiplied) for entry in optics],
    }
    for tag, column in values.items():
        columns[tag] = _kept(columns, tag, np.array(column))
    return _with_lens(columns, optics)


def _with_lens(columns: dict[str, np.ndarray], optics: tuple[Optics, ...]) -> dict[str, np.ndarray]:
    """The columns of tilt, Zernike terms and magnification too, where the input had them or they say something."""
    tilt = 1e3 * np.array([entry.beam_tilt_rad for entry in optics])
    matrices = np.array([entry.magnification for entry in optics]).reshape(-1, 4)
    for tags, values, idle in ((BEAM_TILT, tilt, 0.0), (MATRIX, matrices, np.eye(2).ravel())):
        if np.any(values != idle) or any(tag in columns for tag in tags):
            columns.update({tag: _kept(columns, tag, column) for tag, column in zip(tags, values.T, strict=True)})
    for tag, field_ in ((ODD_ZERNIKE, "odd_zernike"), (EVEN_ZERNIKE, "even_zernike")):
        lists = [getattr(entry, field_) for entry in optics]
        if any(map(any, lists)) or tag in columns:
            columns[tag] = _kept_lists(columns.get(tag), tag, lists)
    return columns


def _kept_lists(text: np.ndarray | None, tag: str, lists: list[tuple[float, ...]]) -> np.ndarray:
    """The text of the input where it still says ``lists``, else the lists as RELION writes them."""
    if text is not None and [_coefficients(value) for value in star.Block("", {tag: text}).strings(tag)] == lists:
        return text
    return np.array(["[" + ",".join(f"{value:.9g}" for value in values) + "]" for values in lists], dtype=object)
