"""How the particles of an ab-initio job come apart into classes. Two exchangeable parts.

`Competing`: as many maps as classes compete from the first step on. `Splitting`: one map of all particles is grown and
refined first, then the particles part at the poses they have in it. The first is for particles that have little in
common, the second for one particle in several states, which maps of 30 A do not tell apart, and poses do.

Splitting is expectation maximisation from random classes, crosswise: the particles of one half-set are sorted by the
maps of the other. A particle thus never judges a map it made; otherwise the noise of its own image would hold it where
it is, by about as many nats as it has Fourier pixels over the number of images at each. The same likelihoods say
whether several maps explain unseen particles better than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.sparse.csgraph import connected_components

from halfmap.align import newton
from halfmap.fourier import transforms
from halfmap.maps import masks, resample
from halfmap.physics.projection import Projector
from halfmap.reconstruct import solve
from halfmap.reconstruct.sums import Accumulator
from halfmap.refine import grown_diagnostics, loop, meeting, setup, start, stochastic
from halfmap.refine.growing import Method
from halfmap.refine.recipe import Recipe
from halfmap.refine.setup import Run
from halfmap.refine.state import Keeper, Outcome
from halfmap.types import Images, Map, Poses, Sums

TRIALS = 3  # random starts
ROUNDS = 15  # of a trial, at most
SETTLED = 0.002  # part of the particles that changes class in a round, below which a trial ends
MOST = 10_000  # particles that make the maps of the trials, held in memory: 0.3 GB at 25 shells; the rest is sorted
COMMON = 0.2  # of the particles' weight that all classes share alike: what a class does not show is as in the others
FEWEST = 0.1  # of its fair share: a class of less starts anew, as a part of the largest
HEARD = 1e-3  # share from which an image is laid into a map
EDGE_VOXELS = 3.0  # of the window of the maps
ALIKE_TO_PARTICLES = ("are one within the noise: particles that did not make them are explained no better by maps of "
                      "their own than by one of them together")
ALIKE_MAPS = ("have the same map: one kind of particle, or states that maps of this resolution do not tell apart and "
              "--class-start consensus may")


@dataclass(frozen=True)
class Parted:
    """Classes of particles ``rows`` of the table."""

    maps: tuple[Map, ...]
    rows: np.ndarray
    shares: np.ndarray  # (rows, classes) probability of each
    gain: float = np.nan  # nats that an unseen particle gains by there being classes, and its standard error
    gain_error: float = np.nan
    alike: tuple[tuple[int, ...], ...] = ()  # classes, from 0, that are one within what can be seen
    likeness: str = ""  # in what they are
    passes: int = 0  # over all particles that it took to give them poses

    @property
    def empty(self) -> tuple[int, ...]:
        """Classes, from 0, that hardly any particle belongs to."""
        share = np.bincount(self.shares.argmax(1), minlength=len(self.maps)) / len(self.shares)
        return tuple(np.flatnonzero(hopeless(share, len(self.maps))).tolist())

    @property
    def kinds(self) -> int:
        """How many kinds of particles the classes are."""
        if self.significance <= stochastic.SIGNIFICANT:
            return 1
        mates = (len(set(group) - set(self.empty)) for group in self.alike)
        return len(self.maps) - len(self.empty) - sum(max(count - 1, 0) for count in mates)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is to be warned of: classes that are one, and classes of nobody."""
        told = [f"classes {_listed(group)} {self.likeness}" for group in self.alike]
        told += [f"class {number + 1} is empty" for number in self.empty]
        if told:
            told.append(f"there are fewer kinds of particles than classes: take --classes {self.kinds}")
        return tuple(told)

    @property
    def significance(self) -> float:
        """The gain in standard errors; NaN where it was not looked at."""
        return self.gain / max(self.gain_error, 1e-12)

    @property
    def verdict(self) -> str:
        """Whether there are several kinds of particles; empty where it was not looked at."""
        gain = f"{self.gain:.2f} +/- {self.gain_error:.2f} nats each"
        if np.isnan(self.gain):
            return ""
        if self.significance > stochastic.SIGNIFICANT:
            return f"particles that did not make them are better explained by {len(self.maps)} maps than by one: {gain}"
        return (f"ONE KIND OF PARTICLE: {len(self.maps)} maps explain particles that did not make them no better than "
                f"one does ({gain}); the classes mean nothing, take --classes 1")


