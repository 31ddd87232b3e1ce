"""Makes report.html of a job folder from its result files: one page that needs no other file.

Owns the page. Pictures and their sentences come from `plots`; ``halfmap report FOLDER`` makes both anew.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader

from halfmap.errors import UsageError
from halfmap.jobs.export import citations, methods
from halfmap.jobs.pictures import headlines, plots
from halfmap.jobs.pictures.views import Plot, View
from halfmap.jobs.running import events, finished, record

COLUMNS = {
    "whose": ("Of", "{}"),
    "iteration": ("Iteration", "{}"),
    "resolution_A": ("Resolution (A)", "{:.2f}"),
    "resolution_unmasked_A": ("No mask (A)", "{:.2f}"),
    "band_A": ("Aligned to (A)", "{:.2f}"),
    "accuracy_rotation_deg": ("Accuracy (deg)", "{:.2f}"),
    "accuracy_shift_A": ("Accuracy (A)", "{:.2f}"),
    "change_rotation_deg": ("Change (deg)", "{:.2f}"),
    "change_shift_A": ("Change (A)", "{:.2f}"),
    "seconds": ("Time (s)", "{:.1f}"),
}


PHASES = {  # of a map that grows from nothing
    "half": ("Half", "{}"),
    "whose": ("Start", "{}"),
    "name": ("Phase", "{}"),
    "steps": ("Steps", "{}"),
    "images": ("Images a step", "{:.0f}"),
    "noise_scale": ("Noise at first, times its own", "{:.2f}"),
    "band_A": ("At (A)", "{:.1f}"),
    "evidence": ("Evidence (nats)", "{:z.2f}"),
    "effective_fraction": ("Poses with weight", "{:.2g}"),
    "change": ("Change a step", "{:.1%}"),
    "reason": ("Why it ended", "{}"),
}
FACTS = {
    "images": ("Images", "{}"),
    "images_per_half": ("Images per half", "{0[0]} + {0[1]}"),
    "box": ("Box of the maps (voxels)", "{}"),
    "voxel_size_A": ("Voxel (A)", "{:.3f}"),
    "resolution_A": ("Resolution, corrected (A)", "{:.2f}"),
    "radii": ("FSC radii (shells)", None),
    "band": ("Aligned with shells up to", "{}"),
    "band_A": ("... which is (A)", "{:.2f}"),
    "searched": ("Images searched globally", "{}"),
    "searched_locally": ("Images searched near their pose", "{}"),
    "junk_particles": ("Images that count for less than half", "{}"),
    "search_step_deg": ("Largest angular step of the search (deg)", "{:.2f}"),
    "undecided": ("Images between several poses", "{:.1%}"),
    "noise_scale": ("Noise taken larger, times", "{:.3f}"),
    "poses_per_image": ("Poses per image, effective", "{:.2f}"),
    "local_filter_A": ("Local filter inside the mask, median (A)", "{:.2f}"),
    "hopped": ("Images that went to another symmetry mate", "{:.1%}"),
    "at_rotation_extent": ("Images turned as far as they may", "{:.1%}"),
    "at_shift_extent": ("Images shifted as far as they may", "{:.1%}"),
    "since_input_rotation_deg": ("Turned since the input, median (deg)", "{:.2f}"),
    "since_input_shift_A": ("Shift of the fulcrum since the input, median (A)", "{:.2f}"),
    "slope": ("Slope of data on map, median", "{:.3f}"),
    "mask": ("Mask of the reference", "{}"),
    "mask_volume_A3": ("Volume of the mask (A\u00b3)", "{:.3g}"),
    "mask_fraction": ("Fraction of the box in the mask", "{:.3f}"),
    "bfactor_A2": ("B-factor (A\u00b2)", "{:.0f}"),
    "precision_ratio": ("Precision, best over worst direction", "{:.1f}"),
    "cfar": ("cFAR", "{:.2f}"),
    "seconds": ("Time (s)", "{:.2f}"),
    "seconds_reading": ("... reading", "{:.2f}"),
    "seconds_search": ("... search", "{:.2f}"),
    "seconds_poses": ("... poses", "{:.2f}"),
    "seconds_insert": ("... back-projection", "{:.2f}"),
    "seconds_solve": ("... maps", "{:.2f}"),
    "seconds_diagnostics": ("Diagnostics (s)", "{:.2f}"),
}
MOST_BYTES = 4_500_000  # of the page: it is sent by mail
REDRAW = "not drawn in the time to spare; draw it with: halfmap report {folder}"


@dataclass(frozen=True)
class Picture:
    """A picture of one view: its address in the page, or why there is none."""

    view: str
    address: str
    excuse: str


def remake(folder: Path) -> Path:
    """Draw every plot of a job folder anew, of the result and of all iterations, and write the page.

    Raises UsageError for a folder that holds no finished job.
    """
    for name in ("job.json", "summary.json", "events.jsonl"):
        if not (folder / name).is_file():
            raise UsageError(f"{folder}: holds no {name}; name the folder of a job that has ended")
    plots.draw_all(folder, plots.views(folder))
    return write(folder)


def write(folder: Path) -> Path:
    """Write report.html; returns its path."""
    job = json.loads((folder / "job.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    views = _shown(folder)
    iterations, phases = _iterations(folder), summary.get("phases", ())
    columns, phase_columns = _columns(COLUMNS, iterations, always=COLUMNS.keys() - {"whose"}), _columns(PHASES, phases)
    page = _template().render(
        job=job,
        summary=summary,
        headlines=headlines.of(summary),
        columns=[label for label, _ in columns.values()],
        iterations=[_cells(row, columns) for row in iterations],
        phase_columns=[label for label, _ in phase_columns.values()],
        phases=[_cells(row, phase_columns) for row in phases],
        views=[view.name for view in views],
        labels={view.name: view.label for view in views},
        sections=_sections(folder, views),
        facts=_facts(views),
        methods=_methods(folder, job, summary),
        files=sorted(path.name for path in folder.iterdir() if path.is_file()),
    )
    path = folder / "report.html"
    record.write_text(path, page)
    return path


def _methods(folder: Path, job: dict, summary: dict) -> tuple[str, list[str]]:
    """The text for a methods section, and where to find each paper it cites; empty for jobs without one."""
    text = methods.of(finished.Finished(folder, job, summary))
    return text.text, [citations.sentence(key) for key in text.cited]


def _shown(folder: Path) -> list[View]:
    """The result, and the iterations if a plot of any is there."""
    final, *iterations = plots.views(folder)
    return [final, *iterations] if any((folder / "plots" / view.name).is_dir() for view in iterations) else [final]


def _sections(folder: Path, views: Sequence[View]) -> list[tuple[Plot, list[Picture]]]:
    """Every plot with its pictures; the result's first, then the newest iterations, until the page is full."""
    final, *iterations = views
    room = MOST_BYTES
    found: dict[str, list[Picture]] = {}
    for view in (final, *reversed(iterations)):
        for plot in plots.drawable(view):
            address, excuse = _embedded(view, plot, room)
            room -= len(address)
            found.setdefault(plot.name, []).append(Picture(view.name, address, excuse))
    return [(plot, found[plot.name]) for plot in plots.PLOTS if plot.name in found]


