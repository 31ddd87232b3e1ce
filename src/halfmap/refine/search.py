"""Where poses are looked for: everywhere, or near those of the particle table. Parts of a recipe.

Owns what a search is made of for one plan, what is known of the poses beforehand, and how far apart two poses count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfmap.align import nearby, polar, tether
from halfmap.align.tether import Anywhere, Near
from halfmap.geometry import rotations as so3
from halfmap.geometry import symmetry
from halfmap.physics.projection import Projector
from halfmap.refine.batches import Frame
from halfmap.refine.schedules import Plan
from halfmap.types import Candidates, Images, Poses

STEPS_AROUND = 2  # of a local search: 33 poses, half the basin of a climb


@dataclass(frozen=True)
class Everywhere:
    """Any pose will do; a search is one of all directions, and turns are about the box centre."""

    def near(self, given: Poses | None, found: Poses) -> Anywhere | Near:
        """What is known of the poses, from those of the particle table and those found so far."""
        return Anywhere()

    def ready(self, projector: Projector, plan: Plan, frame: Frame, group: np.ndarray, near: Anywhere | Near
              ) -> polar.PolarSearch | nearby.LocalSearch:
        """The search that ``plan`` wants, against one reference."""
        grid = polar.grid(plan.search_radius, frame.length_A, frame.diameter_A, plan.offset_A, group)
        return _told_apart(plan, polar.PolarSearch.of(projector, grid, plan.search_radius),
                           frame.resolution_A(plan.search_radius) / 2)

    def step_deg(self, plan: Plan, frame: Frame) -> float:
        """The largest step between neighbouring directions that the search allows itself."""
        return float(np.rad2deg(polar.SPACING * frame.resolution_A(plan.search_radius) / frame.diameter_A))

    def apart(self, new: Poses, old: Poses, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(angle in rad, shift in A) between poses, (n,) each."""
        angle = symmetry.distance(new.rotations, old.rotations, group)
        return angle, np.linalg.norm(new.shifts_A - old.shifts_A, axis=1)

    def accuracy_form(self, rotations: np.ndarray, information: np.ndarray) -> np.ndarray:
        """Fisher information (n, 5, 5) in the shift whose accuracy is told."""
        return information

    @property
    def focus_A(self) -> tuple[float, float, float]:
        """x, y, z from the box centre: where slices are cut."""
        return 0.0, 0.0, 0.0

    @property
    def extents(self) -> dict[str, float]:
        """How far poses may go from those of the table: "rotation" in deg, "shift" in A; none where they are free."""
        return {}

    def told(self, frame: Frame) -> dict:
        """What a plot needs to know of the neighbourhood."""
        return {}

    def evidence(self, history: tuple[dict, ...]) -> dict:
        """What the advisor judges by, fields of its Evidence."""
        return {}

    def facts(self, given: Poses | None, old: Poses, new: Poses) -> dict:
        """What an iteration tells of the neighbourhood: nothing where there is none."""
        return {}


@dataclass(frozen=True)
class _Posed(Anywhere):
    """Any pose is as likely as any other; ``poses`` (n,) are those found so far."""

    poses: Poses


@dataclass(frozen=True)
class _Each:
    """A search for every particle: everywhere where its pose is not believed, else near it or about its shift."""

    astray: np.ndarray  # (n,) bool
    everywhere: polar.PolarSearch
    close: polar.PolarSearch | nearby.LocalSearch

    def candidates(self, images: Images, shifts_A: np.ndarray, count: int) -> Candidates:
        """The best poses of every image, best first."""
        far = self.astray[images.rows]
        parts = [(rows, search.candidates(images[rows], shifts_A[rows], count))
                 for rows, search in ((np.flatnonzero(far), self.everywhere), (np.flatnonzero(~far), self.close))
                 if len(rows)]  # fmt: skip
        back = np.argsort(np.concatenate([rows for rows, _ in parts]))
        return Candidates(*(np.concatenate([getattr(found, name) for _, found in parts])[back]
                            for name in Candidates.__dataclass_fields__))  # fmt: skip


def _told_apart(plan: Plan, search: polar.PolarSearch, step_A: float) -> polar.PolarSearch | _Each:
    """``search``, and the same over all shifts for the particles that the plan does not believe to be anywhere."""
    if plan.astray is None or not plan.astray.any():
        return search
    return _Each(plan.astray, search.over(plan.astray_A, step_A), search)


