"""A finished refinement as the files of an EMDB deposition, with the words and numbers that a paper needs.

What the EMDB asks for: the primary map with its voxel size and contour level, both half-maps unmodified, a picture of
500 x 500 pixels; it welcomes the FSC as XML and further maps.
Source: EMDB, General Deposition Guide (www.ebi.ac.uk/emdb/pages/documentation/deposition/general).
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap.data import relion
from halfmap.errors import InputError
from halfmap.io import digest, mrc
from halfmap.jobs.export import bundle, methods, table_one
from halfmap.jobs.export.bundle import Bundle
from halfmap.jobs.export.table_one import Row
from halfmap.jobs.pictures import surface
from halfmap.jobs.running import finished
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.finished import Finished
from halfmap.maps import contours, masks
from halfmap.params.export import Export
from halfmap.types import Map
from halfmap.validate import fsc, fsc_masks

PIXELS = 500  # EMDB's picture
NEEDED = ("map.mrc", "half1.mrc", "half2.mrc", "fsc.xml", "fsc.json", "particles.star")
LEAST_NOISE = 3.0  # standard deviations of the solvent: a contour below shows specks of it
SPHERE = 0.97  # of half the box: corners of a reconstruction hold other noise, or none
PICTURE = "image.png"
PRIMARY, HALF1, HALF2 = "primary_map.mrc", "half_map_1.mrc", "half_map_2.mrc"


@dataclass(frozen=True)
class Contour:
    """A contour level, and how it was found in words."""

    level: float
    words: str


@dataclass(frozen=True)
class Content:
    """All that is to be written: ``copies``, name and role of each source; ``contours`` by that name."""

    job: Finished
    copies: dict[Path, tuple[str, str]]
    primary: Map
    contours: dict[str, Contour]
    rows: list[Row]

    @property
    def contour(self) -> Contour:
        """That of the primary map."""
        return self.contours[PRIMARY]


def gathered(job: Finished, params: Export, target: Path, watch: Watch | Passing) -> Content:
    """Read and check all maps. Raises InputError with what is missing or unsound."""
    finished.require(job, NEEDED)
    copies = _copies(job, params.volume or job.volume)
    bundle.require_sound(list(copies))
    _require_two_halves(job)
    if not job.summary.get("resolution_A"):
        raise InputError(f"{job.folder}: claims no resolution, its half-maps do not agree; there is no map to deposit")
    fault = xml_fault(job.folder / "fsc.xml")
    if fault:
        raise InputError(f"{job.folder / 'fsc.xml'}: {fault}; make it again: halfmap fsc")
    primary = mrc.read(params.volume or job.volume)
    levels = contours_of(job, copies, params)
    watch("note", text=f"contour level {levels[PRIMARY].level:.4g}: {levels[PRIMARY].words}")
    locres = None if params.local_resolution is None else finished.read(params.local_resolution)
    optics = relion.read_table(job.folder / "particles.star")
    return Content(job, copies, primary, levels, table_one.rows(job, optics, primary, levels[PRIMARY].level, locres))


def fill(place: Bundle, content: Content) -> dict:
    """Write the folder."""
    for source, (name, role) in content.copies.items():
        place.copy(source, name, role)
    place.copy(content.job.folder / "fsc.xml", "fsc.xml", "FSC of the half-maps, corrected for the mask")
    _draw(place, content)
    text, version = methods.of(content.job), content.job.job["versions"]["halfmap"]
    place.text("methods.txt", text.text + "\n", "text for the methods section")
    place.text("references.bib", text.bibtex(version), "the papers it cites")
    place.text("table_1.csv", table_one.csv(content.rows), "numbers of data collection and refinement")
    place.text("table_1.md", table_one.markdown(content.rows), "the same")
    place.text("README.txt", readme(content), "which file goes where")
    summary, contour = content.job.summary, content.contour
    return {"contour_level": contour.level, "contour_from": contour.words,
            "contour_levels": {name: each.level for name, each in content.contours.items()},
            "resolution_A": summary["resolution_A"], "voxel_size_A": content.primary.voxel_size_A}  # fmt: skip


def contours_of(job: Finished, copies: dict[Path, tuple[str, str]], params: Export) -> dict[str, Contour]:
    """A contour for every map by its name in the deposition; OneDep asks for all. The primary one may be given."""
    volume, words = _particle_volume(job, params.molecular_weight_kDa)
    outside = _solvent(job)
    found = {}
    for path, (name, _) in copies.items():
        if name.startswith("mask_"):
            found[name] = Contour(0.5, "the middle of its edge")
        elif name == PRIMARY and params.contour_level is not None:
            found[name] = Contour(params.contour_level, "as given")
        else:
            found[name] = contour_of(mrc.read(path), volume, words, outside)
    return found


def contour_of(map: Map, volume_A3: float | None, words: str, outside: np.ndarray) -> Contour:
    """Where the map fills the volume of the particle (``words``: of what), but above its noise ``outside`` of it."""
    values = map.data[outside] if outside.any() else map.data.ravel()
    least = float(np.median(values) + LEAST_NOISE * values.std(dtype=np.float64))
    level = contours.enclosing(map, volume_A3) if volume_A3 else 0.0
    if level > least:
        return Contour(level, f"the map fills {volume_A3 / 1000:.4g} nm^3 above it, the volume of {words}")
    return Contour(least, f"{LEAST_NOISE:g} standard deviations of the noise of the solvent above it")


def _particle_volume(job: Finished, weight_kDa: float | None) -> tuple[float | None, str]:
    """(cubic Angstrom, of what); None where nothing stands out of the map."""
    weight = weight_kDa or job.job["params"].get("molecular_weight_kDa")
    if weight:
        return fsc_masks.particle_volume_A3(1000 * weight), f"{weight:g} kDa at {fsc.PROTEIN_DENSITY} Da/A^3"
    map, lowpass = mrc.read(job.folder / "map.mrc"), fsc_masks.MASK_RESOLUTION_A
    lowpass = max(lowpass, job.summary["resolution_A"])
    try:
        region = masks.region(map, lowpass, fsc_masks.VOLUME_CONTOUR)
    except InputError:
        return None, ""
    words = f"the map above {fsc_masks.VOLUME_CONTOUR} of its maximum at {lowpass:.3g} A"
    return float(region.sum()) * map.voxel_size_A**3, words


def _solvent(job: Finished) -> np.ndarray:
    """(z, y, x) bool: what the FSC mask leaves out of the sphere in the box."""
    box = mrc.read_header(job.folder / "half1.mrc").nx
    outside = masks.sphere(box, SPHERE * box / 2, 0.0) > 0
    return outside if job.fsc_mask is None else outside & (mrc.read(job.fsc_mask).data == 0)


def xml_fault(path: Path) -> str:
    """What the EMDB would refuse of an FSC file, empty if nothing: points x, y in ``fsc`` with three titles."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as fault:
        return f"is no XML ({fault})"
    if root.tag != "fsc" or not {"title", "xaxis", "yaxis"} <= set(root.keys()):
        return "has no root <fsc> with title, xaxis and yaxis"
    try:
        points = np.array([[float(point.findtext(name)) for name in "xy"] for point in root.iter("coordinate")])
    except (TypeError, ValueError):
        return "holds a coordinate without two numbers"
    if len(points) < 3 or not np.isfinite(points).all() or np.any(np.diff(points[:, 0]) <= 0):
        return "needs three or more points whose frequency rises"
    return ""


