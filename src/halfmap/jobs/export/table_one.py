"""The numbers of data collection and refinement, as papers print them in their first table.

Owns which rows there are. What halfmap cannot know stays open, for the authors.
"""

from __future__ import annotations

import csv as csv_format
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap.data.particles import Particles
from halfmap.jobs.running.finished import Finished
from halfmap.types import Map

OPEN = ""  # for the authors to fill in
COLLECTION, PROCESSING = "Data collection", "Processing"


@dataclass(frozen=True)
class Row:
    """A line: section, quantity with its unit, value as text; empty where it is not known."""

    section: str
    quantity: str
    value: str


def rows(job: Finished, particles: Particles, primary: Map, contour: float, locres: Finished | None) -> list[Row]:
    """All lines, in the order of papers."""
    return [*_collection(particles), *_processing(job, primary, contour, locres)]


def _collection(particles: Particles) -> list[Row]:
    optics = particles.optics
    defocus = (particles.defocus.u_A + particles.defocus.v_A) / 2e4
    told = {
        "Magnification": OPEN,
        "Voltage (kV)": _several([entry.voltage_kV for entry in optics]),
        "Electron exposure (e-/A^2)": OPEN,
        "Spherical aberration (mm)": _several([entry.spherical_aberration_A / 1e7 for entry in optics]),
        "Amplitude contrast": _several([entry.amplitude_contrast for entry in optics]),
        "Defocus range (um)": f"{defocus.min():.2f} to {defocus.max():.2f}" if len(defocus) else OPEN,
        "Pixel size of the particle images (A)": _several([entry.pixel_size_A for entry in optics]),
        "Box of the particle images (pixels)": _several([entry.box for entry in optics]),
        "Optics groups": str(len(optics)),
    }
    return [Row(COLLECTION, *item) for item in told.items()]


def _processing(job: Finished, primary: Map, contour: float, locres: Finished | None) -> list[Row]:
    summary, params = job.summary, job.job["params"]
    bfactor = summary.get("bfactor_A2")
    told = {
        "Symmetry imposed": summary.get("symmetry", OPEN),
        "Initial particle images (no.)": f"{summary['n_particles'] + summary.get('n_rejected', 0)}",
        "Final particle images (no.)": f"{summary['n_particles']}",
        "Initial model": Path(params["volume"]).name if params.get("volume") else OPEN,
        "Initial low-pass (A)": _number(params.get("initial_lowpass")),
        "Map resolution (A)": f"{summary['resolution_A']:.2f}",
        "FSC threshold": f"{summary.get('fsc_threshold', 0.143):g}",
        "Map resolution without mask (A)": f"{summary['resolution_unmasked_A']:.2f}",
        "Map resolution range (A)": _range(locres),
        "Map sharpening B-factor (A^2)": OPEN if bfactor is None else f"{bfactor:.0f}",
        "Voxel size of the map (A)": f"{primary.voxel_size_A:.6g}",
        "Box of the map (voxels)": f"{primary.box}",
        "Recommended contour level": f"{contour:.4g}",
        "Evenness of resolution over directions (cFAR)": _number(summary.get("cfar"), 2),
        "Software": f"halfmap {job.job['versions']['halfmap']}",
    }
    return [Row(PROCESSING, *item) for item in told.items()]


def csv(table: list[Row]) -> str:
    """Comma-separated, with a header."""
    text = io.StringIO()
    writer = csv_format.writer(text, lineterminator="\n")
    writer.writerow(("section", "quantity", "value"))
    writer.writerows((row.section, row.quantity, row.value) for row in table)
    return text.getvalue()


def markdown(table: list[Row]) -> str:
    """A table in Markdown, a heading for each section."""
    lines = ["| | |", "|---|---|"]
    section = ""
    for row in table:
        if row.section != section:
            lines.append(f"| **{row.section}** | |")
            section = row.section
        lines.append(f"| {row.quantity} | {row.value} |")
    return "\n".join(lines) + "\n"


def _several(values: list[float]) -> str:
    """The one value that all optics groups share, or all there are."""
    return ", ".join(f"{value:.6g}" for value in np.unique(np.round(values, 9)))


def _range(locres: Finished | None) -> str:
    """5 to 95 % of the voxels in the mask."""
    if locres is None:
        return OPEN
    low, high = (locres.summary[f"local_resolution_{percent}_percent_A"] for percent in (5, 95))
    return f"{low:.2f} to {high:.2f}"


def _number(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return OPEN
    return f"{value:g}" if digits is None else f"{value:.{digits}f}"