@dataclass(frozen=True)
class Sorted:
    """One class at the end: its map, its particles and how surely they belong here; none without final passes."""

    map: Map
    rows: np.ndarray  # of its particles in the table
    poses: Poses | None
    half: np.ndarray  # half-set of each
    probability: np.ndarray
    resolution_A: float | None
    passes: int


def _listed(group: tuple[int, ...]) -> str:
    names = [str(number + 1) for number in group]
    return f"{', '.join(names[:-1])} and {names[-1]}"


@dataclass(frozen=True)
class Competing:
    """The maps have grown apart; particles are sorted by the last grid of poses."""

    classes: int

    @property
    def grown(self) -> int:
        """How many maps have to grow."""
        return self.classes

    def parted(self, job: Run, method: Method, found: stochastic.Found, rows: np.ndarray,
               keeper: Keeper = Keeper()) -> Parted:  # noqa: B008 - it holds nothing
        """The particles, sorted. That takes no passes, and nothing is kept on the way."""
        if self.classes == 1:
            return Parted(found.maps, rows, np.ones((len(rows), 1)))
        pairs = {pair for pair in combinations(range(self.classes), 2)
                 if meeting.agreed_A(*(found.maps[c] for c in pair), job.frame) < meeting.ALIKE * found.resolution_A}
        return Parted(found.maps, rows, stochastic.shares(job, method, found, rows), alike=_groups(pairs, self.classes),
                      likeness=ALIKE_MAPS)


@dataclass(frozen=True)
class Splitting:
    """One map has grown; particles get poses in it, then they part by what they show at ``resolution_A``."""

    classes: int
    resolution_A: float
    passes: Recipe

    @property
    def grown(self) -> int:
        """How many maps have to grow."""
        return 1

    def parted(self, job: Run, method: Method, found: stochastic.Found, rows: np.ndarray,
               keeper: Keeper = Keeper()) -> Parted:  # noqa: B008 - it holds nothing
        """The particles with poses, sorted; those that cannot be used are left out."""
        consensus = stochastic.onto_axes(found.maps[0], job.recipe.group, job)
        outcome = passed(self.passes, job, consensus, rows, "all classes", keeper)
        left = np.setdiff1d(np.arange(len(rows)), [row for row, _ in outcome.rejected])
        posed = setup.prepare(self.passes, outcome.particles, None, job.rng, _quiet(job, len(found.history)))
        parted = split(posed, self.classes, self.resolution_A)
        return replace(parted, rows=rows[left], passes=len(outcome.history))


def passed(passes: Recipe, job: Run, grown: Map, rows: np.ndarray, whose: str, keeper: Keeper) -> Outcome:
    """Passes of a refinement over particles ``rows``, from a map that has grown, or from where ``keeper`` has them.

    ``whose``: what is told of each iteration, where there are several classes; else empty. Their plots would mix with
    those of the steps, and their warnings speak of a refinement that nobody asked for.
    """
    first = resample.to_grid(grown, job.frame.box, job.frame.voxel_size_A)
    return loop.run(passes, job.source.particles[rows], first, None, job.rng, _quiet(job, whose=whose), keeper)


def _quiet(job: Run, steps: int = 0, whose: str = "") -> Callable[..., None]:
    """``steps``: of the growth, after which the parting is shown; ``whose`` the iterations are."""

    def told(kind: str, **data) -> None:
        if kind == "iteration" and whose:
            data = {"whose": whose, **data}
        if kind in ("progress", "batch", "iteration"):
            job.watch(kind, **data)
        elif kind == "diagnostics" and data["made"].name.startswith(grown_diagnostics.CLASSES):
            job.watch(kind, made=replace(data["made"], name=f"iteration_{steps:03d}_{data['made'].name}"))

    return told


