"""What a refinement will need of time, memory and disk, from its size alone: --dry-run, and a look before every run.

Owns the model. Pure arithmetic: how fast the machine is comes from ``calibration``. The course of a refinement depends
on its images, which nobody has looked at; what is assumed of them stands in ``Expected.assumes``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.kernels.insert import best_buffer_bytes
from halfmap.reconstruct import sums
from halfmap.refine import schedules, setup
from halfmap.refine.batches import Frame
from halfmap.refine.recipe import Recipe
from halfmap.refine.schedules import Plan
from halfmap.refine.start import GREY_IMAGES, PILOT_IMAGES, SPARE_CANDIDATES

# Resolution that data of N particles in g asymmetric units reach: N g = GOOD_UNITS exp(GOOD_B / (2 d^2)), the straight
# line of Rosenthal & Henderson 2003 for good images of a rigid molecule: 4 A from 2,700 units, 3 A from 36,000
GOOD_UNITS, GOOD_B_A2 = 100.0, 106.0
AT_NYQUIST = 2  # iterations for which the FSC still rises once it has reached Nyquist: 2,374 real particles at 64 px
DOUBTFUL = (0.7, 0.4)  # share of particles searched again in the second and third iteration. 0.9 and 0.5 of real ones
# at 64 px, 0.3 and 0 (128 px), 0.1 and 0 (256 px) of simulated ones
DOUBTFUL_NEARBY = (0.95, 0.55)  # of a part that moves, searched near: 4,000 images at 96 px, 30 % of the mass turned by
# 8 degrees per axis. A local refinement goes on until its poses rest: their change over their accuracy was 2.9, 1.5,
# 1.1, 0.8, 0.5 and 0.4 there; of a tenth of the mass turned by 3 degrees 1.2, 0.5 and 0.3
FIRST_CHANGE, CHANGE_AGAIN = 2.9, 0.66  # of the accuracy; of the change before
# Evaluations of a pose per particle, as counted on those sets (D2, 64 to 256 px), largest at the first stages
EVALUATIONS_SEARCHED = 32.0  # of a particle whose poses come from a search of 8 candidates: at the first stage
EVALUATIONS_LATER = 8.0  # at every further stage of the iteration
EVALUATIONS_KNOWN = 2.0  # of a particle whose pose is known, per stage

INTERPRETER_GB, KERNELS_GB = 0.14, 0.08  # Python, numpy, scipy, numba; what the compiled kernels add, once used
MAP_BYTES = 4
GRID_BYTES, POINTS_GRID_BYTES = 8, 12  # of a point of a half space: complex64; with its weight in float32
PARTICLE_BYTES = 4000  # of a particle: candidates, information and columns, old and new
SEARCH_BYTES = 1e8  # of images on rings, and of the correlations of a block of directions in every thread
POINT_BYTES, LISTED_TWICE = 24, 1.1  # of kernels.insert: pixels at the border of a brick count twice
AHEAD = 3  # batches read ahead, one in use
SAMPLE_BYTES = 8  # of a pixel of a batch: slices and copies for the estimate of noise
CHECKPOINT_VALUES = 9 + 2 + 1 + 1  # per candidate: rotation, shift, likelihood, weight
CHECKPOINT_BYTES = 8 * (25 + 12)  # of a particle besides: information, cross, power, scale, defocus
RESULT_MAPS = 7  # map, sharpened, two halves, mask of the reference, two of the FSC; and a local filter, if any
PLOTS_BYTES, DIAGNOSTICS_VALUES = 12e6, 11  # pictures and page; planes of 16-bit slices of an iteration
ROW_BYTES = 400  # of a row of particles.star: the known columns; the others of the input come on top
STEEPER = 0.7  # pixels are the second power of a radius; caches put it between 1.5 and 2.2
DISK_BYTES_PER_S = 3e8  # checkpoints and maps are written through to the disk
BEGIN_SOLVE = 0.2  # of the cost of solving at full size: resampling, filtering and masking the starting map
END_SOLVE = 0.4  # the same: the map of both halves, conical FSC, sharpening, Guinier fit


@dataclass(frozen=True)
class Load:
    """The size of a refinement."""

    particles: int
    frame: Frame
    image_box: int  # pixels of the largest images
    order: int  # of the point group
    batch: int
    width: int  # candidates kept of a particle
    shared: bool  # the halves share data at low resolution
    searches: bool  # poses are looked for
    reference_box: int  # of the starting map as it was read; 0 without one
    row_bytes: float = ROW_BYTES  # of the particle table written
    poses: float = 1.0  # at which an image is laid in
    filter_maps: int = 0  # that finding and applying a local filter holds
    kept: int | None = 3  # checkpoints: the two newest and the best; None = all

    @property
    def last_reach(self) -> int:
        return self.frame.box // 2


def load_of(recipe: Recipe, particles: int, image_box: int, frame: Frame, reference_box: int,
            row_bytes: float = ROW_BYTES) -> Load:
    """The size of ``recipe`` on so many particles."""
    size = recipe.minibatch_size or setup.batch_size(setup.BYTES_PER_PIXEL * image_box**2)
    shared = recipe.prior.shared_below(frame) >= 1
    searches = not isinstance(recipe.schedule, schedules.OnePass)
    return Load(particles, frame, image_box, len(recipe.group), min(size, particles),
                recipe.candidates + SPARE_CANDIDATES, shared, searches, reference_box, row_bytes, recipe.layer.poses,
                recipe.prior.places.maps, recipe.kept)


# --- memory ---------------------------------------------------------------------------------------------------------


def memory_GB(load: Load, base_GB: float = INTERPRETER_GB) -> float:
    """Peak of the resident memory in 10^9 bytes; ``base_GB``: what the process holds once its inputs are read."""
    return base_GB + KERNELS_GB + max(memory_phases(load).values()) / 1e9


def memory_phases(load: Load) -> dict[str, float]:
    """Bytes alive at the peak of every phase of the last iteration, which reaches Nyquist and holds the most."""
    points = grid_points(load.last_reach)
    one = POINTS_GRID_BYTES * points
    volume = MAP_BYTES * load.frame.box**3
    inverse = _inverse_bytes(load.frame.box, load.last_reach)
    always = PARTICLE_BYTES * load.particles + MAP_BYTES * load.reference_box**3 + 2 * volume  # with both references
    return {
        "search": always + _batch_bytes(load) + SEARCH_BYTES * load.searches,
        # sums of the first half, those of the second under construction, the projector, sorted pixels
        "expectation": always + 2 * one + GRID_BYTES * points + _buffer_bytes(load) + _batch_bytes(load),
        "symmetry": always + (3 if load.order > 1 else 2) * one,
        # N / W of one half, and a copy with the shared core; half-maps, transforms, masks
        "filter": always + 2 * one + (2 if load.shared else 1) * GRID_BYTES * points + inverse + 12 * volume,
        # the sum of both halves and its N / W; half-maps, references, masks
        "combined": always + 3 * one + GRID_BYTES * points + inverse + 9 * volume,
        "local filter": always + 3 * one + (9 + load.filter_maps) * volume if load.filter_maps else 0.0,
        "report": always + 2 * one + 21 * volume,
    }


def grid_points(reach: int) -> int:
    """Points of a half space that reaches ``reach`` shells."""
    r = sums.PADDING * reach + sums.MARGIN
    return (2 * r + 1) ** 2 * (r + 1)


def _inverse_bytes(box: int, reach: int) -> float:
    """Temporaries of a transform from a half space to a map: lines, their transform, the map cut out of it."""
    return 8 * box**2 * (sums.PADDING * reach + 1) + 4 * box**2 * sums.PADDING * box + 2 * MAP_BYTES * box**3


def _batch_bytes(load: Load) -> float:
    return load.batch * load.image_box**2 * (setup.BYTES_PER_PIXEL + AHEAD * MAP_BYTES + SAMPLE_BYTES)


def _buffer_bytes(load: Load) -> float:
    """What is touched of the buffer of sorted pixels."""
    images = -(-load.particles // 2)
    most = best_buffer_bytes(POINTS_GRID_BYTES * grid_points(load.last_reach))
    return min(most, images * np.pi / 2 * load.last_reach**2 * LISTED_TWICE * POINT_BYTES)


# --- disk -----------------------------------------------------------------------------------------------------------


def tables_GB(load: Load, iterations: int) -> float:
    """Two maps and a table of the particles for every iteration, as other programs keep them, in 10^9 bytes."""
    return iterations * (2 * MAP_BYTES * load.frame.box**3 + load.row_bytes * load.particles) / 1e9


def disk_GB(load: Load, iterations: int) -> float:
    """Largest size of the job folder in 10^9 bytes."""
    volume = MAP_BYTES * load.frame.box**3
    kept = iterations if load.kept is None else load.kept + 1  # while the next one is written
    checkpoint = 0.0 if iterations < 2 else kept * checkpoint_bytes(load)
    slices = iterations * DIAGNOSTICS_VALUES * 2 * load.frame.box**2
    maps = RESULT_MAPS + (load.filter_maps > 0)
    return (maps * volume + checkpoint + slices + PLOTS_BYTES + load.row_bytes * load.particles) / 1e9


def checkpoint_bytes(load: Load) -> float:
    """Of one checkpoint: both references and what is known of every particle."""
    known = 8 * CHECKPOINT_VALUES * load.width + CHECKPOINT_BYTES
    return 2 * MAP_BYTES * load.frame.box**3 + known * load.particles


# --- the course -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Guess:
    """What a schedule asks of a State, for a refinement that goes as expected."""

    iteration: int
    shell: float
    band: int
    reach: int
    seen: np.ndarray
    weights: np.ndarray
    history: tuple[dict, ...]

    @property
    def raw_scale(self) -> np.ndarray:
        return np.ones(len(self.seen))

    @property
    def power(self) -> np.ndarray:
        return np.full(len(self.seen), 1e6)


def reachable_A(particles: int, order: int, frame: Frame) -> float:
    """Resolution that good data of so many particles reach; never finer than Nyquist, A."""
    gain = np.log(max(particles * order / GOOD_UNITS, 1.01))
    return float(max(np.sqrt(GOOD_B_A2 / (2 * gain)), frame.resolution_A(frame.box // 2)))


def course(recipe: Recipe, frame: Frame, particles: int, limit_A: float) -> tuple[Plan, ...]:
    """The iterations that the schedule would make if the halves agreed as far as reconstructed, to ``limit_A``.

    Beyond that the FSC rises no more, except at Nyquist: there it does so for AT_NYQUIST iterations within the band.
    """
    plan = recipe.schedule.first(frame, particles, recipe.offset_range(frame))
    limit = frame.length_A / limit_A
    guess = _Guess(0, 0.0, plan.band, plan.reach, np.zeros(particles, bool), np.ones((particles, 1)), ())
    plans = [plan]
    while not plan.final:
        guess = _after(guess, plan, limit, frame, DOUBTFUL_NEARBY if recipe.search.extents else DOUBTFUL)
        if recipe.schedule.done(guess, frame):
            break
        plan = recipe.schedule.next(guess, frame, recipe.offset_range(frame))
        plans.append(plan)
    return tuple(plans)


def _after(old: _Guess, plan: Plan, limit: float, frame: Frame, doubtful: tuple[float, ...]) -> _Guess:
    shell = min(plan.box // 2, limit)
    still = sum(row["shell"] >= frame.box // 2 - 1 for row in old.history)
    rise = min(still, AT_NYQUIST) if shell >= frame.box // 2 - 1 else 0
    row = {"shell": shell, "fsc_area": shell * (1 + 2 * (schedules.GAIN - 1) * rise), "share": float(plan.used.mean()),
           "refit": plan.refit, "accuracy_rotation_deg": 1.0,
           "change_rotation_deg": FIRST_CHANGE * CHANGE_AGAIN**old.iteration}
    share = dict(enumerate(doubtful)).get(old.iteration, 0.0)
    spread = np.arange(len(old.seen)) * 0.6180339887498949 % 1.0
    weights = np.where(spread < share, 0.5, 1.0)[:, None]
    return replace(old, iteration=old.iteration + 1, shell=shell, band=plan.band, reach=plan.reach,
                   seen=old.seen | plan.used, weights=weights, history=(*old.history, row))


# --- time -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Power:
    """Seconds that grow with a power of a size, through one or two measured points (size, seconds)."""

    points: tuple[tuple[float, float], ...]
    exponent: float  # where one point is all there is; of two, the slope lies from it to STEEPER above it

    def at(self, size: float) -> float:
        (size0, seconds0), (size1, seconds1) = self.points[0], self.points[-1]
        slope = self.exponent
        if size1 > size0:
            measured = np.log(max(seconds1, 1e-9) / max(seconds0, 1e-9)) / np.log(size1 / size0)
            slope = float(np.clip(measured, self.exponent, self.exponent + STEEPER))  # noise must not bend it
        return seconds1 * (size / size1) ** slope


@dataclass(frozen=True)
class Speeds:
    """Seconds of this machine, with the threads of the job."""

    start: float  # from the start of the process to its inputs read
    compiling: float  # of kernels that were not in the cache
    prepare: float  # an image: window, transforms, CTF
    reading: float  # a byte of the stack
    search: dict[int, float]  # an image, by radius of the search
    evaluation: Power  # a pose, by radius
    insert: Power  # an image, by radius
    stock: Power  # an image, by radius
    solve: Power  # M-step of both halves and their projectors, by box
    references: Power  # what an iteration does only if another follows: references, conical FSC, by box
    report: Power  # all curves at the end, by box
    draw: float  # the plots of the result


@dataclass(frozen=True)
class Expected:
    """What a job will need, and what was assumed."""

    seconds: float
    stages: dict[str, float]
    memory_GB: float
    disk_GB: float
    iterations: tuple[dict, ...]
    compiling_s: float  # beside ``seconds``: once after an installation
    assumes: str


def expected(recipe: Recipe, load: Load, plans: tuple[Plan, ...], speeds: Speeds, base_GB: float, limit_A: float
             ) -> Expected:
    """Everything together."""
    stages = seconds(load, plans, speeds)
    rows = tuple({"band_A": round(load.frame.resolution_A(p.band), 2), "box": p.box, "particles": int(p.used.sum()),
                  "searched": int(p.searched.sum())} for p in plans)
    return Expected(sum(stages.values()), stages, memory_GB(load, base_GB), disk_GB(load, len(plans)), rows,
                    speeds.compiling, assumptions(recipe, load, plans, limit_A))


def assumptions(recipe: Recipe, load: Load, plans: tuple[Plan, ...], limit_A: float) -> str:
    """What the time rests on, in a sentence."""
    if len(plans) == 1:
        return "one pass over all particles"
    return (f"{len(plans)} iterations, to {limit_A:.2f} A: what good images of so many particles reach (Nyquist is "
            f"{load.frame.resolution_A(load.frame.box // 2):.2f} A). Data that converge slowly take up to "
            "twice the time; memory does not depend on it")


def seconds(load: Load, plans: tuple[Plan, ...], speeds: Speeds) -> dict[str, float]:
    """Seconds by stage, from the start of the process to its end."""
    total = {"start": speeds.start, "begin": _begin(load, plans[0], speeds)}
    for plan in plans:
        for stage, value in iteration_seconds(load, plan, speeds).items():
            total[stage] = total.get(stage, 0.0) + value
    written = 1e9 * disk_GB(load, 1) + (len(plans) - 1) * checkpoint_bytes(load)
    total["end"] = speeds.report.at(load.frame.box) + END_SOLVE * speeds.solve.at(load.frame.box) + speeds.draw
    total["writing"] = written / DISK_BYTES_PER_S
    return total


def iteration_seconds(load: Load, plan: Plan, speeds: Speeds) -> dict[str, float]:
    """Seconds of one iteration by stage; reading counts where it is slower than all else."""
    n, searched = int(plan.used.sum()), int(plan.searched.sum())
    parts = {
        "prepare": n * speeds.prepare,
        "search": searched * speeds.search.get(plan.search_radius, 0.0),
        "poses": _poses(n, searched, plan, speeds) + n * (load.poses - 1) * speeds.evaluation.at(plan.stages[-1][0]),
        "insert": n * load.poses * speeds.insert.at(plan.reach),
        "stock": n / plan.stock_every * speeds.stock.at(plan.reach),
    }
    reading = speeds.reading * MAP_BYTES * load.image_box**2 * n
    parts["reading"] = max(reading - sum(parts.values()), 0.0)
    solve = speeds.solve.at(plan.box) + (0.0 if plan.final else speeds.references.at(plan.box))
    return {**parts, "solve": solve}


def _poses(n: int, searched: int, plan: Plan, speeds: Speeds) -> float:
    if not any(rounds for _, rounds in plan.stages):
        return n * speeds.evaluation.at(plan.stages[0][0])
    total = 0.0
    for number, (radius, _) in enumerate(plan.stages):
        first = EVALUATIONS_SEARCHED if number == 0 else EVALUATIONS_LATER
        total += ((n - searched) * EVALUATIONS_KNOWN + searched * first) * speeds.evaluation.at(radius)
    return total


def _begin(load: Load, plan: Plan, speeds: Speeds) -> float:
    """Noise of the first images; grey scale of some, three times searched; the starting map made ready."""
    pilots = min(load.particles, PILOT_IMAGES) * speeds.prepare / 2
    if not plan.searched.any():
        return pilots
    looked = 3 * min(load.particles, GREY_IMAGES) * (speeds.prepare + speeds.search[plan.search_radius])
    return pilots + looked + BEGIN_SOLVE * speeds.solve.at(load.frame.box)
