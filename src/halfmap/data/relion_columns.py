"""What RELION calls the columns of its particle files, and what their numbers can be.

Names only: what they mean is in ``relion_table`` and ``relion_writing``. Source of the names and alternatives: RELION 5
(CTF::readValue, ObservationModel::loadSafely, StarConverter) and its documentation of conventions.
"""

from __future__ import annotations

import numpy as np

from halfmap.io import mrc

IMAGE, GROUP, HALF = "rlnImageName", "rlnOpticsGroup", "rlnRandomSubset"
VOLTAGE, ABERRATION, CONTRAST = "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"
PIXEL, BOX, DIMENSIONS = "rlnImagePixelSize", "rlnImageSize", "rlnImageDimensionality"
GROUP_NAME, PREMULTIPLIED = "rlnOpticsGroupName", "rlnCtfDataAreCtfPremultiplied"
DETECTOR, MAGNIFICATION = "rlnDetectorPixelSize", "rlnMagnification"
EULER = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
ORIGIN_A = ("rlnOriginXAngst", "rlnOriginYAngst")
ORIGIN_PX = ("rlnOriginX", "rlnOriginY")
MICROGRAPH, COORDINATES = "rlnMicrographName", ("rlnCoordinateX", "rlnCoordinateY")
ORIGINAL_IMAGE = "rlnImageOriginalName"
MICROGRAPH_PIXEL = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")
DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift", "rlnCtfBfactor", "rlnCtfScalefactor")
PIXEL_31 = (PIXEL, "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")
PIXEL_30 = (PIXEL, "rlnPixelSize")
BEAM_TILT = ("rlnBeamTiltX", "rlnBeamTiltY")  # mrad
ODD_ZERNIKE, EVEN_ZERNIKE = "rlnOddZernike", "rlnEvenZernike"
MATRIX = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
MTF = "rlnMtfFileName"
MTF_COLUMNS = ("rlnResolutionInversePixel", "rlnMtfValue")
# What a number must be to be computed with at all; what is merely implausible, ``preflight`` tells.
Limits = tuple[float, float, str]  # least, largest, what is said of others
_PIXEL_LIMITS = (1e-6, 1e6, "A is no pixel size")
LIMITS: dict[str, Limits] = {
    VOLTAGE: (1e-3, 1e5, "kV is no voltage"),
    ABERRATION: (-1e3, 1e3, "mm is no spherical aberration"),
    CONTRAST: (-1.0, 1.0, "is no amplitude contrast; it is a fraction, 0.07 to 0.1 in most data"),
    BOX: (0, mrc.LARGEST_SIDE, "is no box, in pixels"),
    DETECTOR: (1e-6, 1e6, "um is no pixel size"),
    MAGNIFICATION: (1e-3, 1e9, "is no magnification"),
    **dict.fromkeys((*PIXEL_31, *PIXEL_30), _PIXEL_LIMITS),
}
# Columns of 3.0 that the optics table replaces; RELION's own converter drops them too.
MOVED_TO_OPTICS = (VOLTAGE, ABERRATION, CONTRAST, DETECTOR, MAGNIFICATION, *PIXEL_30, PREMULTIPLIED, *BEAM_TILT,
                   *MATRIX)  # fmt: skip
LARGEST_DISTORTION = 0.5  # of the magnification from 1; microscopes stay within a few per cent
# Values that halfmap does not model yet: column -> (value without effect, name for people).
UNMODELLED = {
    "rlnCtfDataArePhaseFlipped": (0.0, "images with flipped phases"),
    "rlnCtfDataAreCtfCorrected": (0.0, "images already corrected for their CTF"),
}
# ``extra`` of ``write``: our names of results -> RELION's columns.
# The scale of a particle is no extra: it is ``Particles.scale`` and multiplies rlnCtfScalefactor, because in RELION
# that factor multiplies the CTF (so relion_reconstruct weights as we do), while rlnNormCorrection divides the image.
EXTRA = {
    "log_likelihood": "rlnLogLikeliContribution",
    "max_probability": "rlnMaxValueProbDistribution",
    "significant_poses": "rlnNrOfSignificantSamples",
    "rotation_sd_deg": "halfmapRotationSd",  # RELION tells such errors of a class, not of a particle
    "shift_sd_A": "halfmapShiftSdAngst",
    "effective_poses": "halfmapEffectivePoses",
    "class": "rlnClassNumber",
    "norm_correction": "rlnNormCorrection",
    "scale_group": "rlnGroupNumber",
    "particle_probability": "halfmapParticleProbability",
    "contrast": "halfmapContrast",
    "class_probability": "halfmapClassProbability",
}
VERSION = "version 30001"  # the comment that RELION 3.1 and later put above each table


def coefficients(text: str) -> tuple[float, ...] | None:
    """Numbers of ``[a,b,...]``; None where the text is anything else."""
    inside = text.strip()
    if not (inside.startswith("[") and inside.endswith("]")):
        return None
    words = inside[1:-1].split(",") if inside[1:-1].strip() else []
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def undistorted(matrices: np.ndarray) -> np.ndarray:
    """(n,) whether each of the matrices (n, 2, 2) is a magnification that a microscope can have."""
    return (abs(np.linalg.svd(matrices, compute_uv=False) - 1) <= LARGEST_DISTORTION).all(axis=-1)


def shown(value: bytes | str) -> str:
    return repr(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value)
