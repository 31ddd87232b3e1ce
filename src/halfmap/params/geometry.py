"""Settings of jobs that bring a map onto another grid, or move, turn and mirror it: `halfmap volume ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from halfmap.params.common import setting
from halfmap.params.points import point
from halfmap.params.volumes import VolumeAndParticles, VolumeInput


class VolumeResample(VolumeInput):
    """Another voxel size or box, or the grid of another map; densities keep their values, masks stay in 0..1."""

    box_size: int | None = setting(
        None,
        help="Box of the result: cut or padded with zeros in real space, after resampling; none = as wide as before.",
        unit="voxels",
        known_as="cryoSPARC: Crop (or pad) to box size; relion_image_handler --new_box",
        ge=8,
        le=4096,
    )
    resample_box_size: int | None = setting(
        None,
        help="The same width on so many voxels: Fourier space cropped or padded.",
        unit="voxels",
        known_as="cryoSPARC: Resample to box size (Fourier crop/pad)",
        ge=8,
        le=4096,
    )
    voxel_size_A: float | None = setting(
        None,
        help="Resample to this voxel size; any ratio to the old one will do.",
        unit="A",
        known_as="relion_image_handler --rescale_angpix",
        gt=0,
    )
    exact_voxel_size: bool = setting(
        False,
        help="Take --voxel-size, or that of --onto, as rounded: use the nearest one that crops or pads the box to a "
        "whole even number of voxels, 360 x 0.885 / 256 = 1.24453 for 1.244.",
        known_as="RELION: Fix disparities in pixel size precision",
    )
    onto: Path | None = setting(
        None,
        help="Map whose box and voxel size to take; the centres of the boxes come to lie on each other.",
        known_as="ChimeraX: volume resample ongrid",
    )
    use_origin: bool = setting(
        False,
        help="With --onto: put the map where ORIGIN or NXSTART of both files say, as ChimeraX and Segger write them; "
        "the map may then be a cut-out of any shape.",
    )

    @model_validator(mode="after")
    def settings_fit_each_other(self) -> VolumeResample:
        ways = [name for name in ("resample_box_size", "voxel_size_A", "onto") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError("--resample-box-size, --voxel-size and --onto exclude each other; give one of them")
        if not ways and self.box_size is None:
            raise ValueError("nothing to do: give --box-size, --resample-box-size, --voxel-size or --onto")
        if self.onto is not None and self.box_size is not None:
            raise ValueError("--onto takes the box of the other map; leave out --box-size")
        if self.exact_voxel_size and self.voxel_size_A is None and self.onto is None:
            raise ValueError("--exact-voxel-size says how to read --voxel-size or --onto; give one of them")
        if self.use_origin and (self.onto is None or self.exact_voxel_size):
            raise ValueError("--use-origin goes with --onto alone")
        return self


class VolumeFlip(VolumeAndParticles):
    """The other hand: map, half-maps and masks mirrored at the plane z = 0, and poses that show the mirrored map."""


AdjustDefocus = Literal["none", "positive", "negative"]


def _adjust_defocus():
    return setting(
        "none",
        help="Correct the defocus for where the new centre lies along the beam. Positive: what is further along the "
        "beam (q_z of the pose) has less defocus; negative: more. Which it is depends on the hand, as with "
        "--ewald-sphere: try both.",
        known_as="cryoSPARC: Adjust per-particle defocus",
    )


class VolumeRecenter(VolumeAndParticles):
    """Another centre of the box, and shifts of the particles that go with it."""

    centre: str | None = setting(
        None,
        help='The point that becomes the centre, "x, y, z" counted from the corner of the box, px (or A behind it).',
        unit="px or A",
        known_as="cryoSPARC: New center (recenter_shift)",
    )
    shift: str | None = setting(
        None,
        help='By how much everything moves, "x, y, z" in px (or A behind it).',
        unit="px or A",
        known_as="relion_image_handler --shift_x, --shift_y, --shift_z",
    )
    to_mask: Path | None = setting(
        None, help="Mask whose centre of mass becomes the centre.", known_as="cryoSPARC: Mask of Volume Alignment Tools"
    )
    adjust_defocus: AdjustDefocus = _adjust_defocus()

    @field_validator("centre", "shift")
    @classmethod
    def three_numbers(cls, value: str | None) -> str | None:
        if value is not None:
            point(value)
        return value

    @model_validator(mode="after")
    def one_way(self) -> VolumeRecenter:
        if sum(way is not None for way in (self.centre, self.shift, self.to_mask)) != 1:
            raise ValueError("give one of --centre, --shift and --to-mask")
        return self


class VolumeAlign(VolumeAndParticles):
    """A map turned and moved onto its symmetry axes or onto another map, and poses that go with it."""

    to_symmetry: str | None = setting(
        None,
        help="Point group onto whose axes to bring the map: Cn, Dn, T, O, I, I1 to I4.",
        known_as="cryoSPARC: Symmetry of Volume Alignment Tools; relion_align_symmetry --sym",
    )
    reference: Path | None = setting(
        None,
        help="Map to lie on; the result has its box and voxel size.",
        known_as="cryoSPARC: Reference volume of Align 3D Maps",
    )
    reference_mask: Path | None = setting(
        None,
        help="Soft mask of the reference: the part that is to agree; none = what stands out of it.",
        known_as="cryoSPARC: Mask of Align 3D Maps",
    )
    test_hand: bool = setting(
        False, help="With --reference: try the mirrored map, too; the hand that agrees better is taken and reported."
    )
    adjust_defocus: AdjustDefocus = _adjust_defocus()

    @model_validator(mode="after")
    def one_way(self) -> VolumeAlign:
        if (self.to_symmetry is None) == (self.reference is None):
            raise ValueError("give one of --to-symmetry and --reference")
        if self.reference is None and (self.reference_mask is not None or self.test_hand):
            raise ValueError("--reference-mask and --test-hand go with --reference")
        return self
