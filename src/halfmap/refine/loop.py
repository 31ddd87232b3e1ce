"""The one place where a refinement iterates: expectation of both halves, maximisation, a new State.

Owns the order of things. Where it starts, what is searched, how maps are filtered and masked and when it stops are
parts of the recipe.
"""

from __future__ import annotations

import time

import numpy as np

from halfmap.data.particles import Particles
from halfmap.physics.projection import Projector
from halfmap.refine import diagnostics, optics
from halfmap.refine.diagnostics import Diagnostics
from halfmap.refine.expectation import Expected, Matcher, expect
from halfmap.refine.maximisation import Maximised, maximise, references
from halfmap.refine.outcome import outcome
from halfmap.refine.posed import Posed
from halfmap.refine.recipe import Recipe
from halfmap.refine.schedules import Plan
from halfmap.refine.setup import Run, Watch, prepare
from halfmap.refine.state import Keeper, Outcome, State
from halfmap.refine.update import brought_along, new_state, resampled, with_seconds
from halfmap.types import Map, Sums


def run(recipe: Recipe, particles: Particles, reference: Map | None, mask: Map | None, rng: np.random.Generator,
        watch: Watch, keeper: Keeper = Keeper()) -> Outcome:  # noqa: B008 - it holds nothing
    """Refine ``particles``, from the newest snapshot of ``keeper`` if it has one.

    ``watch(kind, **data)`` hears of progress and may raise to stop.
    """
    job = prepare(recipe.with_mask(mask), particles, reference, rng, watch)
    snapshot = keeper.newest()
    if snapshot is None:
        state, plan = job.recipe.start.begin(job, reference)
        keeper.look(job, state, plan, None)
    else:
        state, plan = job.restored(snapshot), next_plan(job, snapshot.state)
        watch("note", text=f"going on after iteration {state.iteration}, from its checkpoint")
    while True:
        old = state
        state, result, sums = iterate(job, old, plan)
        job.watch("diagnostics", made=diagnostics.of_iteration(job, old, state, plan, result, sums))
        keeper.look(job, state, plan, sums)
        if plan.final or job.recipe.schedule.done(state, job.frame):
            return outcome(job, state, result, sums)
        keeper.keep(job.snapshot(state))
        del result, sums  # at box 256 they hold 2 GB, beside those of the iteration to come
        plan = next_plan(job, state)


def next_plan(job: Run, state: State) -> Plan:
    """What the schedule makes of ``state``."""
    return job.recipe.schedule.next(state, job.frame, job.recipe.offset_range(job.frame))


def iterate(job: Run, state: State, plan: Plan) -> tuple[State, Maximised, tuple[Sums, Sums]]:
    """One iteration: the new state, its maps, and the sums they were solved from."""
    started, before = time.perf_counter(), dict(job.source.clock.seconds)
    state = resampled(refitted(job, state, plan), plan.box)
    progress = _progress(job, plan)
    halves = [_half(job, state, plan, half, progress) for half in (0, 1)]
    posed = Posed.joined([found.posed for found, _ in halves])
    sums = tuple(total for _, total in halves)
    progress(0, "solve")
    then = time.perf_counter()
    sums, brought = job.recipe.meeting.met(sums, plan.box, plan.band, job.recipe, job.frame)
    result = maximise(sums, job.recipe, job.frame.resolution_A(state.shell), plan.box, job.frame)
    maps = (state.reference(0), state.reference(1)) if plan.final else references(sums, result, job.recipe, job.frame)
    job.source.clock.add("solve", then)
    shells = _joined_shells([found.shells for found, _ in halves])
    state = new_state(job, state, plan, posed, result, maps, shells)
    state = brought_along(job, state, brought)
    state = with_seconds(state, time.perf_counter() - started, job.source.clock.since(before))
    job.watch("iteration", **state.history[-1])
    return state, result, sums


def refitted(job: Run, state: State, plan: Plan) -> State:
    """The state with CTF values refined against its references, where the plan wants that."""
    if not plan.refit:
        return state
    state, found = optics.refined(job.recipe.lens, job, state, plan)
    facts = {"iteration": state.iteration + 1, **{name: found[name] for name in ("groups", "defocus") if name in found}}
    job.watch("optics", **facts)
    job.watch("diagnostics", made=Diagnostics(f"optics_{facts['iteration']:03d}", found["arrays"], facts))
    return state


def _half(job: Run, state: State, plan: Plan, half: int, progress) -> tuple[Expected, Sums]:
    """The E-step of one half-set, and its finished sums."""
    frame = job.frame
    accumulator = job.recipe.sphere.accumulator(plan.reach, frame.box, frame.voxel_size_A, frame.diameter_A)
    source = job.source.knowing(state.optics, state.defocus)
    rows = job.rows(half + 1)
    found = expect(source, rows[plan.used[rows]], job.batch, matcher_of(job, state, plan, half), state, plan,
                   accumulator, progress)
    then = time.perf_counter()
    sums = accumulator.sums(job.recipe.map_group)
    job.source.clock.add("solve", then)
    return found, sums


def matcher_of(job: Run, state: State, plan: Plan, half: int) -> Matcher:
    """The reference of one half, ready for the plan."""
    frame, recipe = job.frame, job.recipe
    then = time.perf_counter()
    projector = Projector.of(state.reference(half), plan.reach, frame.box)
    job.source.clock.add("solve", then)
    near = recipe.search.near(job.source.particles.poses, state.poses)
    search = None
    if plan.searched.any():
        search = recipe.search.ready(projector, plan, frame, recipe.group, near)
    relaxation = recipe.relaxation
    if state.iteration == 0:
        relaxation = relaxation.drawn(recipe.group, *state.weights.shape, job.rng)
    return Matcher(projector, search, recipe.group, recipe.candidates, relaxation, near, recipe.layer,
                   frame.diameter_A)


def _progress(job: Run, plan: Plan):
    """Counts images over both halves and tells the watcher."""
    total, done = int(plan.used.sum()), 0
    usual = "search" if plan.searched.any() else "poses"

    def tell(count: int, stage: str = usual) -> None:
        nonlocal done
        done += count
        job.watch("progress", stage=stage, done=done, total=total)

    return tell


def _joined_shells(parts: list[dict[int, np.ndarray]]) -> dict[int, np.ndarray]:
    groups = sorted({group for part in parts for group in part})
    return {group: sum(part[group] for part in parts if group in part) for group in groups}
