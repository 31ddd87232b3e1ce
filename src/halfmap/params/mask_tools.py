"""Settings of the jobs that make masks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from halfmap.params.common import Job, setting

OF_A_REGION = ("smallest_island", "fill_holes", "dilation_radius", "soft_padding")


class MaskJob(Job):
    """A job that makes one mask."""

    takes_folders = Job.takes_folders | {"volume"}

    resolution_A: float | None = setting(
        None,
        help="Resolution of the map that the mask is for: a soft edge should be 5 times as wide; none = that of the "
        "job folder, if one is given.",
        unit="A",
        gt=0,
    )


class MaskVolume(MaskJob):
    """A mask from a threshold: threshold, drop islands, fill holes, dilate, soft edge, invert, in this order."""

    volume: Path = setting(
        help="Map or mask, MRC; or the folder of a job, for its map.mrc, else its mask.mrc.",
        known_as="cryoSPARC: Input volume",
    )
    threshold: float | None = setting(
        None,
        help="The region is where the volume exceeds this; 0.5 for a binary volume; none = only invert.",
        unit="map units",
        known_as="cryoSPARC: Threshold",
    )
    smallest_island: float = setting(
        0.0, help="Drop connected parts smaller than this part of the largest one; 1 = keep only that.", ge=0, le=1
    )
    fill_holes: bool = setting(
        False, help="Fill cavities without a way to the border of the box.", known_as="cryoSPARC: Fill holes"
    )
    dilation_radius: float = setting(
        0.0,
        help="The mask is 1 up to this distance from the region.",
        unit="voxels or A",
        known_as="cryoSPARC: Dilation radius",
        ge=0,
    )
    soft_padding: float | None = setting(
        None,
        help="From there it falls to 0 over this distance, as a raised cosine; 0 = hard edge; none = 12 voxels.",
        unit="voxels or A",
        known_as="cryoSPARC: Soft padding width",
        ge=0,
    )
    unit: Literal["px", "A"] = setting("px", help="Unit of --dilation-radius and --soft-padding.")
    invert: bool = setting(
        False, help="Turn it inside out, 1 - mask, as the last step.", known_as="cryoSPARC: Invert mask"
    )

    @model_validator(mode="after")
    def steps_have_a_region(self) -> MaskVolume:
        if self.threshold is not None:
            return self
        idle = [name for name in OF_A_REGION if name in self.model_fields_set and getattr(self, name)]
        if idle or not self.invert:
            raise ValueError("give --threshold, which makes the region that is dilated and padded; 0.5 for a binary "
                             "volume")
        return self


class MaskFromMap(MaskJob):
    """A soft mask around the particle of a map, its threshold found from the noise of the solvent."""

    volume: Path = setting(
        help="Map, MRC; or the folder of a job, for its map.mrc and its resolution.", known_as="RELION --i"
    )
    threshold: float | None = setting(
        None,
        help="Threshold of the low-passed map; none = 5 standard deviations of the noise above the solvent, at least "
        "0.05 of the maximum.",
        unit="map units",
        known_as="RELION --ini_threshold",
    )
    lowpass: float | None = setting(
        None,
        help="The map is low-passed to this first (Gaussian, half power there); none = 15 A, or the resolution where "
        "that is coarser.",
        unit="A",
        known_as="RELION --lowpass",
        gt=0,
    )
    smallest_island: float = setting(
        0.01, help="Drop connected parts smaller than this part of the largest one; 1 = keep only that.", ge=0, le=1
    )
    fill_holes: bool = setting(True, help="Fill cavities without a way to the border of the box.")
    dilation_radius: float | None = setting(
        None,
        help="The mask is 1 up to this distance from the region; none = 6 A.",
        unit="voxels or A",
        known_as="RELION --extend_inimask",
        ge=0,
    )
    soft_padding: float | None = setting(
        None,
        help="From there it falls to 0 over this distance, as a raised cosine; none = 5 times the resolution.",
        unit="voxels or A",
        known_as="RELION --width_soft_edge",
        ge=0,
    )
    unit: Literal["px", "A"] = setting("px", help="Unit of --dilation-radius and --soft-padding.")


class CombineMasks(MaskJob):
    """One mask of several."""

    mask: tuple[Path, ...] = setting(
        help="Masks on one grid, MRC; repeat the flag for each. A difference is the first without the others.",
        known_as="RELION --i, --and, --or, --and_not",
    )
    operation: Literal["union", "intersection", "difference", "complement"] = setting(
        help="Union: the largest value; intersection: the smallest; difference: a (1 - b) (1 - c) ..; complement: "
        "1 - a of one mask.",
        known_as="RELION --or; --and; --and_not; --invert",
    )

    @model_validator(mode="after")
    def operations_have_their_masks(self) -> CombineMasks:
        alone = self.operation == "complement"
        if (len(self.mask) != 1) if alone else (len(self.mask) < 2):
            wanted = "exactly one" if alone else "two or more"
            raise ValueError(f"--operation {self.operation} takes {wanted} --mask, here {len(self.mask)}")
        return self
