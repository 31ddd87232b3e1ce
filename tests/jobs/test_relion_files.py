"""RELION's files of a small refinement: complete, and saying what the refinement knows."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfmap.data import relion, relion_run
from halfmap.io import mrc, star
from halfmap.jobs.refinement import relion_files
from halfmap.jobs.running import events, record, results
from halfmap.params.auto import Auto
from halfmap.refine import loop, recipes
from halfmap.refine.state import Keeper
from tests.refine import made

OF_ITERATION = "data.star half1_model.star half2_model.star optimiser.star sampling.star half1_class001.mrc " \
    "half2_class001.mrc".split()
OF_RESULT = "data.star model.star optimiser.star sampling.star class001.mrc half1_class001_unfil.mrc " \
    "half2_class001_unfil.mrc".split()


class Seen(Keeper):
    """Remembers every state it was shown."""

    def __init__(self):
        self.states, self.jobs, self.kept = [], [], []

    def look(self, job, state, plan, sums):
        self.states.append(state)
        self.jobs.append(job)

    def keep(self, snapshot):
        self.kept.append(snapshot)


class Both(relion_files.OfIterations):
    """Lets the inner keeper look as well."""

    def look(self, job, state, plan, sums):
        self._inner.look(job, state, plan, sums)
        super().look(job, state, plan, sums)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(folder, outcome, what was seen, particles) of three iterations; two micrographs, fitted scales."""
    folder = tmp_path_factory.mktemp("run")
    data = made.experiment(folder, n=120)
    names = np.array([f"MotionCorr/mic{row % 2}.mrc" for row in range(120)], dtype=object)
    told = replace(data.told(), columns={"rlnMicrographName": names})
    params = Auto(particles=Path("p"), volume=Path("v"), out=folder / "job", symmetry="D2", max_iterations=2, seed=1,
                  per_particle_scale=True)  # fmt: skip
    (folder / "job").mkdir()
    watch = events.Watch(folder / "job")
    watch.hand_over("diagnostics", lambda made: None)
    inner = Seen()
    keeper = Both(inner, params, folder / "job")
    before = Path.cwd()
    os.chdir(folder)
    try:
        outcome = loop.run(recipes.auto(params), told, data.map, None, np.random.default_rng(1), watch, keeper)
        results.write(outcome, told, params, folder / "job", watch)
        keeper.finish(outcome, watch)
    finally:
        os.chdir(before)
    return folder / "job", outcome, inner, told


def table(folder, name, block):
    return star.read(folder / name)[block]


def test_every_file_is_there_from_iteration_zero_on(done):
    folder, outcome, *_ = done
    for iteration in range(len(outcome.history)):
        for name in OF_ITERATION:
            assert (folder / f"run_it{iteration:03d}_{name}").is_file()
    for name in OF_RESULT:
        assert (folder / f"run_{name}").is_file()


def test_snapshots_reach_the_other_keeper(done):
    assert len(done[2].kept) == len(done[1].history) - 1


