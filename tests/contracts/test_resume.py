"""A refinement stopped at any moment and resumed ends as if it had never stopped, to the last bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from halfmap.data import relion
from halfmap.io import mrc
from halfmap.jobs.running import checkpoint, kept
from tests.refine import made

RESULTS = ("half1.mrc", "half2.mrc", "map.mrc", "particles.star", "fsc.star")
# where to strike: first iteration and stage of a progress event; "checkpoint" strikes while one is being written,
# "result" when the map is written and has no name yet
MOMENTS = {"search": (1, "search"), "poses": (1, "poses"), "reconstruction": (2, "solve"),
           "checkpoint": (2, "checkpoint"), "result": (1, "result")}  # fmt: skip

STRIKE = """
import errno, os, signal, sys
from halfmap.cli import main
from halfmap.io import atomic
from halfmap.jobs.running import events

iteration, stage = int(sys.argv[1]), sys.argv[2]
done, tell, rename, replace = [0], events.Watch.tell, os.rename, os.replace


def told(self, kind, **data):
    tell(self, kind, **data)
    done[0] += kind == "iteration"
    if kind == "progress" and done[0] + 1 >= iteration and data["stage"] == stage:
        os.kill(os.getpid(), signal.SIGKILL)


def renamed(source, target):
    if stage == "checkpoint" and source.name == f"it_{iteration:03d}.part":
        os.kill(os.getpid(), signal.SIGKILL)
    if stage == "full disk" and source.name == f"it_{iteration:03d}.part":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    rename(source, target)


def replaced(source, target):
    if stage == "result" and os.path.basename(target) == "map.mrc":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)


