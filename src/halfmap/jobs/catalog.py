"""Which jobs exist: name, settings, inputs and the function that runs each (imported only when it runs)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from halfmap.errors import UsageError
from halfmap.params.checking import CheckParticles
from halfmap.params.common import Job
from halfmap.params.demo import Demo
from halfmap.params.fsc import Fsc
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.importing import ImportParticles
from halfmap.params.nonuniform import Nonuniform
from halfmap.params.reconstruct import Reconstruct
from halfmap.params.simulate import Simulate


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

    def load(self) -> Callable:
        """The runner; imports the numerics."""
        module, function = self.runner.split(":")
        return getattr(importlib.import_module(module), function)

    def load_check(self) -> Callable:
        """The check of the input files; imports the numerics."""
        return importlib.import_module(self.runner.split(":")[0]).check


JOBS = (
    Entry(
        "refine homogeneous",
        "Refine one structure from particles and a starting map, with independent half-sets.",
        Homogeneous,
        ("particles", "passthrough", "volume", "mask", "fsc_mask"),
        "halfmap.jobs.homogeneous:run",
    ),
    Entry(
        "refine nonuniform",
        "The same with a filter for every place: membrane proteins, flexible and disordered parts.",
        Nonuniform,
        ("particles", "passthrough", "volume", "mask", "fsc_mask"),
        "halfmap.jobs.nonuniform:run",
    ),
    Entry(
        "reconstruct",
        "Make half-maps and their FSC from particles that already have poses.",
        Reconstruct,
        ("particles", "passthrough", "mask"),
        "halfmap.jobs.reconstruct:run",
    ),
    Entry(
        "fsc",
        "Fourier shell correlation of two half-maps: no mask, spherical, loose, tight, corrected, mask-free.",
        Fsc,
        ("half1", "half2", "mask"),
        "halfmap.jobs.fsc:run",
    ),
    Entry(
        "import particles",
        "Turn a particle table of RELION or cryoSPARC into particles.star, with corrections.",
        ImportParticles,
        ("particles", "passthrough"),
        "halfmap.jobs.importing:run",
    ),
    Entry(
        "check particles",
        "Look for faults of a particle table and its images; writes no maps.",
        CheckParticles,
        ("particles", "passthrough"),
        "halfmap.jobs.checking:run",
    ),
    Entry(
        "simulate",
        "Make particle images with known truth, from a map or from a protein-like object.",
        Simulate,
        ("map",),
        "halfmap.jobs.simulate:run",
    ),
    Entry(
        "demo",
        "Simulate a small protein, refine it and write the report: offline, under 2 minutes on 2 cores.",
        Demo,
        (),
        "halfmap.jobs.demo:run",
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

    def load(self) -> Callable:
        """The runner; imports what it needs."""
        module, function = self.runner.split(":")
        return getattr(importlib.import_module(module), function)


TOOLS = (
    Tool(
        "report",
        "Draw every plot of a job folder anew, of all iterations too, and write its report.html.",
        "halfmap.jobs.report:remake",
    ),
)


# Like a tool, it takes the folder of a job; it ends as that job does
RESUME = Tool(
    "resume",
    "Go on with an interrupted job from its newest checkpoint, with the settings it had.",
    "halfmap.jobs.run:resume",
)


def find(name: str) -> Entry:
    """The entry called ``name``. Raises UsageError naming all that exist."""
    for entry in JOBS:
        if entry.name == name:
            return entry
    raise UsageError(f"there is no job {name!r}; there are: {', '.join(entry.name for entry in JOBS)}")
