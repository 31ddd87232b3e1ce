"""Settings of `halfmap templates`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from halfmap.params.common import Job, setting


class Templates(Job):
    """Evenly spaced projections of a map, for picking particles."""

    volume: Path = setting(help="Map, MRC.", known_as="cryoSPARC: Volume")
    n: int = setting(
        50, help="Number of projections.", known_as="cryoSPARC: Number of equally-spaced templates", ge=1, le=10_000
    )
    lowpass: float = setting(
        20.0, help="Resolution to which the projections are low-passed; finer than two voxels = not at all.", unit="A",
        gt=0,
    )  # fmt: skip
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
