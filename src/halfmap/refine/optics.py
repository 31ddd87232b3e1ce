"""CTF refinement within a refinement: one look at all posed images, each half's against its own reference.

Owns what is fitted, in which band, and what of it is believed. The lens is common to both halves, so a group's sums
are those of both; the defocus of a particle comes from its own half alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from halfmap.align import aberrations, newton
from halfmap.align import defocus as defoci
from halfmap.align.aberrations import WORTH, DistortionSums, Fit, PhaseSums, Strain, Term
from halfmap.align.views import Views
from halfmap.data.particles import Particles
from halfmap.errors import InputError
from halfmap.params.homogeneous import Homogeneous
from halfmap.physics import ctf
from halfmap.physics.aberrations import is_distorted
from halfmap.physics.projection import Projector
from halfmap.refine.schedules import Plan
from halfmap.refine.setup import Run
from halfmap.refine.state import State
from halfmap.refine.update import resampled
from halfmap.types import Defocus, Images, Optics

RELIABLE = 0.5  # FSC of the shells that tell a distortion: noise of the reference has a gradient that signal has not
KNOWN = 0.25  # of the usual gain that changes a magnification matrix which is not the identity
SLIGHT = 0.002  # change of a magnification matrix that moves 15,000 A of defocus by no more than 60 A
CURVES = 3  # particles whose likelihood curves are kept for plots; cryoSPARC's crl_num_plots
LEAST_SHELLS = 4  # of a band worth fitting
JUDGES = 200  # images of each half and group that tell whether the defocus was that of the distorted image
TERMS: dict[str, Callable[[Optics], Term]] = {
    "tilt": aberrations.coma_of,
    "trefoil": lambda optics: aberrations.TREFOIL,
    "spherical": lambda optics: aberrations.SPHERICAL,
    "tetrafoil": lambda optics: aberrations.TETRAFOIL,
}


@dataclass(frozen=True)
class CtfRefinement:
    """What is refined. Nothing by default."""

    defocus: defoci.Search | None = None  # of single particles
    odd: tuple[str, ...] = ()  # names of TERMS: phases of the images
    even: tuple[str, ...] = ()  # names of TERMS: phases of the CTF
    magnification: bool = False
    defocus_min_fit_A: float = 20.0
    group_min_fit_A: float = 10.0

    @classmethod
    def of(cls, params: Homogeneous) -> CtfRefinement:
        """As the user wants it."""
        wanted = {"tilt": params.fit_tilt, "trefoil": params.fit_trefoil, "spherical": params.fit_spherical,
                  "tetrafoil": params.fit_tetrafoil}  # fmt: skip
        group = params.refine_group_ctf
        return cls(
            defoci.Search(params.defocus_range, params.defocus_prior) if params.refine_defocus else None,
            tuple(name for name in ("tilt", "trefoil") if group and wanted[name]),
            tuple(name for name in ("spherical", "tetrafoil") if group and wanted[name]),
            group and params.fit_anisotropic_magnification,
            params.defocus_min_fit_resolution, params.ctf_min_fit_resolution,
        )  # fmt: skip

    def __bool__(self) -> bool:
        return self.defocus is not None or bool(self.odd or self.even) or self.magnification

    def check(self, particles: Particles) -> None:
        """Raises InputError for optics groups whose images were multiplied by their CTF: that cannot be taken back."""
        bad = [o.name for g, o in enumerate(particles.optics) if o.premultiplied and (particles.group == g).any()]
        if self and bad:
            raise InputError(f"optics group {', '.join(bad)}: CTF refinement needs images that were not multiplied by "
                             "their CTF; extract them again without, or leave --refine-defocus and "
                             "--refine-group-ctf away")  # fmt: skip


@dataclass
class _Found:
    """What one look gathers."""

    phase: dict[int, PhaseSums] = field(default_factory=dict)
    distortion: dict[int, DistortionSums] = field(default_factory=dict)
    rows: list[np.ndarray] = field(default_factory=list)
    defocus: list[defoci.Found] = field(default_factory=list)


def refined(parts: CtfRefinement, job: Run, state: State, plan: Plan) -> tuple[State, dict]:
    """The state with new optics and defocus, and a report (see ``_report``); reads all images once.

    Where the magnification of a group changes, a sample of its images is read again, to tell whether its defocus was
    measured on the distorted images (and must follow) or not. If the change is more than SLIGHT, what was found for the
    defocus of its particles was found under a wrong CTF and is dropped until the next look.
    """
    parts.check(job.source.particles)
    given, state = state, resampled(state, plan.box)
    radius = int(min(np.ceil(state.shell), plan.reach))
    echo = aberrations.echo_of(state.curves["corrected"].values[: radius + 1])
    found = _gathered(parts, job, state, radius, echo)
    band = _band(job, parts.group_min_fit_A, radius)
    fits = {g: _phase_fits(parts, state.optics[g], _clear(sums, echo), band) for g, sums in sorted(found.phase.items())}
    optics = [_latest(fits.get(g, {}), o) for g, o in enumerate(state.optics)]
    clear = (band[0], _reliable(state, band))
    gradient = aberrations.gradient_of(state.reference(0), state.reference(1)) if found.distortion else np.ones(1)
    strains = {g: aberrations.fit_distortion(_clear(sums, echo), state.optics[g], _within(clear, sums),
                                             _reaching(gradient, sums))
               for g, sums in sorted(found.distortion.items())}  # fmt: skip
    bent = _bent(strains, found.distortion, tuple(optics))
    new = replace(state, optics=bent)
    changed = [g for g in strains if bent[g].magnification != optics[g].magnification]
    new = replace(new, defocus=_following(job, state, new, radius, changed))
    for g, fit in strains.items():
        fits.setdefault(g, {})["magnification"] = fit
    change, error = _changes(found, len(state.scale))
    waits = np.isin(job.source.particles.group, [g for g in changed if _moved(optics[g], bent[g]) > SLIGHT])
    new = replace(new, defocus=_shifted(new.defocus, np.where(waits, 0, change)))
    report = _report(job, new, fits, found, np.where(waits, 0, change), error, band)
    return replace(given, optics=new.optics, defocus=new.defocus), report


def _band(job: Run, min_fit_A: float, radius: int) -> tuple[int, int]:
    """First and last shell; at least LEAST_SHELLS where the map is too coarse for more."""
    return min(job.frame.shell(min_fit_A), max(radius - LEAST_SHELLS, 1)), radius


def _reliable(state: State, band: tuple[int, int]) -> int:
    """Last shell of the band before the FSC falls below RELIABLE, but a band of LEAST_SHELLS at least."""
    poor = np.flatnonzero(state.curves["corrected"].values[: band[1] + 1] < RELIABLE)
    poor = poor[poor > band[0]]
    return max(int(poor[0]) - 1 if len(poor) else band[1], min(band[0] + LEAST_SHELLS, band[1]))


def _within(band: tuple[int, int], sums: DistortionSums) -> tuple[int, int]:
    return band[0], min(band[1], sums.radius)


def _clear(sums, echo: np.ndarray):
    """The sums without the echo of their own images."""
    return sums.without_echo(_reaching(echo, sums))


def _reaching(curve: np.ndarray, sums) -> np.ndarray:
    """A curve cut or continued to the shells of the sums."""
    shells = sums.radius + 1
    return np.pad(curve[:shells], (0, max(shells - len(curve), 0)), mode="edge")


def _gathered(parts: CtfRefinement, job: Run, state: State, radius: int, echo: np.ndarray) -> _Found:
    """Sums of all images, halves one after the other."""
    found, done = _Found(), 0
    heard = state.seen & ~state.silent
    rows = [job.rows(half) for half in (1, 2)]
    rows = [part[heard[part]] for part in rows]
    for half in (0, 1):
        projector = Projector.of(state.reference(half), radius, job.frame.box)
        for views, optics in _views(job, state, rows[half], radius):
            then = time.perf_counter()
            _gather(parts, job, found, projector, views, optics, radius, echo)
            job.source.clock.add("lens", then)
            done += len(views)
            job.watch("progress", stage="lens", done=done, total=len(rows[0]) + len(rows[1]))
    return found


def _views(job: Run, state: State, rows: np.ndarray, radius: int):
    """Batches of posed images and the optics of each."""
    source, poses = job.source.knowing(state.optics, state.defocus), state.poses
    for images in source.batches(rows, job.batch, radius, state.models, poses.shifts_A, state.scale):
        quadrature = source.quadrature(images, state.models, state.scale)
        optics = state.optics[source.particles.group[images.rows[0]]]
        yield Views(images, poses.rotations[images.rows], poses.shifts_A[images.rows], quadrature), optics


def _gather(parts: CtfRefinement, job: Run, found: _Found, projector: Projector, views: Views, optics: Optics,
            radius: int, echo: np.ndarray) -> None:  # fmt: skip
    group = int(job.source.particles.group[views.images.rows[0]])
    if parts.odd or parts.even:
        _add(found.phase, group, PhaseSums.of(projector, views, radius))
    if parts.magnification:
        _add(found.distortion, group, DistortionSums.of(projector, views, radius))
    if parts.defocus is not None:
        band = _band(job, parts.defocus_min_fit_A, radius)
        each = defoci.refine(parts.defocus, projector, views, optics, band, echo)
        kept = CURVES if not found.defocus else 0
        found.rows.append(views.images.rows)
        found.defocus.append(replace(each, curves=each.curves[:kept]))


def _add(sums: dict, group: int, batch) -> None:
    sums[group] = sums[group] + batch if group in sums else batch


# ---- groups


def _phase_fits(parts: CtfRefinement, optics: Optics, sums: PhaseSums, band: tuple[int, int]) -> dict[str, Fit]:
    """Fits by name, in their order: each stands on the optics of the one before."""
    fits: dict[str, Fit] = {}
    if parts.odd:
        odd = aberrations.fit_odd(sums, optics, tuple(TERMS[name](optics) for name in parts.odd), band)
        fits["odd"] = odd
        if odd.significant:
            optics, sums = odd.optics, sums.without(odd.whole)
    if parts.even:
        terms = tuple(TERMS[name](optics) for name in parts.even)
        fits["even"] = aberrations.fit_even(sums, optics, terms, band)
    return fits


def _latest(fits: dict[str, Fit], optics: Optics) -> Optics:
    """The optics after the last fit."""
    return list(fits.values())[-1].optics if fits else optics


def _bent(fits: dict, sums: dict[int, DistortionSums], optics: tuple[Optics, ...]) -> tuple[Optics, ...]:
    """The optics with new magnification matrices where they are significant.

    Neither a turn of all images of a group, which its poses take up, nor a common scale of all groups, which is the
    size of the map, can be seen: they stay as they are.
    """
    strains = {g: Strain.of(fit, optics[g]) for g, fit in fits.items()}
    images = np.array([sums[g].images for g in strains], float)
    common = float(images @ [s.values[0] for s in strains.values()] / max(images.sum(), 1)) if strains else 0.0
    new = list(optics)
    for g, strain in strains.items():
        strain = replace(strain, values=strain.values - [common, 0, 0])
        # where there is a distortion, protecting its absence is no reason to leave it a little too small
        bar = KNOWN if is_distorted(optics[g]) else 1.0
        worth = np.array(strain.gains()) > (bar * WORTH, bar * 2 * WORTH)
        kept = replace(strain, values=strain.values * [worth[0] and len(strains) > 1, worth[1], worth[1]])
        if kept.values.any():
            new[g] = kept.added(optics[g])
    return tuple(new)


def _moved(old: Optics, new: Optics) -> float:
    """Largest change of an entry of the magnification matrix."""
    return float(abs(np.subtract(old.magnification, new.magnification)).max())


# ---- defocus


def _following(job: Run, old: State, new: State, radius: int, groups: list[int]) -> Defocus:
    """The defocus under the new optics: carried over in groups whose images say that it was that of the distorted ones.

    Programs that measure defocus on micrographs do not know of the distortion and describe the rings as they are seen.
    """
    table = job.source.particles.group
    for g in groups:
        carried = ctf.carried_over(new.defocus, old.optics[g].magnification, new.optics[g].magnification)
        both = _joined(new.defocus, carried, table == g)
        if _likelihood(job, replace(new, defocus=both), radius, g) > _likelihood(job, new, radius, g):
            new = replace(new, defocus=both)
    return new.defocus


def _joined(defocus: Defocus, other: Defocus, where: np.ndarray) -> Defocus:
    return Defocus(*(np.where(where, getattr(other, f), getattr(defocus, f)) for f in Defocus.__dataclass_fields__))


def _likelihood(job: Run, state: State, radius: int, group: int) -> float:
    """Log likelihood of a sample of a group's images, as they are posed."""
    total = 0.0
    table, heard = job.source.particles.group, state.seen & ~state.silent
    for half in (0, 1):
        rows = job.rows(half + 1)
        rows = rows[heard[rows] & (table[rows] == group)]
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), JUDGES)).astype(int)]
        projector = Projector.of(state.reference(half), radius, job.frame.box)
        for views, _ in _views(job, state, rows, radius):
            total += _sum_of(projector, views.images, views, radius)
    return total