def readme(content: Content) -> str:
    """Which file goes where in OneDep, and the numbers it asks for beside each."""
    size, level = content.primary.voxel_size_A, content.contour.level
    lines = [f"{name}: {role}; contour level {content.contours[name].level:.4g}"
             for name, role in content.copies.values()]  # fmt: skip
    return f"""Files for a deposition at the EMDB (deposit.wwpdb.org), by halfmap from its job "{content.job.name}".

Voxel size of every map, x, y and z: {size:.6g} A.
Recommended contour level of {PRIMARY}: {level:.4g} ({content.contour.words}).

{chr(10).join(lines)}
fsc.xml: Fourier shell correlation
{PICTURE}: picture of the entry, {PIXELS} x {PIXELS} pixels: the surface of the map at that level, specks left out

methods.txt, references.bib: for the paper and the description of the image processing
table_1.csv, table_1.md: the numbers as papers print them; what halfmap cannot know is left open
manifest.json, SHA256SUMS: where every file comes from and its hash; check with sha256sum -c SHA256SUMS

The half-maps are bit by bit those of the refinement.
"""


def _copies(job: Finished, primary: Path) -> dict[Path, tuple[str, str]]:
    """What is copied under which name: maps that are the primary one already are not repeated."""
    copies = {primary: (PRIMARY, "primary map"), job.folder / "half1.mrc": (HALF1, "first half-map, unmodified"),
              job.folder / "half2.mrc": (HALF2, "second half-map, unmodified")}  # fmt: skip
    others = {"map.mrc": "not sharpened, filtered by its FSC", "map_sharp.mrc": "sharpened"}
    if job.summary.get("bfactor_A2") is None:
        others.pop("map_sharp.mrc")
    more = [(job.folder / file, role) for file, role in others.items() if job.file(file) is not None]
    more = [(path, role) for path, role in more if path.resolve() != primary.resolve()]
    for number, (path, role) in enumerate(more, 1):
        copies[path] = (f"additional_map_{number}.mrc", f"additional map: {role}")
    known = {"mask_refine.mrc": "mask of the references"}
    masks_ = [(job.fsc_mask, "mask by which the FSC was judged")] if job.fsc_mask is not None else []
    masks_ += [(job.folder / file, role) for file, role in known.items() if job.file(file) is not None]
    for number, (path, role) in enumerate(masks_, 1):
        copies[path] = (f"mask_{number}.mrc", role)
    return copies


def _require_two_halves(job: Finished) -> None:
    """Raise InputError where both half-maps are one file or the same: the EMDB refuses that, and no FSC is of them."""
    one, two = (digest.sha256(job.folder / name) for name in finished.HALVES)
    if one == two:
        raise InputError(f"{job.folder}: half1.mrc and half2.mrc are the same; a deposition needs two half-maps")


def _draw(place: Bundle, content: Content) -> None:
    """The picture of the map."""
    from matplotlib.image import imsave

    pixels = surface.picture(content.primary, content.contour.level, PIXELS)
    imsave(place.folder / PICTURE, pixels)
    place.note(PICTURE, f"picture of the map, {PIXELS} x {PIXELS} pixels")
