"""Settings of `halfmap reconstruct`."""

from __future__ import annotations

from pathlib import Path

from halfmap.params.common import ParticleJob, setting
from halfmap.params.curves import CurveSettings


class Reconstruct(ParticleJob, CurveSettings):
    """Half-maps from the poses in the particle table; nothing is aligned."""

    mask: Path | None = setting(
        None, help="Mask for the FSC, MRC; none = masks made from the map.", known_as="relion_postprocess --mask"
    )
