"""Settings of `halfmap simulate`."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from halfmap.params.common import Job, setting

OF_THE_OBJECT = ("box_size", "pixel_size_A", "symmetry", "object_diameter_A")
OF_THE_HINGE = ("hinge_x_A", "hinge_y_A", "hinge_z_A")


class Simulate(Job):
    """Particle images with known truth, from a map or from a protein-like object made from nothing."""

    map: Path | None = setting(
        None, help="Map to simulate from, MRC; none = a protein-like object made from nothing.", known_as="RELION --i"
    )
    n: int = setting(1000, help="Number of particles.", ge=2)
    box_size: int | None = setting(
        None, help="Box of the protein-like object; none = 64.", unit="pixels", ge=16, le=1024, multiple_of=2
    )
    pixel_size_A: float | None = setting(
        None, help="Pixel size of the protein-like object; none = 3.", unit="A", known_as="RELION --angpix", gt=0
    )
    object_diameter_A: float | None = setting(
        None, help="Diameter of the protein-like object; none = 65 % of the box.", unit="A", gt=0
    )
    symmetry: str | None = setting(
        None, help="Point group of the protein-like object: Cn, Dn, T, O, I; none = C1.", known_as="RELION --sym"
    )
    snr: float = setting(
        0.05, help="Variance of the clean images over that of the noise, within the box.", unit="ratio", gt=0
    )
    noise_rise: float = setting(
        3.0, help="Excess of the noise variance at low resolution; 0 = white noise.", unit="ratio", ge=0
    )
    voltage_kV: float = setting(300.0, help="Acceleration voltage.", unit="kV", known_as="RELION Voltage", gt=0)
    spherical_aberration_mm: float = setting(2.7, help="Spherical aberration Cs.", unit="mm", ge=0)
    amplitude_contrast: float = setting(0.1, help="Amplitude contrast.", unit="fraction", ge=0, le=1)
    phase_shift_deg: float = setting(0.0, help="Phase shift of a phase plate.", unit="degrees", ge=0, le=180)
    defocus_min_A: float = setting(8000.0, help="Smallest mean defocus, underfocus positive.", unit="A")
    defocus_max_A: float = setting(25000.0, help="Largest mean defocus.", unit="A")
    astigmatism_A: float = setting(500.0, help="Largest difference of the two defocus values.", unit="A", ge=0)
    decay_A2: float = setting(
        60.0, help="B-factor of the images, not told in the particle table.", unit="A^2", ge=0, le=2000
    )
    beam_tilt_x_mrad: float = setting(
        0.0, help="Beam tilt along x.", unit="mrad", known_as="RELION BeamTiltX", ge=-50, le=50
    )
    beam_tilt_y_mrad: float = setting(
        0.0, help="Beam tilt along y.", unit="mrad", known_as="RELION BeamTiltY", ge=-50, le=50
    )
    odd_zernike: tuple[float, ...] = setting(
        (),
        help="Coefficients of odd Zernike polynomials in RELION's order, frequencies in 1/A; the third and sixth are "
        "trefoil. Repeat the flag for each.",
        unit="rad A^n",
        known_as="RELION OddZernike",
    )
    even_zernike: tuple[float, ...] = setting(
        (),
        help="The same of even polynomials; the fifth and ninth are tetrafoil.",
        unit="rad A^n",
        known_as="RELION EvenZernike",
    )
    magnification_anisotropy: float = setting(
        0.0,
        help="Magnification of spatial frequencies along one axis over that across it, less 1.",
        unit="fraction",
        known_as="RELION MagMat00 to 11",
        ge=0,
        le=0.3,
    )
    magnification_axis_deg: float = setting(
        0.0, help="Direction of that axis, from x to y.", unit="degrees", ge=-180, le=180
    )
    shift_sd_A: float = setting(4.0, help="Standard deviation of the shifts, each axis.", unit="A", ge=0)
    contrast_sd: float = setting(
        0.1, help="Standard deviation of the contrast of single images about 1.", unit="fraction", ge=0, le=0.5
    )
    junk: float = setting(0.0, help="Fraction of images without a particle.", unit="fraction", ge=0, le=1)
    optics_groups: int = setting(1, help="Number of optics groups.", ge=1, le=1000)
    moving: Path | None = setting(None, help="Map of a hinged domain, which the main map must not hold, MRC.")
    domain_fraction: float | None = setting(
        None,
        help="So much of the protein-like object is a hinged domain, about the place where it touches the rest; none "
        "= it is rigid.",
        unit="fraction",
        gt=0,
        le=0.5,
    )
    hinge_x_A: float | None = setting(None, help="Hinge point, x from the box centre.", unit="A")
    hinge_y_A: float | None = setting(None, help="Hinge point, y from the box centre.", unit="A")
    hinge_z_A: float | None = setting(None, help="Hinge point, z from the box centre.", unit="A")
    hinge_angle_deg: float | None = setting(
        None, help="Standard deviation of the hinge rotation, each axis.", unit="degrees", ge=0, le=180
    )
    micrographs: int | None = setting(
        None,
        help="Put the particles into so many micrographs, for `halfmap extract`; none = write them as a stack.",
        ge=1,
        le=100_000,
    )
    micrograph_size: int | None = setting(
        None, help="Side of the micrographs; none = as small as the particles allow.", unit="pixels", ge=64, le=20_000,
        multiple_of=2,
    )  # fmt: skip
    float16: bool = setting(
        False, help="Write the images as 16-bit numbers (MRC mode 12).", known_as="RELION --float16"
    )

    @model_validator(mode="after")
    def settings_fit_each_other(self) -> Simulate:
        useless = [name for name in OF_THE_OBJECT if self.map is not None and getattr(self, name) is not None]
        if useless:
            raise ValueError(f"with --map, the settings {useless} of the protein-like object have no effect; drop them")
        self._hinge_is_whole()
        if self.micrograph_size is not None and self.micrographs is None:
            raise ValueError("--micrograph-size needs --micrographs")
        if self.micrographs is not None and self.hinged:
            raise ValueError("--micrographs knows no hinge; drop --moving or --domain-fraction")
        if self.defocus_max_A < self.defocus_min_A:
            raise ValueError("--defocus-max must not be smaller than --defocus-min")
        return self

    @property
    def hinged(self) -> bool:
        """Whether a domain turns about a hinge."""
        return self.moving is not None or self.domain_fraction is not None

    def _hinge_is_whole(self) -> None:
        """Raises ValueError for a hinge that lacks something, or has what it cannot use."""
        placed = [getattr(self, name) is not None for name in OF_THE_HINGE]
        angle = self.hinge_angle_deg is not None
        if not self.hinged and (any(placed) or angle):
            raise ValueError("the settings of a hinge need --moving MAP.mrc, or --domain-fraction")
        if self.moving is not None and (self.map is None or not all(placed) or not angle):
            raise ValueError("--moving needs --map, --hinge-x, --hinge-y, --hinge-z and --hinge-angle")
        if self.domain_fraction is None:
            return
        if self.map is not None or any(placed) or not angle:
            raise ValueError("--domain-fraction needs --hinge-angle, and neither --map, --moving nor the place of the "
                             "hinge: it parts the protein-like object, and the hinge is where the parts touch")
        if self.symmetry not in (None, "C1"):
            raise ValueError(f"--domain-fraction: a part that moves by itself has no symmetry; drop --symmetry "
                             f"{self.symmetry}")
