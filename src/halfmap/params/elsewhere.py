"""Where to find a parameter of cryoSPARC, RELION or Segger: in which setting of halfmap, or why in none.

Owns the list of jobs of other programs; their parameters are in the modules beside it, one for each program.
docs/PARAMETERS.md is made from it.
"""

from __future__ import annotations

from typing import NamedTuple

from halfmap.params.elsewhere_cryosparc import (
    CRYOSPARC_ABINITIO,
    CRYOSPARC_ABINITIO_REFINE,
    CRYOSPARC_HALVES,
    CRYOSPARC_HOMOGENEOUS,
    CRYOSPARC_LOCAL,
    CRYOSPARC_NONUNIFORM,
    CRYOSPARC_RECONSTRUCT,
)
from halfmap.params.elsewhere_cryosparc_tools import (
    CRYOSPARC_ALIGN_3D,
    CRYOSPARC_DOWNSAMPLE,
    CRYOSPARC_EXPANSION,
    CRYOSPARC_FILTER,
    CRYOSPARC_FLIP,
    CRYOSPARC_IMPORT,
    CRYOSPARC_IMPORT_VOLUME,
    CRYOSPARC_LOCAL_FILTER,
    CRYOSPARC_LOCAL_RESOLUTION,
    CRYOSPARC_MASK,
    CRYOSPARC_ORIENTATION,
    CRYOSPARC_SHARPEN,
    CRYOSPARC_SUBTRACT,
    CRYOSPARC_VALIDATION,
    CRYOSPARC_VOLUME_ALIGNMENT,
    CRYOSPARC_VOLUME_TOOLS,
)
from halfmap.params.elsewhere_relion import (
    RELION_AUTO,
    RELION_COMBINE,
    RELION_EXTRACT,
    RELION_IMAGE_HANDLER,
    RELION_MASK,
    RELION_POSTPROCESS,
    RELION_REFINE,
    RELION_SHARPEN,
    RELION_SUBTRACT,
)
from halfmap.params.elsewhere_segger import (
    SEGGER,
)
from halfmap.params.equivalent import Parameter


class Table(NamedTuple):
    """The parameters of one job of another program."""

    program: str
    job: str  # of ours, as in jobs/catalog
    parameters: tuple[Parameter, ...]


TABLES = (
    Table("cryoSPARC: Ab-Initio Reconstruction", "abinitio", CRYOSPARC_ABINITIO),
    Table("cryoSPARC: Homogeneous Ab-Initio Refinement (BETA)", "abinitio-refine", CRYOSPARC_ABINITIO_REFINE),
    Table("cryoSPARC: Homogeneous Refinement, where half-maps from nothing are refined", "abinitio-refine",
          CRYOSPARC_HALVES),
    Table("cryoSPARC: Homogeneous Refinement", "refine homogeneous", CRYOSPARC_HOMOGENEOUS),
    Table("cryoSPARC: Local Refinement (New)", "refine local", CRYOSPARC_LOCAL),
    Table("cryoSPARC: Non-Uniform Refinement", "refine nonuniform", CRYOSPARC_NONUNIFORM),
    Table("cryoSPARC: Homogeneous Reconstruction Only", "reconstruct", CRYOSPARC_RECONSTRUCT),
    Table("cryoSPARC: Import Particle Stack", "import particles", CRYOSPARC_IMPORT),
    Table("cryoSPARC: Import 3D Volumes", "import volume", CRYOSPARC_IMPORT_VOLUME),
    Table("cryoSPARC: Volume Tools, filters", "volume filter", CRYOSPARC_FILTER),
    Table("cryoSPARC: Volume Tools, masks", "volume mask", CRYOSPARC_MASK),
    Table("RELION: relion_mask_create", "mask from-map", RELION_MASK),
    Table("RELION: relion_mask_create, several masks", "mask combine", RELION_COMBINE),
    Table("RELION: relion_refine (3D auto-refine)", "refine homogeneous", RELION_REFINE),
    Table("RELION: relion_refine --auto_refine", "refine auto", RELION_AUTO),
    Table("RELION: relion_postprocess", "fsc", RELION_POSTPROCESS),
    Table("ChimeraX: Segment Map (Segger)", "mask segment", SEGGER),
    Table("cryoSPARC: Volume Tools", "volume resample", CRYOSPARC_VOLUME_TOOLS),
    Table("cryoSPARC: Volume Tools, flip hand", "volume flip", CRYOSPARC_FLIP),
    Table("cryoSPARC: Volume Alignment Tools", "volume recenter", CRYOSPARC_VOLUME_ALIGNMENT),
    Table("cryoSPARC: Align 3D Maps", "volume align", CRYOSPARC_ALIGN_3D),
    Table("RELION: relion_image_handler", "volume resample", RELION_IMAGE_HANDLER),
    Table("cryoSPARC: Symmetry Expansion", "symmetry-expand", CRYOSPARC_EXPANSION),
    Table("RELION: relion_preprocess (extraction)", "extract", RELION_EXTRACT),
    Table("cryoSPARC: Downsample Particles", "downsample", CRYOSPARC_DOWNSAMPLE),
    Table("cryoSPARC: Particle Subtraction", "subtract", CRYOSPARC_SUBTRACT),
    Table("RELION: relion_particle_subtract", "subtract", RELION_SUBTRACT),
    Table("RELION: relion_postprocess, sharpening", "sharpen", RELION_SHARPEN),
    Table("cryoSPARC: Validation (FSC)", "fsc", CRYOSPARC_VALIDATION),
    Table("cryoSPARC: Sharpening Tools", "sharpen", CRYOSPARC_SHARPEN),
    Table("cryoSPARC: Local Resolution Estimation", "local-resolution", CRYOSPARC_LOCAL_RESOLUTION),
    Table("cryoSPARC: Local Filtering", "local-filter", CRYOSPARC_LOCAL_FILTER),
    Table("cryoSPARC: Orientation Diagnostics", "orientation", CRYOSPARC_ORIENTATION),
)
