"""Settings of `halfmap refine local`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import field_validator, model_validator

from halfmap.errors import UsageError
from halfmap.params.common import setting
from halfmap.params.points import point
from halfmap.params.refinement import LocalFilterSettings, MapRefinement

PLACES = ("mask_center", "box_center")
ROTATION_EXTENT, SHIFT_EXTENT = 20.0, 10.0  # deg, A: as in cryoSPARC
PRIOR_EXTENT = 3.0  # standard deviations of the prior that the extents are left at


class Local(MapRefinement, LocalFilterSettings):
    """Refinement of a part of a structure, from particles that have poses and half-sets."""

    takes_folders = MapRefinement.takes_folders | {"volume"}  # with its half-maps
    settled_at_start = MapRefinement.settled_at_start | {
        "half1", "half2", "mask", "initialize_from_halfmaps", "fulcrum", "rotation_search_extent",
        "shift_search_extent", "use_alignment_prior", "prior_rotation", "prior_shift", "recenter_rotations",
        "recenter_shifts",
    }  # fmt: skip

    volume: Path = setting(
        help="Starting map, MRC, on the grid the poses belong to; or the folder of a job, with its half-maps.",
        known_as="RELION --ref; cryoSPARC: Input volume",
    )
    half1: Path | None = setting(None, help="First half-map, unfiltered; none = that of the job folder, if any.")
    half2: Path | None = setting(None, help="Second half-map; none = that of the job folder, if any.")
    mask: str = setting(
        help="Mask of the part to refine: a file (static), with a wide soft edge; or dynamic, made from the map each "
        "iteration.",
        known_as="RELION --solvent_mask; cryoSPARC: Mask",
    )
    rotation_search_extent: float | None = setting(
        None,
        help="How far a particle may be turned from where it was; none = 20, with --use-alignment-prior three times "
        "--prior-rotation.",
        unit="deg",
        known_as="cryoSPARC: Rotation search extent",
        gt=0,
        le=180,
    )
    shift_search_extent: float | None = setting(
        None,
        help="How far the fulcrum of a particle may be shifted from where it was; none = 10, with "
        "--use-alignment-prior three times --prior-shift.",
        unit="A",
        known_as="cryoSPARC: Shift search extent",
        gt=0,
    )
    use_alignment_prior: bool = setting(
        False,
        help="Poses far from where they were are the less likely, by a Gaussian: for small parts and noisy images.",
        known_as="cryoSPARC: Use pose/shift gaussian prior during alignment",
    )
    prior_rotation: float = setting(
        15.0,
        help="With --use-alignment-prior: standard deviation of rotations; 3 for well aligned parts.",
        unit="deg",
        known_as="cryoSPARC: Standard deviation of prior over rotation; RELION --sigma_ang",
        gt=0,
    )
    prior_shift: float = setting(
        7.0,
        help="With --use-alignment-prior: standard deviation of shifts; 2 for well aligned parts.",
        unit="A",
        known_as="cryoSPARC: Standard deviation of prior over shifts",
        gt=0,
    )
    recenter_rotations: bool = setting(
        False,
        help="Count rotations from the last iteration instead of the input; better with --use-alignment-prior.",
        known_as="cryoSPARC: Re-center rotations each iteration",
    )
    recenter_shifts: bool = setting(
        False,
        help="Count shifts from the last iteration instead of the input; better with --use-alignment-prior.",
        known_as="cryoSPARC: Re-center shifts each iteration",
    )
    fulcrum: str = setting(
        "mask_center",
        help="Point about which the part turns: mask_center, box_center, or x,y,z from the corner of the box of "
        "--volume, in px (178.2,178.6,180.9) or A (249.5,250.1,253.3A).",
        known_as="cryoSPARC: Fulcrum location, Override fulcrum coordinates",
    )
    initial_lowpass: float = setting(
        12.0,
        help="Resolution the starting map is low-pass filtered to: the local one of the part, or 1 to 2 A coarser than "
        "that of the whole.",
        unit="A",
        known_as="RELION --ini_high; cryoSPARC: Initial lowpass resolution",
        gt=0,
    )
    initialize_from_halfmaps: bool = setting(
        False,
        help="Begin each half-set at its own half-map of the input, without low-pass but filtered by their FSC.",
        known_as="cryoSPARC: Initialize from input half-maps",
    )
    dynamic_mask_near: float = setting(
        3.0,
        help="The dynamic mask is 1 up to this distance from the density.",
        unit="A",
        known_as="cryoSPARC: Dynamic mask near",
        ge=0,
    )
    dynamic_mask_far: float = setting(
        12.0,
        help="The dynamic mask falls to 0 at this distance from the density.",
        unit="A",
        known_as="cryoSPARC: Dynamic mask far",
        gt=0,
    )

    @field_validator("mask")
    @classmethod
    def mask_covers_a_part(cls, value: str) -> str:
        if value == "none":
            raise ValueError("a local refinement needs a mask: --mask FILE.mrc, or --mask dynamic")
        return value

    @field_validator("fulcrum")
    @classmethod
    def fulcrum_is_a_place(cls, value: str) -> str:
        if value in PLACES:
            return value
        try:
            point(value)
        except ValueError as fault:
            raise ValueError(f"{value!r} is no place: give {', '.join(PLACES)}, or x,y,z with px or A behind it, for "
                             "example 178.2,178.6,180.9 or 249.5,250.1,253.3A") from fault  # fmt: skip
        return value

    @model_validator(mode="after")
    def halves_belong_to_their_maps(self) -> Self:
        if self.initialize_from_halfmaps and self.force_resplit:
            raise UsageError("--initialize-from-halfmaps with --force-resplit: the half-maps of the input would hold "
                             "particles of the other new half-set; leave one of them out")  # fmt: skip
        return self

    @property
    def extents(self) -> tuple[float, float]:
        """(rotation in deg, shift in A) in force."""
        usual = (PRIOR_EXTENT * self.prior_rotation, PRIOR_EXTENT * self.prior_shift)
        rotation, shift = usual if self.use_alignment_prior else (ROTATION_EXTENT, SHIFT_EXTENT)
        return min(self.rotation_search_extent or rotation, 180.0), self.shift_search_extent or shift
