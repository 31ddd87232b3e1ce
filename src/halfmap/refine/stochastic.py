"""Maps from nothing: stochastic gradient on small random batches, every pose of the grid by its probability.

The second loop beside `loop`: it has no halves, no FSC and no stored poses, and one to many maps that compete for every
image. Owns the order of things; how fast resolution, batches and learning rate go is a part, `Annealing`.

All of it happens without symmetry, whatever the particle has: the real beta-galactosidase (D2) went to corr 0.86-0.97
with the reference at 20 A from there, and to 0.69-0.77 with D2 imposed from the start, where maps that share two axes
with the truth and not the third are dead ends. The axes are found afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.align import axes, soft
from halfmap.align.polar import PolarSearch
from halfmap.fourier import transforms
from halfmap.maps import filters, masks
from halfmap.physics import noise
from halfmap.physics.projection import Projector
from halfmap.reconstruct import online, sums
from halfmap.refine import grown_diagnostics, settling, start
from halfmap.refine.annealing import Annealing, Step
from halfmap.refine.batches import Frame
from halfmap.refine.expectation import above
from halfmap.refine.setup import Run
from halfmap.refine.state import Keeper
from halfmap.types import Map, Sums

EDGE_VOXELS = 3.0  # of the window of the maps
BLOB = (0.3, 0.2)  # of the diameter: radius of the first random blob, and its soft edge
JUDGES, FEWEST_JUDGES = 200, 100  # particles held back to judge by: a twelfth of all, but not more nor fewer than these
REPORTED_EVERY = 10  # steps
SIGNIFICANT = 4.0  # standard errors by which a map must beat a ball
# How far from where it was last seen a step looks for a particle: of the resolution, and of the spread of all of them
NEARBY, IN_SPREAD = 0.5, 2.0
FARTHEST = 3.0  # spreads from the middle: beyond it no particle is looked for
FIRST_SPREAD = 0.5  # of the range that shifts are looked for in
LEARNED = 0.1  # of the spread in every step


@dataclass(frozen=True)
class Method:
    """The settings of a run: what is random about it is the generator of the run."""

    annealing: Annealing
    classes: int
    starts: int
    offset_A: float
    blob_shells: float  # Fourier radius of the random maps it begins with
    window: bool = True
    centre: bool = True
    non_negative: bool = True
    high_pass_A: float | None = None


@dataclass(frozen=True)
class Growth:
    """One start, as far as it has come. A step makes a new one."""

    step: int  # of the schedule
    band: int  # shells of the last one
    running: tuple[Sums, ...]  # of each map
    maps: tuple[Map, ...]
    change: float  # of the maps in the last step, relative to them
    facts: dict
    directions: np.ndarray  # (v,) weight, and where from (v, 3): of the last step
    views: np.ndarray
    probabilities: np.ndarray  # (classes, bins) particles of the last batch, by how surely they belong to each
    centres_A: np.ndarray  # (n, 2) of all particles of the table: where each was last seen, at first in the middle
    spread_A: float  # of where they lie, standard deviation along each axis


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


@dataclass(frozen=True)
class _Setting:
    """What does not change between steps."""

    job: Run
    method: Method
    models: tuple[noise.GroupModel, ...]
    pool: np.ndarray  # rows that make the maps
    judges: np.ndarray  # rows that judge them

    @property
    def frame(self) -> Frame:
        return self.job.frame

    def box(self, band: int) -> int:
        """Voxels of a map with so many shells."""
        return transforms.good_box(2 * band + 8)


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


def _begun(setting: _Setting) -> Course:
    """The first start, which is the best one where there is no other."""
    if setting.method.starts > 1:
        return Course(0, _first(setting))
    return Course(1, _first(setting), trials=(0.0,))


def _compared(setting: _Setting, course: Course) -> Course:
    """The start that has come as far as starts are compared, judged; then the next one, or the best one."""
    evidence = float(_evidence(setting, course.grown, course.grown.maps).mean())
    best = course.grown if evidence > max(course.trials, default=-np.inf) else course.best
    trials = (*course.trials, evidence)
    if len(trials) < setting.method.starts:
        return replace(course, start=len(trials), grown=_first(setting), trials=trials, best=best)
    setting.job.watch("note", text="evidence of the starts, nats per particle held back: "
                      + ", ".join(f"{e:z.2f}" for e in trials) + f"; the best goes on ({max(trials):.2f})")
    nothing = [phase["nothing"] for phase in course.phases if phase["phase"] == settling.FINER]
    if nothing and all(nothing):
        best = replace(best, step=setting.method.annealing.steps(setting.frame))  # finer data would show it no better
    return replace(course, start=len(trials), grown=best, trials=trials, best=None)


def _prepared(job: Run, method: Method, rows: np.ndarray) -> _Setting:
    rows = job.rng.permutation(rows)
    held = int(np.clip(len(rows) // 12, min(FEWEST_JUDGES, len(rows) // 3), JUDGES))
    return _Setting(job, method, start.first_models(job), np.sort(rows[held:]), np.sort(rows[:held]))


def _first(setting: _Setting) -> Growth:
    """Random blobs as strong as what the images show on average over all poses."""
    step, frame, rng = setting.method.annealing.step(0, setting.frame), setting.frame, setting.job.rng
    box = setting.box(step.band)
    voxel = frame.length_A / box
    nothing = Map(np.zeros((box,) * 3, np.float32), voxel)
    ball = _stepped(setting, _at_rest(setting, (nothing,)), step).maps[0]
    strength = float(np.sqrt((ball.data.astype(float) ** 2).sum()))
    blobs = tuple(_blob(setting, box, voxel, strength, rng) for _ in range(setting.method.classes))
    return _at_rest(setting, blobs)


def _at_rest(setting: _Setting, maps: tuple[Map, ...]) -> Growth:
    first, last = (setting.method.annealing.step(number, setting.frame).band for number in (0, np.inf))
    empty = sums.empty(last, setting.frame.box, setting.frame.voxel_size_A)
    return Growth(0, first, (empty,) * len(maps), maps, np.nan, {}, np.zeros(0), np.zeros((0, 3)), np.zeros((0, 0)),
                  np.zeros((len(setting.job.half), 2)), FIRST_SPREAD * setting.method.offset_A)


def _blob(setting: _Setting, box: int, voxel_A: float, strength: float, rng: np.random.Generator) -> Map:
    noise_ = Map(rng.standard_normal((box,) * 3).astype(np.float32), voxel_A)
    smooth = filters.lowpass(noise_, setting.frame.length_A / setting.method.blob_shells).data
    radius, edge = (part * setting.frame.diameter_A / voxel_A for part in BLOB)
    data = np.maximum(smooth * masks.sphere(box, radius, edge), 0)
    return Map((data * (strength / max(np.sqrt((data**2).sum()), 1e-30))).astype(np.float32), voxel_A)


def _grown(setting: _Setting, course: Course, until: int, keeper: Keeper) -> Course:
    """``course`` after step ``until`` of the start under way; tells of every step."""
    frame, annealing = setting.frame, setting.method.annealing
    while course.grown.step < until:
        grown = _stepped(setting, course.grown, annealing.step(course.grown.step, frame))
        row = {"step": grown.step, "start": course.start + 1, "phase": annealing.phase(grown.step - 1, frame),
               **grown.facts}  # fmt: skip
        course = _phased(setting, replace(course, grown=grown, history=(*course.history, row)), until)
        setting.job.watch("progress", stage="ab-initio", done=course.grown.step, total=annealing.steps(frame))
        if course.iteration % REPORTED_EVERY == 0 or course.grown.step == until:
            facts = {"groups": [optics.name for optics in setting.job.source.particles.optics],
                     "starts": setting.method.starts}
            setting.job.watch("diagnostics", made=grown_diagnostics.of_step(frame, course, setting.models, facts))
        if course.iteration % REPORTED_EVERY == 0:
            keeper.keep(setting.job.snapshot(course))
    return course


def _phased(setting: _Setting, course: Course, until: int) -> Course:
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
            "nothing": found.nothing, "reason": found.words,
            **{name: rows[-1][name] for name in ("band_A", "evidence", "effective_fraction", "change")}}
    setting.job.watch("phase", **told)
    return replace(course, grown=replace(course.grown, step=step), phases=(*course.phases, told))


def _may_end(setting: _Setting, course: Course, phase: int, found: settling.Verdict) -> bool:
    """Whether a phase may end before its steps are done: classes are to part little by little, and maps that gain
    nothing at a coarse resolution may yet find themselves at a finer one, unless the images show nothing at all.
    """
    if phase == settling.FIRST:
        plan, frame = setting.method.annealing, setting.frame
        here, there = (plan.step(step, frame) for step in (course.grown.step - 1, plan.ends(frame)[0]))
        return setting.method.classes == 1 or here.similarity == there.similarity
    return found.nothing or phase == settling.LAST


def _ended(setting: _Setting, course: Course, phase: int) -> str:
    """Why a phase ends with its last step."""
    if phase == settling.FIRST:
        return "its steps are done"
    if course.start < setting.method.starts:
        return "here the starts are compared"
    if phase == settling.FINER:
        return f"the last resolution, {course.grown.facts['band_A']:.1f} A, is reached"
    return "the end of the schedule"


def _stepped(setting: _Setting, grown: Growth, step: Step) -> Growth:
    """One batch of images, and the maps it makes.

    Particles are looked for near where they were last seen, so that few shifts reach as far as they may be off. That is
    drawn from the posterior: the best place of all would have every image of noise settle at its brightest spot. How
    wide they are spread is learned; particles that are well centred are not looked for anywhere else.
    """
    frame, method, rng = setting.frame, setting.method, setting.job.rng
    group = np.eye(3)[None]
    nearby_A = min(method.offset_A, NEARBY * frame.resolution_A(step.band), IN_SPREAD * grown.spread_A)
    grid = soft.scattered(step.band, frame.length_A, frame.diameter_A, nearby_A, group, rng)
    searches = _searches(grown.maps, step.band, frame, grid)
    rows = np.sort(rng.choice(setting.pool, min(step.images, len(setting.pool)), replace=False))
    parts, centres_A = [], grown.centres_A.copy()
    for images in _images(setting, rows, step.band, grown.centres_A):
        parts.append(soft.posterior(searches, images, grown.centres_A[images.rows], step.similarity, grown.spread_A))
        there = grid.shifts_A[_drawn(parts[-1].places, rng)]
        centres_A[images.rows] = _within(grown.centres_A[images.rows] + there, method.offset_A)
    running = []
    for c, old in enumerate(grown.running):
        empty = replace(old, numerator=np.zeros_like(old.numerator), weight=np.zeros_like(old.weight))
        values, weight = (sum(getattr(p.rings[c], name) for p in parts) for name in ("values", "weight"))
        hands = grid.matrices[: len(values)]
        new = online.of_rings(values, weight, hands, grid.angles, empty, group)
        running.append(online.followed(old, new, step.rate))
    running, maps = zip(*(_shaped(setting, one, step) for one in running), strict=True)
    evidence, shares, effective = (np.concatenate([getattr(p, name) for p in parts])
                                   for name in ("evidence", "shares", "effective"))
    change = _change(grown.maps, maps)
    spread_A = _spread_A(centres_A[rows], grown.spread_A)
    facts = {
        "band_A": frame.resolution_A(step.band), "images": len(evidence), "rate": step.rate,
        "evidence": float(_of_all(evidence).mean()), "effective_fraction": float((shares * effective).sum(1).mean()),
        "occupancy": shares.mean(0).tolist(), "change": change, "spread_A": spread_A,
    }
    return Growth(grown.step + 1, step.band, tuple(running), tuple(maps), change, facts,
                  sum(p.directions for p in parts), grid.matrices[:, 2], grown_diagnostics.counted(shares), centres_A,
                  spread_A)


def _drawn(probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(b,) one of the columns for each row of probabilities (b, s)."""
    upto = probability.cumsum(1)
    return (upto < rng.random((len(upto), 1)) * upto[:, -1:]).sum(1)


