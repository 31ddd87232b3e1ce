"""Maps from nothing: stochastic gradient on small random batches, every pose of the grid by its probability.

The second loop beside `loop`: it has no halves, no FSC and no stored poses, and one to many maps that compete for every
image. Owns the order of things: starts, phases, what is thought of the maps. A step is the affair of `growing`; how
fast resolution, batches and learning rate go is a part, `Annealing`.

All of it happens without symmetry, whatever the particle has: the real beta-galactosidase (D2) went to corr 0.86-0.97
with the reference at 20 A from there, and to 0.69-0.77 with D2 imposed from the start, where maps that share two axes
with the truth and not the third are dead ends. The axes are found afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.align import axes, soft
from halfmap.refine import growing, grown_diagnostics, settling, start
from halfmap.refine.growing import Growth, Method, Setting
from halfmap.refine.setup import Run
from halfmap.refine.state import Keeper
from halfmap.types import Map

JUDGES, FEWEST_JUDGES = 200, 100  # particles held back to judge by: a twelfth of all, but not more nor fewer than these
REPORTED_EVERY = 10  # steps
SIGNIFICANT = 4.0  # standard errors by which a map must beat a ball


@dataclass(frozen=True)
class Found:
    """What a run has found."""

    maps: tuple[Map, ...]
    history: tuple[dict, ...]
    evidence: float  # nats per held-back particle, over no map at all
    ball: float  # the same of the same maps made round
    significance: float  # of their difference, in standard errors
    verdict: str  # why it stopped, and whether it found anything
    trials: tuple[float, ...]  # evidence of every start when it was judged
    phases: tuple[dict, ...]  # of every start: how many steps, and why it ended
    resolution_A: float  # that the maps have been grown to
    spread_A: float  # of where the particles lie, standard deviation along each axis

    @property
    def something(self) -> bool:
        return self.significance > SIGNIFICANT


@dataclass(frozen=True)
class Course:
    """How far all starts have come: what a step or the judgement of a start leaves for the next one."""

    start: int  # under way, from 0; as many as there are: the best one, which goes on to the end
    grown: Growth | None  # none at the end
    history: tuple[dict, ...] = ()
    phases: tuple[dict, ...] = ()  # that have ended, and why
    trials: tuple[float, ...] = ()  # evidence of every start that was judged
    best: Growth | None = None  # of them
    found: Found | None = None  # at the end

    @property
    def iteration(self) -> int:
        """Steps of all starts."""
        return len(self.history)


def run(job: Run, method: Method, rows: np.ndarray, keeper: Keeper = Keeper()) -> Found:  # noqa: B008 - it holds nothing
    """Grow ``method.classes`` maps from particles ``rows``: several starts for a while, the best one to the end.

    Goes on from the newest snapshot of ``keeper`` if it has one; its last one holds what was found.
    """
    setting = _prepared(job, method, rows)
    snapshot = keeper.newest()
    course = _begun(setting) if snapshot is None else job.restored(snapshot)
    while course.start < method.starts:
        course = _compared(setting, _grown(setting, course, method.annealing.trial_steps(job.frame), keeper))
    if course.found is None:
        course = _grown(setting, course, method.annealing.steps(job.frame), keeper)
        course = replace(course, grown=None, found=_judged(setting, course))
        keeper.keep(job.snapshot(course))
    return course.found


def _begun(setting: Setting) -> Course:
    """The first start, which is the best one where there is no other."""
    if setting.method.starts > 1:
        return Course(0, growing.first(setting))
    return Course(1, growing.first(setting), trials=(0.0,))


def _compared(setting: Setting, course: Course) -> Course:
    """The start that has come as far as starts are compared, judged; then the next one, or the best one."""
    evidence = float(_evidence(setting, course.grown, course.grown.maps).mean())
    best = course.grown if evidence > max(course.trials, default=-np.inf) else course.best
    trials = (*course.trials, evidence)
    if len(trials) < setting.method.starts:
        return replace(course, start=len(trials), grown=growing.first(setting), trials=trials, best=best)
    setting.job.watch("note", text="evidence of the starts, nats per particle held back: "
                      + ", ".join(f"{e:z.2f}" for e in trials) + f"; the best goes on ({max(trials):.2f})")
    nothing = [phase["nothing"] for phase in course.phases if phase["phase"] == settling.FINER]
    if nothing and all(nothing):
        best = replace(best, step=setting.method.annealing.steps(setting.frame))  # finer data would show it no better
    return replace(course, start=len(trials), grown=best, trials=trials, best=None)


def _prepared(job: Run, method: Method, rows: np.ndarray) -> Setting:
    rows = job.rng.permutation(rows)
    held = int(np.clip(len(rows) // 12, min(FEWEST_JUDGES, len(rows) // 3), JUDGES))
    return Setting(job, method, start.first_models(job), np.sort(rows[held:]), np.sort(rows[:held]))


def _grown(setting: Setting, course: Course, until: int, keeper: Keeper) -> Course:
    """``course`` after step ``until`` of the start under way; tells of every step."""
    frame, annealing = setting.frame, setting.method.annealing
    while course.grown.step < until:
        grown = growing.stepped(setting, course.grown, annealing.step(course.grown.step, frame, course.history))
        row = {"step": grown.step, "start": course.start + 1, "phase": annealing.phase(grown.step - 1, frame),
               **grown.facts}  # fmt: skip
        course = _phased(setting, replace(course, grown=grown, history=(*course.history, row)), until)
        setting.job.watch("progress", stage="ab-initio", done=course.grown.step, total=until,
                          whose=_whose(setting, course))
        if course.iteration % REPORTED_EVERY == 0 or course.grown.step == until:
            facts = {"groups": [optics.name for optics in setting.job.source.particles.optics],
                     "starts": setting.method.starts}
            setting.job.watch("diagnostics", made=grown_diagnostics.of_step(frame, course, setting.models, facts))
        if course.iteration % REPORTED_EVERY == 0:
            keeper.keep(setting.job.snapshot(course))
    return course


def _whose(setting: Setting, course: Course) -> str:
    """Which start is under way, in words; nothing where there is only one."""
    starts = setting.method.starts
    if starts == 1:
        return ""
    return f"start {course.start + 1} of {starts}" if course.start < starts else "the best start"


def _phased(setting: Setting, course: Course, until: int) -> Course:
    """``course``, with what is to be said of the phase that its last step ended, if it did.

    The next step is the first of the next phase; where the images show nothing, it is the last of all.
    """
    start, phase = (course.history[-1][name] for name in ("start", "phase"))
    rows = [row for row in course.history if (row["start"], row["phase"]) == (start, phase)]
    end, step = min(setting.method.annealing.ends(setting.frame)[phase], until), course.grown.step
    found = settling.verdict(rows)
    if step >= end:
        found = settling.Verdict(_ended(setting, course, phase), found is not None and found.nothing)
    elif found is None or not _may_end(setting, course, phase, found):
        return course
    else:
        step = end if phase == settling.FIRST else until
    whose = f"start {start}" if course.start < setting.method.starts else "the best" if start > 2 else "the only start"
    told = {"start": start, "whose": whose, "phase": phase, "name": settling.PHASES[phase], "steps": len(rows),
            "nothing": found.nothing, "reason": found.words, "noise_scale": rows[0]["noise_scale"],
            "images": sum(row["images"] for row in rows) / len(rows),
            **{name: rows[-1][name] for name in ("band_A", "evidence", "effective_fraction", "change")}}
    setting.job.watch("phase", **told)
    return replace(course, grown=replace(course.grown, step=step), phases=(*course.phases, told))


def _may_end(setting: Setting, course: Course, phase: int, found: settling.Verdict) -> bool:
    """Whether a phase may end before its steps are done: classes are to part little by little, and maps that gain
    nothing at a coarse resolution may yet find themselves at a finer one, unless the images show nothing at all.
    """
    if phase == settling.FIRST:
        plan, frame = setting.method.annealing, setting.frame
        here, there = (plan.step(step, frame) for step in (course.grown.step - 1, plan.ends(frame)[0]))
        return setting.method.classes == 1 or here.similarity == there.similarity
    return found.nothing or phase == settling.LAST


def _ended(setting: Setting, course: Course, phase: int) -> str:
    """Why a phase ends with its last step."""
    if phase == settling.FIRST:
        return "its steps are done"
    if course.start < setting.method.starts:
        return "here the starts are compared"
    if phase == settling.FINER:
        return f"the last resolution, {course.grown.facts['band_A']:.1f} A, is reached"
    return "the end of the schedule"


def _evidence(setting: Setting, grown: Growth, maps: tuple[Map, ...]) -> np.ndarray:
    """(judges,) evidence for maps; of particles that did not make them, wherever they lie."""
    searches = growing.everywhere(setting, maps, grown.band, grown.spread_A, np.random.default_rng(1))
    parts = [soft.posterior(searches, images, np.zeros((len(images), 2)), spread_A=grown.spread_A).evidence
             for images in growing.images_of(setting, setting.judges, grown.band)]
    return growing.of_all(np.concatenate(parts))


def _judged(setting: Setting, course: Course) -> Found:
    """Whether the maps tell more of particles they have not seen than balls of the same profile do."""
    grown = course.grown
    mine = _evidence(setting, grown, grown.maps)
    ball = _evidence(setting, grown, tuple(rounded(m) for m in grown.maps))
    more = mine - ball
    significance = float(more.mean() / max(more.std() / np.sqrt(len(more)), 1e-12))
    steps = sum(row["start"] == course.history[-1]["start"] for row in course.history)
    done = (f"stopped after {course.iteration} steps, {steps} of the last start, at {grown.facts['band_A']:.1f} A: "
            f"{course.phases[-1]['reason']}")
    word = ("the maps tell particles they have not seen from a ball by {:.2f} +/- {:.2f} nats each"
            if significance > SIGNIFICANT else
            "NOTHING WAS FOUND: to particles they have not seen the maps say no more than a ball does ({:z.2f} +/- "
            "{:.2f} nats each)").format(more.mean(), more.std() / np.sqrt(len(more)))
    return Found(grown.maps, course.history, float(mine.mean()), float(ball.mean()), significance, f"{done}; {word}",
                 course.trials, course.phases, _reached_A(setting, grown), grown.spread_A)


def _reached_A(setting: Setting, grown: Growth) -> float:
    """The resolution that was asked for, or a coarser one that the growth ended at."""
    annealing, frame = setting.method.annealing, setting.frame
    return annealing.final_A if grown.band == annealing.step(np.inf, frame).band else frame.resolution_A(grown.band)


def rounded(map: Map) -> Map:
    """The map with every voxel the mean of its distance from the box centre."""
    axis = np.arange(map.box) - map.box // 2
    shell = np.rint(np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)).astype(int)
    mean = np.bincount(shell.ravel(), map.data.ravel()) / np.maximum(np.bincount(shell.ravel()), 1)
    return Map(mean[shell].astype(np.float32), map.voxel_size_A)


def shares(job: Run, method: Method, found: Found, rows: np.ndarray) -> np.ndarray:
    """(rows, classes) probability of every map for particles ``rows``, on the last grid."""
    setting = Setting(job, method, start.first_models(job), rows, rows)
    band = job.frame.shell(found.resolution_A)
    searches = growing.everywhere(setting, found.maps, band, found.spread_A, job.rng)
    out = np.full((len(rows), len(found.maps)), 1 / len(found.maps))
    for images in growing.images_of(setting, rows, band):
        told = soft.posterior(searches, images, np.zeros((len(images), 2)), spread_A=found.spread_A)
        out[np.searchsorted(rows, images.rows)] = told.shares
        job.watch("progress", stage="classes", done=int(np.searchsorted(rows, images.rows[-1])) + 1, total=len(rows))
    return out


def onto_axes(map: Map, group: np.ndarray, job: Run) -> Map:
    """The map on the axes of its point group, where it has them; warns where it does not obey the group."""
    if len(group) == 1:
        return map
    found = axes.find(map, group)
    if not found.obeyed:
        job.warn(f"turned by the symmetry asked for about the best axes, the map agrees with itself only to "
                 f"{found.after:.2f} (1 = perfect) at {found.resolution_A:.0f} A: check --symmetry; C1 asks for none")
    else:
        job.watch("note", text=f"the axes of the symmetry were found in the map, which obeys it to {found.after:.2f} "
                  "(1 = perfect)")
    return found.onto(map)
