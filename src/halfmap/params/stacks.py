"""Settings of jobs that write new particle images: `halfmap downsample` and `halfmap extract`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, model_validator

from halfmap.params.common import Job, ParticleOutput, setting


class StackOutput(BaseModel):
    """How new images are written."""

    float16: bool = setting(
        False, help="Write the images as 16-bit numbers (MRC mode 12): half the disk.", known_as="RELION --float16; "
        "cryoSPARC: Output in float16",
    )  # fmt: skip


class Downsample(ParticleOutput, StackOutput):
    """Particle images in a smaller box, on larger pixels, or moved to the centre of the box."""

    crop: int | None = setting(
        None,
        help="Box after cropping in real space, or padding with the mean of the image; the pixel size stays; comes "
        "first; none = no cropping.",
        unit="pixels",
        known_as="cryoSPARC: Crop/pad to box size; relion_preprocess --window",
        ge=16,
        multiple_of=2,
    )
    box_size: int | None = setting(
        None,
        help="Box after cropping in Fourier space: the same extent on fewer, larger pixels; none = no such cropping.",
        unit="pixels",
        known_as="cryoSPARC: Fourier crop to box size; relion_preprocess --scale",
        ge=16,
        multiple_of=2,
    )
    pixel_size_A: float | None = setting(
        None,
        help="Pixel size wanted, instead of --box-size: the box is the nearest even one, which gives the pixel size.",
        unit="A",
        known_as="cryoSPARC: Desired approximate pixel size",
        gt=0,
    )
    recenter: bool = setting(
        False,
        help="Move every particle to the centre of the box by its shift, by whole pixels; the rest stays in the table.",
        known_as="cryoSPARC: Recenter using aligned shifts",
    )

    @model_validator(mode="after")
    def something_to_do(self) -> Downsample:
        if self.box_size is not None and self.pixel_size_A is not None:
            raise ValueError("--box-size and --pixel-size say the same; give one of them")
        if not (self.crop or self.box_size or self.pixel_size_A or self.recenter or self.float16):
            raise ValueError("nothing to do: give --crop, --box-size, --pixel-size, --recenter or --float16")
        return self


class Extract(StackOutput, Job):
    """Particle images cut from micrographs, by picked coordinates or anew for particles that were refined."""

    micrographs: Path | None = setting(
        None,
        help="Micrograph table with their CTF, STAR 3.1 (data_micrographs); with --particles it may be left out.",
        known_as="RELION --i",
    )
    coordinates: Path | None = setting(
        None,
        help="Picked coordinates, STAR: names of micrographs, x and y in their pixels.",
        known_as="RELION --coord_list",
    )
    particles: Path | None = setting(
        None,
        help="Instead of coordinates: particles to extract again; their poses, CTF and half-sets are kept.",
        known_as="RELION --reextract_data_star",
    )
    images_root: Path | None = setting(
        None,
        help="Folder the micrograph names start from; none = the working folder, that of the table, or one above.",
    )
    box_size: int = setting(
        help="Box to cut.", unit="pixels of the micrograph", known_as="RELION --extract_size", ge=16, multiple_of=2
    )
    rescale: int | None = setting(
        None, help="Box after Fourier cropping; none = as it was cut.", unit="pixels", known_as="RELION --scale", ge=16,
        multiple_of=2,
    )  # fmt: skip
    recenter: bool = setting(
        False,
        help="Cut particles about where their shifts say they are, by whole pixels; the rest stays in the table.",
        known_as="RELION --recenter",
    )
    reset_offsets: bool = setting(
        False, help="Set the shifts to zero, without moving the boxes.", known_as="RELION --reset_offsets"
    )
    invert_contrast: bool = setting(
        True, help="Make dark protein, as micrographs show it, white.", known_as="RELION --invert_contrast"
    )
    normalize: bool = setting(
        True, help="Take a plane from the background of each image and make its deviation 1.", known_as="RELION --norm"
    )
    background_diameter_A: float | None = setting(
        None,
        help="Diameter of the circle outside of which is background; none = 75 % of the box.",
        unit="A",
        known_as="RELION --bg_radius, in pixels of half of it",
        gt=0,
    )
    write_cs: bool = setting(False, help="Write particles.cs for cryoSPARC beside particles.star.")

    @model_validator(mode="after")
    def one_source(self) -> Extract:
        if (self.coordinates is None) == (self.particles is None):
            raise ValueError("give --coordinates, or --particles to extract them again, and not both")
        if self.coordinates is not None and self.micrographs is None:
            raise ValueError("--coordinates needs --micrographs, which tells the CTF")
        if self.recenter and self.reset_offsets:
            raise ValueError("--recenter keeps the rest of the shifts, --reset-offsets drops them; give one of them")
        if self.rescale is not None and self.rescale > self.box_size:
            raise ValueError("--rescale must not be larger than --box-size")
        return self