def _facts(views: Sequence[View]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What each view says of itself in numbers."""
    return [(view.name, _told(view.facts)) for view in views if view.facts]


def _told(facts: dict) -> list[tuple[str, str]]:
    lines = []
    for key, (label, text) in FACTS.items():
        if not _has(facts, key):
            continue
        value = facts[key]
        radii = text is None
        lines.append((label, ", ".join(f"{n} {v:.1f}" for n, v in value.items()) if radii else text.format(value)))
    return lines


def _template():
    return Environment(
        loader=PackageLoader("halfmap.jobs.pictures", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("report.html.j2")


def _has(row: dict, key: str) -> bool:
    return row.get(key) is not None


def _columns(columns: dict, rows: Sequence[dict], always: Set[str] = frozenset()) -> dict[str, tuple[str, str]]:
    """Those that a row has something for, and those that are always there."""
    return {key: column for key, column in columns.items() if key in always or any(_has(row, key) for row in rows)}


def _cells(row: dict, columns: dict[str, tuple[str, str]]) -> list[str]:
    return [text.format(row[key]) if _has(row, key) else "" for key, (_, text) in columns.items()]


def _iterations(folder: Path) -> list[dict]:
    return [event for event in events.recorded(folder) if event["kind"] == "iteration"]


def _embedded(view: View, plot: Plot, room: int) -> tuple[str, str]:
    """(the picture as a data address, empty where there is none; why there is none)."""
    path = view.picture(plot.name, ".png")
    if not path.is_file():
        return "", "could not be drawn; log.txt says why" if view.final else REDRAW.format(folder=view.folder)
    if not view.final and 4 * path.stat().st_size / 3 > room:
        return "", f"left out to keep this page small; it is {path.relative_to(view.folder)}"
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii"), ""


if __name__ == "__main__":
    remake(Path(sys.argv[1]))
