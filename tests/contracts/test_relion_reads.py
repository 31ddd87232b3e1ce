"""RELION reads a refinement of halfmap unchanged: poses, origins, CTF and axes, half-maps, tables.

Origin of the expectation: relion_reconstruct, relion_postprocess and relion_star_printtable of RELION 3.1.3 (Debian
package `relion`) run here, where they are installed; versions 3.1 to 5 read the same columns. RECORDED: the labels that
relion_refine 3.1.3 writes into the files of an iteration of 3D auto-refine.
"""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from halfmap.io import mrc, star
from halfmap.types import Map
from halfmap.validate import fsc

SYMMETRY = "O"

# Both programs lay the same images in at the same poses. They differ in how they interpolate and weight places of
# Fourier space that few images reach, most of all in the last shells before Nyquist. Octahedral symmetry, 1,000 images
# and a B-factor that ends the resolution at shell 20 of 24 leave 0.994 in the worst shell. All origins half a pixel off
# give 0.59 there, 0.3 pixels 0.89; origins of the wrong sign or transposed rotations less than 0. Without
# marginalization: a table has one pose of each image, and a map made at 1.9 of them agrees to 0.90 in the last shell.
AT_LEAST = 0.99
SIMULATED = ("-n", 1000, "--box-size", 48, "--pixel-size", 3, "--snr", 0.3, "--decay", 400, "--symmetry", SYMMETRY)

RECORDED = {
    "data": "AmplitudeContrast AnglePsi AngleRot AngleTilt ClassNumber CtfDataAreCtfPremultiplied DefocusAngle "
    "DefocusU DefocusV GroupNumber ImageDimensionality ImageName ImagePixelSize ImageSize LogLikeliContribution "
    "MaxValueProbDistribution NormCorrection NrOfSignificantSamples OpticsGroup OpticsGroupName OriginXAngst "
    "OriginYAngst RandomSubset SphericalAberration Voltage",
    "half1_model": "AccuracyRotations AccuracyTranslationsAngst AngstromResolution AveragePmax ClassDistribution "
    "CurrentImageSize CurrentResolution DataDimensionality EstimatedResolution FourierCompleteness "
    "FourierSpaceInterpolator GoldStandardFsc GroupName GroupNrParticles GroupNumber GroupScaleCorrection IsHelix "
    "LogLikelihood MinRadiusNnInterpolation NormCorrectionAverage NrBodies NrClasses NrGroups OrientationDistribution "
    "OrientationalPriorMode OriginalImageSize OverallFourierCompleteness PaddingFactor PixelSize "
    "ReferenceDimensionality ReferenceImage ReferenceSigma2 ReferenceTau2 Resolution Sigma2Noise "
    "SigmaOffsetsAngst SigmaPriorPsiAngle SigmaPriorRotAngle SigmaPriorTiltAngle SpectralIndex "
    "SpectralOrientabilityContribution SsnrMap Tau2FudgeFactor",
    "optimiser": "AdaptiveOversampleFraction AdaptiveOversampleOrder AutoLocalSearchesHealpixOrder "
    "BestResolutionThusFar BodyStarFile ChangesOptimalClasses ChangesOptimalOffsets ChangesOptimalOrientations "
    "CtfDataArePhaseFlipped CurrentIteration DoAutoRefine DoCorrectCtf DoCorrectNorm DoCorrectScale "
    "DoExternalReconstruct DoFastSubsetOptimisation DoHelicalRefine DoIgnoreCtfUntilFirstPeak DoMapEstimation "
    "DoOnlyFlipCtfPhases "
    "DoSkipAlign DoSkipRotate DoSolventFlattening DoSolventFscCorrection DoSplitRandomHalves DoStochasticEM "
    "DoStochasticGradientDescent DoZeroMask ExperimentalDataStarFile FixSigmaNoiseEstimates "
    "FixSigmaOffsetEstimates FourierMask HasConverged HasHighFscAtResolLimit HasLargeSizeIncreaseIterationsAgo "
    "HelicalCentralProportion HelicalKeepTiltPriorFixed HelicalMaskTubeInnerDiameter HelicalMaskTubeOuterDiameter "
    "HelicalRiseInitial HelicalSigmaDistance HelicalSymmetryLocalRefinement HelicalTwistInitial "
    "HighresLimitExpectation IgnoreHelicalSymmetry IncrementImageSize JoinHalvesUntilThisResolution "
    "LocalSymmetryFile LowresLimitExpectation MaxNumberOfPooledParticles MaximumCoarseImageSize ModelStarFile "
    "ModelStarFile2 NrHelicalNStart NumberOfIterWithoutChangingAssignments NumberOfIterWithoutResolutionGain "
    "NumberOfIterations OrientSamplingStarFile OutputRootName OverallAccuracyRotations "
    "OverallAccuracyTranslationsAngst ParticleDiameter RandomSeed RefsAreCtfCorrected SgdFinalIterations "
    "SgdFinalResolution SgdFinalSubsetSize SgdInBetweenIterations SgdInitialIterations SgdInitialResolution "
    "SgdInitialSubsetSize SgdMuFactor SgdSigma2FudgeHalflife SgdSigma2FudgeInitial SgdSkipAnneal SgdStepsize "
    "SgdSubsetSize SgdWriteEverySubset SmallestChangesClasses SmallestChangesOffsets SmallestChangesOrientations "
    "SolventMask2Name SolventMaskName TauSpectrumName WidthMaskEdge",
    "sampling": "AngleRot AngleTilt HealpixOrder HealpixOrderOriginal HelicalOffsetStep Is3DSampling "
    "Is3DTranslationalSampling OffsetRange OffsetRangeOriginal OffsetStep OffsetStepOriginal PsiStep PsiStepOriginal "
    "SamplingPerturbFactor SamplingPerturbInstance SymmetryGroup TiltAngleLimit",
}
# What halfmap has no counterpart of
LEFT_OUT = {
    "data": "",
    "optimiser": "",
    "half1_model": "FourierCompleteness OverallFourierCompleteness OrientationDistribution "
    "SpectralOrientabilityContribution",
    "sampling": "AngleRot AngleTilt HealpixOrderOriginal HelicalOffsetStep OffsetRangeOriginal OffsetStepOriginal "
    "PsiStepOriginal",
}
OF_LATER_VERSIONS = {"NrOpticsGroups"}  # RELION 4 and 5: spectra belong to optics groups


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed: no live comparison")


