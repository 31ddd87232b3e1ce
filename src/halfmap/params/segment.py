"""Settings of `halfmap mask segment`, and how numbers of regions and points are written."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import field_validator, model_validator

from halfmap.params.common import Job, setting
from halfmap.params.points import point

NUMBERS = re.compile(r"^\d+(-\d+)?(,\d+(-\d+)?)*$")


def numbers(text: str | None) -> tuple[int, ...]:
    """Region numbers of a text like "1,3,5-8"; none for None. Raises ValueError."""
    plain = (text or "").replace(" ", "")
    if not plain:
        return ()
    if not NUMBERS.match(plain):
        raise ValueError(f"{text!r} is no list of region numbers; write them like 1,3,5-8")
    ends = ([int(end) for end in part.split("-")] for part in plain.split(","))
    return tuple(number for both in ends for number in range(both[0], both[-1] + 1))


class SegmentMask(Job):
    """Cut a map into numbered regions, choose some of them, make a mask of those."""

    takes_folders = Job.takes_folders | {"volume"}

    volume: Path = setting(
        help="Map, MRC; or the folder of a job that made one.", known_as="Segger: Segment map"
    )
    pixel_size_A: float | None = setting(
        None, help="Voxel size of the map; none = as its header says.", unit="A",
        known_as="cryoSPARC: Override pixel size", gt=0,
    )  # fmt: skip
    gaussian_sdev: float = setting(
        2.0,
        help="Standard deviation of the Gaussian that smooths the map first; 0 = as it is.",
        unit="px",
        known_as="ChimeraX: volume gaussian sDev, there in A",
        ge=0,
        le=50,
    )
    threshold: float | None = setting(
        None,
        help="Voxels of the smoothed map above this belong to regions, in units of the map; none = 0.1 of its maximum, "
        "or 5 standard deviations of the solvent's noise if that is more.",
        known_as="ChimeraX: contour level; Segger: threshold",
    )
    smoothing_steps: int = setting(
        4,
        help="Steps of smoothing that group watershed regions: those whose maxima become one are one region.",
        known_as="Segger: Number of smoothing steps",
        ge=0,
        le=100,
    )
    step_size: float = setting(
        1.0, help="Standard deviation that each step adds.", unit="px", known_as="Segger: Step size", gt=0, le=20
    )
    regions: int | None = setting(
        None,
        help="Smooth as long as it takes to get down to this number of regions; none = the steps above.",
        known_as="Segger: Stop at this number of regions",
        ge=1,
    )
    ungroup: str | None = setting(
        None,
        help="Regions to split into what they were grouped from, in this order, like 3,7; the parts get new numbers.",
        known_as="Segger: Ungroup",
    )
    choose: str | None = setting(
        None,
        help="Regions to make the mask of, like 1,3,5-8; none, without --at and --exclude = make no mask.",
        known_as="Segger: select regions",
    )
    at: tuple[str, ...] = setting(
        (),
        help="Choose also the region at this point, x,y,z in voxels from the box corner like 48,52,60, or with A in "
        "Angstrom like 168,182,210A. Repeat the flag for more.",
    )
    exclude: str | None = setting(
        None,
        help="Regions to leave out of those chosen; without --choose and --at, all others are chosen.",
        known_as="Segger: Hide, Delete",
    )
    dilation: float = setting(
        5.0,
        help="The mask is 1 up to this far from the chosen regions.",
        unit="px",
        known_as="cryoSPARC: Dilation radius; RELION --extend_inimask",
        ge=0,
        le=200,
    )
    soft_edge: float | None = setting(
        None,
        help="Width of the cosine by which the mask falls to 0 beyond that; none = 5 x --resolution, without one 12.",
        unit="px",
        known_as="cryoSPARC: Soft padding width; RELION --width_mask_edge",
        ge=0,
        le=200,
    )
    resolution_A: float | None = setting(
        None, help="Resolution of the map, from which the width of the soft edge follows.", unit="A", gt=0
    )

    @field_validator("ungroup", "choose", "exclude")
    @classmethod
    def a_list_of_numbers(cls, value: str | None) -> str | None:
        numbers(value)
        return value

    @field_validator("at")
    @classmethod
    def points(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            point(text)
        return value

    @model_validator(mode="after")
    def settings_fit_each_other(self) -> SegmentMask:
        if self.soft_edge is not None and self.resolution_A is not None:
            raise ValueError("--resolution only sets the soft edge, which --soft-edge gives; drop one of them")
        return self

    @property
    def makes_mask(self) -> bool:
        """Whether regions are chosen."""
        return bool(self.choose or self.at or self.exclude)
