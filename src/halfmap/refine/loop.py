"""The one place where a refinement iterates: expectation of both halves, maximisation, a new State.

Owns the order of things and the stock-taking. What is searched, how maps are filtered and masked and when to stop are
parts of the recipe.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from halfmap import errors
from halfmap.align import newton, polar, posterior
from halfmap.data import halves as half_sets
from halfmap.data.particles import Particles
from halfmap.data.stack import Stack
from halfmap.geometry import symmetry
from halfmap.maps import filters, masks, resample
from halfmap.physics import noise
from halfmap.physics.projection import Projector
from halfmap.reconstruct.sums import Accumulator
from halfmap.refine.batches import Frame, Source
from halfmap.refine.expectation import Matcher, Posed, expect
from halfmap.refine.maximisation import Maximised, combined_map, maximise
from halfmap.refine.recipes import Recipe
from halfmap.refine.schedules import Plan
from halfmap.refine.state import Outcome, State
from halfmap.types import Candidates, Curve, Map, Poses
from halfmap.validate import fsc

BATCH_BYTES = 4e8  # images of one batch in all their forms; memory, not result, depends on it
SPARE_CANDIDATES = 2  # places for known poses beside those of a new search
PILOT_IMAGES = 500  # images per optics group for the first noise spectrum and the grey scale
NOISE_PRIOR_IMAGES = 50  # weight of the mean spectrum in that of one group; cryoSPARC's refine_noise_priorw

Watch = Callable[..., None]


@dataclass
class Run:
    """What stays the same over all iterations."""

    recipe: Recipe
    source: Source
    half: np.ndarray  # (n,) 1 or 2
    batch: int
    rng: np.random.Generator
    watch: Watch
    rejected: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def frame(self) -> Frame:
        return self.source.frame

    def rows(self, half: int) -> np.ndarray:
        """Particles of half-set 1 or 2 that are still in use."""
        used = self.half == half
        used[list(self.rejected)] = False
        return np.flatnonzero(used)

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
            self.watch("warning", message=message)

    def reject(self, rows: np.ndarray, reason: str) -> None:
        self.rejected.update({int(row): reason for row in rows})


def run(recipe: Recipe, particles: Particles, reference: Map, mask: Map | None, rng: np.random.Generator,
        watch: Watch) -> Outcome:
    """Refine ``particles`` from ``reference``. ``watch(kind, **data)`` hears of progress and may raise to stop."""
    job = prepare(recipe, particles, reference, rng, watch)
    recipe = job.recipe = recipe.with_mask(mask)
    state, plan = begin(job, reference)
    while True:
        state, result, halves = iterate(job, state, plan)
        if plan.final:
            return finish(job, state, result, halves)
        plan = recipe.schedule.next(state, job.frame)


def prepare(recipe: Recipe, particles: Particles, reference: Map | None, rng, watch: Watch) -> Run:
    """Half-sets, the grid of the run, and the stream of images."""
    particles = half_sets.assign(particles, rng, recipe.force_resplit)
    frame = frame_of(recipe, particles, reference)
    holder: list[Run] = []
    source = Source(particles, Stack(particles), frame, lambda rows, why: holder[0].reject(rows, why))
    largest = max(o.box * o.pixel_size_A / frame.voxel_size_A for o in particles.optics)
    size = recipe.minibatch_size or int(np.clip(BATCH_BYTES / (28 * largest**2), 16, 2048))
    holder.append(Run(recipe, source, np.asarray(particles.half), size, rng, watch))
    for message in half_sets.audit(particles):
        holder[0].warn(message)
    return holder[0]


def frame_of(recipe: Recipe, particles: Particles, reference: Map | None) -> Frame:
    """The finest pixel among the optics groups and the largest box length set the grid of the maps."""
    sizes = [(o.pixel_size_A, o.box * o.pixel_size_A) for o in particles.optics]
    pixel, length = min(s[0] for s in sizes), max(s[1] for s in sizes)
    box = 2 * round(length / pixel / 2)
    if recipe.box_size and recipe.box_size < box:
        pixel, box = pixel * box / recipe.box_size, recipe.box_size
    diameter = recipe.diameter_A or (estimated_diameter_A(reference) if reference is not None else 0.85 * length)
    if recipe.diameter_A and diameter > length:
        raise errors.UsageError(f"--particle-diameter-A {diameter:g} is larger than the box of {length:.1f} A")
    return Frame(box, pixel, min(diameter, 0.95 * length))


def estimated_diameter_A(reference: Map) -> float:
    """Diameter of the sphere about the box centre that holds what stands out of a 20 A low-pass of the map, plus 20 A.

    "Stands out": above a tenth of the maximum, islands left out; the margin leaves room for the delocalised signal.
    """
    smooth = filters.lowpass(reference, max(20.0, 2 * reference.nyquist_A))
    region = masks.without_islands(smooth.data > 0.1 * smooth.data.max())
    z, y, x = (index - reference.box // 2 for index in np.nonzero(region))
    return float(2 * np.sqrt((x**2 + y**2 + z**2).max()) * reference.voxel_size_A + 20.0)


def begin(job: Run, reference: Map) -> tuple[State, Plan]:
    """The state before the first iteration: low-passed reference, noise and grey scale from a sample of images."""
    frame, recipe, n = job.frame, job.recipe, len(job.source.particles)
    plan = recipe.schedule.first(frame, n)
    start = resample.to_grid(reference, frame.box, frame.voxel_size_A)
    start = resample.fourier_crop(filters.lowpass(start, recipe.schedule.initial_lowpass_A), plan.box)
    start = Map(start.data * recipe.round_mask.of(start, np.inf, frame).data, start.voxel_size_A)
    width = recipe.candidates + SPARE_CANDIDATES
    nowhere = Candidates(np.broadcast_to(np.eye(3), (n, width, 3, 3)).copy(), np.zeros((n, width, 2)),
                         np.full((n, width), -np.inf))
    state = State(0, np.stack([start.data] * 2)[None], start.voxel_size_A, nowhere, np.zeros((n, width)),
                  np.zeros((n, 5, 5)), np.ones(n), first_models(job), {}, frame.length_A / recipe.schedule.initial_lowpass_A,
                  plan.band, plan.reach)
    if recipe.reestimate_greyscale:
        state = with_grey_scale(job, state, plan)
    return state, plan


def sample_rows(job: Run) -> np.ndarray:
    """At most PILOT_IMAGES particles of every optics group, spread over the table."""
    group = job.source.particles.group
    parts = [np.flatnonzero(group == g) for g in range(len(job.source.particles.optics))]
    return np.concatenate([p[np.linspace(0, len(p) - 1, min(len(p), PILOT_IMAGES)).astype(int)] for p in parts if len(p)])


def first_models(job: Run) -> tuple[noise.GroupModel, ...]:
    """Noise spectra from the power of the images themselves: nearly all of it is noise."""
    groups = len(job.source.particles.optics)
    power, count = [0.0] * groups, [0] * groups
    for g, total, n in job.source.powers(sample_rows(job), job.batch):
        power[g], count[g] = power[g] + total, count[g] + n
    return tuple(
        noise.from_power(p / c) if c else noise.from_power(np.ones(job.frame.box // 2 + 1))
        for p, c in zip(power, count, strict=True)
    )


def with_grey_scale(job: Run, state: State, plan: Plan) -> State:
    """Scale of every optics group, by regression of a sample of images on their best projections.

    The best pose depends on the scale: the first round ranks poses by correlation alone (scale near zero makes the
    penalty vanish), the second with the scale found.
    """
    rows = sample_rows(job)
    matcher = matcher_of(job, state, plan, 0)
    for trial in (1e-3, None):
        if trial:
            state = replace(state, models=tuple(replace(m, grey=trial) for m in state.models))
        cross, power = np.zeros(len(state.models)), np.zeros(len(state.models))
        for images in job.source.batches(rows, job.batch, plan.band, state.models, state.poses.shifts_A):
            found = matcher.search.candidates(images, np.zeros((len(images), 2)), 1)
            fit = newton.refine(matcher.projector, images, np.arange(len(images)), found.rotations[:, 0],
                                found.shifts_A[:, 0], plan.band, 0)
            group = job.source.particles.group[images.rows[0]]
            cross[group] += fit.cross.sum()
            power[group] += fit.power.sum()
        overall = cross.sum() / power.sum()
        ratio = [c / p if p > 0 and c > 0 else overall for c, p in zip(cross, power, strict=True)]
        state = replace(state, models=tuple(replace(m, grey=m.grey * r) for m, r in zip(state.models, ratio, strict=True)))
    if overall <= 0:
        job.warn("the images do not correlate positively with the starting map: is the protein white in both?")
        state = replace(state, models=tuple(replace(m, grey=1.0) for m in state.models))
    return state


def matcher_of(job: Run, state: State, plan: Plan, half: int) -> Matcher:
    """The reference of one half, ready for the plan."""
    frame, recipe = job.frame, job.recipe
    projector = Projector.of(state.reference(half), plan.reach, frame.box)
    search = None
    if plan.searched.any():
        offset = recipe.offset_range(frame) if state.iteration == 0 else frame.resolution_A(plan.search_radius) / 2
        grid = polar.grid(plan.search_radius, frame.length_A, frame.diameter_A, offset, recipe.group)
        search = polar.PolarSearch.of(projector, grid, plan.search_radius)
    return Matcher(projector, search, recipe.group, recipe.candidates)


def iterate(job: Run, state: State, plan: Plan):
    """One iteration: (new state, maximised maps, sums of both halves)."""
    then = time.perf_counter()
    frame, total = job.frame, len(job.half)
    state = resampled(state, plan.box)
    done, posed, sums, shells = 0, [], [], {}

    def progress(count: int) -> None:
        nonlocal done
        done += count
        job.watch("progress", stage="search" if plan.searched.any() else "poses", done=done, total=total)

    for half in (0, 1):
        rows = job.rows(half + 1)
        found = expect(job.source, rows, job.batch, matcher_of(job, state, plan, half), state, plan,
                       Accumulator(plan.reach, frame.box, frame.voxel_size_A), progress)
        started = time.perf_counter()
        posed.append(found.posed)
        sums.append(found.accumulator.sums(job.recipe.group))
        for group, part in found.shells.items():
            shells[group] = shells.get(group, 0) + part
        job.source.clock.add("reconstruct", started)
    started = time.perf_counter()
    job.watch("progress", stage="solve", done=total, total=total)
    result = maximise(tuple(sums), job.recipe.mask, job.recipe.prior, frame.resolution_A(state.shell), plan.box, frame,
                      job.rng)
    job.source.clock.add("reconstruct", started)
    state = new_state(job, state, plan, Posed.joined(posed), result, shells, time.perf_counter() - then)
    job.watch("iteration", **state.history[-1])
    return state, result, tuple(sums)


def resampled(state: State, box: int) -> State:
    """The references in a box of ``box`` voxels: the band decides how finely maps are sampled."""
    if state.references.shape[-1] == box:
        return state
    maps = [resample.fourier_crop(state.reference(half), box) for half in (0, 1)]
    return replace(state, references=np.stack([m.data for m in maps])[None], reference_voxel_A=maps[0].voxel_size_A)


def new_state(job: Run, old: State, plan: Plan, posed: Posed, result: Maximised, shells: dict, seconds: float) -> State:
    """The state after an iteration, its line of history included."""
    candidates = Candidates(*(np.array(getattr(old.candidates, f)) for f in Candidates.__dataclass_fields__))
    weights, information, slope = old.weights.copy(), old.information.copy(), old.slope.copy()
    for mine, new in zip(
        (candidates.rotations, candidates.shifts_A, candidates.log_likelihood, weights, information, slope),
        (posed.candidates.rotations, posed.candidates.shifts_A, posed.candidates.log_likelihood, posed.weights,
         posed.information, posed.slope), strict=True):
        mine[posed.rows] = new
    state = State(
        old.iteration + 1, np.stack([r.data for r in result.references])[None], result.references[0].voxel_size_A,
        candidates, weights, information, slope, new_models(old.models, shells), result.curves, result.shell, plan.band,
        plan.reach,
    )
    return replace(state, history=(*old.history, history_row(job, old, state, plan, posed, result, seconds)))


def new_models(models: tuple[noise.GroupModel, ...], shells: dict[int, np.ndarray]) -> tuple[noise.GroupModel, ...]:
    """Noise from the residual power of each group, drawn towards the mean of all where a group is small.

    The grey scales are moved relative to each other only: their common factor is in the maps.
    """
    residual = {g: s[0] - 2 * s[1] + s[2] for g, s in shells.items()}
    mean = sum(residual.values()) / np.maximum(sum(s[3] for s in shells.values()), 1)
    overall = sum(s[1].sum() for s in shells.values()) / max(sum(s[2].sum() for s in shells.values()), 1e-30)
    out = list(models)
    for g, s in shells.items():
        images = s[3][1] / 4  # shell 1 of a half plane holds 4 pixels
        pixels = s[3] * (1 + NOISE_PRIOR_IMAGES / max(images, 1))
        power = (residual[g] + mean * (pixels - s[3])) / np.maximum(pixels, 1)
        ratio = s[1].sum() / max(s[2].sum(), 1e-30) / overall if len(shells) > 1 else 1.0
        grown = models[g].with_power(power)
        out[g] = replace(grown, grey=grown.grey * float(np.clip(ratio, 0.5, 2.0)))
    return tuple(out)


def history_row(job: Run, old: State, new: State, plan: Plan, posed: Posed, result: Maximised, seconds: float) -> dict:
    """What the user sees of an iteration."""
    frame, rows = job.frame, posed.rows
    rotation, shift = posterior.expected_errors(new.information[rows])
    turned = symmetry.distance(new.poses.rotations[rows], old.poses.rotations[rows], job.recipe.group)
    moved = np.linalg.norm(new.poses.shifts_A[rows] - old.poses.shifts_A[rows], axis=1)
    return {
        "iteration": new.iteration,
        "resolution_A": frame.resolution_A(new.shell),
        "resolution_unmasked_A": fsc.resolution_A(result.curves["no_mask"]),
        "band_A": frame.resolution_A(plan.band),
        "accuracy_rotation_deg": float(np.rad2deg(np.median(rotation))),
        "accuracy_shift_A": float(np.median(shift)),
        "change_rotation_deg": float(np.rad2deg(np.median(turned))),
        "change_shift_A": float(np.median(moved)),
        "searched": int(plan.searched[rows].sum()),
        "undecided": float((posed.weights[:, 0] < 0.9).mean()),
        "mean_slope": float(np.median(posed.slope)),
        "fsc_area": float(np.clip(result.curves["corrected"].values[1:], 0, 1)[: int(new.shell) + 1].sum()),
        "seconds": seconds,
    }


def finish(job: Run, state: State, result: Maximised, halves) -> Outcome:
    """Final products: curves, the combined map, the particles with their poses."""
    curves = fsc.report(*result.halves, job.rng, job.recipe.fsc_mask(result.mask))
    trusted = np.clip(curves["corrected"].values, 0, 1)
    full = combined_map(halves, trusted, result.halves[0].box, job.frame)
    used = np.sort(np.concatenate([job.rows(1), job.rows(2)]))
    particles = replace(job.source.particles, poses=state.poses)[used]
    rotation, shift = posterior.expected_errors(state.information[used])
    extra = {
        "log_likelihood": state.candidates.log_likelihood[used, 0],
        "max_probability": state.weights[used, 0],
        "significant_poses": (state.weights[used] > 1e-3).sum(1),
    }
    check_resolution(job, curves)
    return Outcome(
        *result.halves, full, particles, extra, result.mask, noise_curves(job, state), curves, state.history,
        tuple(sorted(job.rejected.items())), dict(job.source.clock.seconds), tuple(job.warnings),
    )


def noise_curves(job: Run, state: State) -> tuple[Curve, ...]:
    names = (o.name for o in job.source.particles.optics)
    frame = job.frame
    return tuple(Curve(name, m.noise_sd, frame.box, frame.voxel_size_A)
                 for name, m in zip(names, state.models, strict=True))


def check_resolution(job: Run, curves: dict[str, Curve]) -> None:
    """Warn of a resolution that the halves did not reach independently, and of one that the box ends."""
    corrected, split = curves["corrected"], job.recipe.prior.split_A
    reached = fsc.resolution_A(corrected)
    if reached > split:
        job.warn(f"the half-maps agree only to {reached:.1f} A, no finer than the {split:g} A below which they share "
                 "data: this is no evidence of a particle; check the images, the starting map and the CTF")
    if fsc.crossing(corrected) >= len(corrected.values) - 1:
        job.warn("the resolution has reached the Nyquist limit of the box: refine with less binned particles")


def reconstruct_only(params, particles: Particles, watch: Watch) -> Outcome:
    """Reconstruct from the poses in the particle table; no search, one pass."""
    from halfmap.refine import recipes

    recipe = recipes.reconstruction(params)
    if particles.poses is None:
        raise errors.InputError(f"{params.particles}: the particles have no poses (rot, tilt, psi); refine them first")
    rng = np.random.default_rng(params.seed)
    job = prepare(recipe, particles, None, rng, watch)
    n = len(particles)
    plan = recipe.schedule.first(job.frame, n)
    known = Candidates(particles.poses.rotations[:, None], particles.poses.shifts_A[:, None], np.zeros((n, 1)))
    nothing = np.zeros((1, 2) + (plan.box,) * 3, np.float32)
    state = State(0, nothing, job.frame.length_A / plan.box, known, np.ones((n, 1)), np.zeros((n, 5, 5)), np.ones(n),
                  first_models(job), {}, 1.0, plan.band, plan.reach)
    state, result, halves = iterate(job, state, plan)
    return finish(job, state, result, halves)
