"""Two jobs side by side: settings, inputs, result, FSC curves, times, and which particles they share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from halfmap.errors import InputError
from halfmap.jobs import catalog
from halfmap.jobs.pictures import headlines
from halfmap.jobs.project import places, project
from halfmap.jobs.running import given

CURVE = "corrected"  # by which jobs are judged
TRIED = 100  # images whose poses are looked at for a turn between two maps
TABLES = ("particles.star", "particles.cs")


def compared(first: Path, second: Path) -> dict[str, Any]:
    """What differs between two job folders; every value is a pair. Numbers of both are told even where they agree."""
    folders = tuple(Path(os.path.abspath(folder)) for folder in (first, second))
    records = [places.read(folder) for folder in folders]
    summaries = [places.content(folder / "summary.json") for folder in folders]
    return {
        "jobs": [{"folder": str(folder), "job": record.get("job"), "status": summary.get("status")}
                 for folder, record, summary in zip(folders, records, summaries, strict=True)],
        "settings": _differing(*_common(*map(_settings, records))),
        "inputs": _differing(*map(_inputs, records)),
        "numbers": _paired(*(dict(headlines.of(summary)) for summary in summaries)),
        "fsc": _curves(*(places.content(folder / "fsc.json") for folder in folders)),
        "particles": _particles(folders, records),
    }  # fmt: skip


def _settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """All settings but those of one run and the inputs, which are compared by the files they mean."""
    params = _mapping(record.get("params"))
    known = {entry.name: entry.inputs for entry in catalog.JOBS}
    left_out = {*given.OF_ONE_RUN, *known.get(str(record.get("job")), ())}
    words = {name: value for name, value in params.items() if name not in left_out}
    return words | {name: value for name, value in params.items() if name in left_out and _is_word(value)}


def _common(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    """The settings that both have: jobs of two kinds differ in all others."""
    return [{name: one[name] for name in a if name in b} for one in (a, b)]


def _is_word(value: Any) -> bool:
    return value in ("none", "dynamic")


def _inputs(record: Mapping[str, Any]) -> dict[str, Any]:
    told = _mapping(record.get("inputs"))
    return {name: each.get("in_project") or each.get("path") for name, each in told.items() if isinstance(each, dict)}


def _paired(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [a.get(name), b.get(name)] for name in [*a, *(name for name in b if name not in a)]}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: pair for name, pair in _paired(a, b).items() if pair[0] != pair[1]}


def _curves(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any] | None:
    """Resolutions and areas of the corrected curves of both, over the frequencies that both have; None without both.

    The area, in 1/A, is the integral of FSC over frequency: it tells apart curves that cross a threshold together.
    """
    curves = [_curve(told) for told in (a, b)]
    if None in curves:
        return None
    last = min(frequency[-1] for frequency, _ in curves)
    areas = [_area(frequency, values, last) for frequency, values in curves]
    crossings = [_mapping(_mapping(told.get("crossings_A")).get(CURVE)) for told in (a, b)]
    return {"to_A": 1 / last, "area_1_A": areas, "resolution_A": _paired(*crossings)}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _curve(told: Mapping[str, Any]) -> tuple[list[float], list[float]] | None:
    frequency, values = told.get("frequency_1_A"), told.get(CURVE)
    if not (isinstance(frequency, list) and isinstance(values, list) and len(frequency) == len(values) > 1):
        return None
    pairs = zip(frequency, values, strict=True)
    rows = [(f, v) for f, v in pairs if isinstance(f, int | float) and isinstance(v, int | float)]
    return ([f for f, _ in rows], [v for _, v in rows]) if len(rows) > 1 else None


def _area(frequency: list[float], values: list[float], last: float) -> float:
    """Trapezia up to ``last``, the last one cut there."""
    area = 0.0
    steps = zip(frequency, values, frequency[1:], values[1:], strict=False)
    for f0, v0, f1, v1 in steps:
        part = min(1.0, max(0.0, (last - f0) / (f1 - f0)))
        area += part * (f1 - f0) * (v0 + (v0 + part * (v1 - v0))) / 2
    return area


def _particles(folders: tuple[Path, ...], records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Images of both and of one alone, and how far apart their poses are; None where one wrote no particles."""
    tables = [next((folder / name for name in TABLES if (folder / name).is_file()), None) for folder in folders]
    if None in tables:
        return None
    try:
        read = [_table(table, record) for table, record in zip(tables, records, strict=True)]
    except InputError as fault:
        return {"fault": fault.faults[0]}
    names = [_rows(table) for table in read]
    both = sorted(names[0].keys() & names[1].keys())
    rows = [[of[name] for name in both] for of in names]
    groups = {str(_mapping(record.get("params")).get("symmetry") or "C1") for record in records}
    return {
        "images": [len(of) for of in names],
        "in_both": len(both),
        "in_one": [len(of) - len(both) for of in names],
        **(_poses(read, rows, groups) if both else {}),
    }