def _within(shifts_A: np.ndarray, range_A: float) -> np.ndarray:
    """Shifts (b, 2), those beyond the range brought back to its edge."""
    return shifts_A * np.minimum(1, range_A / np.maximum(np.linalg.norm(shifts_A, axis=1), 1e-30))[:, None]


def _spread_A(shifts_A: np.ndarray, before_A: float) -> float:
    """The spread, a part of it learned from the last shifts (b, 2)."""
    return float(np.sqrt((1 - LEARNED) * before_A**2 + LEARNED * (shifts_A**2).mean()))


def _searches(maps: tuple[Map, ...], band: int, frame: Frame, grid) -> list[PolarSearch]:
    return [PolarSearch.of(Projector.of(m, band, frame.box), grid, band) for m in maps]


def _images(setting: _Setting, rows: np.ndarray, band: int, centres_A: np.ndarray | None = None):
    """Images of ``rows``, the circle about ``centres_A`` (n, 2) of all particles; without them about the middle."""
    job, n = setting.job, len(setting.job.half)
    lowest = setting.frame.length_A / setting.method.high_pass_A if setting.method.high_pass_A else 0
    middle = np.zeros((n, 2)) if centres_A is None else centres_A
    for images in job.source.batches(rows, job.batch, band, setting.models, middle, np.ones(n)):
        job.watch("batch")
        yield above(images, int(round(lowest)))


