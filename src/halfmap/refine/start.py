"""Where a refinement begins: from a map and no poses, or from the poses of the particle table. Parts of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap import errors
from halfmap.align import axes as symmetry_axes
from halfmap.align import newton, polar
from halfmap.align.axes import Axes
from halfmap.data.particles import Particles
from halfmap.maps import filters, resample
from halfmap.physics import noise
from halfmap.physics.projection import Projector
from halfmap.refine.batches import Frame
from halfmap.refine.masking import SphereMask
from halfmap.refine.schedules import Plan
from halfmap.refine.setup import Run
from halfmap.refine.state import State
from halfmap.types import Candidates, Images, Map, Poses

SPARE_CANDIDATES = 2  # places for known poses beside those of a new search
PILOT_IMAGES = 500  # images per optics group for the first noise spectrum
GREY_IMAGES = 200  # images per optics group for the grey scale: one image tells it to about 15 %
FAINT = 1e-3  # grey scale so small that poses are ranked by correlation alone


@dataclass(frozen=True)
class AsGiven:
    """The starting map stays where it is."""

    def of(self, reference: Map, job: Run) -> Axes | None:
        """Axes to bring the map onto: none."""
        return None


@dataclass(frozen=True)
class OntoAxes:
    """The starting map is brought onto the axes of the point group."""

    def of(self, reference: Map, job: Run) -> Axes | None:
        """The axes of the group in the map, where they are elsewhere; warns if the map does not obey the group."""
        if len(job.recipe.group) == 1:
            return None
        found = symmetry_axes.find(reference, job.recipe.group)
        if not found.obeyed:
            job.warn("the starting map does not have the symmetry asked for: turned by it about the best axes it "
                     f"agrees with itself only to {found.after:.2f} (1 = perfect) at {found.resolution_A:.0f} A; it is "
                     "used where it is: check --symmetry, or refine in C1 first")
        elif found.off:
            job.watch("note", text=f"the starting map was turned by {found.angle_deg:.1f} degrees and moved by "
                      f"{found.shift_A:.1f} A onto the axes of its symmetry, which it obeys to {found.after:.2f} there "
                      f"({found.before:.2f} before; 1 = perfect)")
            return found
        return None


@dataclass(frozen=True)
class FromMap:
    """A starting map, low-passed, on the grey scale of the images; nothing known of the poses."""

    lowpass_A: float
    fit_grey: bool
    axes: AsGiven | OntoAxes = AsGiven()

    def begin(self, job: Run, reference: Map) -> tuple[State, Plan]:
        frame, n = job.frame, len(job.half)
        plan = job.recipe.schedule.first(frame, n, job.recipe.offset_range(frame))
        start = resample.to_grid(reference, frame.box, frame.voxel_size_A)
        found = self.axes.of(start, job)
        start = resample.fourier_crop(filters.lowpass(start, self.lowpass_A), plan.box)
        start = start if found is None else found.onto(start)
        start = Map(start.data * SphereMask().of(start, np.inf, frame).data, start.voxel_size_A)
        models = first_models(job)
        if self.fit_grey:
            models = with_grey_scale(job, start, models, plan)
        return _state(job, (start, start), _nowhere(job), models, frame.length_A / self.lowpass_A, plan), plan


@dataclass(frozen=True)
class FromBoth:
    """The poses of the particle table, and a map for each half as it stands; both on the grey scale of the images.

    The grey scale is told by all of the map: a part of it would take what the rest adds to the images for its own.
    """

    half1: Map  # filtered, not masked
    half2: Map
    resolution_A: float  # that they reach
    fit_grey: bool

    def begin(self, job: Run, reference: Map) -> tuple[State, Plan]:
        frame, recipe, particles, n = job.frame, job.recipe, job.source.particles, len(job.half)
        plan = recipe.schedule.first(frame, n, recipe.offset_range(frame))
        whole = [_on_grid(half, plan.box, frame) for half in (self.half1, self.half2)]
        mean = _mean(whole)
        models = first_models(job)
        if self.fit_grey:
            models = with_grey_scale_of_poses(job, mean, models, plan)
        mask = recipe.mask.made(mean, self.resolution_A, frame).data
        masked = tuple(Map(half.data * mask, half.voxel_size_A) for half in whole)
        width = recipe.candidates + SPARE_CANDIDATES
        known = Candidates(np.repeat(particles.poses.rotations[:, None], width, 1),
                           np.repeat(particles.poses.shifts_A[:, None], width, 1),
                           np.tile(np.r_[0.0, np.full(width - 1, -np.inf)], (n, 1)))  # fmt: skip
        return _state(job, masked, known, models, frame.length_A / self.resolution_A, plan), plan


@dataclass(frozen=True)
class FromEach:
    """A map for each half as it stands, which share nothing; nothing known of the poses.

    The maps are on the grey scale of the images that made them, and stay there.
    """

    half1: Map  # in the frame of each other, windowed
    half2: Map
    resolution_A: float  # that they reach

    def begin(self, job: Run, reference: Map | None) -> tuple[State, Plan]:
        frame, n = job.frame, len(job.half)
        plan = job.recipe.schedule.first(frame, n, job.recipe.offset_range(frame))
        whole = tuple(_on_grid(half, plan.box, frame) for half in (self.half1, self.half2))
        return _state(job, whole, _nowhere(job), first_models(job), frame.length_A / self.resolution_A, plan), plan


def _nowhere(job: Run) -> Candidates:
    """Room for the candidates of a global search."""
    n, recipe = len(job.half), job.recipe
    width = recipe.candidates + SPARE_CANDIDATES + recipe.relaxation.places(recipe.group)
    return Candidates(np.broadcast_to(np.eye(3), (n, width, 3, 3)).copy(), np.zeros((n, width, 2)),
                      np.full((n, width), -np.inf))  # fmt: skip


def _on_grid(map: Map, box: int, frame: Frame) -> Map:
    return resample.fourier_crop(resample.to_grid(map, frame.box, frame.voxel_size_A), box)


def _mean(halves: list[Map]) -> Map:
    return Map((halves[0].data + halves[1].data) / 2, halves[0].voxel_size_A)


@dataclass(frozen=True)
class FromPoses:
    """The poses of the particle table, and no map."""

    def begin(self, job: Run, reference: Map | None) -> tuple[State, Plan]:
        particles, n = job.source.particles, len(job.half)
        require_poses(particles)
        plan = job.recipe.schedule.first(job.frame, n, 0.0)
        empty = Map(np.zeros((plan.box,) * 3, np.float32), job.frame.length_A / plan.box)
        known = Candidates(particles.poses.rotations[:, None], particles.poses.shifts_A[:, None], np.zeros((n, 1)))
        return _state(job, (empty, empty), known, first_models(job), 1.0, plan), plan


def require_poses(particles: Particles) -> None:
    """Raise InputError for particles without poses."""
    if particles.poses is None:
        raise errors.InputError("particles: no poses (rot, tilt and psi angles) in the table; refine them first")


def _state(job: Run, start: tuple[Map, Map], candidates: Candidates, models, shell: float, plan: Plan) -> State:
    n, width = candidates.log_likelihood.shape
    return State(
        iteration=0, references=np.stack([half.data for half in start])[None], reference_voxel_A=start[0].voxel_size_A,
        candidates=candidates, weights=np.zeros((n, width)), information=np.zeros((n, 5, 5)), cross=np.zeros(n),
        power=np.zeros(n), effective=np.ones(n), scale=job.recipe.scale.first(job.source.particles),
        silent=np.zeros(n, bool), trust=np.ones(n),
        optics=job.source.particles.optics, defocus=job.source.particles.defocus, models=models, curves={},
        shell=shell, band=plan.band, reach=plan.reach,
    )


def sample_rows(job: Run, most: int) -> np.ndarray:
    """At most ``most`` particles of every optics group, spread over the table."""
    group = job.source.particles.group
    parts = [np.flatnonzero(group == g) for g in np.unique(group)]
    return np.concatenate([p[np.linspace(0, len(p) - 1, min(len(p), most)).astype(int)] for p in parts])


def first_models(job: Run) -> tuple[noise.GroupModel, ...]:
    """Noise spectra from the power of the images themselves: nearly all of it is noise."""
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    for g, planes in job.source.powers(sample_rows(job, PILOT_IMAGES), job.batch):
        for plane in planes:  # one by one: the sum does not depend on the size of the batches
            sums[g] = sums.get(g, 0.0) + plane.astype(float)
        counts[g] = counts.get(g, 0) + len(planes)
    if not sums:
        row, reason = min(job.rejected.items())
        name = job.source.particles.files[job.source.particles.file[row]]
        raise errors.InputError(f"{name}: none of the {len(job.rejected)} images looked at can be used; the first: "
                                f"{reason}")  # fmt: skip
    known = {g: job.recipe.noise.first(total / counts[g]) for g, total in sums.items()}
    spare = known[min(known)]
    return tuple(known.get(g, spare) for g in range(len(job.source.particles.optics)))


def with_grey_scale(job: Run, start: Map, models, plan: Plan) -> tuple[noise.GroupModel, ...]:
    """The models with the scale of every optics group, by regression of sample images on their best projections.

    The best pose depends on the scale: the first round ranks poses by correlation alone, the second uses the scale
    that the first found.
    """
    faint = tuple(replace(m, grey=FAINT) for m in models)
    as_given = _prepared(job, start, plan)
    rough = _regressed(job, *as_given, faint)
    inverted = _regressed(job, *_prepared(job, Map(-start.data, start.voxel_size_A), plan), faint)
    if _mean_grey(inverted) > _mean_grey(rough):
        job.warn("the images fit the starting map better with its contrast inverted: is the protein white in both?")
    return _regressed(job, *as_given, rough)


def with_grey_scale_of_poses(job: Run, start: Map, models, plan: Plan) -> tuple[noise.GroupModel, ...]:
    """The same from the projections of the map at the poses of the particle table."""
    sphere = SphereMask().of(start, np.inf, job.frame).data
    projector = Projector.of(Map(start.data * sphere, start.voxel_size_A), plan.band, job.frame.box)
    return _regressed(job, projector, _Known(job.source.particles.poses, plan.band), models)


@dataclass(frozen=True)
class _Known:
    """In place of a search: the poses themselves."""

    poses: Poses
    radius: int

    def candidates(self, images: Images, shifts_A: np.ndarray, count: int) -> Candidates:
        known = self.poses[images.rows]
        return Candidates(known.rotations[:, None], known.shifts_A[:, None], np.zeros((len(images), 1)))


def _prepared(job: Run, start: Map, plan: Plan) -> tuple[Projector, polar.PolarSearch]:
    frame = job.frame
    projector = Projector.of(start, plan.band, frame.box)
    grid = polar.grid(plan.band, frame.length_A, frame.diameter_A, plan.offset_A, job.recipe.group)
    return projector, polar.PolarSearch.of(projector, grid, plan.band)


def _mean_grey(models: tuple[noise.GroupModel, ...]) -> float:
    return float(np.mean([m.grey for m in models]))


def _regressed(job: Run, projector: Projector, search: polar.PolarSearch | _Known, models):
    """The models with their grey scales multiplied by the slope of images on projections, where that is positive."""
    cross, power = ([[0.0] for _ in models] for _ in range(2))
    nowhere, scale = np.zeros((len(job.half), 2)), job.recipe.scale.first(job.source.particles)
    for images in job.source.batches(sample_rows(job, GREY_IMAGES), job.batch, search.radius, models, nowhere, scale):
        found = search.candidates(images, nowhere[images.rows], 1)
        fit = newton.refine(projector, images, np.arange(len(images)), found.rotations[:, 0], found.shifts_A[:, 0],
                            search.radius, 0)
        group = job.source.particles.group[images.rows[0]]
        cross[group].extend(fit.cross)
        power[group].extend(fit.power)
    cross, power = (np.array([sum(part) for part in parts]) for parts in (cross, power))
    overall = cross.sum() / max(power.sum(), 1e-30)
    fallback = overall if overall > 0 else 1.0
    slopes = np.where((power > 0) & (cross > 0), cross / np.maximum(power, 1e-30), fallback)
    return tuple(replace(m, grey=m.grey * s) for m, s in zip(models, slopes.tolist(), strict=True))
