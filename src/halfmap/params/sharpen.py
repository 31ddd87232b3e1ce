"""Settings of `halfmap sharpen`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from halfmap.params.common import setting
from halfmap.params.curves import CurveSettings
from halfmap.params.volumes import VolumeInput


class Sharpen(VolumeInput, CurveSettings):
    """Sharpen the mean of two half-maps by a B-factor, weighted by their FSC; or a single map without one."""

    bfactor: float | None = setting(
        None,
        help="B-factor: negative sharpens, positive blurs; none = from the Guinier fit.",
        unit="A^2",
        known_as="cryoSPARC: B-Factor; relion_postprocess --adhoc_bfac, none: --auto_bfac",
        ge=-2000,
        le=2000,
    )
    fsc_weighting: Literal["cref", "full", "half", "off"] = setting(
        "cref",
        help="Weight of a shell with the corrected FSC F: cref = sqrt(2F/(1+F)), as relion_postprocess; full = "
        "2F/(1+F), the FSC of all data; half = F; off = 1.",
        known_as="relion_postprocess --skip_fsc_weighting: off; cryoSPARC: Use FSC of full data: full",
    )
    lowpass: float | Literal["fsc", "none"] = setting(
        "fsc",
        help="Low-pass of the maps: fsc = where the corrected FSC falls below 0.143; a resolution in A; or none.",
        known_as="relion_postprocess --low_pass",
    )
    lowpass_order: int = setting(
        8,
        help="Steepness of the low-pass, a Butterworth filter.",
        known_as="cryoSPARC: Lowpass filter order",
        ge=1,
        le=64,
    )
    lowpass_offset: float = setting(
        0.0,
        help="With --lowpass fsc: move the corner by this many Fourier shells, a positive number to higher resolution.",
        unit="shells",
        known_as="cryoSPARC: Lowpass filter corner offset",
        ge=-100,
        le=100,
    )
    mtf: Path | None = setting(
        None,
        help="MTF of the detector, STAR, to divide by; frequencies in 1 / pixel.",
        known_as="relion_postprocess --mtf",
    )
    mtf_pixel_size_A: float | None = setting(
        None,
        help="Pixel of the detector that the MTF belongs to, in the specimen, before binning; none = the voxel of the "
        "map.",
        unit="A",
        known_as="relion_postprocess --mtf_angpix",
        gt=0,
    )

    @field_validator("lowpass")
    @classmethod
    def lowpass_is_a_length(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not value > 0:
            raise ValueError("a resolution is a positive number of A; --lowpass none leaves the filter out")
        return value

    @model_validator(mode="after")
    def offset_has_a_corner(self) -> Sharpen:
        if self.lowpass_offset and self.lowpass != "fsc":
            raise ValueError("--lowpass-offset moves the corner of --lowpass fsc; leave it out with another low-pass")
        return self

    @model_validator(mode="after")
    def pixel_belongs_to_a_mtf(self) -> Sharpen:
        if self.mtf_pixel_size_A is not None and self.mtf is None:
            raise ValueError("--mtf-pixel-size says what the frequencies of --mtf mean; give --mtf as well")
        return self