def _shaped(setting: _Setting, running: Sums, step: Step) -> tuple[Sums, Map]:
    """The map of the sums: windowed, non-negative, centred, as the settings want it; and its sums."""
    method, frame = setting.method, setting.frame
    found = online.to_map(running, step.band, setting.box(step.band))
    sphere = masks.sphere(found.box, frame.diameter_A / 2 / found.voxel_size_A, EDGE_VOXELS)
    if method.centre:
        centre_A = axes.extent(Map(found.data * sphere, found.voxel_size_A))[0]
        if np.linalg.norm(centre_A) > found.voxel_size_A / 2:
            running = online.moved(running, centre_A)
            found = online.to_map(running, step.band, found.box)
    data = found.data * sphere if method.window else found.data
    return running, Map(np.maximum(data, 0) if method.non_negative else data, found.voxel_size_A)


def _change(old: tuple[Map, ...], new: tuple[Map, ...]) -> float:
    """Root mean square change of the maps over their root mean square; of maps in one sampling."""
    if old[0].box != new[0].box:
        return float("nan")
    apart = sum(float(((a.data - b.data).astype(float) ** 2).sum()) for a, b in zip(old, new, strict=True))
    return float(np.sqrt(apart / max(sum(float((m.data.astype(float) ** 2).sum()) for m in new), 1e-30)))


