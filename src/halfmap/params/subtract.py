"""Settings of `halfmap subtract` and of the way back, `halfmap revert`."""

from __future__ import annotations

from pathlib import Path

from halfmap.params.common import ParticleOutput, setting
from halfmap.params.stacks import StackOutput
from halfmap.params.volumes import VolumeInput


class Subtract(ParticleOutput, VolumeInput, StackOutput):
    """Particle images without the projection of a part of the map: signal subtraction before a local refinement."""

    mask: Path = setting(
        help="Mask of what is taken away, with a soft edge, MRC.",
        known_as="cryoSPARC: Mask; of relion_particle_subtract --mask the opposite, which is what is kept",
    )
    use_halfmaps: bool = setting(
        True,
        help="Subtract from each particle what its own half-map shows, so that the half-sets stay independent; off = "
        "the map.",
        known_as="cryoSPARC: Use half-maps",
    )
    lowpass: float | None = setting(
        None, help="Low-pass the map first; none = as it is.", unit="A", known_as="cryoSPARC: Lowpass volume", gt=0
    )
    reestimate_greyscale: bool = setting(
        True,
        help="Scale the map to the images of each optics group, by regression on a few hundred of them; off = take it "
        "as it is. The slope is told either way.",
    )


class Revert(ParticleOutput):
    """Subtracted particles with their original images."""

    original_poses: bool = setting(
        False, help="Restore the poses from before the subtraction, too; off = keep those refined since."
    )
