"""Settings of `halfmap local-resolution` and `halfmap local-filter`."""

from __future__ import annotations

from pathlib import Path

from halfmap.params.common import setting
from halfmap.params.volumes import VolumeInput


class LocalResolution(VolumeInput):
    """Resolution of every place of a map, from the FSC of its half-maps in a soft window."""

    fsc_threshold: float = setting(
        0.5,
        help="Local FSC below which a place is no longer resolved; 0.5 is usual for windows, 0.143 for whole maps.",
        known_as="cryoSPARC: FSC threshold",
        gt=0,
        lt=1,
    )
    window_factor: float = setting(
        7.0,
        help="Diameter of the window in wavelengths of the band looked at: wider is steadier, narrower shows more "
        "detail. The window is a Gaussian; the diameter is that of a ball of the same effective volume.",
        unit="wavelengths",
        known_as="cryoSPARC: Adaptive window factor (there 25)",
        ge=3,
        le=50,
    )
    step: int = setting(
        1,
        help="Estimates so many voxels apart, linear in between: 2 is faster and loses little in fine grids.",
        unit="voxels",
        known_as="cryoSPARC: Step size",
        ge=1,
        le=16,
    )


class LocalFilter(VolumeInput):
    """Low-pass every place of a map to its own resolution."""

    local_resolution: Path = setting(
        help="Local resolution, MRC, A per voxel, 0 = none; or the folder of a local-resolution job.",
        known_as="cryoSPARC: map_locres",
    )
    bfactor: float = setting(
        0.0,
        help="B-factor: negative sharpens before the filter, positive blurs.",
        unit="A^2",
        known_as="cryoSPARC: B-factor for sharpening",
        ge=-2000,
        le=2000,
    )
    max_resolution: float | None = setting(
        None,
        help="Sharpen no further than to this resolution; none = the finest local resolution.",
        unit="A",
        known_as="cryoSPARC: Maximum resolution for sharpening",
        gt=0,
    )