def _sum_of(projector: Projector, images: Images, views: Views, radius: int) -> float:
    fit = newton.refine(projector, replace(images, masked=images.unmasked), np.arange(len(images)), views.rotations,
                        views.shifts_A, views.reach(projector, radius), 0)  # fmt: skip
    return float(fit.log_likelihood.sum())


def _changes(found: _Found, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Change of defocus and its standard error, (n,) each; 0 and NaN for particles that were not looked at."""
    change, error = np.zeros(n), np.full(n, np.nan)
    for rows, each in zip(found.rows, found.defocus, strict=True):
        change[rows], error[rows] = each.change_A, each.error_A
    return change, error


def _shifted(defocus: Defocus, change_A: np.ndarray) -> Defocus:
    return replace(defocus, u_A=defocus.u_A + change_A, v_A=defocus.v_A + change_A)


# ---- report


def _report(job: Run, state: State, fits: dict[int, dict[str, Fit]], found: _Found, change_A, error_A, band) -> dict:
    """``groups``: numbers of every fit, ready for JSON; ``defocus``: the same; ``arrays``: what plots need, by name.

    Arrays: ``odd_0_measured``, ``odd_0_fitted`` and ``odd_0_beside``, what was fitted along and belongs to the
    particles, (2K+1, K+1) rad, and the same of ``even``, 0 the number of the group;
    ``defocus_change_A``, ``defocus_error_A`` (n,); ``defocus_tried_A`` (t,), ``defocus_curves`` (particles, t) and
    ``defocus_curves_rows`` of the first few particles.
    """
    finest, coarsest = job.frame.resolution_A(band[1]), job.frame.resolution_A(band[0])
    groups = [
        {"group": g, "name": state.optics[g].name, "band_A": [coarsest, finest],
         **{kind: _numbers(fit) for kind, fit in each.items()}}
        for g, each in sorted(fits.items())
    ]  # fmt: skip
    arrays = {f"{kind}_{g}_{part}": getattr(fit, part) for g, each in fits.items() for kind, fit in each.items()
              if kind != "magnification" for part in ("measured", "fitted", "beside")}  # fmt: skip
    report = {"groups": groups, "arrays": arrays}
    if found.defocus:
        first = found.defocus[0]
        seen = np.isfinite(error_A)
        moved = change_A != 0
        report["defocus"] = {
            "particles": int(seen.sum()), "moved": int(moved.sum()),
            "rms_change_A": float(np.sqrt((change_A[seen] ** 2).mean())) if seen.any() else 0.0,
            "median_error_A": float(np.median(error_A[seen])) if seen.any() else None,
        }  # fmt: skip
        arrays |= {"defocus_change_A": change_A, "defocus_error_A": error_A, "defocus_tried_A": first.tried_A,
                   "defocus_curves": first.curves, "defocus_curves_rows": found.rows[0][: len(first.curves)]}
    return report


def _numbers(fit: Fit) -> dict:
    return {"values": fit.values, "errors": fit.errors, "gain": fit.gain, "slope": fit.slope,
            "significant": bool(fit.significant)}  # fmt: skip