@dataclass(frozen=True)
class _Trial:
    """Classes of the particles that make the maps, and what that gains those particles over one map."""

    shares: np.ndarray  # (n, classes) of all particles, 0 for those that make no map
    gains: np.ndarray  # (those that make maps,)
    prior: np.ndarray  # (classes,)
    rounds: tuple[dict, ...]  # occupancy, part that changed its class and gain, in each


@dataclass(frozen=True)
class _Bench:
    """What does not change between the rounds."""

    job: Run  # its particles have poses
    band: int
    makers: np.ndarray  # rows that make the maps
    held: tuple[Images, ...]  # their images
    window: np.ndarray
    whole: tuple[Sums, Sums]  # of all makers of each half
    alone: np.ndarray  # (n,) log likelihood with one map, of the makers

    @property
    def half(self) -> np.ndarray:
        """(n,) 0 or 1."""
        return self.job.half - 1


def split(job: Run, classes: int, resolution_A: float) -> Parted:
    """Sort the particles of ``job``, which have poses, into classes by what they show down to a resolution."""
    band = job.frame.shell(resolution_A)
    rows = np.sort(job.rng.permutation(len(job.half))[:MOST])
    models = start.first_models(job)
    bench = _bench(job, band, rows, tuple(_images(job, rows, band, models)))
    trials = [_climbed(bench, classes, number) for number in range(TRIALS)]
    best = max(trials, key=lambda trial: trial.gains.mean())
    job.watch("note", text="gain of the trials to part the particles, nats each: "
              + ", ".join(f"{trial.gains.mean():.2f}" for trial in trials))
    shares = best.shares.copy()
    rest = np.setdiff1d(np.arange(len(job.half)), rows)
    for half in (0, 1) if len(rest) else ():
        found = _likelihoods(bench, _maps(bench, best.shares, 1 - half), half, _images(job, rest, band, models))
        mine = rest[np.isfinite(found[rest, 0])]
        shares[mine] = _posterior(found[mine] + np.log(best.prior))
    left_out = shares.sum(1) == 0  # images that cannot be read
    shares[left_out] = best.prior
    gains, maps = best.gains, _joined(bench, best.shares)
    job.watch("diagnostics", made=grown_diagnostics.of_sharing("best", job.frame, best.rounds, shares, maps))
    return Parted(maps, np.arange(len(shares)), shares, float(gains.mean()),
                  float(gains.std() / np.sqrt(len(gains))), _alike(bench, best), ALIKE_TO_PARTICLES)


def _images(job: Run, rows: np.ndarray, band: int, models) -> Iterator[Images]:
    n = len(job.half)
    return job.source.batches(rows, job.batch, band, models, job.source.particles.poses.shifts_A, np.ones(n))


def _bench(job: Run, band: int, rows: np.ndarray, held: tuple[Images, ...]) -> _Bench:
    box = transforms.good_box(2 * band + 8)
    voxel = job.frame.length_A / box
    window = masks.sphere(box, job.frame.diameter_A / 2 / voxel, EDGE_VOXELS).astype(np.float32)
    read = np.concatenate([images.rows for images in held])
    empty = _Bench(job, band, np.intersect1d(rows, read), held, window, (), np.zeros(0))
    everyone = np.ones(len(job.half))
    bench = replace(empty, whole=tuple(_sums(empty, everyone * (empty.half == half)) for half in (0, 1)))
    alone = [_likelihoods(bench, (_map(bench, bench.whole[1 - half]),), half, held)[:, 0] for half in (0, 1)]
    return replace(bench, alone=np.maximum(*alone))


