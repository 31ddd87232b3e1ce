"""The tables that tell of a run of RELION's 3D auto-refine: model, optimiser and sampling.

Owns what the columns mean in our terms and their units. Origin: the files that RELION 3.1.3 writes (labels, order,
units), RELION 5 for the spectra of optics groups.

Not written, because halfmap has no such thing: the distribution of directions over a HEALPix sphere, the Fourier
completeness and the orientability of each shell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from halfmap.data.particles import Particles
from halfmap.data.relion_columns import MICROGRAPH
from halfmap.io import star

SCALE_GROUP = "rlnGroupName"
NO_RESOLUTION_A = 999.0  # what RELION writes for an infinite one, and for the largest signal-to-noise ratio
LEAST_FSC, MOST_FSC = 0.001, 0.999  # RELION trusts an FSC no further
MOST_SPECTRA = 500  # scale groups: RELION 3.1 wants the noise of each, which for many micrographs is mostly repetition
COARSEST_DEG = 60.0  # angle between neighbours at HEALPix order 0; every order halves it
# What RELION's programs want to find in an optimiser table though halfmap has no such thing: as 3.1.3 writes it
OF_OTHER_RUNS = {
    "rlnAdaptiveOversampleFraction": 0.999, "rlnSolventMask2Name": "None", "rlnBodyStarFile": "None",
    "rlnTauSpectrumName": "None", "rlnMaximumCoarseImageSize": -1, "rlnHighresLimitExpectation": -1.0,
    "rlnLowresLimitExpectation": -1.0, "rlnIncrementImageSize": 10, "rlnDoMapEstimation": 1,
    "rlnDoFastSubsetOptimisation": 0, "rlnDoExternalReconstruct": 0, "rlnDoStochasticGradientDescent": 0,
    "rlnDoStochasticEM": 0, "rlnSgdInitialIterations": 50, "rlnSgdFinalIterations": 50,
    "rlnSgdInBetweenIterations": 200, "rlnSgdInitialResolution": 35.0, "rlnSgdFinalResolution": 15.0,
    "rlnSgdInitialSubsetSize": 100, "rlnSgdFinalSubsetSize": 500, "rlnSgdMuFactor": 0.0,
    "rlnSgdSigma2FudgeInitial": 8.0, "rlnSgdSigma2FudgeHalflife": -1, "rlnSgdSkipAnneal": 0, "rlnSgdSubsetSize": -1,
    "rlnSgdWriteEverySubset": 1, "rlnSgdStepsize": 0.5, "rlnDoSkipAlign": 0, "rlnDoSkipRotate": 0,
    "rlnSmallestChangesOrientations": NO_RESOLUTION_A, "rlnSmallestChangesOffsets": NO_RESOLUTION_A,
    "rlnSmallestChangesClasses": 9999999, "rlnLocalSymmetryFile": "None", "rlnDoHelicalRefine": 0,
    "rlnIgnoreHelicalSymmetry": 0, "rlnFourierMask": "None", "rlnHelicalTwistInitial": 0.0,
    "rlnHelicalRiseInitial": 0.0, "rlnHelicalCentralProportion": 0.3, "rlnNrHelicalNStart": 1,
    "rlnHelicalMaskTubeInnerDiameter": -1.0, "rlnHelicalMaskTubeOuterDiameter": -1.0,
    "rlnHelicalSymmetryLocalRefinement": 0, "rlnHelicalSigmaDistance": -1.0, "rlnHelicalKeepTiltPriorFixed": 0,
    "rlnHasHighFscAtResolLimit": 0, "rlnHasLargeSizeIncreaseIterationsAgo": 0, "rlnDoIgnoreCtfUntilFirstPeak": 0,
    "rlnCtfDataArePhaseFlipped": 0, "rlnDoOnlyFlipCtfPhases": 0, "rlnRefsAreCtfCorrected": 1,
    "rlnFixSigmaNoiseEstimates": 0, "rlnFixSigmaOffsetEstimates": 0, "rlnMaxNumberOfPooledParticles": 1,
}  # fmt: skip
_VERSION = "version 30001"


@dataclass(frozen=True)
class Groups:
    """The groups by which RELION scales particles: micrographs, or what the table calls groups."""

    names: tuple[str, ...]
    of_particle: np.ndarray  # (n,) from 0

    def counted(self, rows: np.ndarray) -> np.ndarray:
        """(groups,) how many of these particles are in each."""
        return np.bincount(self.of_particle[rows], minlength=len(self.names))


@dataclass(frozen=True)
class Model:
    """What one half-set knows after an iteration, or both together at the end."""

    map_file: str  # as it is to be written
    box: int
    voxel_size_A: float
    image_size: int  # pixels of the images that alignment uses
    resolution_A: float
    accuracy_rotation_deg: float | None
    accuracy_shift_A: float | None
    shift_sd_A: float
    log_likelihood: float
    max_probability: float  # mean over the particles
    fsc: np.ndarray  # (shells,)
    joined: bool  # the map is of both halves: its FSC with the truth counts
    # (shells,) of the error of the unfiltered map, real and imaginary part each; None before there is one
    variance: np.ndarray | None
    noise_sd: Mapping[str, np.ndarray]  # optics group -> (shells,) per complex coefficient
    groups: Groups
    counts: np.ndarray  # (groups,) particles of each
    greys: np.ndarray  # (groups,) factor between the map and the images of each
    scales: np.ndarray  # (groups,) mean grey scale of the particles of each, relative to that
    optics_of_group: np.ndarray  # (groups,) place in ``noise_sd``


def groups_of(particles: Particles) -> Groups:
    """The column of group names; else micrographs; else one group for each optics group."""
    for tag in (SCALE_GROUP, MICROGRAPH):
        if tag in particles.columns:
            texts = star.Block("", {tag: particles.columns[tag]}).texts(tag)
            names, place = np.unique(texts, return_inverse=True)
            return Groups(tuple(star.Block("", {tag: names}).strings(tag)), place)
    return Groups(tuple(optics.name for optics in particles.optics), np.asarray(particles.group))


def write_model(path: Path, model: Model) -> None:
    """A ``_model.star``, whole or not at all."""
    spectra = [star.Block(f"model_optics_group_{number}", _spectrum(model, sd))
               for number, sd in enumerate(model.noise_sd.values(), start=1)]  # fmt: skip
    if len(model.groups.names) <= MOST_SPECTRA:
        every = list(model.noise_sd.values())
        spectra += [star.Block(f"model_group_{number}", _spectrum(model, every[optics]))
                    for number, optics in enumerate(model.optics_of_group.tolist(), start=1)]  # fmt: skip
    blocks = [_pairs("model_general", _general(model)), star.Block("model_classes", _classes(model)),
              star.Block("model_class_1", _shells(model)), star.Block("model_groups", _groups(model)), *spectra]
    star.write(path, blocks, comment=_VERSION)


def write_sampling(path: Path, symmetry: str, order: int, offset_range_A: float, offset_step_A: float) -> None:
    """A ``_sampling.star``: the grid of the search, before RELION's oversampling by two."""
    step = COARSEST_DEG / 2**order
    star.write(path, [_pairs("sampling_general", {
        "rlnIs3DSampling": 1,
        "rlnIs3DTranslationalSampling": 0,
        "rlnHealpixOrder": order,
        "rlnSymmetryGroup": symmetry,
        "rlnTiltAngleLimit": -91.0,
        "rlnPsiStep": step,
        "rlnOffsetRange": offset_range_A,
        "rlnOffsetStep": offset_step_A,
        "rlnSamplingPerturbInstance": 0.0,
        "rlnSamplingPerturbFactor": 0.0,
    })], comment=_VERSION)  # fmt: skip