@dataclass(frozen=True)
class Sampled(Everywhere):
    """Searches on the grid that the schedule tells, in all directions or one and two steps around the known pose."""

    def near(self, given, found):
        return _Posed(found)

    def ready(self, projector, plan, frame, group, near):
        grid, astray = plan.sampling, plan.astray
        if not grid.local:
            everywhere = self._everywhere(projector, plan, frame, group, grid.offset_range_A)
            return _told_apart(plan, everywhere, grid.offset_step_A)
        turns = nearby.steps(3, STEPS_AROUND, np.deg2rad(grid.step_deg))
        around = nearby.Lattice(turns, np.zeros((1, 2)), frame.resolution_A(plan.band))
        there = Near(np.zeros(3), near.poses.rotations, near.poses, np.pi, np.inf)
        local = nearby.BestOfSearch(projector, there, around, plan.band)
        if astray is None or not astray.any():
            return local
        return _Each(astray, self._everywhere(projector, plan, frame, group, plan.astray_A), local)

    def _everywhere(self, projector: Projector, plan: Plan, frame: Frame, group: np.ndarray, range_A: float
                    ) -> polar.PolarSearch:
        grid = plan.sampling
        angles = polar.ring_samples(plan.search_radius, min(1.0, frame.diameter_A / frame.length_A))
        shifts = polar.shift_grid(range_A, grid.offset_step_A)
        directions = polar.grid_of_order(grid.far_order, angles, shifts, group)
        return polar.PolarSearch.of(projector, directions, plan.search_radius)

    def step_deg(self, plan, frame):
        return plan.sampling.step_deg


@dataclass(frozen=True)
class Nearby(Everywhere):
    """Poses near those of the table, counted by the turn about a fulcrum and the shift of that fulcrum."""

    fulcrum_A: tuple[float, float, float]  # x, y, z from the box centre
    radius_A: float  # root mean square distance of the density from the fulcrum
    extent_rad: float
    extent_A: float
    sd_rad: float = np.inf
    sd_A: float = np.inf
    recenter_rotations: bool = False
    recenter_shifts: bool = False

    def near(self, given, found):
        turned, seen = self._centre(given, found)
        return Near(np.array(self.fulcrum_A), turned.rotations, seen, self.extent_rad, self.extent_A, self.sd_rad,
                    self.sd_A)  # fmt: skip

    def lattice(self, resolution_A: float) -> nearby.Lattice:
        """The poses tried around a known one; those the prior calls unlikely by three standard deviations are not."""
        extents = min(self.extent_rad, 3 * self.sd_rad), min(self.extent_A, 3 * self.sd_A)
        return nearby.lattice(*extents, self.radius_A, resolution_A)

    def ready(self, projector, plan, frame, group, near):
        points = self.lattice(frame.resolution_A(plan.search_radius))
        radius = min(plan.search_radius, frame.shell(points.resolution_A))
        return nearby.LocalSearch(projector, near, points, max(radius, 1))

    def step_deg(self, plan, frame):
        turns = np.linalg.norm(self.lattice(frame.resolution_A(plan.search_radius)).turns, axis=1)
        return float(np.rad2deg(turns[1])) if len(turns) > 1 else 0.0

    def apart(self, new, old, group):
        angle = so3.angle_between(new.rotations, old.rotations)
        there, here = (tether.fulcrum_shifts(poses, np.array(self.fulcrum_A)) for poses in (new, old))
        return angle, np.linalg.norm(there - here, axis=1)

    def accuracy_form(self, rotations, information):
        return tether.about(rotations, np.array(self.fulcrum_A), information)

    @property
    def focus_A(self):
        return self.fulcrum_A

    @property
    def extents(self):
        return {"rotation": float(np.rad2deg(self.extent_rad)), "shift": self.extent_A}

    def told(self, frame):
        """The fulcrum, x, y, z in A from the corner of the box, and the extents."""
        corner = frame.box // 2 * frame.voxel_size_A
        return {"fulcrum_A": [f + corner for f in self.fulcrum_A],
                **{f"{kind}_extent": value for kind, value in self.extents.items()}}

    def evidence(self, history):
        last = history[-1]
        held = {kind: (last[f"at_{kind}_extent"], extent) for kind, extent in self.extents.items()}
        course = tuple((row["since_input_rotation_deg"], row["fsc_area"]) for row in history)
        return {"held_back": held, "course": course}

    def facts(self, given, old, new):
        """Shares of the particles that the extents hold back, and medians of the changes since the table."""
        turned, seen = self._centre(given, old)
        held = (self.apart(new, turned, None)[0] >= tether.FULL * self.extent_rad,
                self.apart(new, seen, None)[1] >= tether.FULL * self.extent_A)  # fmt: skip
        angle, shift = self.apart(new, given, None)
        return {
            "at_rotation_extent": float(held[0].mean()),
            "at_shift_extent": float(held[1].mean()),
            "since_input_rotation_deg": float(np.rad2deg(np.median(angle))),
            "since_input_shift_A": float(np.median(shift)),
        }

    def _centre(self, given: Poses, found: Poses) -> tuple[Poses, Poses]:
        """Poses that turns, and those that shifts, are counted from."""
        return (found if self.recenter_rotations else given), (found if self.recenter_shifts else given)
