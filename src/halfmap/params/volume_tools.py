"""Settings of the jobs that bring in, filter and threshold a map."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from halfmap.params.common import Job, setting
from halfmap.params.volumes import VolumeInput


class ImportVolume(Job):
    """One map or mask under the name that jobs look for, checked."""

    volume: Path = setting(help="Map or mask, MRC.", known_as="cryoSPARC: Volume data path")
    kind: Literal["map", "mask", "half1", "half2", "map_sharp"] = setting(
        "map",
        help="What it is. Import an unfinished mask, not yet soft, as a map.",
        known_as="cryoSPARC: Type of volume being imported",
    )
    voxel_size_A: float | None = setting(
        None,
        help="Voxel size; none = from the header.",
        unit="A",
        known_as="cryoSPARC: Pixel size override",
        gt=0,
    )
    contrast: Literal["white", "dark"] = setting(
        "white", help="Protein in the map: white (high values), or dark: then its sign is changed."
    )

    @model_validator(mode="after")
    def masks_have_no_contrast(self) -> ImportVolume:
        if self.kind == "mask" and self.contrast == "dark":
            raise ValueError("--contrast dark is of maps; the other side of a mask: halfmap mask combine --operation "
                             "complement")
        return self


class FilterVolume(VolumeInput):
    """A map, with its half-maps, without its finest or coarsest detail; masks stay as they are."""

    gaussian_sdev: float | None = setting(
        None,
        help="Blur: standard deviation of a Gaussian in real space; in ChimeraX this length is in A.",
        unit="voxels",
        known_as="ChimeraX: volume gaussian sDev",
        gt=0,
    )
    lowpass: float | None = setting(
        None,
        help="Keep what is coarser than this.",
        unit="A",
        known_as="cryoSPARC: Lowpass filter resolution",
        gt=0,
    )
    highpass: float | None = setting(None, help="Keep what is finer than this.", unit="A", gt=0)
    filter_type: Literal["butterworth", "rectangular", "cosine", "gaussian"] = setting(
        "butterworth",
        help="Shape of the low-pass at k, cutoff k0: butterworth 1/sqrt(1 + (k/k0)^(2 order)); rectangular; cosine, "
        "two shells wide; gaussian exp(-ln 2 / 2 (k/k0)^2). The high-pass is sqrt(1 - low-pass^2).",
        known_as="cryoSPARC: Lowpass filter type",
    )
    filter_order: float = setting(
        8.0, help="Order of the Butterworth filter.", known_as="cryoSPARC: Lowpass filter order", gt=0, le=100
    )

    @model_validator(mode="after")
    def settings_fit_each_other(self) -> FilterVolume:
        if self.gaussian_sdev is None and self.lowpass is None and self.highpass is None:
            raise ValueError("nothing to do: give --lowpass, --highpass or --gaussian-sdev")
        if self.lowpass is not None and self.highpass is not None and self.highpass <= self.lowpass:
            raise ValueError(f"nothing is both coarser than {self.lowpass:g} A and finer than {self.highpass:g} A: "
                             "--highpass must be the larger number")
        return self


class ThresholdVolume(Job):
    """A map cut at a value."""

    takes_folders = Job.takes_folders | {"volume"}

    volume: Path = setting(
        help="Map, MRC; or the folder of a job, for its map.mrc.", known_as="cryoSPARC: Input volume"
    )
    threshold: float = setting(
        help="Values above it become 1, all others 0.", unit="map units", known_as="cryoSPARC: Threshold"
    )
    keep_values: bool = setting(False, help="Leave the values above the threshold as they are.")
