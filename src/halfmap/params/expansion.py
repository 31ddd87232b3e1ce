"""Settings of `halfmap symmetry-expand`."""

from __future__ import annotations

from halfmap.params.common import ParticleOutput, setting


class SymmetryExpand(ParticleOutput):
    """Every particle once for each operator of its point group, for local refinement of one subunit in C1."""

    symmetry: str = setting(
        help="Point group of the map that the poses belong to: Cn, Dn, T, O, I, I1 to I4.",
        known_as="relion_particle_symmetry_expand --sym; cryoSPARC: Symmetry group",
    )
