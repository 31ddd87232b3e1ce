"""Settings of `halfmap check particles`."""

from __future__ import annotations

from halfmap.params.common import ParticleInput, setting


class CheckParticles(ParticleInput):
    """A look at a particle table and its images before they are used."""

    quick: bool = setting(False, help="Look at the table and the headers of the stacks, do not read images.")
    duplicate_distance_A: float = setting(
        5.0,
        help="Particles of a micrograph that are closer than this are the same one.",
        unit="A",
        known_as="cryoSPARC: Minimum separation distance",
        gt=0,
    )
