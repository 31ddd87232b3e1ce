"""Settings of `halfmap import particles`."""

from __future__ import annotations

from typing import Literal

from halfmap.params.common import ParticleOutput, setting


class ImportParticles(ParticleOutput):
    """One particle table in the form of RELION 3.1, its values corrected where they are known better."""

    pixel_size_A: float | None = setting(
        None,
        help="Pixel size of the images; shifts keep their pixels; none = from the table.",
        unit="A",
        known_as="cryoSPARC: Pixel size override",
        gt=0,
    )
    voltage_kV: float | None = setting(
        None,
        help="Acceleration voltage; none = from the table.",
        unit="kV",
        known_as="cryoSPARC: Accelerating voltage",
        gt=0,
    )
    spherical_aberration_mm: float | None = setting(
        None,
        help="Spherical aberration Cs; none = from the table.",
        unit="mm",
        known_as="cryoSPARC: Spherical aberration",
        ge=0,
    )
    amplitude_contrast: float | None = setting(
        None,
        help="Amplitude contrast; none = from the table.",
        unit="fraction",
        known_as="cryoSPARC: Amplitude contrast",
        ge=0,
        le=1,
    )
    contrast: Literal["table", "white", "dark"] = setting(
        "table",
        help="Protein in the images: white (inverted when extracted), dark (as recorded), or as the table says.",
        known_as="cryoSPARC: Data sign, light-on-dark or dark-on-light",
    )
    ignore_poses: bool = setting(False, help="Leave out rotations and shifts.", known_as="cryoSPARC: Ignore pose data")
    ignore_halves: bool = setting(
        False, help="Leave out the half-sets.", known_as="cryoSPARC: Ignore FSC half-set split"
    )
    ignore_images: bool = setting(
        False, help="Do not look for the images, convert the table alone.", known_as="cryoSPARC: Ignore raw data"
    )
