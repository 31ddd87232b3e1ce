"""Settings that refinements of a starting map share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import field_validator, model_validator

from halfmap.params.common import Job, Refinement, mask_text, setting
from halfmap.params.curves import CurveSettings

DYNAMIC = {"mask": "dynamic"}  # what settings of the dynamic mask need

ALIGN_SYMMETRY = {
    "help": "Turn and move the starting map onto the axes of the symmetry, where it has it elsewhere.",
    "known_as": "cryoSPARC: Do symmetry alignment",
}
MARGINALIZATION = {
    "help": "Lay each particle in at as many poses as its image allows, by their probabilities, where the best one is "
    "known less well than the resolution in use needs. Of no effect with --relax-symmetry.",
    "known_as": "cryoSPARC: Adaptive Marginalization",
}

RELION_FILES = {
    "help": "Write RELION's files too: those of the result (run_data.star, run_class001.mrc, "
    "run_half1_class001_unfil.mrc ...), or those of all iterations (run_it003_data.star ...). In a folder "
    "Refine3D/job019 of a RELION project they also list the job there; off = neither.",
}


class HalfMapRefinement(Refinement, CurveSettings):
    """A refinement of two half-sets, wherever it starts."""

    settled_at_start = Refinement.settled_at_start | {"scale_reset", "noise_model", "noise_initial_scale", "candidates"}

    marginalization: bool = setting(False, **MARGINALIZATION)
    max_align_resolution: float | None = setting(
        None,
        help="Finest resolution used to align particles; none = what the FSC allows.",
        unit="A",
        known_as="RELION --strict_highres_exp; cryoSPARC: Maximum align resolution",
        gt=0,
    )
    min_align_resolution: float | None = setting(
        None,
        help="Data coarser than this do not align particles, but for the finest four shells in use; none = all do.",
        unit="A",
        known_as="cryoSPARC: Minimum align resolution, Highpass",
        gt=0,
    )
    per_particle_scale: bool = setting(
        False,
        help="Estimate a grey scale for every particle: thick ice makes particles fainter.",
        known_as="cryoSPARC: Minimize over per-particle scale; RELION --scale (there per micrograph)",
    )
    scale_start_iteration: int = setting(
        0,
        help="Iteration after which per-particle scales are estimated; 0 = from the first on.",
        known_as="cryoSPARC: Scale min/use start iter",
        ge=0,
        le=200,
        needs={"per_particle_scale": True},
    )
    scale_reset: bool = setting(
        True,
        help="Begin at scale 1; off = at the scales of the particle table, which stay without --per-particle-scale.",
        known_as="cryoSPARC: Reset input per-particle scale",
    )
    noise_model: Literal["white", "symmetric", "coloured"] = setting(
        "symmetric",
        help="Noise of the images: white = one sd for all frequencies, symmetric = one per shell, coloured = by "
        "direction too.",
        known_as="cryoSPARC: Noise model",
    )
    noise_prior_weight: float = setting(
        50.0,
        help="Weight of the mean noise spectrum of all optics groups in that of each.",
        unit="images",
        known_as="cryoSPARC: Noise priorw",
        ge=0,
    )
    noise_initial_scale: float = setting(
        1.0,
        help="Factor of the first noise estimate; above 1 the starting map is trusted less.",
        known_as="cryoSPARC: Noise initial sigma-scale (there 3)",
        gt=0,
        le=100,
    )
    non_negative: bool = setting(
        False,
        help="Set negative density of the references to 0; half-maps stay as they are.",
        known_as="cryoSPARC: Enforce non-negativity",
    )
    extra_final_passes: int = setting(
        0,
        help="Iterations after the resolution has stopped improving.",
        known_as="cryoSPARC: Number of extra final passes",
        ge=0,
        le=50,
    )
    mask: str = setting(
        "dynamic",
        help="Mask of the reference: dynamic (made from the map each iteration), none, or a file (static).",
        known_as="RELION --solvent_mask; cryoSPARC: Mask",
    )
    fsc_mask: Path | None = setting(
        None,
        help="Mask that judges the resolution, MRC, apart from that of the reference; none = --mask if it is a file, "
        "else masks made from the map.",
        known_as="relion_postprocess --mask",
    )
    window_structure: bool = setting(
        True,
        help="Keep the reference within the soft sphere that touches the box, whatever its mask.",
        known_as="cryoSPARC: Window structure in real space",
    )
    dynamic_mask_scaling: Literal["fixed", "resolution"] = setting(
        "fixed",
        help="Distances of the dynamic mask: fixed (near, far), or in units of the resolution (near and far factor).",
        known_as="cryoSPARC before version 5: fixed; from 5: resolution",
        needs=DYNAMIC,
    )
    dynamic_mask_near: float = setting(
        6.0,
        help="The dynamic mask is 1 up to this distance from the density.",
        unit="A",
        known_as="cryoSPARC: Dynamic mask near",
        ge=0,
        needs={**DYNAMIC, "dynamic_mask_scaling": "fixed"},
    )
    dynamic_mask_far: float = setting(
        14.0,
        help="The dynamic mask falls to 0 at this distance from the density.",
        unit="A",
        known_as="cryoSPARC: Dynamic mask far",
        gt=0,
        needs={**DYNAMIC, "dynamic_mask_scaling": "fixed"},
    )
    dynamic_mask_near_factor: float = setting(
        2.0,
        help="The scaled dynamic mask is 1 up to this many resolutions from the density.",
        ge=0,
        needs={**DYNAMIC, "dynamic_mask_scaling": "resolution"},
    )
    dynamic_mask_far_factor: float = setting(
        5.0,
        help="The scaled dynamic mask falls to 0 at this many resolutions from the density.",
        gt=0,
        needs={**DYNAMIC, "dynamic_mask_scaling": "resolution"},
    )
    dynamic_mask_start_resolution: float = setting(
        12.0,
        help="Dynamic masking starts once the map has this resolution; before that a soft sphere.",
        unit="A",
        known_as="cryoSPARC: Dynamic mask start resolution",
        gt=0,
        needs=DYNAMIC,
    )
    dynamic_mask_threshold: float = setting(
        0.2,
        help="Density above this fraction of the map's maximum counts as molecule.",
        unit="fraction",
        known_as="cryoSPARC: Dynamic mask threshold",
        gt=0,
        lt=1,
        needs=DYNAMIC,
    )
    dynamic_mask_use_abs: bool = setting(
        False,
        help="Strongly negative density counts as molecule, too.",
        known_as="cryoSPARC: Dynamic mask use absolute value",
        needs=DYNAMIC,
    )
    candidates: int = setting(
        8, help="Poses kept per particle after the global search, until the data tell them apart.", ge=1, le=64
    )
    max_iterations: int = setting(
        20,
        help="Iterations after which the last one follows, which reconstructs all particles to Nyquist, even if not "
        "converged.",
        known_as="RELION --iter",
        ge=1,
        le=200,
    )

    @field_validator("mask")
    @classmethod
    def mask_is_known(cls, value: str) -> str:
        return mask_text(value)

    @model_validator(mode="after")
    def mask_has_an_edge(self) -> Self:
        if self.dynamic_mask_far <= self.dynamic_mask_near:
            raise ValueError("--dynamic-mask-far must be larger than --dynamic-mask-near")
        if self.dynamic_mask_far_factor <= self.dynamic_mask_near_factor:
            raise ValueError("--dynamic-mask-far-factor must be larger than --dynamic-mask-near-factor")
        return self


class MapRefinement(HalfMapRefinement):
    """A gold-standard refinement of one structure from particles and a starting map."""

    settled_at_start = HalfMapRefinement.settled_at_start | {
        "volume", "initial_lowpass", "gsfsc_split_resolution", "reestimate_greyscale",
    }  # fmt: skip

    volume: Path = setting(
        help="Starting map, MRC, any box and pixel size.", known_as="RELION --ref; cryoSPARC: Initial model"
    )
    initial_lowpass: float = setting(
        30.0,
        help="Resolution the starting map is low-pass filtered to; about 20 for small molecules.",
        unit="A",
        known_as="RELION --ini_high; cryoSPARC: Initial lowpass resolution",
        gt=0,
    )
    gsfsc_split_resolution: float = setting(
        20.0,
        help="The half-sets are independent beyond this resolution; below it they share data.",
        unit="A",
        known_as="RELION --low_resol_join_halves; cryoSPARC: GSFSC split resolution",
        gt=0,
    )
    reestimate_greyscale: bool = setting(
        True,
        help="Scale the starting map to the grey values of the images.",
        known_as="RELION without --firstiter_cc; cryoSPARC: Re-estimate greyscale level of input reference",
    )
    relion_files: Literal["off", "result", "iterations"] = setting("off", **RELION_FILES)


class LocalFilterSettings(Job):
    """How references are filtered place by place."""

    nonuniform_enable: bool = setting(
        True,
        help="Filter references and map place by place, as far as the half-maps agree there; off = by one FSC "
        "everywhere.",
        known_as="cryoSPARC: Non-uniform refine enable",
    )
    nonuniform_filter_type: Literal["butterworth", "rectangular", "gaussian"] = setting(
        "butterworth",
        help="Kind of the low-pass filters that the local one is put together from.",
        known_as="cryoSPARC: Filter type",
    )
    nonuniform_filter_order: int = setting(
        8,
        help="Order of the Butterworth filter: higher is steeper, and rings more.",
        known_as="cryoSPARC: Filter order",
        ge=1,
        le=64,
    )
    nonuniform_window_factor: float = setting(
        3.0,
        help="Width of the window over which the halves are compared, in wavelengths of the filter: smaller follows "
        "the molecule more closely, larger is more reliable.",
        known_as="cryoSPARC: AWF (adaptive window factor)",
        ge=1.5,
        le=10,
    )
