"""One step of maps that grow from nothing: a batch of images, each pose of a grid by its probability, and their maps.

Owns what a growth is and how it begins, and the images and the grids it looks at. In which order steps are taken, and
what is thought of them, is the affair of `stochastic`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.align import axes, inflation, soft
from halfmap.align.polar import Grid, PolarSearch
from halfmap.align.soft import Posterior, Rings
from halfmap.fourier import transforms
from halfmap.maps import filters, masks
from halfmap.physics import noise
from halfmap.physics.projection import Projector
from halfmap.reconstruct import online, sums
from halfmap.refine import grown_diagnostics
from halfmap.refine.annealing import Annealing, Step
from halfmap.refine.batches import Frame
from halfmap.refine.expectation import above
from halfmap.refine.setup import Run
from halfmap.types import Map, Sums

EDGE_VOXELS = 3.0  # of the window of the maps
BLOB = (0.3, 0.2)  # of the diameter: radius of the first random blob, and its soft edge
# How far from where it was last seen a step looks for a particle: of the resolution, and of the spread of all of them
NEARBY, IN_SPREAD = 0.5, 2.0
FARTHEST = 3.0  # spreads from the middle: beyond it no particle is looked for
FIRST_SPREAD = 0.5  # of the range that shifts are looked for in
LEARNED = 0.1  # of the spread in every step
SAMPLED = 32  # images by which the first noise scale is found, at least: the part of poses is known to a fifth
NO_SYMMETRY = np.eye(3)[None]
Look = tuple[np.ndarray, Posterior]  # rows of some images, and what they tell


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
    noise_scale: float = 1.0  # that the noise passed with at the first step


@dataclass(frozen=True)
class Setting:
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


def first(setting: Setting) -> Growth:
    """Random blobs as strong as what the images show on average over all poses."""
    step, frame, rng = setting.method.annealing.step(0, setting.frame), setting.frame, setting.job.rng
    box = setting.box(step.band)
    voxel = frame.length_A / box
    nothing = Map(np.zeros((box,) * 3, np.float32), voxel)
    ball = stepped(setting, _at_rest(setting, (nothing,)), step).maps[0]
    strength = float(np.sqrt((ball.data.astype(float) ** 2).sum()))
    blobs = tuple(_blob(setting, box, voxel, strength, rng) for _ in range(setting.method.classes))
    return _at_rest(setting, blobs)


def _at_rest(setting: Setting, maps: tuple[Map, ...]) -> Growth:
    coarse, fine = (setting.method.annealing.step(number, setting.frame).band for number in (0, np.inf))
    empty = sums.empty(fine, setting.frame.box, setting.frame.voxel_size_A)
    return Growth(0, coarse, (empty,) * len(maps), maps, np.nan, {}, np.zeros(0), np.zeros((0, 3)), np.zeros((0, 0)),
                  np.zeros((len(setting.job.half), 2)), FIRST_SPREAD * setting.method.offset_A)


def _blob(setting: Setting, box: int, voxel_A: float, strength: float, rng: np.random.Generator) -> Map:
    noise_ = Map(rng.standard_normal((box,) * 3).astype(np.float32), voxel_A)
    smooth = filters.lowpass(noise_, setting.frame.length_A / setting.method.blob_shells).data
    radius, edge = (part * setting.frame.diameter_A / voxel_A for part in BLOB)
    data = np.maximum(smooth * masks.sphere(box, radius, edge), 0)
    return Map((data * (strength / max(np.sqrt((data**2).sum()), 1e-30))).astype(np.float32), voxel_A)


def stepped(setting: Setting, grown: Growth, step: Step) -> Growth:
    """One batch of images, and the maps it makes; where it comes in two halves, they tell how noisy it is."""
    frame, method, rng = setting.frame, setting.method, setting.job.rng
    nearby_A = min(method.offset_A, NEARBY * frame.resolution_A(step.band), IN_SPREAD * grown.spread_A)
    grid = soft.scattered(step.band, frame.length_A, frame.diameter_A, nearby_A, NO_SYMMETRY, rng)
    searches = _searches(grown.maps, step.band, frame, grid)
    rows = rng.choice(setting.pool, min(step.images, len(setting.pool)), replace=False)
    first_scale = grown.noise_scale if grown.step else _first_scale(setting, grown, step, searches, rows)
    noise_scale = first_scale**step.inflation

    def looked(mine: np.ndarray) -> list[Look]:
        return [(images.rows, soft.posterior(searches, images, grown.centres_A[images.rows], step.similarity,
                                             grown.spread_A, noise_scale))
                for images in images_of(setting, mine, step.band, grown.centres_A)]

    halves = [found for part in range(step.parts) if (found := looked(np.sort(rows[part :: step.parts])))]
    looks = [look for found in halves for look in found]
    centres_A = _seen(setting, grown, looks, grid)
    new = [[_sums(old, [told.rings[c] for _, told in found]) for found in halves]
           for c, old in enumerate(grown.running)]  # fmt: skip
    running, maps = zip(*(shaped(setting, online.followed(old, sum(mine[1:], mine[0]), step.rate), step)
                          for old, mine in zip(grown.running, new, strict=True)), strict=True)
    evidence, shares, effective = (np.concatenate([getattr(told, name) for _, told in looks])
                                   for name in ("evidence", "shares", "effective"))
    change = _change(grown.maps, maps)
    spread_A = _spread_A(centres_A[rows], grown.spread_A)
    facts = {
        "band_A": frame.resolution_A(step.band), "images": len(evidence), "rate": step.rate,
        "evidence": float(of_all(evidence).mean()), "effective_fraction": float((shares * effective).sum(1).mean()),
        "occupancy": shares.mean(0).tolist(), "change": change, "spread_A": spread_A, "noise_scale": noise_scale,
        "batch_noise": [_noise(setting, *pair, step) for pair in zip(new, maps, strict=True)],
    }
    return Growth(grown.step + 1, step.band, running, maps, change, facts, sum(told.directions for _, told in looks),
                  grid.matrices[:, 2], grown_diagnostics.counted(shares), centres_A, spread_A, first_scale)


def _seen(setting: Setting, grown: Growth, looks: list[Look], grid: Grid) -> np.ndarray:
    """(n, 2) where each particle was last seen.

    Particles are looked for near there, so that few shifts reach as far as they may be off. It is drawn from the
    posterior: the best place of all would have every image of noise settle at its brightest spot. How wide they are
    spread is learned; particles that are well centred are not looked for anywhere else.
    """
    centres_A = grown.centres_A.copy()
    for rows, told in looks:
        there_A = grid.shifts_A[drawn(told.places, setting.job.rng)]
        centres_A[rows] = _within(grown.centres_A[rows] + there_A, setting.method.offset_A)
    return centres_A


def _sums(like: Sums, parts: list[Rings]) -> Sums:
    """Sums of images that were carried back to slices, on the grid of others."""
    empty = replace(like, numerator=np.zeros_like(like.numerator), weight=np.zeros_like(like.weight))
    values, weight = (sum(getattr(part, name) for part in parts) for name in ("values", "weight"))
    grid = parts[0].grid
    return online.of_rings(values, weight, grid.matrices[: len(values)], grid.angles, empty, NO_SYMMETRY)


def _noise(setting: Setting, halves: list[Sums], found: Map, step: Step) -> float:
    """Root mean square noise of a batch in the sphere of the particle, over that of the map; nan of one part alone."""
    if len(halves) < 2:
        return float("nan")
    sphere = masks.sphere(found.box, setting.frame.diameter_A / 2 / found.voxel_size_A, EDGE_VOXELS)
    one, other = (online.to_map(half, step.band, found.box).data for half in halves)
    apart = float((((one - other) / 2 * sphere).astype(float) ** 2).sum())
    return float(np.sqrt(apart / max(float((found.data.astype(float) ** 2).sum()), 1e-30)))


def _first_scale(setting: Setting, grown: Growth, step: Step, searches: list[PolarSearch], rows: np.ndarray) -> float:
    """By how much the noise is taken too large at the first step."""
    wanted = setting.method.annealing.inflation
    if wanted.scale is not None or not wanted.fraction:
        return wanted.scale or 1.0
    some = np.sort(rows[:: max(1, len(rows) // SAMPLED)])
    batches = ((images, grown.centres_A[images.rows])
               for images in images_of(setting, some, step.band, grown.centres_A))
    sample = inflation.Sample.of(searches, batches, step.similarity, grown.spread_A)
    return sample.noise_scale(wanted.fraction)


def drawn(probability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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


def images_of(setting: Setting, rows: np.ndarray, band: int, centres_A: np.ndarray | None = None):
    """Images of ``rows``, the circle about ``centres_A`` (n, 2) of all particles; without them about the middle."""
    job, n = setting.job, len(setting.job.half)
    lowest = setting.frame.length_A / setting.method.high_pass_A if setting.method.high_pass_A else 0
    middle = np.zeros((n, 2)) if centres_A is None else centres_A
    for images in job.source.batches(rows, job.batch, band, setting.models, middle, np.ones(n)):
        job.watch("batch")
        yield above(images, int(round(lowest)))


def shaped(setting: Setting, running: Sums, step: Step) -> tuple[Sums, Map]:
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


def of_all(evidence: np.ndarray) -> np.ndarray:
    """(b,) evidence of the maps together, each as likely as the other beforehand."""
    return np.logaddexp.reduce(evidence, axis=1) - np.log(evidence.shape[1])


def everywhere(setting: Setting, maps: tuple[Map, ...], band: int, spread_A: float, rng: np.random.Generator
               ) -> list[PolarSearch]:
    """Searches in all directions, as far from the middle as a particle may lie."""
    frame, reach_A = setting.frame, min(setting.method.offset_A, FARTHEST * spread_A)
    return _searches(maps, band, frame, soft.scattered(band, frame.length_A, frame.diameter_A, reach_A,
                                                       NO_SYMMETRY, rng))  # fmt: skip
