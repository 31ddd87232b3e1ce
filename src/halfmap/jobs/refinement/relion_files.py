"""RELION's files of a refinement in the job folder: what its programs, and those written for it, look for.

Owns the names ``run_it003_half1_class001.mrc`` and so on, and when each is written. What stands in the tables:
`data.relion_run`. Everything is told twice, for `particles.star`, `half1.mrc` and the others stay where they are.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from halfmap.data import image_names, relion, relion_run
from halfmap.io import mrc
from halfmap.jobs.running.events import Watch
from halfmap.maps import resample
from halfmap.params.refinement import MapRefinement
from halfmap.reconstruct import solve
from halfmap.refine import outcome as results
from halfmap.refine.schedules import Plan
from halfmap.refine.setup import Run
from halfmap.refine.state import Keeper, Outcome, Snapshot, State
from halfmap.types import Sums

RUN = "run"
# Maps of the result that stand under RELION's name too, as the same file where the disk can do that
SAME = {"half1": "half1_class001_unfil", "half2": "half2_class001_unfil", "map": "class001"}
# Rows of a table that is written after every iteration: 100,000 take 0.7 s of one core and 36 MB. Of a larger set only
# the result has its table
MOST_ROWS = 500_000
USUAL_ORDER, LOCAL_ORDER = 2, 4  # HEALPix orders of RELION's 7.5 and 1.8 degrees, where no schedule tells one


@dataclass(frozen=True)
class Told:
    """What the tables need of an iteration: numbers, no maps."""

    models: tuple[relion_run.Model, ...]  # of half 1, half 2, and of both
    course: relion_run.Course
    sampling: tuple[int, float, float]  # HEALPix order, range and step of offsets, A


class Silent(Keeper):
    """Writes nothing beside what another keeper keeps."""

    def __init__(self, inner: Keeper, params: MapRefinement, folder: Path):
        self._inner, self._params, self._folder = inner, params, folder

    def newest(self) -> Snapshot | None:
        """That of the other keeper."""
        return self._inner.newest()

    def keep(self, snapshot: Snapshot) -> None:
        """Left to the other keeper."""
        self._inner.keep(snapshot)

    def finish(self, outcome: Outcome, watch: Watch) -> None:
        """Nothing to do."""


class OfResult(Silent):
    """Writes RELION's files of the result."""

    def __init__(self, inner: Keeper, params: MapRefinement, folder: Path):
        super().__init__(inner, params, folder)
        self._groups: relion_run.Groups | None = None
        self._last: Told | None = None
        self._seconds, self._files = 0.0, set()

    def look(self, job: Run, state: State, plan: Plan, sums: tuple[Sums, Sums] | None) -> None:
        """Remember what the tables of the result need."""
        began = time.perf_counter()
        self._groups = self._groups or relion_run.groups_of(job.source.particles)
        self._last = self._told(job, state, plan, sums)
        self._seconds += time.perf_counter() - began

    def finish(self, outcome: Outcome, watch: Watch) -> None:
        """Write the files of the result, whose maps are in the folder already; say what all took."""
        began = time.perf_counter()
        for name, own in SAME.items():
            _same(self._folder / f"{name}.mrc", self._path(RUN, own, "mrc"))
        curve, name = outcome.curves["corrected"].values, self._name(RUN, "class001", "mrc")
        both = replace(self._last.models[2], fsc=curve, map_file=name)
        extra = {**outcome.extra, **self._columns(self._rows(outcome))}
        relion.write(self._path(RUN, "data", "star"), outcome.particles, extra)
        relion_run.write_model(self._path(RUN, "model", "star"), both)
        self._write_course(RUN, replace(self._last.course, converged=True), {"model": "model"})
        self._seconds += time.perf_counter() - began
        size = sum(path.stat().st_size for path in self._files)
        watch("note", text=f"RELION's files: {len(self._files)} of together {size / 1e6:.1f} MB "
              f"in {self._seconds:.2f} s")

    def _rows(self, outcome: Outcome) -> np.ndarray:
        """Rows of the table as it was read that are in the result."""
        left_out = [row for row, _ in outcome.rejected]
        return np.setdiff1d(np.arange(len(self._groups.of_particle)), left_out)

    def _columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Columns that RELION's tables have and others need not. Images are not renormalised: the factor is 1."""
        ones = np.ones(len(rows), np.int64)
        return {"class": ones, "norm_correction": ones.astype(float), "scale_group": self._groups.of_particle[rows] + 1}

    def _write_course(self, root: str, course: relion_run.Course, models: dict[str, str]) -> None:
        """Sampling and optimiser; ``models``: the tables that the optimiser names, by kind."""
        kinds = {**models, "data": "data", "sampling": "sampling"}
        files = {kind: self._name(root, name, "star") for kind, name in kinds.items()}
        relion_run.write_sampling(self._path(root, "sampling", "star"), self._params.symmetry, *self._last.sampling)
        relion_run.write_optimiser(self._path(root, "optimiser", "star"), replace(course, files=files))

    def _told(self, job: Run, state: State, plan: Plan, sums: tuple[Sums, Sums] | None) -> Told:
        weights = [None, None] if sums is None else [2 * solve.mean_weight(half) * half.padding**3 for half in sums]
        both = None if sums is None else weights[0] + weights[1]
        models = [self._model(job, state, job.rows(half), weight)
                  for half, weight in zip((1, 2), weights, strict=True)]  # fmt: skip
        joined = self._model(job, state, np.sort(np.concatenate([job.rows(1), job.rows(2)])), both)
        row = state.history[-1] if state.history else {}
        order = row.get("healpix_order", USUAL_ORDER)
        sampling = (order, row.get("offset_range_A", plan.offset_A),
                    row.get("offset_step_A", job.frame.resolution_A(plan.search_radius) / 2))  # fmt: skip
        return Told((*models, replace(joined, joined=True)), self._course(job, state, row), sampling)

    def _model(self, job: Run, state: State, rows: np.ndarray, weight: np.ndarray | None) -> relion_run.Model:
        frame, groups = job.frame, self._groups
        row = state.history[-1] if state.history else {}
        counts = groups.counted(rows)
        scales = np.bincount(groups.of_particle[rows], state.scale[rows], len(groups.names)) / np.maximum(counts, 1)
        particles, seen = job.source.particles, rows[state.seen[rows]]
        greys, optics = np.array([model.grey for model in state.models]), np.zeros(len(groups.names), int)
        optics[groups.of_particle] = particles.group
        curve = state.curves.get("corrected")
        return relion_run.Model(
            map_file="", box=frame.box, voxel_size_A=frame.voxel_size_A, image_size=2 * state.band,
            resolution_A=frame.resolution_A(state.shell),
            accuracy_rotation_deg=row.get("accuracy_rotation_deg"), accuracy_shift_A=row.get("accuracy_shift_A"),
            shift_sd_A=float(state.poses.shifts_A[seen].std()) if len(seen) else 0.0,
            log_likelihood=float(state.candidates.log_likelihood[seen, 0].sum()),
            max_probability=float(state.weights[seen, 0].mean()) if len(seen) else 0.0,
            fsc=np.zeros(frame.box // 2 + 1) if curve is None else curve.values, joined=False,
            variance=None if weight is None else np.where(weight > 0, 1 / np.maximum(weight, 1e-300), 0.0),
            noise_sd={o.name: m.noise_sd for o, m in zip(particles.optics, state.models, strict=True)},
            groups=groups, counts=counts, greys=greys[optics], scales=np.where(counts > 0, scales, 1.0),
            optics_of_group=optics,
        )  # fmt: skip

    def _course(self, job: Run, state: State, row: dict) -> relion_run.Course:
        params = self._params
        reached = [each["resolution_A"] for each in state.history] or [job.frame.resolution_A(state.shell)]
        return relion_run.Course(
            iteration=state.iteration, most_iterations=params.max_iterations, root=self._name(RUN, "", ""), files={},
            seed=params.seed or 0, diameter_A=job.frame.diameter_A, join_A=params.gsfsc_split_resolution,
            mask=None if params.mask in ("dynamic", "none") else params.mask, local_from_order=LOCAL_ORDER,
            without_gain=row.get("iterations_without_gain", 0), at_rest=row.get("iterations_at_rest", 0),
            best_resolution_A=min(reached), accuracy_rotation_deg=row.get("accuracy_rotation_deg"),
            accuracy_shift_A=row.get("accuracy_shift_A"), change_rotation_deg=row.get("change_rotation_deg"),
            change_shift_A=row.get("change_shift_A"), converged=False,
        )  # fmt: skip

    def _path(self, root: str, what: str, suffix: str) -> Path:
        path = self._folder / f"{root}_{what}.{suffix}"
        self._files.add(path)
        return path

    def _name(self, root: str, what: str, suffix: str) -> str:
        """As it stands in a table: relative to the working folder, as RELION has it."""
        return image_names.written(self._folder / (f"{root}_{what}.{suffix}" if what else root))


class OfIterations(OfResult):
    """Writes RELION's files of every iteration too; of the last one, as RELION does, only those of the result."""

    def look(self, job: Run, state: State, plan: Plan, sums: tuple[Sums, Sums] | None) -> None:
        """Write the files of an iteration."""
        super().look(job, state, plan, sums)
        began = time.perf_counter()
        if sums is None or not plan.final:
            self._write_iteration(job, state)
        self._seconds += time.perf_counter() - began

    def _write_iteration(self, job: Run, state: State) -> None:
        root = f"{RUN}_it{state.iteration:03d}"
        for half in (0, 1):
            map = resample.fourier_crop(state.reference(half), job.frame.box)
            mrc.write(self._path(root, f"half{half + 1}_class001", "mrc"), map)
            name = self._name(root, f"half{half + 1}_class001", "mrc")
            model = replace(self._last.models[half], map_file=name)
            relion_run.write_model(self._path(root, f"half{half + 1}_model", "star"), model)
        if len(job.half) <= MOST_ROWS:
            rows = np.sort(np.concatenate([job.rows(1), job.rows(2)]))
            found = results.columns(job, state, rows)
            seen = {name: np.where(np.isfinite(values), values, 0) for name, values in found.items()}
            relion.write(self._path(root, "data", "star"), results.known(job, state)[rows],
                         {**seen, **self._columns(rows)})
        self._write_course(root, self._last.course, {"half1": "half1_model", "half2": "half2_model"})


KEEPERS = {"off": Silent, "result": OfResult, "iterations": OfIterations}


def beside(inner: Keeper, params: MapRefinement, folder: Path) -> Silent:
    """``inner``, and beside it the files that the settings ask for."""
    return KEEPERS[params.relion_files](inner, params, folder)


def _same(old: Path, new: Path) -> None:
    """A second name for a file; a copy where the file system knows no such thing."""
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)
