"""Settings of every job that compares two half-maps: masks of the FSC, its estimates, the Guinier fit."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from halfmap.params.common import Job, setting

OWN_MASK = {"mask": [None, "dynamic", "none"], "fsc_mask": None}  # masks of the FSC made from the map, not given


class CurveSettings(Job):
    """How the resolution and the fall-off of two half-maps are judged."""

    fsc_mask_scaling: Literal["fixed", "resolution"] = setting(
        "fixed",
        help="Masks of the FSC curves: fixed distances (loose 25 to 40 A, tight 6 to 12 A), or in units of the "
        "resolution.",
        known_as="cryoSPARC before version 5: fixed; from 5: resolution",
        needs=OWN_MASK,
    )
    fsc_mask_near_factor: float = setting(
        2.0,
        help="Scaled tight FSC mask: 1 up to this many resolutions from the density; the loose one twice that.",
        ge=0,
        needs={**OWN_MASK, "fsc_mask_scaling": "resolution"},
    )
    fsc_mask_far_factor: float = setting(
        5.0,
        help="Scaled tight FSC mask: 0 from this many resolutions from the density; the loose one twice that.",
        gt=0,
        needs={**OWN_MASK, "fsc_mask_scaling": "resolution"},
    )
    auto_tighten_fsc_mask: bool = setting(
        True,
        help="Search the distances of the FSC mask at the end, for the best corrected curve of a mask that adds no "
        "correlation of its own; the mask is written as mask_fsc_auto.mrc, the one before as mask_fsc.mrc.",
        known_as="cryoSPARC: Optimize FSC mask",
        needs=OWN_MASK,
    )
    molecular_weight_kDa: float | None = setting(
        None,
        help="Weight of the protein that is ordered in the map, for the mask-free FSC; none = its volume above 0.3 of "
        "the map's maximum at 12 A.",
        unit="kDa",
        known_as="relion_postprocess --molweight; cisTEM: Molecular mass",
        gt=0,
    )
    bfactor_fit_low_A: float = setting(
        10.0,
        help="Coarsest resolution of the Guinier fit.",
        unit="A",
        known_as="relion_postprocess --autob_lowres",
        gt=0,
    )
    bfactor_fit_high_A: float | None = setting(
        None,
        help="Finest resolution of the Guinier fit; none = the resolution of the map (RELION goes on to where the FSC "
        "falls below 0.0001).",
        unit="A",
        known_as="relion_postprocess --autob_highres",
        gt=0,
    )

    @model_validator(mode="after")
    def fsc_mask_has_an_edge(self) -> CurveSettings:
        if self.fsc_mask_far_factor <= self.fsc_mask_near_factor:
            raise ValueError("--fsc-mask-far-factor must be larger than --fsc-mask-near-factor")
        return self

    @model_validator(mode="after")
    def guinier_range_is_one(self) -> CurveSettings:
        if self.bfactor_fit_high_A is not None and self.bfactor_fit_high_A >= self.bfactor_fit_low_A:
            raise ValueError("--bfactor-fit-high must be finer, fewer Angstrom, than --bfactor-fit-low")
        return self
