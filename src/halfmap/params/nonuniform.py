"""Settings of `halfmap refine nonuniform`, and of the local filter wherever a refinement has one."""

from __future__ import annotations

from typing import Literal

from halfmap.params.common import Job, setting
from halfmap.params.homogeneous import MARGINALIZATION, Homogeneous


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


class Nonuniform(Homogeneous, LocalFilterSettings):
    """Gold-standard refinement of one structure with parts that are less ordered than others."""

    marginalization: bool = setting(True, **MARGINALIZATION)