def order_of(step_deg: float) -> int:
    """The HEALPix order whose directions are so far apart, or next to it."""
    return max(0, round(float(np.log2(COARSEST_DEG / step_deg))))


@dataclass(frozen=True)
class Course:
    """Where a refinement stands: what its ``_optimiser.star`` tells."""

    iteration: int
    most_iterations: int
    root: str  # RELION's "output rootname": folder and beginning of all names
    files: Mapping[str, str]  # "half1", "half2" or "model", "data", "sampling" -> file name
    seed: int
    diameter_A: float
    join_A: float
    mask: str | None
    local_from_order: int
    without_gain: int
    at_rest: int
    best_resolution_A: float
    accuracy_rotation_deg: float | None
    accuracy_shift_A: float | None
    change_rotation_deg: float | None
    change_shift_A: float | None
    converged: bool


def write_optimiser(path: Path, course: Course) -> None:
    """An ``_optimiser.star``, whole or not at all."""
    files = course.files
    models = {"rlnModelStarFile": files.get("half1", files.get("model")), "rlnModelStarFile2": files.get("half2")}
    star.write(path, [_pairs("optimiser_general", {
        "rlnOutputRootName": course.root,
        **models,
        "rlnExperimentalDataStarFile": files["data"],
        "rlnOrientSamplingStarFile": files["sampling"],
        "rlnCurrentIteration": course.iteration,
        "rlnNumberOfIterations": course.most_iterations,
        "rlnDoSplitRandomHalves": int(not course.converged),
        "rlnJoinHalvesUntilThisResolution": course.join_A,
        "rlnAdaptiveOversampleOrder": 1,
        "rlnRandomSeed": course.seed,
        "rlnParticleDiameter": course.diameter_A,
        "rlnWidthMaskEdge": 5,
        "rlnDoZeroMask": 1,
        "rlnDoSolventFlattening": 1,
        "rlnDoSolventFscCorrection": 1,
        "rlnSolventMaskName": course.mask or "None",
        "rlnDoAutoRefine": 1,
        "rlnAutoLocalSearchesHealpixOrder": course.local_from_order,
        "rlnNumberOfIterWithoutResolutionGain": course.without_gain,
        "rlnBestResolutionThusFar": 1 / course.best_resolution_A,
        "rlnNumberOfIterWithoutChangingAssignments": course.at_rest,
        "rlnOverallAccuracyRotations": _known(course.accuracy_rotation_deg),
        "rlnOverallAccuracyTranslationsAngst": _known(course.accuracy_shift_A),
        "rlnChangesOptimalOrientations": _known(course.change_rotation_deg),
        "rlnChangesOptimalOffsets": _known(course.change_shift_A),
        "rlnChangesOptimalClasses": 0.0,
        "rlnHasConverged": int(course.converged),
        "rlnDoCorrectNorm": 0,
        "rlnDoCorrectScale": 1,  # else RELION's programs leave the grey scale of the groups out
        "rlnDoCorrectCtf": 1,
        **OF_OTHER_RUNS,
    })], comment=_VERSION)  # fmt: skip