def _table(path: Path, record: Mapping[str, Any]):
    """Particles, their stacks by absolute names: a relative one starts at the root around, or where its job did."""
    from halfmap.data import tables  # with numpy, which the rest of a comparison does without

    table = tables.read_table(path)
    start = str(record.get("working_folder", path.parent))
    around = project.find(path.parent)
    if around is not None and around.inside(start) is not None:
        start = str(around.root)
    return replace(table, files=tuple(Path(os.path.normpath(os.path.join(start, file))) for file in table.files))


def _rows(table) -> dict[tuple[str, int], int]:
    """The first row of every image; a table may have one several times, as after a symmetry expansion."""
    files = [str(file) for file in table.files]
    names = [(files[file], image) for file, image in zip(table.file.tolist(), table.index.tolist(), strict=True)]
    return dict(zip(reversed(names), range(len(names) - 1, -1, -1), strict=True))


def _poses(tables, rows, groups: set[str]) -> dict[str, Any]:
    """Median and 90 % point of the angles between poses, symmetry mates counted as one, and of the shifts between.

    ``turned_deg``: by how much the maps are turned against each other; that is taken out of the angles.
    """
    import numpy as np

    from halfmap.geometry import rotations, symmetry

    if any(table.poses is None for table in tables):
        return {}
    a, b = (table[np.array(which)].poses for table, which in zip(tables, rows, strict=True))
    group = groups.pop() if len(groups) == 1 else "C1"
    ops = symmetry.group(group)
    turn = _turn(a.rotations, b.rotations) if len(ops) == 1 else np.eye(3)  # a symmetry holds maps where they are
    angle = np.rad2deg(symmetry.distance(a.rotations, b.rotations @ turn, ops))
    shift = np.linalg.norm(a.shifts_A - b.shifts_A, axis=1)
    return {
        "symmetry": group,
        "turned_deg": float(np.rad2deg(rotations.angle_between(turn, np.eye(3)))),
        "rotation_deg": np.percentile(angle, (50, 90)).tolist(),
        "shift_A": np.percentile(shift, (50, 90)).tolist(),
    }


def _turn(a, b):
    """The rotation that brings poses ``b`` nearest to ``a``, (n, 3, 3) each, by the median of what remains.

    It is that between the poses of one image; so many are tried. None is taken that leaves more than half of the
    angles: poses that agree on nothing have no turn between them.
    """
    import numpy as np

    from halfmap.geometry import rotations

    tried = np.unique(np.linspace(0, len(a) - 1, TRIED).astype(int))
    turns = [np.eye(3), *(b[tried].swapaxes(-1, -2) @ a[tried])]
    left = np.array([np.median(rotations.angle_between(a, b @ turn)) for turn in turns])
    best = int(left.argmin())
    return turns[best] if left[best] < left[0] / 2 and left[0] > np.deg2rad(1.0) else turns[0]