def _sums(bench: _Bench, shares: np.ndarray) -> Sums:
    """Sums of the makers, each by its share (n,)."""
    frame, poses = bench.job.frame, bench.job.source.particles.poses
    total = Accumulator(bench.band, frame.box, frame.voxel_size_A)
    for images in bench.held:
        heard = np.flatnonzero(shares[images.rows] > HEARD)
        rows = images.rows[heard]
        total.add(images, heard, poses.rotations[rows], poses.shifts_A[rows], shares[rows].astype(np.float32))
    return total.sums(bench.job.recipe.group)


def _map(bench: _Bench, sums: Sums) -> Map:
    found = solve.unfiltered(sums, len(bench.window), bench.job.frame.box)
    return Map(found.data * bench.window, found.voxel_size_A)


def _maps(bench: _Bench, shares: np.ndarray, half: int) -> tuple[Map, ...]:
    """Maps of all classes, made by one half-set alone."""
    parts = (_sums(bench, mine * (bench.half == half)) for mine in shares.T)
    return tuple(_map(bench, _with_common(part, bench.whole[half], shares.shape[1])) for part in parts)


def _with_common(own: Sums, whole: Sums, classes: int) -> Sums:
    """The sums of a class and its part of what all have in common: the prior that it looks like the others."""
    part = np.float32(COMMON / classes)
    return replace(own, numerator=own.numerator + part * whole.numerator, weight=own.weight + part * whole.weight)


def _joined(bench: _Bench, shares: np.ndarray) -> tuple[Map, ...]:
    """Maps of all classes, of both half-sets."""
    whole = bench.whole[0] + bench.whole[1]
    return tuple(_map(bench, _with_common(_sums(bench, mine), whole, shares.shape[1])) for mine in shares.T)


def _likelihoods(bench: _Bench, maps: tuple[Map, ...], half: int, images: Iterable[Images]) -> np.ndarray:
    """(n, maps) log likelihood of the images of one half-set; minus infinity for all others."""
    job, poses = bench.job, bench.job.source.particles.poses
    out = np.full((len(job.half), len(maps)), -np.inf)
    projectors = [Projector.of(map, bench.band, job.frame.box) for map in maps]
    for batch in images:
        which = np.flatnonzero(bench.half[batch.rows] == half)
        rows = batch.rows[which]
        job.watch("batch")
        for c, projector in enumerate(projectors if len(rows) else ()):
            fit = newton.refine(projector, batch, which, poses.rotations[rows], poses.shifts_A[rows], bench.band, 0)
            out[rows, c] = fit.log_likelihood
    return out


def _posterior(log_weight: np.ndarray) -> np.ndarray:
    w = np.exp(log_weight - log_weight.max(1, keepdims=True))
    return w / w.sum(1, keepdims=True)


def _climbed(bench: _Bench, classes: int, number: int) -> _Trial:
    """Expectation maximisation from random classes."""
    makers, rng = bench.makers, bench.job.rng
    shares = np.zeros((len(bench.half), classes))
    shares[makers] = np.eye(classes)[rng.integers(classes, size=len(makers))]
    prior, rounds = np.full(classes, 1 / classes), ()
    for done in range(ROUNDS):
        old = shares.argmax(1)
        shares, gains = _round(bench, shares, prior)
        bench.job.watch("progress", stage="classes", done=number * ROUNDS + done + 1, total=TRIALS * ROUNDS)
        moved = float((old != shares.argmax(1))[makers].mean())
        rounds += ({"occupancy": shares[makers].mean(0).tolist(), "moved": moved, "gain": float(gains.mean())},)
        trial = _Trial(shares, gains, prior, rounds)
        bench.job.watch("diagnostics", made=grown_diagnostics.of_sharing(f"trial{number + 1}", bench.job.frame, rounds,
                                                                         shares[makers]))
        if moved < SETTLED:
            break
        if done < ROUNDS // 2:
            shares = shares.copy()
            shares[makers] = revived(shares[makers], rng)
        prior = _prior(shares[makers])
    return trial


