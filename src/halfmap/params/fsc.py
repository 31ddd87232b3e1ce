"""Settings of `halfmap fsc`."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from halfmap.params.common import setting
from halfmap.params.curves import CurveSettings


class Fsc(CurveSettings):
    """Fourier shell correlation of two half-maps, or of any two maps, with and without masks."""

    half1: Path | None = setting(None, help="First half-map, unfiltered, MRC.", known_as="relion_postprocess --i")
    half2: Path | None = setting(
        None, help="Second half-map, same box and pixel size.", known_as="relion_postprocess --i2"
    )
    volume: Path | None = setting(
        None, help="Instead of half-maps: a map to compare with another map, or with one made from a model, MRC."
    )
    against: Path | None = setting(
        None, help="The map that --volume is compared with, same box and pixel size. Its grey scale does not matter."
    )
    symmetry: str = setting(
        "C1",
        help="Point group that both maps obey: Cn, Dn, T, O, I, I1 to I4. So many times fewer of their Fourier values "
        "are independent, which tells how far chance may lift a curve and how tight a mask may be.",
    )
    mask: Path | None = setting(
        None, help="Soft mask of the FSC, MRC; none = masks made from the map.", known_as="relion_postprocess --mask"
    )
    threshold: float | None = setting(
        None,
        help="FSC at which the resolution is read; none = 0.143 for two half-maps, 0.5 for two maps of all data or a "
        "map and a model. Crossings of 0.143 and 0.5 are always told.",
        gt=0,
        lt=1,
    )
    voxel_size_A: float | None = setting(
        None,
        help="True voxel of both maps and the mask, where the headers are wrong; the frequencies follow it.",
        unit="A",
        known_as="cryoSPARC: Override pixel size; relion_postprocess --angpix",
        gt=0,
    )

    @model_validator(mode="after")
    def two_maps_are_named(self) -> Fsc:
        halves = (self.half1 is not None, self.half2 is not None)
        maps = (self.volume is not None, self.against is not None)
        if (halves, maps) not in (((True, True), (False, False)), ((False, False), (True, True))):
            raise ValueError("name two half-maps, --half1 and --half2, or any two maps, --volume and --against")
        return self