def _pairs(name: str, values: Mapping[str, Any]) -> star.Block:
    """A table of names and values; None is left out."""
    columns = {tag: np.array([value], dtype=object if isinstance(value, str) else None)
               for tag, value in values.items() if value is not None}  # fmt: skip
    return star.Block(name, columns, is_loop=False)


def _general(model: Model) -> dict[str, Any]:
    return {
        "rlnReferenceDimensionality": 3,
        "rlnDataDimensionality": 2,
        "rlnOriginalImageSize": model.box,
        "rlnCurrentResolution": min(model.resolution_A, NO_RESOLUTION_A),
        "rlnCurrentImageSize": model.image_size,
        "rlnPaddingFactor": 2.0,
        "rlnIsHelix": 0,
        "rlnFourierSpaceInterpolator": 1,
        "rlnMinRadiusNnInterpolation": 10,
        "rlnPixelSize": model.voxel_size_A,
        "rlnNrClasses": 1,
        "rlnNrBodies": 1,
        "rlnNrGroups": len(model.groups.names),
        "rlnNrOpticsGroups": len(model.noise_sd),
        "rlnTau2FudgeFactor": 1.0,
        "rlnNormCorrectionAverage": 1.0,
        "rlnSigmaOffsetsAngst": model.shift_sd_A,
        "rlnOrientationalPriorMode": 0,
        "rlnSigmaPriorRotAngle": 0.0,
        "rlnSigmaPriorTiltAngle": 0.0,
        "rlnSigmaPriorPsiAngle": 0.0,
        "rlnLogLikelihood": model.log_likelihood,
        "rlnAveragePmax": model.max_probability,
    }