events.Watch.tell, os.rename, os.replace = told, renamed, replaced
sys.exit(main.main(sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with particles, a starting map, and the results of a run nobody disturbed."""
    folder = tmp_path_factory.mktemp("resume")
    one = made.experiment(folder, 120)
    relion.write(folder / "particles.star", one.told())
    mrc.write(folder / "start.mrc", one.map)
    assert halfmap(folder, *command("whole")).returncode == 0
    return folder


def command(out: str, kind: str = "homogeneous") -> list[str]:
    return ["refine", kind, "--particles", "particles.star", "--volume", "start.mrc", "--symmetry", "D2",
            "--seed", "7", "--threads", "2", "--extra-final-passes", "1", "--per-particle-scale",
            "--out", out]  # fmt: skip


def halfmap(folder: Path, *arguments: str, before=("-m", "halfmap.cli.main")) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *before, *arguments], cwd=folder, capture_output=True, text=True)


def same(folder: Path, a: str, b: str) -> bool:
    return all((folder / a / name).read_bytes() == (folder / b / name).read_bytes() for name in RESULTS)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_refinement_resumes_to_the_same_result(moment, work):
    iteration, stage = MOMENTS[moment]
    killed = halfmap(work, *command(moment), before=("-c", STRIKE, str(iteration), stage))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (work / moment / "map.mrc").exists()
    resumed = halfmap(work, "resume", moment)
    assert resumed.returncode == 0, resumed.stderr
    assert same(work, moment, "whole")
    leftover = [path.name for path in (work / moment).rglob("*") if path.suffix in (".tmp", ".part")]
    assert leftover == []


def test_a_killed_nonuniform_refinement_resumes_to_the_same_result(work):
    assert halfmap(work, *command("local", "nonuniform"), "--max-iterations", "2").returncode == 0
    again = (*command("killed", "nonuniform"), "--max-iterations", "2")
    killed = halfmap(work, *again, before=("-c", STRIKE, "2", "solve"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = halfmap(work, "resume", "killed")
    assert resumed.returncode == 0, resumed.stderr
    assert same(work, "killed", "local")
    assert all((work / name / "local_filter.mrc").is_file() for name in ("killed", "local"))
    assert not (work / "whole" / "local_filter.mrc").exists()


def test_a_killed_automatic_refinement_resumes_to_the_same_result(work):
    flags = ("--initial-lowpass", "40", "--finer-sampling-faster", "--no-zero-mask")
    assert halfmap(work, *command("auto", "auto"), *flags).returncode == 0
    killed = halfmap(work, *command("broken", "auto"), *flags, before=("-c", STRIKE, "3", "solve"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert halfmap(work, "resume", "broken").returncode == 0
    assert same(work, "broken", "auto")


def test_a_refinement_whose_disk_fills_up_exits_4_and_goes_on_to_the_same_result(work):
    full = halfmap(work, *command("full"), before=("-c", STRIKE, "2", "full disk"))
    assert full.returncode == 4 and "no space left" in full.stderr and "bytes are free" in full.stderr
    assert [place.name for place in kept.listed(work / "full")] == ["it_001"]
    assert [path.name for path in (work / "full").rglob("*") if path.suffix in (".tmp", ".part")] == []
    assert json.loads((work / "full" / "summary.json").read_text())["status"] == "failed"
    resumed = halfmap(work, "resume", "full")
    assert resumed.returncode == 0, resumed.stderr
    assert same(work, "full", "whole")


WAYS = {"stopped": (signal.SIGINT,), "twice": (signal.SIGINT, signal.SIGINT), "walltime": (signal.SIGUSR1,),
        "terminated": (signal.SIGTERM,)}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_exits_5_and_the_job_resumes_with_the_same_command(way, work):
    process = subprocess.Popen([sys.executable, "-m", "halfmap.cli.main", *command(way)], cwd=work,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    events = work / way / "events.jsonl"
    while process.poll() is None and not (events.is_file() and '"checkpoint"' in events.read_text()):
        time.sleep(0.02)
    for number in WAYS[way]:
        process.send_signal(number)
        time.sleep(0.05)
    assert process.wait() == 5
    assert [path.name for path in (work / way).rglob("*") if path.suffix in (".tmp", ".part")] == []
    again = halfmap(work, *command(way), "--resume")
    assert again.returncode == 0 and "from its checkpoint" in again.stderr, again.stderr
    assert same(work, way, "whole")
    assert len(json.loads((work / way / "job.json").read_text())["resumed_from"]) == 1


def test_a_killed_refinement_of_a_project_that_is_then_moved_resumes_to_the_same_result(work):
    before, after = work / "project", work / "moved Ångström 結構"
    assert halfmap(work, "init", "project").returncode == 0
    for name in ("particles.star", "start.mrc"):
        shutil.copy(work / name, before / name)
    killed = halfmap(before, *command("J1"), before=("-c", STRIKE, "2", "solve"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before.rename(after)
    resumed = halfmap(after, "resume", "J1")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("half1.mrc", "half2.mrc", "map.mrc", "fsc.star"):
        assert (after / "J1" / name).read_bytes() == (work / "whole" / name).read_bytes()
    # in a project images are named from its root; all other columns are the same
    tables = ((folder / "particles.star").read_text().splitlines() for folder in (after / "J1", work / "whole"))
    moved, whole = ([line.split()[1:] for line in table if "@" in line] for table in tables)
    assert moved == whole and len(moved) == 120


@pytest.mark.parametrize("flag, value, message", [
    ("--symmetry", "C1", "symmetry was D2"),
    ("--seed", "8", "seed was 7"),
])  # fmt: skip
def test_what_was_settled_at_the_start_cannot_change(flag, value, message, work):
    out = f"change{value}"
    halfmap(work, *command(out), before=("-c", STRIKE, "1", "search"))
    changed = command(out)
    changed[changed.index(flag) + 1] = value
    refused = halfmap(work, *changed, "--resume")
    assert refused.returncode == 2
    assert message in refused.stderr


def test_a_finished_job_is_not_resumed(work):
    refused = halfmap(work, *command("whole"), "--resume")
    assert refused.returncode == 2 and "finished" in refused.stderr


def test_a_damaged_checkpoint_gives_way_to_the_one_before(work):
    killed = halfmap(work, *command("damaged"), before=("-c", STRIKE, "3", "solve"))
    assert killed.returncode == -signal.SIGKILL
    newest = kept.path_of(work / "damaged", 2) / checkpoint.STATE
    os.truncate(newest, newest.stat().st_size // 2)
    resumed = halfmap(work, "resume", "damaged")
    assert resumed.returncode == 0, resumed.stderr
    assert "it_002/state.npz" in resumed.stderr and "going on from the one before" in resumed.stderr
    assert same(work, "damaged", "whole")


def test_a_job_goes_on_from_a_checkpoint_of_another_to_the_same_result(work):
    earliest = kept.listed(work / "whole")[0].name
    assert halfmap(work, *command("branch"), "--continue-from", f"whole/checkpoints/{earliest}").returncode == 0
    assert same(work, "branch", "whole")
    record = json.loads((work / "branch" / "job.json").read_text())
    assert record["inputs"]["continue_from"]["path"].endswith(f"whole/checkpoints/{earliest}/manifest.json")
    events = (json.loads(line) for line in (work / "branch" / "events.jsonl").read_text().splitlines())
    first = [event["iteration"] for event in events if event["kind"] == "iteration"][0]
    assert first == 1 + int(earliest.removeprefix("it_"))


def test_a_job_goes_on_from_a_checkpoint_with_another_mask(work):
    earliest = kept.listed(work / "whole")[0].name
    ended = halfmap(work, "refine", "homogeneous", "--config", "whole/job.json", "--mask", "none",
                    "--continue-from", f"whole/checkpoints/{earliest}", "--out", "unmasked")  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "mask is none from here on; it was dynamic" in ended.stderr
    assert not same(work, "unmasked", "whole")


@pytest.mark.parametrize("changed, message", [
    (("--symmetry", "C1"), "symmetry was D2"),
    (("--seed", "8"), "seed was 7"),
    (("--particles", "others.star"), "particles is another file"),
])  # fmt: skip
def test_what_was_settled_is_settled_in_a_job_that_goes_on_too(changed, message, work):
    (work / "others.star").write_text((work / "particles.star").read_text() + "# another\n")
    refused = halfmap(work, "refine", "homogeneous", "--config", "whole/job.json", "--continue-from", "whole",
                      *changed, "--out", "never")  # fmt: skip
    assert refused.returncode == 2 and message in refused.stderr
    assert not (work / "never").exists()


def test_a_snapshot_read_back_is_the_one_written(work):
    snapshot = checkpoint.read(kept.chosen(work / "whole"))
    packed, twice = (checkpoint.packed(s) for s in (snapshot, checkpoint.unpacked(checkpoint.packed(snapshot))))
    assert packed.keys() == twice.keys()
    for name, values in packed.items():
        np.testing.assert_array_equal(values, twice[name])
