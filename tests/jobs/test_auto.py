"""`refine auto` as a user starts it: it finds poses, tells its course, and goes on from any iteration."""

import json

import numpy as np
import pytest

from halfmap.cli import main as cli
from halfmap.data import relion
from halfmap.io import mrc
from halfmap.jobs.running import kept
from halfmap.maps import masks
from halfmap.types import Map
from tests.refine import made

RESULTS = ("half1.mrc", "half2.mrc", "map.mrc", "particles.star", "fsc.star")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Particles, a starting map, a mask, and a finished job."""
    folder = tmp_path_factory.mktemp("auto")
    sample = made.experiment(folder, 160)
    relion.write(folder / "particles.star", sample.told())
    relion.write(folder / "truth.star", sample.truth)
    mrc.write(folder / "map.mrc", sample.map)
    mrc.write(folder / "mask.mrc", Map(masks.sphere(made.BOX, 10, 4), made.VOXEL_A))
    assert auto(folder, "whole") == 0
    return folder


def auto(folder, out, *flags) -> int:
    files = ["--particles", folder / "particles.star", "--volume", folder / "map.mrc", "--symmetry", "D2"]
    return cli.main(["refine", "auto", *map(str, files), "--seed", "7", "--initial-lowpass", "30", "--threads", "2",
                     "--no-intermediate-plots", "--out", str(folder / out), *map(str, flags)])  # fmt: skip


def going_on(folder, out, *flags) -> int:
    return cli.main(["refine", "auto", "--continue-from", str(folder / "whole"), "--out", str(folder / out),
                     *map(str, flags)])  # fmt: skip


def events(folder, kind) -> list[dict]:
    lines = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    return [event for event in lines if event["kind"] == kind]


def same(a, b) -> bool:
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in RESULTS)


def test_poses_are_found_and_the_course_is_told(work):
    folder = work / "whole"
    found, truth = relion.read(folder / "particles.star"), relion.read(work / "truth.star")
    assert np.median(made.error_deg(found, truth)) < 2
    rows = events(folder, "iteration")
    assert [row["iteration"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["searched_globally"] == 160 and rows[0]["angular_step_deg"] == 7.5
    assert rows[-1]["last"] and rows[-1]["converged"] and not rows[0]["last"]
    table = relion.read_table(folder / "particles.star").columns
    for column in ("rlnLogLikeliContribution", "rlnMaxValueProbDistribution", "rlnNrOfSignificantSamples",
                   "halfmapParticleProbability", "halfmapEffectivePoses"):
        assert column in table
    assert (folder / "plots" / "course.png").is_file() and (folder / "plots" / "matches.png").is_file()


def test_every_iteration_but_the_last_is_kept(work):
    numbers = [kept.iteration_of(place) for place in kept.listed(work / "whole")]
    assert numbers == list(range(1, len(events(work / "whole", "iteration"))))


def test_a_job_that_goes_on_from_an_iteration_unchanged_ends_as_the_earlier_one(work):
    assert going_on(work, "again", "--continue-iteration", 1) == 0
    assert same(work / "whole", work / "again")
    record = json.loads((work / "again" / "job.json").read_text())
    assert record["continued_from"]["folder"] == str(work / "whole") and record["continued_from"]["iteration"] == 1
    assert events(work / "again", "iteration")[0]["iteration"] == 2


def test_a_mask_may_be_changed_on_the_way_and_is_on_record(work):
    assert going_on(work, "masked", "--continue-iteration", 2, "--mask", work / "mask.mrc") == 0
    assert not same(work / "whole", work / "masked")
    told = [event["message"] for event in events(work / "masked", "warning")]
    assert any(str(work / "mask.mrc") in sentence and "from here on; it was dynamic" in sentence for sentence in told)
    record = json.loads((work / "masked" / "job.json").read_text())
    assert record["params"]["mask"] == str(work / "mask.mrc")
    assert record["continued_from"]["params"]["mask"] == "dynamic"
    assert "given mask" in events(work / "masked", "iteration")[0]["mask"]


def test_the_end_can_be_forced_on_the_way(work):
    assert going_on(work, "forced", "--continue-iteration", 1, "--force-convergence") == 0
    (row,) = events(work / "forced", "iteration")
    assert row["iteration"] == 2 and row["last"]


@pytest.mark.parametrize("flags, code, words", [
    (("--symmetry", "C1"), 2, "symmetry was D2"),
    (("--continue-iteration", 77), 3, "there are it_001"),
    (("--initial-lowpass", 50), 2, "initial_lowpass was 30"),
])  # fmt: skip
def test_what_an_iteration_cannot_change_is_refused(work, flags, code, words, capsys):
    assert going_on(work, "refused", *flags, "--dry-run") == code
    assert words in capsys.readouterr().err


def test_other_particles_are_refused(work, capsys):
    assert going_on(work, "refused", "--particles", work / "truth.star", "--dry-run") == 2
    assert "particles is another file" in capsys.readouterr().err


def test_a_checkpoint_may_be_named_by_its_folder(work):
    place = kept.listed(work / "whole")[0]
    assert kept.chosen(place) == kept.chosen(place, 2) == kept.chosen(work / "whole", 1) == place


def test_a_folder_without_checkpoints_is_refused(work, tmp_path, capsys):
    command = ["refine", "auto", "--continue-from", str(tmp_path), "--out", str(work / "refused"), "--dry-run"]
    assert cli.main(command) == 2
    assert "holds no refinement" in capsys.readouterr().err
