"""Which jobs exist: name, settings, inputs and the function that runs each (imported only when it runs)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from halfmap.errors import UsageError
from halfmap.params.abinitio import Abinitio
from halfmap.params.abinitio_refine import AbinitioRefine
from halfmap.params.auto import Auto
from halfmap.params.checking import CheckParticles
from halfmap.params.common import Job
from halfmap.params.demo import Demo
from halfmap.params.expansion import SymmetryExpand
from halfmap.params.export import Export
from halfmap.params.fsc import Fsc
from halfmap.params.geometry import VolumeAlign, VolumeFlip, VolumeRecenter, VolumeResample
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.importing import ImportParticles
from halfmap.params.local import Local
from halfmap.params.local_resolution import LocalFilter, LocalResolution
from halfmap.params.mask_tools import CombineMasks, MaskFromMap, MaskVolume
from halfmap.params.nonuniform import Nonuniform
from halfmap.params.orientation import Orientation
from halfmap.params.reconstruct import Reconstruct
from halfmap.params.segment import SegmentMask
from halfmap.params.sharpen import Sharpen
from halfmap.params.simulate import Simulate
from halfmap.params.stacks import Downsample, Extract
from halfmap.params.subtract import Revert, Subtract
from halfmap.params.templates import Templates
from halfmap.params.volume_tools import FilterVolume, ImportVolume, ThresholdVolume


@dataclass(frozen=True)
class Entry:
    """One kind of job.

    ``name`` is what the user types after ``halfmap``; ``inputs`` are the settings that name input files; ``runner`` is
    "module:function", called as ``function(params, folder, rng, watch)``; it writes the result files and returns what
    the summary says about them. Its module also has ``check(params, watch)``, which reads and checks the input files,
    writes nothing and returns what --dry-run tells.
    """

    name: str
    summary: str
    params: type[Job]
    inputs: tuple[str, ...]
    runner: str

    @property
    def subject(self) -> str | None:
        """The one input that the job cannot do without: it needs no flag. None where there are more or none."""
        needed = [name for name in self.inputs if self.params.model_fields[name].is_required()]
        return needed[0] if len(needed) == 1 else None

    def load(self) -> Callable:
        """The runner; imports the numerics."""
        module, function = self.runner.split(":")
        return getattr(importlib.import_module(module), function)

    def load_check(self) -> Callable:
        """The check of the input files; imports the numerics."""
        return importlib.import_module(self.runner.split(":")[0]).check


JOBS = (
    Entry(
        "abinitio",
        "Make a map, or several, from particles alone: no starting map, no poses.",
        Abinitio,
        ("particles", "passthrough"),
        "halfmap.jobs.refinement.abinitio:run",
    ),
    Entry(
        "abinitio-refine",
        "Make two half-maps from particles alone, each from a start of its own, and refine them to high resolution.",
        AbinitioRefine,
        ("particles", "passthrough", "mask", "fsc_mask", "continue_from"),
        "halfmap.jobs.refinement.abinitio_refine:run",
    ),
    Entry(
        "refine homogeneous",
        "Refine one structure from particles and a starting map, with independent half-sets.",
        Homogeneous,
        ("particles", "passthrough", "volume", "mask", "fsc_mask", "continue_from"),
        "halfmap.jobs.refinement.homogeneous:run",
    ),
    Entry(
        "refine auto",
        "The same in the manner of RELION's 3D auto-refine: accuracies, sampling and convergence told and automatic.",
        Auto,
        ("particles", "passthrough", "volume", "mask", "fsc_mask", "continue_from"),
        "halfmap.jobs.refinement.auto:run",
    ),
    Entry(
        "refine local",
        "Refine a part of a structure, inside a mask and near the poses that the particles have.",
        Local,
        ("particles", "passthrough", "volume", "half1", "half2", "mask", "fsc_mask", "continue_from"),
        "halfmap.jobs.refinement.local:run",
    ),
    Entry(
        "refine nonuniform",
        "The same with a filter for every place: membrane proteins, flexible and disordered parts.",
        Nonuniform,
        ("particles", "passthrough", "volume", "mask", "fsc_mask", "continue_from"),
        "halfmap.jobs.refinement.nonuniform:run",
    ),
    Entry(
        "reconstruct",
        "Make half-maps and their FSC from particles that already have poses.",
        Reconstruct,
        ("particles", "passthrough", "mask"),
        "halfmap.jobs.refinement.reconstruct:run",
    ),
    Entry(
        "fsc",
        "Fourier shell correlation of two half-maps or of any two maps: no mask, spherical, loose, tight, corrected.",
        Fsc,
        ("half1", "half2", "volume", "against", "mask"),
        "halfmap.jobs.volume.fsc:run",
    ),
    Entry(
        "sharpen",
        "Sharpen a map: FSC weights, MTF, B-factor and low-pass, with a plot of before and after.",
        Sharpen,
        ("volume", "half1", "half2", "mask", "mtf"),
        "halfmap.jobs.volume.sharpen:run",
    ),
    Entry(
        "local-resolution",
        "Resolution of every place of a map, from its half-maps.",
        LocalResolution,
        ("volume", "half1", "half2", "mask"),
        "halfmap.jobs.volume.local_resolution:run",
    ),
    Entry(
        "local-filter",
        "Low-pass every place of a map to its own resolution, and sharpen it if wanted.",
        LocalFilter,
        ("volume", "half1", "half2", "mask", "local_resolution"),
        "halfmap.jobs.volume.local_filter:run",
    ),
    Entry(
        "orientation",
        "Whether all directions of a map are equally good: views, sampling (SCF*), conical FSC (cFAR), a verdict.",
        Orientation,
        ("volume", "half1", "half2", "mask", "particles"),
        "halfmap.jobs.volume.orientation:run",
    ),
    Entry(
        "import particles",
        "Turn a particle table of RELION or cryoSPARC into particles.star, with corrections.",
        ImportParticles,
        ("particles", "passthrough"),
        "halfmap.jobs.particles.importing:run",
    ),
    Entry(
        "import volume",
        "Bring in a map or mask of another program, checked; linked, not copied, where nothing of it changes.",
        ImportVolume,
        ("volume",),
        "halfmap.jobs.volume.volume_import:run",
    ),
    Entry(
        "volume filter",
        "Filter a map, alone or with its half-maps: Gaussian blur, low-pass, high-pass.",
        FilterVolume,
        ("volume", "half1", "half2", "mask"),
        "halfmap.jobs.volume.volume_filter:run",
    ),
    Entry(
        "volume threshold",
        "Cut a map at a value: 1 and 0, or its values and 0.",
        ThresholdVolume,
        ("volume",),
        "halfmap.jobs.volume.volume_threshold:run",
    ),
    Entry(
        "volume mask",
        "Make a mask: threshold, fill holes, dilate, soft edge, invert, in this order.",
        MaskVolume,
        ("volume",),
        "halfmap.jobs.volume.volume_mask:run",
    ),
    Entry(
        "mask from-map",
        "Make a soft mask around the particle of a map; the threshold comes from the noise of its solvent.",
        MaskFromMap,
        ("volume",),
        "halfmap.jobs.volume.mask_from_map:run",
    ),
    Entry(
        "mask combine",
        "Union, intersection or difference of masks, or the complement of one.",
        CombineMasks,
        ("mask",),
        "halfmap.jobs.volume.mask_combine:run",
    ),
    Entry(
        "check particles",
        "Look for faults of a particle table and its images; writes no maps.",
        CheckParticles,
        ("particles", "passthrough"),
        "halfmap.jobs.particles.checking:run",
    ),
    Entry(
        "mask segment",
        "Cut a map into numbered regions, choose some of them and make a mask of those.",
        SegmentMask,
        ("volume",),
        "halfmap.jobs.volume.segment:run",
    ),
    Entry(
        "volume resample",
        "Bring a map, its half-maps and masks to another voxel size, another box or another map's grid.",
        VolumeResample,
        ("volume", "half1", "half2", "mask", "onto"),
        "halfmap.jobs.volume.resampling:run",
    ),
    Entry(
        "volume flip",
        "Mirror a map, its half-maps and masks, and the poses of its particles with it.",
        VolumeFlip,
        ("volume", "half1", "half2", "mask", "particles", "passthrough"),
        "halfmap.jobs.volume.flipping:run",
    ),
    Entry(
        "volume recenter",
        "Make another point the centre of a map, its half-maps and masks, and of its particles.",
        VolumeRecenter,
        ("volume", "half1", "half2", "mask", "particles", "passthrough", "to_mask"),
        "halfmap.jobs.volume.recentering:run",
    ),
    Entry(
        "volume align",
        "Bring a map, its half-maps, masks and particles onto its symmetry axes or onto another map.",
        VolumeAlign,
        ("volume", "half1", "half2", "mask", "particles", "passthrough", "reference", "reference_mask"),
        "halfmap.jobs.volume.aligning:run",
    ),
    Entry(
        "symmetry-expand",
        "Repeat every particle at all its symmetry-equivalent poses, for local refinement in C1.",
        SymmetryExpand,
        ("particles", "passthrough"),
        "halfmap.jobs.particles.expansion:run",
    ),
    Entry(
        "extract",
        "Cut particle images from micrographs, by picks or anew for refined particles.",
        Extract,
        ("micrographs", "coordinates", "particles"),
        "halfmap.jobs.particles.extract:run",
    ),
    Entry(
        "downsample",
        "Crop, pad, Fourier-crop or re-centre particle images.",
        Downsample,
        ("particles", "passthrough"),
        "halfmap.jobs.particles.downsample:run",
    ),
    Entry(
        "subtract",
        "Take from particle images what a part of the map shows in them.",
        Subtract,
        ("particles", "passthrough", "volume", "half1", "half2", "mask"),
        "halfmap.jobs.particles.subtract:run",
    ),
    Entry(
        "revert",
        "Give subtracted particles their original images back.",
        Revert,
        ("particles", "passthrough"),
        "halfmap.jobs.particles.revert:run",
    ),
    Entry(
        "templates",
        "Make evenly spaced projections of a map, for picking.",
        Templates,
        ("volume",),
        "halfmap.jobs.particles.templates:run",
    ),
    Entry(
        "simulate",
        "Make particle images with known truth, from a map or from a protein-like object.",
        Simulate,
        ("map",),
        "halfmap.jobs.particles.simulate:run",
    ),
    Entry(
        "export",
        "Hand a finished refinement over to RELION, to cryoSPARC, or to the EMDB as a deposition.",
        Export,
        ("job", "volume", "local_resolution", "mtf"),
        "halfmap.jobs.export.export:run",
    ),
    Entry(
        "demo",
        "Simulate a small protein, refine it and write the report: offline, under 2 minutes on 2 cores.",
        Demo,
        (),
        "halfmap.jobs.particles.demo:run",
    ),
)


@dataclass(frozen=True)
class Tool:
    """A command for the folder of a job: ``halfmap NAME FOLDER``.

    ``runner`` is "module:function", called as ``function(folder)``; it returns the file to look at.
    """

    name: str
    summary: str
    runner: str
    folder: str = "Folder of a job that has ended."  # help text

    def load(self) -> Callable:
        """The runner; imports what it needs."""
        module, function = self.runner.split(":")
        return getattr(importlib.import_module(module), function)


TOOLS = (
    Tool(
        "report",
        "Draw every plot of a job folder anew, of all iterations too, and write its report.html.",
        "halfmap.jobs.pictures.report:remake",
    ),
    Tool(
        "cache list",
        "Tell which image stacks a cache holds, their sizes and when they were last used.",
        "halfmap.jobs.running.caching:told",
        "Folder that --cache-dir names.",
    ),
    Tool(
        "cache clear",
        "Remove the image stacks of a cache, and nothing else in its folder.",
        "halfmap.jobs.running.caching:cleared",
        "Folder that --cache-dir names.",
    ),
)


# Like a tool, it takes the folder of a job; it ends as that job does
RESUME = Tool(
    "resume",
    "Go on with an interrupted job from its newest checkpoint, with the settings it had.",
    "halfmap.jobs.running.run:resume",
)


def find(name: str) -> Entry:
    """The entry called ``name``. Raises UsageError naming all that exist."""
    for entry in JOBS:
        if entry.name == name:
            return entry
    raise UsageError(f"there is no job {name!r}; there are: {', '.join(entry.name for entry in JOBS)}")