def _of_all(evidence: np.ndarray) -> np.ndarray:
    """(b,) evidence of the maps together, each as likely as the other beforehand."""
    return np.logaddexp.reduce(evidence, axis=1) - np.log(evidence.shape[1])


def _evidence(setting: _Setting, grown: Growth, maps: tuple[Map, ...]) -> np.ndarray:
    """(judges,) evidence for maps; of particles that did not make them, wherever they lie."""
    searches = _everywhere(setting, maps, grown.band, grown.spread_A, np.random.default_rng(1))
    parts = [soft.posterior(searches, images, np.zeros((len(images), 2)), spread_A=grown.spread_A).evidence
             for images in _images(setting, setting.judges, grown.band)]
    return _of_all(np.concatenate(parts))


def _everywhere(setting: _Setting, maps: tuple[Map, ...], band: int, spread_A: float, rng: np.random.Generator
                ) -> list[PolarSearch]:
    """Searches in all directions, as far from the middle as a particle may lie."""
    frame, reach_A = setting.frame, min(setting.method.offset_A, FARTHEST * spread_A)
    return _searches(maps, band, frame, soft.scattered(band, frame.length_A, frame.diameter_A, reach_A,
                                                       np.eye(3)[None], rng))  # fmt: skip


def _judged(setting: _Setting, course: Course) -> Found:
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


def _reached_A(setting: _Setting, grown: Growth) -> float:
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
    setting = _Setting(job, method, start.first_models(job), rows, rows)
    band = job.frame.shell(found.resolution_A)
    searches = _everywhere(setting, found.maps, band, found.spread_A, job.rng)
    out = np.full((len(rows), len(found.maps)), 1 / len(found.maps))
    for images in _images(setting, rows, band):
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