def _classes(model: Model) -> dict[str, np.ndarray]:
    values = {
        "rlnClassDistribution": 1.0,
        "rlnAccuracyRotations": _known(model.accuracy_rotation_deg),
        "rlnAccuracyTranslationsAngst": _known(model.accuracy_shift_A),
        "rlnEstimatedResolution": min(model.resolution_A, NO_RESOLUTION_A),
    }
    name = np.array([model.map_file], dtype=object)
    return {"rlnReferenceImage": name, **{tag: np.array([value]) for tag, value in values.items()}}


def _shells(model: Model) -> dict[str, np.ndarray]:
    """Signal and noise of the map: SSNR = F / (1 - F), tau^2 = SSNR sigma^2. Scheres & Chen 2012."""
    shells = np.arange(model.box // 2 + 1)
    curve = _padded(model.fsc, len(shells), 0.0)
    trusted = np.clip(curve, LEAST_FSC, MOST_FSC)
    trusted = np.sqrt(2 * trusted / (1 + trusted)) if model.joined else trusted
    ssnr = np.minimum(trusted / (1 - trusted), NO_RESOLUTION_A)
    columns = {
        "rlnSpectralIndex": shells,
        "rlnResolution": shells / (model.box * model.voxel_size_A),
        "rlnAngstromResolution": _angstrom(shells, model),
        "rlnSsnrMap": ssnr,
        "rlnGoldStandardFsc": curve,
    }
    if model.variance is not None:
        variance = _padded(model.variance, len(shells), 0.0)
        columns |= {"rlnReferenceSigma2": variance, "rlnReferenceTau2": ssnr * variance}
    return columns


def _groups(model: Model) -> dict[str, np.ndarray]:
    """Scales of single particles are in their rlnCtfScalefactor: that of the group is what is left, the grey scale.

    Their product is what a projection is to be multiplied by to be like the image.
    """
    n = len(model.groups.names)
    return {
        "rlnGroupNumber": np.arange(1, n + 1),
        "rlnGroupName": np.array(model.groups.names, dtype=object),
        "rlnGroupNrParticles": model.counts,
        "rlnGroupScaleCorrection": model.greys,
        "halfmapGroupScale": model.scales,
    }


def _spectrum(model: Model, noise_sd: np.ndarray) -> dict[str, np.ndarray]:
    """RELION's variance is that of the real and of the imaginary part, each.

    Of the image as a whole: where RELION masks images with zeros it writes that of the masked one, which is less.
    """
    shells = np.arange(model.box // 2 + 1)
    return {
        "rlnSpectralIndex": shells,
        "rlnResolution": shells / (model.box * model.voxel_size_A),
        "rlnSigma2Noise": _padded(noise_sd**2 / 2, len(shells), None),
    }


def _angstrom(shells: np.ndarray, model: Model) -> np.ndarray:
    return np.where(shells > 0, model.box * model.voxel_size_A / np.maximum(shells, 1), NO_RESOLUTION_A)


def _padded(values: np.ndarray, count: int, fill: float | None) -> np.ndarray:
    """The first ``count`` values, ``fill`` or the last one behind them."""
    short = count - len(values)
    if short <= 0:
        return values[:count]
    return np.concatenate([values, np.full(short, values[-1] if fill is None else fill)])


def _known(value: float | None) -> float:
    """A number that is not known yet, as RELION writes it."""
    return NO_RESOLUTION_A if value is None else value
