"""Settings of `halfmap templates`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from halfmap.params.common import Job, setting


class Templates(Job):
    """Evenly spaced projections of a map, for picking particles."""

    volume: Path = setting(help="Map, MRC.", known_as="cryoSPARC: Volume")
    n: int = setting(
        50, help="Number of projections.", known_as="cryoSPARC: Number of equally-spaced templates", ge=1, le=10_000
    )
    lowpass: float | None = setting(
        20.0, help="Resolution to which the projections are low-passed; none = as the map is.", unit="A", gt=0
    )
    box_size: int | None = setting(
        None, help="Box of the projections, cropped or padded; none = that of the map.", unit="pixels", ge=16,
        multiple_of=2,
    )  # fmt: skip
    pixel_size_A: float | None = setting(
        None, help="Pixel size of the projections; none = that of the map.", unit="A", known_as="RELION --angpix", gt=0
    )
    contrast: Literal["white", "dark"] = setting(
        "white", help="Protein in the projections: white, as in the map, or dark, as in micrographs.",
        known_as="relion_autopick --invert",
    )  # fmt: skip

    @model_validator(mode="after")
    def no_lowpass_of_nothing(self) -> Templates:
        if self.lowpass is not None and self.pixel_size_A is not None and self.lowpass < 2 * self.pixel_size_A:
            raise ValueError("--lowpass is finer than two pixels of --pixel-size; give a coarser one")
        return self
