"""Settings of `halfmap export`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from halfmap.params.common import Job, setting

EMDB, RELION = {"to": "emdb"}, {"to": "relion"}
WITH_IMAGES = {"to": ["relion", "cryosparc"]}


class Export(Job):
    """What a finished refinement leaves to another program, or to the public."""

    takes_folders = Job.takes_folders | {"job", "local_resolution"}

    job: Path = setting(help="Folder of a finished refinement or reconstruction.")
    to: Literal["relion", "cryosparc", "emdb"] = setting(
        help="For whom: a folder of RELION's file names; result groups of cryoSPARC; or a deposition: maps, FSC, "
        "picture, methods, Table 1, checksums. The files are in a folder of this name inside the job folder."
    )
    volume: Path | None = setting(
        None,
        help="Map to deposit as the primary one, on the grid of the half-maps, such as that of a sharpen job; none = "
        "map_sharp.mrc, of a map that was not sharpened map.mrc.",
        known_as="EMDB: primary map",
        needs=EMDB,
    )
    contour_level: float | None = setting(
        None,
        help="Recommended contour level of the primary map; none = that at which it fills the volume of the particle.",
        known_as="EMDB: recommended contour level",
        needs=EMDB,
    )
    molecular_weight_kDa: float | None = setting(
        None,
        help="Weight of the protein that is ordered in the map, for the contour level; none = that of the refinement, "
        "else the volume above 0.3 of the maximum at 12 A.",
        unit="kDa",
        gt=0,
        needs={**EMDB, "contour_level": None},
    )
    local_resolution: Path | None = setting(
        None, help="Folder of the local-resolution job of this map, for the resolution range in Table 1.", needs=EMDB
    )
    project: Path | None = setting(
        None,
        help="RELION project that file names start from; none = the nearest folder above with a default_pipeline.star, "
        "else the exported folder itself.",
        known_as="RELION: the folder relion is started in",
        needs=RELION,
    )
    mtf: Path | None = setting(
        None,
        help="MTF of the detector, STAR, to go along for post-processing.",
        known_as="relion_postprocess --mtf",
        needs=RELION,
    )
    images_root: Path | None = setting(
        None,
        help="Folder the image names of the job's table start from; none = the folder the job was run in, and those "
        "above the table.",
        needs=WITH_IMAGES,
    )
    copy_images: bool = setting(
        False, help="Copy the stacks of images into the folder instead of linking to them.", needs=WITH_IMAGES
    )

    @model_validator(mode="after")
    def contour_is_positive(self) -> Export:
        if self.contour_level is not None and not self.contour_level > 0:
            raise ValueError("--contour-level must be above 0, the density of the solvent")
        return self
