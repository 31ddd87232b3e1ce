"""Settings of `halfmap fsc`."""

from __future__ import annotations

from pathlib import Path

from halfmap.params.common import setting
from halfmap.params.curves import CurveSettings


class Fsc(CurveSettings):
    """Fourier shell correlation of two half-maps, with and without masks."""

    half1: Path = setting(help="First half-map, unfiltered, MRC.", known_as="relion_postprocess --i")
    half2: Path = setting(help="Second half-map, same box and pixel size.", known_as="relion_postprocess --i2")
    symmetry: str = setting(
        "C1",
        help="Point group that both maps obey: Cn, Dn, T, O, I, I1 to I4. So many times fewer of their Fourier values "
        "are independent, which tells how far chance may lift a curve and how tight a mask may be.",
    )
    mask: Path | None = setting(
        None, help="Soft mask of the FSC, MRC; none = masks made from the map.", known_as="relion_postprocess --mask"
    )
