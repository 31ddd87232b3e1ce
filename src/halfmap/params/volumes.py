"""Settings of jobs that take a map and what belongs to it."""

from __future__ import annotations

from pathlib import Path

from halfmap.params.common import Job, ParticleOutput, setting


class VolumeInput(Job):
    """A job that reads a map, alone or with its half-maps and masks."""

    takes_folders = Job.takes_folders | {"volume"}

    volume: Path = setting(
        help="Map, MRC; or the folder of a job, with its half-maps and masks.",
        known_as="cryoSPARC: Input volume",
    )
    half1: Path | None = setting(None, help="First half-map, unfiltered; none = that of the job folder, if any.")
    half2: Path | None = setting(None, help="Second half-map; none = that of the job folder, if any.")
    mask: Path | None = setting(
        None,
        help="Mask, MRC; none = that of the job folder by which its FSC was judged, if any.",
        known_as="cryoSPARC: Input mask",
    )


class VolumeAndParticles(VolumeInput, ParticleOutput):
    """A job that moves a map, and the poses of its particles along with it."""

    particles: Path | None = setting(
        None,
        help="Particles whose poses go with the map, STAR or .cs; they get the poses that show the new map. Their "
        "images are not read and need not be there.",
        known_as="cryoSPARC: Particles",
    )
