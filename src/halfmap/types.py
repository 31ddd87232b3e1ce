"""The nouns every room shares: what an array means, its axes, its unit, its sign.

Owns shapes and units, nothing else: no reading, no mathematics beyond one-line conversions.
All objects are frozen; functions return new ones.

Axes are (z, y, x) for maps and (y, x) for images; the centre of a box of N pixels is pixel N // 2.

*Half plane*: the transform of an image, cut to radius K, as an array ``[..., ky + K, kx]`` with ky = -K..K and
kx = 0..K, divided by N^2 (RELION's 2D units), phase origin at the box centre. Friedel's law gives the rest.
*Half space*: the same for a map, ``[kz + R, ky + R, kx]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Map:
    """A density map. ``data`` is float32 (z, y, x), a cube; ``voxel_size_A`` in Angstrom."""

    data: np.ndarray
    voxel_size_A: float

    @property
    def box(self) -> int:
        return self.data.shape[-1]

    @property
    def nyquist_A(self) -> float:
        return 2.0 * self.voxel_size_A


@dataclass(frozen=True)
class Region:
    """Part of a map as other programs cut it out: ``data`` float32 (z, y, x), edges of any length.

    ``origin_A``: x, y, z of its first voxel in the coordinates of the map it belongs to.
    """

    data: np.ndarray
    voxel_size_A: float
    origin_A: tuple[float, float, float]


@dataclass(frozen=True)
class Poses:
    """Where the molecule sits in each image.

    ``rotations``: (n, 3, 3) float64, RELION's matrix A(rot, tilt, psi): molecule to image coordinates, q = A r; the
    image plane is (q_x, q_y), the beam q_z. The slice of image i is V(A^T (k_x, k_y, 0)).
    ``shifts_A``: (n, 2) float64, x then y, Angstrom, RELION's rlnOriginX/YAngst: moving the image by +shift centres
    it, so the particle lies at (box centre - shift).
    """

    rotations: np.ndarray
    shifts_A: np.ndarray

    def __len__(self) -> int:
        return len(self.rotations)

    def __getitem__(self, rows) -> Poses:
        return Poses(self.rotations[rows], self.shifts_A[rows])


@dataclass(frozen=True)
class Optics:
    """What all particles of one optics group share."""

    name: str
    voltage_kV: float
    spherical_aberration_A: float  # Cs, Angstrom (mm x 1e7)
    amplitude_contrast: float  # 0..1
    pixel_size_A: float
    box: int  # pixels, even
    premultiplied: bool = False  # images already multiplied by their CTF
    beam_tilt_rad: tuple[float, float] = (0.0, 0.0)  # x, y; adds phase -2 pi Cs lambda^2 |k|^2 (tilt . k)
    odd_zernike: tuple[float, ...] = ()  # further antisymmetric phase, RELION's order and units (k in 1/A)
    even_zernike: tuple[float, ...] = ()  # symmetric phase, subtracted inside the sine of the CTF; same units
    magnification: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))  # true k = M k


@dataclass(frozen=True)
class Defocus:
    """Per-particle CTF values; every field (n,) float64. Underfocus is positive, u >= v, angle from the x axis to u."""

    u_A: np.ndarray
    v_A: np.ndarray
    angle_rad: np.ndarray
    phase_shift_rad: np.ndarray
    bfactor_A2: np.ndarray
    scale: np.ndarray

    def __len__(self) -> int:
        return len(self.u_A)

    def __getitem__(self, rows) -> Defocus:
        return Defocus(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Curve:
    """A value per Fourier shell; shell s is the spatial frequency s / (box x voxel_size_A), in 1/A."""

    name: str
    values: np.ndarray  # (shells,) float64, shell 0 first
    box: int
    voxel_size_A: float

    def resolution_A(self, shell: float) -> float:
        """Angstrom of a shell; infinity for shell 0."""
        return self.box * self.voxel_size_A / shell if shell > 0 else float("inf")


@dataclass(frozen=True)
class Images:
    """A batch of images ready for alignment and reconstruction: one optics group, one radius K.

    Everything is whitened (divided by the noise standard deviation of its shell), so squared differences are
    log likelihoods: |x - m|^2 summed over the half plane without DC and without the redundant half of kx = 0.
    """

    rows: np.ndarray  # (b,) row of each image in the particle table
    masked: np.ndarray  # (b, 2K+1, K+1) complex64, circular soft mask applied: for alignment
    unmasked: np.ndarray  # (b, 2K+1, K+1) complex64: for back-projection
    ctf: np.ndarray  # (b, 2K+1, K+1) float32, CTF (times itself for premultiplied data) over noise sd
    noise_sd: np.ndarray  # (K+1,) float64: what it was whitened by, RELION 2D units per complex coefficient
    box: int  # pixels of the image box the half planes refer to
    pixel_size_A: float
    # (2, 2) float64: box length of the map over that of the images, times the magnification matrix. Pixel (kx, ky) of
    # an image is grid point stretch (kx, ky) of the slice
    stretch: np.ndarray = field(default_factory=lambda: np.eye(2))
    kept: float = 1.0  # fraction of the noise power that the circular mask leaves in ``masked``
    voltage_kV: float | None = None
    quadrature: np.ndarray | None = None  # as ``ctf``, its sine a cosine; only where the Ewald sphere is curved

    @property
    def radius(self) -> int:
        return self.masked.shape[-1] - 1

    def __len__(self) -> int:
        return len(self.masked)

    def __getitem__(self, rows) -> Images:
        """Some of the images, for alignment: without what the Ewald sphere adds."""
        parts = (getattr(self, name)[rows] for name in ("rows", "masked", "unmasked", "ctf"))
        return Images(*parts, self.noise_sd, self.box, self.pixel_size_A, self.stretch, self.kept)


@dataclass(frozen=True)
class Candidates:
    """Several possible poses of each image, best first.

    ``log_likelihood`` is relative to the empty model (0 = no particle); absent candidates carry -inf.
    """

    rotations: np.ndarray  # (b, c, 3, 3) float64
    shifts_A: np.ndarray  # (b, c, 2) float64
    log_likelihood: np.ndarray  # (b, c) float64

    def __getitem__(self, rows) -> Candidates:
        return Candidates(self.rotations[rows], self.shifts_A[rows], self.log_likelihood[rows])


@dataclass(frozen=True)
class Sums:
    """What back-projection adds up, a half space at ``padding`` times the sampling of the box.

    ``numerator`` = sum of s C x / sigma^2, ``weight`` = sum of s^2 C^2 / sigma^2; additive: ``a + b``.
    """

    numerator: np.ndarray  # (2R+1, 2R+1, R+1) complex64
    weight: np.ndarray  # (2R+1, 2R+1, R+1) float32
    box: int
    voxel_size_A: float
    padding: int
    images: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.numerator + other.numerator,
            self.weight + other.weight,
            self.box,
            self.voxel_size_A,
            self.padding,
            self.images + other.images,
        )