def run(*command, cwd=None):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def halfmap(*arguments, cwd):
    run(sys.executable, "-m", "halfmap.cli.main", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    """Folder of a refinement of simulated images: float32, for RELION 3.1 reads no float16."""
    folder = tmp_path_factory.mktemp("relion")
    halfmap("simulate", *SIMULATED, "--seed", 1, "--out", "simulated", cwd=folder)
    # a line of relion_refine
    halfmap("refine", "auto", "--i", "simulated/particles.star", "--ref", "simulated/map.mrc", "--sym", SYMMETRY,
            "--o", "Refine3D/job001/run", "--ini_high", 30, "--firstiter_cc", "--auto_ignore_angles",
            "--auto_resol_angles", "--random_seed", 1, "--no-marginalization", cwd=folder)  # fmt: skip
    return folder / "Refine3D" / "job001"


def labels(path):
    return set(re.findall(r"^_rln(\w+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("kind", RECORDED)
def test_recorded_labels_are_written_and_no_others(refined, kind):
    recorded, left_out = set(RECORDED[kind].split()), set(LEFT_OUT[kind].split())
    written = labels(refined / f"run_it001_{kind}.star") - OF_LATER_VERSIONS
    own = {"CtfScalefactor"} if kind == "data" else set()  # of simulated images: their contrast
    assert written - own == recorded - left_out


@needs("relion_reconstruct")
@pytest.mark.parametrize("table", ["particles.star", "run_data.star"])
def test_live_relion_reconstruct_makes_our_map_from_our_particles(refined, table):
    root = refined.parents[1]
    run("relion_reconstruct", "--i", refined / table, "--o", root / "relion.mrc", "--ctf", "--sym", SYMMETRY, cwd=root)
    halves = [mrc.read(refined / f"run_half{i}_class001_unfil.mrc") for i in (1, 2)]
    ours = Map((halves[0].data + halves[1].data) / 2, halves[0].voxel_size_A)
    curve = fsc.curve(ours, mrc.read(root / "relion.mrc"), mrc.read(refined / "mask_fsc.mrc").data)
    last = int(fsc.crossing(corrected(refined)))
    assert last >= 15  # of 24 shells: with less, the refinement failed and little is compared
    assert curve.values[1 : last + 1].min() > AT_LEAST


@needs("relion_postprocess")
def test_live_relion_postprocess_finds_our_resolution(refined):
    """The program finds the second half by the name of the first, and the voxel size in its header."""
    command = ["relion_postprocess", "--i", "run_half1_class001_unfil.mrc", "--mask", "mask_fsc.mrc", "--o", "post"]
    done = subprocess.run(command, cwd=refined, capture_output=True, text=True)
    assert (refined / "post.star").exists(), done.stdout + done.stderr  # without ghostscript it fails after that
    found = float((refined / "post.star").read_text().split("_rlnFinalResolution")[1].split()[0])
    curve = corrected(refined)
    length = curve.box * curve.voxel_size_A
    # RELION names the last shell above the threshold, ours is interpolated between it and the next
    assert abs(length / found - fsc.crossing(curve)) <= 1


@needs("relion_star_printtable")
@pytest.mark.parametrize("file, table, column", [
    ("run_data.star", "data_particles", "rlnMaxValueProbDistribution"),
    ("run_it001_data.star", "data_optics", "rlnVoltage"),
    ("run_model.star", "data_model_class_1", "rlnGoldStandardFsc"),
    ("run_it001_half2_model.star", "data_model_groups", "rlnGroupScaleCorrection"),
    ("run_it001_half1_model.star", "data_model_classes", "rlnEstimatedResolution"),
])  # fmt: skip
def test_live_relion_prints_our_tables(refined, file, table, column):
    printed = run("relion_star_printtable", refined / file, table, column).split()
    block = star.read(refined / file)[table.removeprefix("data_")]
    assert [float(value) for value in printed] == pytest.approx(block.numbers(column), rel=1e-5)


@needs("relion_particle_subtract")
def test_live_relion_subtracts_our_map_at_the_grey_scale_of_the_images(refined):
    """With nothing kept of the map, what is taken away is the projection: the image holds it once."""
    root = refined.parents[1]
    nothing = np.zeros((48,) * 3, np.float32)
    nothing[:2, :2, :2] = 1  # the program wants something to keep; here is no density
    mrc.write(root / "corner.mrc", Map(nothing, 3.0))
    optimiser = refined.relative_to(root) / "run_optimiser.star"
    run("relion_particle_subtract", "--i", optimiser, "--mask", "corner.mrc", "--o", "subtracted", cwd=root)
    table = star.read(root / "subtracted" / "particles_subtracted.star")["particles"]
    whole, rest = (mrc.read_images(root / names[0].split("@")[1], [int(name.split("@")[0]) - 1 for name in names])
                   for names in (table.strings("rlnImageOriginalName"), table.strings("rlnImageName")))
    taken = (whole - rest).astype(float)
    taken -= taken.mean((1, 2), keepdims=True)
    # 1 for a true map; this one follows the noise of its own images a little. 0.83 on real images without the scale
    assert (whole * taken).sum() / (taken**2).sum() == pytest.approx(1, abs=0.1)


def corrected(folder):
    """The curve of the halves inside the mask of the job."""
    pair = [mrc.read(folder / f"half{i}.mrc") for i in (1, 2)]
    return fsc.masked_and_corrected(*pair, mrc.read(folder / "mask_fsc.mrc").data)["corrected"]