def test_maps_of_an_iteration_are_its_references_on_the_grid_of_the_result(done):
    folder, outcome, seen, _ = done
    state = seen.states[1]
    for half in (0, 1):
        written = mrc.read(folder / f"run_it001_half{half + 1}_class001.mrc")
        assert (written.box, written.voxel_size_A) == (outcome.half1.box, pytest.approx(outcome.half1.voxel_size_A))
        small = state.reference(half)
        # Fourier padding keeps the mean and the value at the centre
        assert written.data.mean() == pytest.approx(small.data.mean(), rel=1e-3)
        assert written.data[(written.box // 2,) * 3] == pytest.approx(small.data[(small.box // 2,) * 3], rel=1e-3)


def test_poses_of_an_iteration_are_those_found(done):
    folder, _, seen, _ = done
    found = relion.read_table(folder / "run_it002_data.star")
    state = seen.states[2]
    assert len(found) == len(state.scale)
    assert made.symmetry.distance(found.poses.rotations, state.poses.rotations, made.GROUP).max() < 1e-6
    np.testing.assert_allclose(found.poses.shifts_A, state.poses.shifts_A, atol=1e-5)
    np.testing.assert_array_equal(found.half, seen.jobs[2].half)


def test_columns_say_how_well_each_particle_is_known(done):
    folder, outcome, seen, _ = done
    block = table(folder, "run_it001_data.star", "particles")
    state = seen.states[1]
    np.testing.assert_allclose(block.numbers("rlnLogLikeliContribution"), state.candidates.log_likelihood[:, 0], 1e-9)
    np.testing.assert_allclose(block.numbers("rlnMaxValueProbDistribution"), state.weights[:, 0], 1e-9)
    assert block.integers("rlnNrOfSignificantSamples").min() >= 1
    assert set(block.integers("rlnClassNumber")) == {1} and set(block.numbers("rlnNormCorrection")) == {1.0}
    assert set(block.integers("rlnGroupNumber")) == {1, 2}


def test_before_the_first_iteration_nothing_is_claimed(done):
    block = table(done[0], "run_it000_data.star", "particles")
    assert not block.numbers("rlnLogLikeliContribution").any()
    assert table(done[0], "run_it000_half1_model.star", "model_classes").numbers("rlnAccuracyRotations")[0] == 999


def test_groups_are_micrographs_and_their_scale_times_that_of_the_particle_is_the_whole(done):
    folder, _, seen, told = done
    state, job = seen.states[2], seen.jobs[2]
    groups = table(folder, "run_it002_half1_model.star", "model_groups")
    assert groups.strings("rlnGroupName") == ["MotionCorr/mic0.mrc", "MotionCorr/mic1.mrc"]
    first = np.flatnonzero(job.half == 1)
    np.testing.assert_array_equal(groups.integers("rlnGroupNrParticles"), np.bincount(first % 2))
    particles = table(folder, "run_it002_data.star", "particles")
    grey = groups.numbers("rlnGroupScaleCorrection")[particles.integers("rlnGroupNumber") - 1]
    whole = grey * particles.numbers("rlnCtfScalefactor")
    np.testing.assert_allclose(whole, state.models[0].grey * state.scale * told.defocus.scale, rtol=1e-6)
    mean = [state.scale[first[first % 2 == group]].mean() for group in (0, 1)]
    np.testing.assert_allclose(groups.numbers("halfmapGroupScale"), mean)


def test_the_model_says_curve_signal_and_noise(done):
    folder, _, seen, _ = done
    shells = table(folder, "run_it002_half1_model.star", "model_class_1")
    curve = seen.states[2].curves["corrected"].values
    fsc = shells.numbers("rlnGoldStandardFsc")
    np.testing.assert_allclose(fsc[: len(curve)], curve[: len(fsc)], atol=1e-9)
    trusted = np.clip(fsc, 0.001, 0.999)
    np.testing.assert_allclose(shells.numbers("rlnSsnrMap"), trusted / (1 - trusted), rtol=1e-6)
    product = shells.numbers("rlnSsnrMap") * shells.numbers("rlnReferenceSigma2")
    np.testing.assert_allclose(shells.numbers("rlnReferenceTau2"), product, rtol=1e-6)
    noise = table(folder, "run_it002_half1_model.star", "model_group_2").numbers("rlnSigma2Noise")
    np.testing.assert_allclose(noise, seen.states[2].models[0].noise_sd[: len(noise)] ** 2 / 2, rtol=1e-6)
    general = table(folder, "run_it002_half1_model.star", "model_general")
    assert general.numbers("rlnAveragePmax")[0] == pytest.approx(
        seen.states[2].weights[seen.jobs[2].half == 1, 0].mean(), rel=1e-9)


def test_the_variance_of_a_shell_is_that_between_the_halves(tmp_path):
    """Maps of known poses: the difference of both halves has eight times the variance that one part of their mean has.

    At shells where the images are noise; before a refinement the signal of the others counts as noise, too.
    """
    data = made.experiment(tmp_path, n=400)
    params = Auto(particles=Path("p"), volume=Path("v"), out=tmp_path, symmetry="D2")
    keeper = relion_files.OfResult(Keeper(), params, tmp_path)
    outcome = loop.run(made.reconstruction(), data.truth, None, None, np.random.default_rng(1), made.Heard(), keeper)
    box = outcome.half1.box
    difference = np.fft.fftshift(np.fft.fftn((outcome.half1.data - outcome.half2.data).astype(float))) / box**2
    grid = np.arange(box) - box // 2
    shell = np.rint(np.sqrt(grid[:, None, None] ** 2 + grid[:, None] ** 2 + grid**2)).astype(int).ravel()
    power = np.bincount(shell, (np.abs(difference) ** 2).ravel()) / np.bincount(shell)
    told = keeper._last.models[2].variance
    # 0.93 to 1.08 there: gaps between 400 views, and what is left of the signal
    assert told[12:16].mean() / (power[12:16].mean() / 8) == pytest.approx(1, abs=0.15)


def test_the_result_is_the_result_under_another_name(done):
    folder, outcome, *_ = done
    for name, own in relion_files.SAME.items():
        assert (folder / f"run_{own}.mrc").read_bytes() == (folder / f"{name}.mrc").read_bytes()
    ours, theirs = (table(folder, name, "particles") for name in ("particles.star", "run_data.star"))
    for tag in ("rlnImageName", "rlnAngleRot", "rlnOriginXAngst", "rlnRandomSubset", "rlnCtfScalefactor"):
        assert ours.strings(tag) == theirs.strings(tag)
    optimiser = table(folder, "run_optimiser.star", "optimiser_general")
    assert optimiser.integers("rlnHasConverged")[0] == 1
    assert optimiser.strings("rlnModelStarFile") == ["job/run_model.star"]


def test_files_name_each_other_from_the_working_folder(done):
    folder = done[0]
    optimiser = table(folder, "run_it001_optimiser.star", "optimiser_general")
    for tag in ("rlnModelStarFile", "rlnModelStarFile2", "rlnExperimentalDataStarFile", "rlnOrientSamplingStarFile"):
        assert (folder.parent / optimiser.strings(tag)[0]).is_file()
    assert optimiser.strings("rlnOutputRootName") == ["job/run"]
    classes = table(folder, "run_it001_half2_model.star", "model_classes")
    assert classes.strings("rlnReferenceImage") == ["job/run_it001_half2_class001.mrc"]


def test_the_log_says_what_it_took(done):
    assert "RELION's files: " in (done[0] / "log.txt").read_text()


@pytest.mark.parametrize("wanted, kind", [("off", relion_files.Silent), ("result", relion_files.OfResult),
                                          ("iterations", relion_files.OfIterations)])  # fmt: skip
def test_the_setting_decides_what_is_written(tmp_path, wanted, kind):
    params = Auto(particles=Path("p"), volume=Path("v"), out=tmp_path, relion_files=wanted)
    assert type(relion_files.beside(Keeper(), params, tmp_path)) is kind


def test_without_hard_links_the_result_is_copied(tmp_path, monkeypatch):
    def refused(old, new):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refused)
    (tmp_path / "a").write_text("map")
    relion_files._same(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "map"


def test_overwriting_a_job_takes_relions_files_away(tmp_path):
    for name in ("run_it003_data.star", "run_data.star", "run_half1_class001_unfil.mrc", "note.txt", "mine.txt"):
        (tmp_path / name).write_text("")
    record._clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("step, order", [(60, 0), (7.5, 3), (3.7, 4), (1.8, 5), (0.9, 6)])
def test_the_order_of_a_step_is_that_of_relions_window(step, order):
    assert relion_run.order_of(step) == order
