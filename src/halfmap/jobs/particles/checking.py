"""Runs `halfmap check particles`: reads table and images, lists what is wrong, writes no maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.data import preflight, tables
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.io import faults as fault_lists
from halfmap.jobs.running import record
from halfmap.jobs.running.events import Passing, Watch
from halfmap.params.checking import CheckParticles

BATCH_BYTES = 64e6  # images in memory at a time, as 32-bit numbers
LISTED = 1000  # rows of a kind in summary.json: enough to look at, and the file stays small
LABELS = {
    "particles": "particles",
    "micrographs": "micrographs",
    "optics_groups": "optics groups",
    "half1": "in half-set 1",
    "half2": "in half-set 2",
    "without_half": "without half-set",
    "poses": "poses",
    "defocus_smallest_A": "smallest defocus (A)",
    "defocus_median_A": "median defocus (A)",
    "defocus_largest_A": "largest defocus (A)",
    "close_pairs": "pairs closer than --duplicate-distance",
    "files": "stacks",
    "files_missing": "stacks missing",
    "files_faulty": "stacks with faults",
    "images_read": "images read",
    "bad_images": "constant, NaN, infinite or huge images",
    "mean_outliers": "images of unusual mean",
    "sd_outliers": "images of unusual standard deviation",
    "protein_looks": "protein looks",
    "protein_is_told": "protein is, says the table",
}


def run(params: CheckParticles, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Check everything; returns what the summary says.

    Raises: InputError with every fault, which carries the same summary.
    """
    found = preflight.Findings()
    written = tables.read_table(params.particles, params.passthrough)
    particles, missing = tables.located(written, params.particles, params.images_root)
    found.faults += missing
    preflight.table(found, particles, params.duplicate_distance_A)
    readable = preflight.files(found, particles)
    if not params.quick:
        _look(found, particles, readable, watch)
    return _tell(found, particles, folder, watch)


def check(params: CheckParticles, watch: Passing) -> dict:
    """Read the table and find its stacks; the images, and their faults, are the job's."""
    written = tables.read_table(params.particles, params.passthrough)
    particles, missing = tables.located(written, params.particles, params.images_root)
    if missing:
        raise InputError(missing)
    return {"n_particles": len(particles)}


def _look(found: preflight.Findings, particles: Particles, rows: np.ndarray, watch: Watch) -> None:
    largest = max((entry.box for entry in particles.optics), default=1) or 1
    batch = max(1, int(BATCH_BYTES / (4 * largest**2)))
    preflight.images(
        found, particles, rows, batch, lambda done, total: watch("progress", stage="check", done=done, total=total)
    )


def _tell(found: preflight.Findings, particles: Particles, folder: Path, watch: Watch) -> dict:
    text = table(found, particles)
    record.write_text(folder / "check.txt", "\n".join([text, *_sentences(found)]) + "\n")
    watch("note", text=text)
    for message in found.warnings:
        watch("warning", message=message)
    rows = {name: (listed[:LISTED] + 1).tolist() for name, listed in found.rows.items() if len(listed)}
    summary = {"n_particles": len(particles), "counts": found.counts, "rows": rows}
    if found.faults:
        raise InputError(found.faults, summary)
    return summary


def table(found: preflight.Findings, particles: Particles) -> str:
    """What was counted, a line each, with the optics groups: to be read in a terminal."""
    lines = [f"  {label:<42}{_shown(found.counts[name])}" for name, label in LABELS.items() if name in found.counts]
    lines += [
        f"  {entry.name}: {entry.voltage_kV:g} kV, Cs {entry.spherical_aberration_A * 1e-7:g} mm, amplitude contrast "
        f"{entry.amplitude_contrast:g}, {entry.pixel_size_A:g} A, box {entry.box}"
        for entry in particles.optics[: fault_lists.LISTED]
    ]
    return "\n".join([*lines, f"  verdict: {_verdict(found)}"])


def _verdict(found: preflight.Findings) -> str:
    if found.faults:
        return "faults, listed below"
    return f"no faults, {len(found.warnings)} warnings" if found.warnings else "clean"


def _sentences(found: preflight.Findings) -> list[str]:
    return [*(f"fault: {line}" for line in found.faults), *(f"warning: {line}" for line in found.warnings)]


def _shown(value: float | int | str) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}"