def _round(bench: _Bench, shares: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """New shares (n, classes), and what each maker gains over one map.

    One half-set after the other: both at once would be two chains that know nothing of each other's names of classes.
    """
    shares, gains = shares.copy(), np.zeros(len(shares))
    for half in (0, 1):
        rows = bench.makers[bench.half[bench.makers] == half]
        maps = _maps(bench, shares, 1 - half)
        log_weight = (_likelihoods(bench, maps, half, bench.held) + np.log(prior))[rows]
        shares[rows] = _posterior(log_weight)
        gains[rows] = np.logaddexp.reduce(log_weight, axis=1) - bench.alone[rows]
    return shares, gains[bench.makers]


def _alike(bench: _Bench, trial: _Trial) -> tuple[tuple[int, ...], ...]:
    """Groups of classes that unseen particles do not tell from one map of their own together.

    That is asked of every two classes that have particles: the maps of two halves of one kind are noisier than that of
    the whole. Of two classes in all, the gain over one map has said it already.
    """
    members = [number for number, share in enumerate(trial.prior) if not hopeless(share, len(trial.prior))]
    pairs = list(combinations(members, 2)) if len(trial.prior) > 2 else []
    gains = np.hstack([_gained(bench, trial, pairs, half) for half in (0, 1)]) if pairs else np.zeros((0, 1))
    one = {pair for pair, gain in zip(pairs, gains, strict=True)
           if gain.mean() < stochastic.SIGNIFICANT * gain.std() / np.sqrt(len(gain))}
    return _groups(one, len(trial.prior))


def _groups(pairs: set[tuple[int, int]], classes: int) -> tuple[tuple[int, ...], ...]:
    """Classes that hang together by pairs; those that stand alone are left out."""
    one = np.eye(classes, dtype=bool)
    for pair in pairs:
        one[pair] = True
    _, group = connected_components(one, directed=False)
    found = (tuple(np.flatnonzero(group == number).tolist()) for number in np.unique(group))
    return tuple(members for members in found if len(members) > 1)


def _gained(bench: _Bench, trial: _Trial, pairs: list[tuple[int, int]], half: int) -> np.ndarray:
    """(pairs, makers of one half-set) nats that each gains by two classes over one of both."""
    rows = bench.makers[bench.half[bench.makers] == half]
    maps = _maps(bench, trial.shares, 1 - half)
    log_weight = _likelihoods(bench, maps, half, bench.held)[rows] + np.log(trial.prior)
    told = np.logaddexp.reduce(log_weight, axis=1)
    out = []
    for pair in map(list, pairs):
        both = _with_common(_sums(bench, trial.shares[:, pair].sum(1) * (bench.half != half)), bench.whole[1 - half],
                            len(trial.prior) - 1)
        joint = _likelihoods(bench, (_map(bench, both),), half, bench.held)[rows] + np.log(trial.prior[pair].sum())
        out.append(told - np.logaddexp.reduce(np.hstack([np.delete(log_weight, pair, 1), joint]), axis=1))
    return np.array(out)


def _prior(shares: np.ndarray) -> np.ndarray:
    """(classes,) occupancy, none of them hopeless."""
    floored = np.maximum(shares.mean(0), FEWEST / shares.shape[1] ** 2)
    return floored / floored.sum()


def hopeless(share: np.ndarray | float, classes: int) -> np.ndarray | bool:
    """Whether a class of this share of all particles is nobody's."""
    return share < FEWEST / classes


def revived(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shares (n, classes) with classes that hardly anyone belongs to made anew: half of the largest, at random."""
    shares = shares.copy()
    for c in np.flatnonzero(hopeless(shares.mean(0), shares.shape[1])):
        mine = shares.argmax(1)
        largest = np.flatnonzero(mine == np.bincount(mine).argmax())
        moved = largest[rng.random(len(largest)) < 0.5]
        shares[moved] = np.eye(shares.shape[1])[c]
    return shares
