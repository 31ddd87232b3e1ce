"""What is wrong, or looks wrong, with a particle table and its images, found before they are used.

Owns what counts as a fault (it would stop a refinement or make its result wrong) and what as a warning (suspicious, or
left out by a refinement by itself). Reads each image once; changes nothing. Faults of syntax and of single values are
the readers'.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from halfmap.data import halves, neighbours, stack, tables
from halfmap.data.particles import FIRST, SECOND, UNASSIGNED, Particles
from halfmap.errors import InputError
from halfmap.io import faults, mrc
from halfmap.types import Optics

SAME_PIXEL = 0.01  # pixel sizes in headers are often rounded to two decimals
# Underfocus of single particles is 3,000 to 60,000 A: 0.3 to 6 in micrometres, 300 to 6,000 in nanometres.
MICROMETRE_DEFOCUS_A, LEAST_DEFOCUS_A, LARGEST_DEFOCUS_A = 20.0, 1000.0, 100_000.0
LARGEST_ASTIGMATISM_A = 5000.0
PLAUSIBLE = {  # what microscopes and cameras have, with room: outside, a unit was mistaken
    "voltage_kV": (60.0, 400.0, "kV"),
    "spherical_aberration_A": (0.0, 1e8, "A (10 mm)"),
    "amplitude_contrast": (0.0, 0.5, ""),
    "pixel_size_A": (0.1, 30.0, "A"),
}
OUTLIER_SD = 6.0  # robust standard deviations: 1 in 5e8 of a normal distribution
OUTLIER_MEAN, OUTLIER_RATIO = 0.5, 1.5  # of the usual standard deviation: well-normalised stacks differ by 0.05
CENTRE, EDGE = 0.2, 0.38  # of the box: a disc within the particle, and a ring outside that ends at 0.5
SURE = 5.0  # standard errors of the mean contrast
MAD_TO_SD = 1.4826  # of a normal distribution

Progress = Callable[[int, int], None]


@dataclass
class Findings:
    """Plain sentences, counts by name, and the rows (from 0) each list is about."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    counts: dict[str, float | int | str] = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict)

    def listed(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Note rows under a name, with their number; returns them."""
        self.rows[name], self.counts[name] = np.asarray(rows), len(rows)
        return self.rows[name]


@dataclass(frozen=True)
class Statistics:
    """Of single images, (n,) each, NaN where not read: mean, standard deviation, centre less edge over sd; bad ones."""

    mean: np.ndarray
    sd: np.ndarray
    contrast: np.ndarray
    bad: np.ndarray


# ---- the table


def table(found: Findings, particles: Particles, duplicate_distance_A: float) -> None:
    """Add what the table alone tells."""
    found.counts |= {"particles": len(particles), "optics_groups": len(particles.optics)}
    for entry in particles.optics:
        found.warnings += _optics(entry)
    _defocus(found, particles)
    _halves(found, particles)
    _neighbours(found, particles, duplicate_distance_A)
    _poses(found, particles)
    found.warnings += tables.unmodelled(particles)


def _optics(entry: Optics) -> list[str]:
    lines = []
    for name, (low, high, unit) in PLAUSIBLE.items():
        value = getattr(entry, name)
        if not low <= value <= high:
            what = f"expected {low:g} to {high:g} {unit}".rstrip()
            lines.append(f"Optics group {entry.name}: {name} is {value:g}, {what}; is the unit right?")
    return lines


def _defocus(found: Findings, particles: Particles) -> None:
    defocus = particles.defocus
    mean, difference = (defocus.u_A + defocus.v_A) / 2, np.abs(defocus.u_A - defocus.v_A)
    usual = float(np.median(mean))
    found.counts |= {"defocus_smallest_A": float(mean.min()), "defocus_largest_A": float(mean.max())}
    found.counts["defocus_median_A"] = usual
    found.faults += _usual_defocus(usual, mean)
    over = found.listed("overfocus", np.flatnonzero(mean < 0) if usual > 0 else [])
    large = found.listed("large_astigmatism", np.flatnonzero(difference > LARGEST_ASTIGMATISM_A))
    far = found.listed("defocus_out_of_range", np.flatnonzero(mean > LARGEST_DEFOCUS_A))
    for rows, what in ((over, "are overfocused (negative defocus)"),
                       (large, f"have more than {LARGEST_ASTIGMATISM_A:,.0f} A of astigmatism"),
                       (far, f"have a defocus beyond {LARGEST_DEFOCUS_A:,.0f} A")):  # fmt: skip
        if len(rows):
            found.warnings.append(f"{len(rows):,} particles {what}, the first in row {rows[0] + 1}.")
    phase = defocus.phase_shift_rad
    if np.any(phase) and np.abs(phase).max() <= np.deg2rad(np.pi):
        found.warnings.append("The phase shifts are 0 to 3.14 degrees: were they written in radians?")


def _usual_defocus(usual: float, mean: np.ndarray) -> list[str]:
    if not np.any(mean):
        return ["defocus: all 0; estimate the CTF first"]
    if usual < 0:
        return [f"defocus: median {usual:,.0f} A; underfocus is positive, change the sign"]
    if usual < MICROMETRE_DEFOCUS_A:
        return [f"defocus: median {usual:g} A; this looks like micrometres, multiply by 10,000"]
    if usual < LEAST_DEFOCUS_A:
        return [f"defocus: median {usual:g} A; this looks like nanometres, multiply by 10"]
    return []


def _halves(found: Findings, particles: Particles) -> None:
    counts = [int(np.count_nonzero(particles.half == value)) for value in (FIRST, SECOND, UNASSIGNED)]
    found.counts |= dict(zip(("half1", "half2", "without_half"), counts, strict=True))
    try:
        halves.assign(particles, np.random.default_rng(0))
    except InputError as fault:
        found.faults += fault.faults
    found.warnings += halves.audit(particles) if any(counts[:2]) else []


def _neighbours(found: Findings, particles: Particles, distance_A: float) -> None:
    """Pairs of particles of one micrograph that are the same molecule, though not the same image."""
    places, pairs = tables.positions(particles), neighbours.pairs(particles, distance_A)
    if places is None or pairs is None:
        return
    found.counts["micrographs"] = int(places[0].max()) + 1
    first, second = pairs.T
    across = particles.half[first] != particles.half[second]
    found.counts |= {"close_pairs": len(first), "close_pairs_across_halves": int(np.count_nonzero(across))}
    found.rows["close_to_another"] = np.unique(pairs)
    if len(first):
        text = f"{len(first):,} pairs of particles lie within {distance_A:g} A of each other in a micrograph"
        split = f"; {np.count_nonzero(across):,} of them are in different half-sets: the FSC will be too good"
        found.warnings.append(text + (split if np.any(across) else "") + ". Remove duplicates.")


def _poses(found: Findings, particles: Particles) -> None:
    found.counts["poses"] = "yes" if particles.poses is not None else "none"
    if particles.poses is None:
        return
    length = np.array([entry.box * entry.pixel_size_A or np.inf for entry in particles.optics])[particles.group]
    far = found.listed("shifted_out_of_box", np.flatnonzero(np.abs(particles.poses.shifts_A).max(axis=1) > length / 2))
    if len(far):
        found.warnings.append(f"{len(far):,} shifts are larger than half the box, the first in row {far[0] + 1}.")
    if len(particles) > 1 and np.all(particles.poses.rotations == particles.poses.rotations[0]):
        found.warnings.append("All particles have the same rotation: it says nothing about the view.")


# ---- the files


def files(found: Findings, particles: Particles) -> np.ndarray:
    """Add what the headers tell; returns the rows whose images can be read."""
    there = np.array([os.path.isfile(path) for path in particles.files])
    present = np.flatnonzero(there[particles.file])
    lines = stack.check_files(particles[present])
    faulty = [number for number, wrong in lines.items() if wrong]
    found.faults += faults.capped([line for wrong in lines.values() for line in wrong], "image files")
    found.counts |= {
        "files": len(np.unique(particles.file)),
        "files_missing": int(np.count_nonzero(~there[np.unique(particles.file)])),
        "files_faulty": len(faulty),
    }
    sound = present[~np.isin(particles.file[present], faulty)]
    found.warnings += list(_pixel_sizes(particles, sound))
    return sound


def _pixel_sizes(particles: Particles, rows: np.ndarray) -> Iterator[str]:
    """The header of the first sound stack of each group against the table."""
    for group in np.unique(particles.group[rows]):
        path = particles.files[particles.file[rows[np.argmax(particles.group[rows] == group)]]]
        told, header = particles.optics[group].pixel_size_A, mrc.read_header(path).voxel_size_A
        # 0 and 1 are what programs write that do not know the pixel size
        if header not in (0.0, 1.0) and abs(header - told) > SAME_PIXEL * told:
            name = particles.optics[group].name
            yield f"Optics group {name}: pixel size {told:g} A in the table, {header:g} A in {path}."


# ---- the images


def images(found: Findings, particles: Particles, rows: np.ndarray, batch: int, progress: Progress) -> None:
    """Read the images of ``rows`` once, ``batch`` at a time, and add what they tell."""
    found.counts["images_read"] = len(rows)
    if not len(rows):
        return
    statistics = _statistics(particles, rows, batch, progress)
    bad = found.listed("bad_images", rows[statistics.bad[rows]])
    if len(bad):
        first = f"the first is {particles.image_name(bad[0])} in row {bad[0] + 1}"
        found.warnings.append(f"{len(bad):,} images are constant or hold NaN, infinity or huge values ({first}); they "
                              "are left out.")
    good = rows[~statistics.bad[rows]]
    if len(good):
        _outliers(found, statistics, good)
        _contrast(found, particles, statistics, good)


def _statistics(particles: Particles, rows: np.ndarray, batch: int, progress: Progress) -> Statistics:
    n, done = len(particles), 0
    values = Statistics(*(np.full(n, np.nan) for _ in range(3)), np.zeros(n, dtype=bool))
    for which, pictures in stack.Stack(particles).batches(rows, batch):
        values.bad[which] = stack.faulty(pictures)
        fine = ~values.bad[which]
        measured = _measured(pictures[fine].astype(np.float32))
        for target, column in zip((values.mean, values.sd, values.contrast), measured, strict=True):
            target[which[fine]] = column
        done += len(which)
        progress(done, len(rows))
    return values


def _measured(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, standard deviation, (mean of centre - mean of edge) / sd) of images (b, N, N)."""
    box = pictures.shape[-1]
    y, x = np.mgrid[:box, :box] - box // 2
    radius = np.hypot(x, y) / box
    centre, edge = radius < CENTRE, (radius > EDGE) & (radius < 0.5)
    mean, sd = pictures.mean(axis=(1, 2), dtype=np.float64), pictures.std(axis=(1, 2), dtype=np.float64)
    inner, outer = (pictures[:, region].mean(axis=1, dtype=np.float64) for region in (centre, edge))
    return mean, sd, (inner - outer) / np.where(sd > 0, sd, 1.0)


def _outliers(found: Findings, statistics: Statistics, rows: np.ndarray) -> None:
    mean, sd = statistics.mean[rows], statistics.sd[rows]
    usual = float(np.median(sd))
    found.counts |= {"image_mean_median": float(np.median(mean)), "image_sd_median": usual}
    odd_mean = _far(mean, OUTLIER_MEAN * usual)
    odd_sd = _far(np.log(np.maximum(sd, np.finfo(float).tiny)), np.log(OUTLIER_RATIO))
    for name, odd, what in (("mean_outliers", odd_mean, "mean"), ("sd_outliers", odd_sd, "standard deviation")):
        listed = found.listed(name, rows[odd])
        if len(listed):
            found.warnings.append(
                f"{len(listed):,} images have an unusual {what}, the first in row {listed[0] + 1}: ice, an edge of the "
                "micrograph, or images that were normalised in another way."
            )


def _far(values: np.ndarray, least: float) -> np.ndarray:
    """Where values differ from the median by OUTLIER_SD robust standard deviations and by ``least``."""
    distance = np.abs(values - np.median(values))
    return distance > max(OUTLIER_SD * MAD_TO_SD * float(np.median(distance)), least)


def _contrast(found: Findings, particles: Particles, statistics: Statistics, rows: np.ndarray) -> None:
    """Whether protein is bright, from the middle of the images, against what the table says."""
    values = statistics.contrast[rows]
    error = values.std() / np.sqrt(len(values))
    sure = len(values) > 2 and error > 0 and abs(values.mean()) > SURE * error
    seen = ("white" if values.mean() > 0 else "dark") if sure else "unknown"
    told = "dark" if np.median(particles.defocus.scale[rows]) < 0 else "white"
    found.counts |= {"protein_looks": seen, "protein_is_told": told}
    if sure and seen != told:
        found.warnings.append(
            f"The protein looks {seen} and the table says {told}: a refinement would find an inverted map. "
            f"Import with --contrast {seen}, or extract again."
        )
