"""Makes report.html of a job folder from its result files: one page that needs no other file.

Owns the page. Pictures and their sentences come from `plots`; ``python -m halfmap.jobs.report FOLDER`` makes both anew.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

from jinja2 import Environment, PackageLoader

from halfmap.jobs import plots, record

HEADLINES = {
    "resolution_A": ("Resolution (corrected FSC at 0.143)", "{:.2f} A"),
    "resolution_unmasked_A": ("Resolution without mask", "{:.2f} A"),
    "resolution_05_A": ("Resolution at FSC 0.5", "{:.2f} A"),
    "nyquist_A": ("Nyquist limit", "{:.2f} A"),
    "bfactor_A2": ("B-factor", "{:.0f} A\u00b2"),
    "symmetry": ("Symmetry", "{}"),
    "n_particles": ("Particles", "{}"),
    "n_rejected": ("Particles left out", "{}"),
    "iterations": ("Iterations", "{}"),
    "accuracy_rotation_deg": ("Estimated accuracy of rotations", "{:.2f} deg"),
    "accuracy_shift_A": ("Estimated accuracy of shifts", "{:.2f} A"),
    "true_rotation_error_deg": ("Median error of rotations against the truth", "{:.2f} deg"),
    "seconds_total": ("Time", "{:.1f} s"),
    "peak_memory_GB": ("Peak memory", "{:.2f} GB"),
}
COLUMNS = {
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


def write(folder: Path) -> Path:
    """Write report.html; returns its path."""
    job = json.loads((folder / "job.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    page = _template().render(
        job=job,
        summary=summary,
        headlines=[
            (label, text.format(summary[key])) for key, (label, text) in HEADLINES.items() if _has(summary, key)
        ],
        columns=[label for label, _ in COLUMNS.values()],
        iterations=[_cells(row) for row in _iterations(folder)],
        plots=[(plot, _embedded(folder, plot)) for plot in plots.drawable(folder)],
        files=sorted(path.name for path in folder.iterdir() if path.is_file()),
    )
    path = folder / "report.html"
    record.write_text(path, page)
    return path


def _template():
    return Environment(
        loader=PackageLoader("halfmap.jobs", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("report.html.j2")


def _has(row: dict, key: str) -> bool:
    return row.get(key) is not None


def _cells(row: dict) -> list[str]:
    return [text.format(row[key]) if _has(row, key) else "" for key, (_, text) in COLUMNS.items()]


def _iterations(folder: Path) -> list[dict]:
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["kind"] == "iteration"]


def _embedded(folder: Path, plot: plots.Plot) -> str:
    """The picture as a data address, empty where it was not drawn."""
    path = folder / "plots" / f"{plot.name}.png"
    if not path.is_file():
        return ""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


if __name__ == "__main__":
    plots.draw_all(Path(sys.argv[1]))
    write(Path(sys.argv[1]))
