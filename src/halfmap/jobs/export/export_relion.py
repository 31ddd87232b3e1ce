"""A finished refinement as a folder of RELION's file names, usable in a RELION project as it is."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from halfmap.data import image_names, relion
from halfmap.data.particles import Particles
from halfmap.io import mrc
from halfmap.jobs.export import bundle, export_images
from halfmap.jobs.export.bundle import Bundle
from halfmap.jobs.running import finished
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.finished import Finished
from halfmap.params.export import Export

PROJECT = "default_pipeline.star"  # in the root of every RELION project
STACKS, SUFFIX = "Particles", ".mrcs"  # RELION takes a stack of another suffix for a volume
MAPS = {
    "half1.mrc": ("run_half1_class001_unfil.mrc", "first half-map, unfiltered"),
    "half2.mrc": ("run_half2_class001_unfil.mrc", "second half-map, unfiltered"),
    "map.mrc": ("run_class001.mrc", "map of both halves, filtered by their FSC"),
}
FLOAT16 = 12  # MRC mode
MASK, TABLE, MTF = "mask.mrc", "particles.star", "mtf.star"


@dataclass(frozen=True)
class Content:
    """All that is to be written. ``stacks``: real file -> name in the folder, of those that RELION finds by a link."""

    job: Finished
    particles: Particles
    stacks: dict[Path, str]
    root: Path
    target: Path
    maps: dict[Path, tuple[str, str]]
    mtf: Path | None
    copied: bool


def gathered(job: Finished, params: Export, target: Path, watch: Watch | Passing) -> Content:
    """Read particles and maps. Raises InputError with what is missing or unsound."""
    finished.require(job, tuple(MAPS))
    maps = {job.folder / file: told for file, told in MAPS.items()}
    if job.fsc_mask is not None:
        maps[job.fsc_mask] = (MASK, "mask by which the FSC was judged")
    bundle.require_sound(list(maps))
    if params.mtf is not None:
        relion.read_mtf(params.mtf)
    particles = export_images.read(job, params.images_root)
    target = Path(os.path.abspath(target))
    root = _root(params, target)
    beyond = [file for file in particles.files
              if params.copy_images or file.suffix != SUFFIX or not file.is_relative_to(root)]  # fmt: skip
    stacks = export_images.named(beyond, STACKS, SUFFIX)
    placed = tuple(target / stacks[file] if file in stacks else file for file in particles.files)
    if any(mrc.read_header(file).mode == FLOAT16 for file in particles.files):
        watch("warning", message="the images are half-precision numbers (MRC mode 12), which RELION reads from version "
              "4 on; for an older one write them anew: halfmap downsample without --float16")
    watch("note", text=f"names of images start from {root}, where relion is to be started")
    return Content(job, replace(particles, files=placed), stacks, root, target, maps, params.mtf, params.copy_images)


def fill(place: Bundle, content: Content) -> dict:
    """Write the folder."""
    for source, (name, role) in content.maps.items():
        place.copy(source, name, role)
    export_images.put(place, content.stacks, content.copied)
    relion.write(place.folder / TABLE, content.particles, root=content.root)
    place.note(TABLE, "particles with poses, half-sets and all columns of the input")
    if content.mtf is not None:
        place.copy(content.mtf, MTF, "MTF of the detector")
    place.text("README.txt", readme(content), "what to type next")
    return {"n_particles": len(content.particles), "n_stacks": len(content.particles.files),
            "relion_project": str(content.root)}  # fmt: skip


def readme(content: Content) -> str:
    """Commands for the next steps, as they are typed in the RELION project."""
    header, symmetry = mrc.read_header(content.job.folder / "half1.mrc"), content.job.summary.get("symmetry", "C1")
    size, own = header.voxel_size_A, content.root == content.target
    where = "this folder" if own else f"the project folder {content.root}"
    first = image_names.written(content.particles.files[0], content.root)
    return f"""Made by halfmap from its job {content.job.name!r}. Start relion in {where}:
names of images in {TABLE} start there, such as {first}.

Maps have voxels of {size:.6g} A; the symmetry is {symmetry}. Post-processing, typed in this folder:

  relion_postprocess --i run_half1_class001_unfil.mrc {_masked(content)}--angpix {size:.6g} {_detector(content)}\\
    --auto_bfac --autob_lowres 10 --o ./postprocess

In the GUI, {TABLE} is the input of CtfRefine, Polish, Class3D, Refine3D and Subtract.
"""


def _masked(content: Content) -> str:
    return f"--mask {MASK} " if content.job.fsc_mask is not None else ""


def _detector(content: Content) -> str:
    return f"--mtf {MTF} --mtf_angpix <pixel size of the detector> " if content.mtf is not None else ""


def _root(params: Export, target: Path) -> Path:
    """The RELION project: that of the settings, the nearest above the folder, else the folder itself."""
    if params.project is not None:
        return Path(os.path.abspath(params.project))
    return next((above for above in target.parents if (above / PROJECT).is_file()), target)
