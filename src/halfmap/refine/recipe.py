"""What a refinement is made of: one frozen choice of parts, which can be printed and compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from halfmap.reconstruct import ewald
from halfmap.refine.batches import Frame
from halfmap.refine.claims import AsMeasured
from halfmap.refine.junk import Everybody
from halfmap.refine.laying import AtBest
from halfmap.refine.masking import MaskPart, StaticMask
from halfmap.refine.meeting import AsTheyAre
from halfmap.refine.relaxation import Imposed
from halfmap.refine.search import Everywhere
from halfmap.refine.surround import Zeros
from halfmap.types import Map
from halfmap.validate import fsc_report

LEAST_OFFSET_A = 15.0  # search radius for shifts of small particles; picking is off by as much whatever their size
# of the diameter: search radius for shifts. Picks of EMPIAR-10204 are off by 12.5 A along each axis, 5 % of them by
# more than 31: with 21 A, a tenth of the diameter, the area under the FSC was 29.2 shells, with 35 and with 42 A 29.7
OFFSET = 1 / 6


@dataclass(frozen=True)
class Recipe:
    """Parts of a refinement."""

    group: np.ndarray  # (g, 3, 3) point group: poses are searched for in one of its asymmetric units
    start: object  # start.FromMap | start.FromBoth | start.FromEach | start.FromPoses
    schedule: object  # schedules.Marching | schedules.OnePass
    mask: MaskPart
    prior: object  # maximisation.FscPrior
    noise: object  # noises.Symmetric and its kin
    lens: object  # optics.CtfRefinement; one that fits nothing where CTF values stay as they are
    scale: object  # scales.Unit | scales.Fitted
    candidates: int
    offset_range_A: float | None
    diameter_A: float | None
    box_size: int | None
    minibatch_size: int | None
    force_resplit: bool
    judge: MaskPart | None = None  # the user's FSC mask; None = that of the reference, and standard ones at the end
    curves: fsc_report.Settings = field(default_factory=fsc_report.Settings)
    search: Everywhere = Everywhere()  # where poses are looked for
    relaxation: Imposed = Imposed()  # what the group is to the map
    laying: AtBest = AtBest()  # at which of its poses an image makes the map
    junk: Everybody = Everybody()  # how much each particle counts
    kept: int | None = 3  # checkpoints: the two newest and the best; None = all, to go on from any iteration later
    claim: AsMeasured = AsMeasured()  # what resolution is believed
    surround: Zeros = Zeros()  # of the circle that masks the images
    sphere: ewald.Flat = ewald.Flat()  # noqa: RUF009 - frozen; or ewald.Curved
    meeting: AsTheyAre = AsTheyAre()  # what the halves have to do with each other

    @property
    def map_group(self) -> np.ndarray:
        """The group the maps obey: ``group`` unless it is relaxed."""
        return self.relaxation.of_map(self.group)

    @property
    def layer(self) -> AtBest:
        """At which poses images make the map: ``laying``, unless the symmetry is relaxed."""
        return self.relaxation.laying(self.laying)

    def with_mask(self, mask: Map | None) -> Recipe:
        """The same with the user's own mask, where there is one: it also judges the resolution."""
        return self if mask is None else replace(self, mask=StaticMask(mask), judge=StaticMask(mask))

    def offset_range(self, frame: Frame) -> float:
        """Search radius for shifts, A."""
        return self.offset_range_A or usual_offset_A(frame.diameter_A)


def usual_offset_A(diameter_A: float) -> float:
    """How far from the middle of its image a particle may be where nobody says."""
    return max(LEAST_OFFSET_A, OFFSET * diameter_A)
