"""summary.json and --json: every key the documents promise is there and says what it means."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from halfmap.cli import main
from halfmap.data import relion
from halfmap.io import mrc, star
from tests.refine import made

DOCUMENT = Path(__file__).parents[2] / "docs" / "JOB_FOLDER.md"
OF_OTHER_JOBS = {"counts", "rows", "n_optics_groups", "n_half1", "n_half2", "has_poses"}
OF_OTHER_JOBS |= {"box_size", "voxel_size_A", "frame", "hand", "hand_tested", "information", "rotation_error_deg",
                  "shift_error_A", "aligned_to_A", "correlation_before", "correlation_after"}  # fmt: skip
OF_OTHER_JOBS |= {"n_parents", "n_templates", "n_micrographs", "pixel_size_A", "greyscale_slopes"}
OF_OTHER_JOBS |= {"fsc_threshold", "lowpass_A",
                  "local_resolution_median_A", "local_resolution_5_percent_A", "local_resolution_95_percent_A",
                  "unresolved", "tfar", "scf", "unsampled", "verdict"}  # fmt: skip
# the interface: what scripts may rely on whatever else is added
PROMISED = set(
    "job status resolution_A resolution_unmasked_A resolution_05_A nyquist_A bfactor_A2 symmetry n_particles "
    "n_rejected iterations seconds_total seconds_reading seconds_search seconds_poses seconds_reconstruct "
    "peak_memory_GB accuracy_rotation_deg accuracy_shift_A warnings".split()
)
STAGES = ("reading", "search", "poses", "reconstruct")


def documented() -> set[str]:
    """Keys in the first column of the table under "summary.json"."""
    section = DOCUMENT.read_text().split("## summary.json\n")[1].split("\n## ")[0]
    return {key for row in re.findall(r"^\| (.*?) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with 100 particles, one of them spoiled, and a starting map."""
    folder = tmp_path_factory.mktemp("summary")
    one = made.experiment(folder, 100)
    images = one.images.copy()
    images[4, 3, 3] = float("nan")
    told = made.stacked(folder / "spoiled.mrcs", images, one.told())
    relion.write(folder / "particles.star", told)
    mrc.write(folder / "start.mrc", one.map)
    return folder


def printed(out, *arguments) -> tuple[dict, Path]:
    """What a command wrote to standard output, and its folder."""
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        assert main.main([*arguments, "--out", str(out), "--json"]) == 0
    return json.loads(stream.getvalue()), out


@pytest.fixture(scope="module")
def refined(work):
    """(what --json printed, the folder) of a refinement without plots of iterations."""
    inputs = ["--particles", str(work / "particles.star"), "--volume", str(work / "start.mrc")]
    return printed(work / "refined", "refine", "homogeneous", *inputs, "--symmetry", "D2", "--max-iterations", "2",
                   "--seed", "1", "--no-intermediate-plots")  # fmt: skip


def test_standard_output_is_the_summary_of_the_folder(refined):
    summary, folder = refined
    assert summary == json.loads((folder / "summary.json").read_text())


def test_every_promised_key_is_documented():
    assert documented() >= PROMISED


def test_a_refinement_has_every_documented_key_and_no_other(refined):
    assert set(refined[0]) == documented() - OF_OTHER_JOBS


def test_the_keys_say_what_is_in_the_files(refined):
    summary, folder = refined
    curves = json.loads((folder / "fsc.json").read_text())
    assert summary["resolution_A"] == curves["crossings_A"]["corrected"]["0.143"]
    assert summary["resolution_05_A"] == curves["crossings_A"]["corrected"]["0.5"]
    assert summary["resolution_unmasked_A"] == curves["crossings_A"]["no_mask"]["0.143"]
    assert summary["nyquist_A"] == 2 * mrc.read_header(folder / "half1.mrc").voxel_size_A
    assert summary["n_particles"] == len(relion.read_table(folder / "particles.star")) == 99
    assert summary["n_rejected"] == len(relion.read_table(folder / "rejected.star")) == 1
    assert (summary["job"], summary["status"], summary["symmetry"]) == ("refine homogeneous", "finished", "D2")
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert summary["iterations"] == sum(event["kind"] == "iteration" for event in events)
    assert set(summary["warnings"]) >= {event["message"] for event in events if event["kind"] == "warning"}
    assert summary["bfactor_A2"] == json.loads((folder / "guinier.json").read_text())["bfactor_used_A2"]


def test_seconds_are_wall_time_and_parts_of_it(refined):
    summary, _ = refined
    parts = [summary[f"seconds_{stage}"] for stage in STAGES]
    assert all(part > 0 for part in parts) and sum(parts) < summary["seconds_total"]
    assert 0.05 < summary["peak_memory_GB"] < 64


def test_accuracies_are_medians_of_the_table(refined):
    summary, folder = refined
    columns = star.read(folder / "particles.star")["particles"].columns
    for key, column in (("accuracy_rotation_deg", "halfmapRotationSd"), ("accuracy_shift_A", "halfmapShiftSdAngst")):
        values = sorted(columns[column].astype(float))
        # of the 99: the one in the middle; 12 printed digits
        assert summary[key] == pytest.approx(values[len(values) // 2], rel=1e-6)


def test_a_job_that_fails_still_says_so_in_json(work, capsys):
    arguments = ["reconstruct", "--particles", str(work / "particles.star"), "--out", str(work / "failed"), "--json"]
    assert main.main(arguments) == 3
    summary = json.loads(capsys.readouterr().out)
    assert summary["status"] == "failed" and "no poses" in summary["faults"][0]


def test_fsc_has_the_keys_of_its_curves(refined, tmp_path):
    _, folder = refined
    halves = ["--half1", str(folder / "half1.mrc"), "--half2", str(folder / "half2.mrc")]
    summary, _ = printed(tmp_path / "fsc", "fsc", *halves)
    general = {"job", "status", "seconds_total", "peak_memory_GB", "warnings", "fsc_threshold"}
    assert set(summary) == general | {key for key in PROMISED if "resolution" in key} | {"nyquist_A", "bfactor_A2"}
