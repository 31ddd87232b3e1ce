"""Settings of `halfmap orientation`."""

from __future__ import annotations

from pathlib import Path

from halfmap.params.common import setting
from halfmap.params.volumes import VolumeInput


class Orientation(VolumeInput):
    """Whether all directions of a map are equally good, and whether the views are the reason."""

    particles: Path | None = setting(
        None,
        help="Particles with poses, STAR or .cs; none = particles.star of the job folder, if any.",
        known_as="cryoSPARC: Particles",
    )
    symmetry: str | None = setting(
        None,
        help="Point group of the views; none = that of the job folder, else C1.",
        known_as="cryoSPARC: SCF symmetry",
    )
    scf_radius: float = setting(
        23.0,
        help="Fourier radius at which the sampling is counted: a view fills a slice one Fourier pixel thick.",
        unit="shells",
        known_as="cryoSPARC: SCF Fourier radius",
        ge=5,
        le=200,
    )
    scf_particles: int = setting(
        10_000,
        help="Particles taken for the SCF, drawn at random where there are more.",
        known_as="cryoSPARC: SCF number of particles",
        ge=10,
    )
