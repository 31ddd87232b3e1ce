"""A map that grows from nothing, stopped at any moment and resumed, ends as if it had never stopped, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from halfmap.data import relion
from halfmap.jobs.running import checkpoint, growths, kept
from tests.refine import made

STEPS = ["--initial-resolution", "40", "--max-resolution", "28", "--num-initial-iterations", "8",
         "--num-final-iterations", "4", "--fourier-radius-step", "0.25", "--initial-minibatch-size", "40",
         "--minibatch-size", "40", "--particle-diameter", "140", "--threads", "2", "--seed", "3"]  # fmt: skip
JOBS = {
    "abinitio": ["--starts", "2", "--final-passes", "1", "--symmetry", "D2"],
    "abinitio-refine": ["--starts", "1", "--max-iterations", "2", "--max-restarts", "1", "--symmetry", "D2"],
}
RESULTS = {"abinitio": ("map.mrc", "particles.star"), "abinitio-refine": ("half1.mrc", "half2.mrc", "particles.star")}
# where to strike: at so many steps of all growths, or while the checkpoint of so many is being written
MOMENTS = {"first start": 14, "second start": 18, "best start": 27, "checkpoint": "growth_020"}

STRIKE = """
import os, signal, sys
from halfmap.cli import main
from halfmap.jobs.running import events

moment, steps, tell, rename = sys.argv[1], [0], events.Watch.tell, os.rename


def told(self, kind, **data):
    tell(self, kind, **data)
    steps[0] += kind == "progress" and data["stage"] == "ab-initio"
    if moment == str(steps[0]):
        os.kill(os.getpid(), signal.SIGKILL)


def renamed(source, target):
    if source.name == f"{moment}.part":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)


events.Watch.tell, os.rename = told, renamed
sys.exit(main.main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with particles."""
    folder = tmp_path_factory.mktemp("resume")
    relion.write(folder / "particles.star", made.experiment(folder, 300, snr=3.0).told())
    return folder


@pytest.fixture(scope="module")
def whole(work):
    """The results of runs nobody disturbed, by job."""
    for job in JOBS:
        assert halfmap(work, *command(job, f"{job}-whole")).returncode == 0
    return {job: work / f"{job}-whole" for job in JOBS}


def command(job: str, out: str) -> list[str]:
    return [job, "particles.star", "--out", out, *STEPS, *JOBS[job], "--no-intermediate-plots"]


def halfmap(folder, *arguments, before=("-m", "halfmap.cli.main")):
    return subprocess.run([sys.executable, *before, *arguments], cwd=folder, capture_output=True, text=True)


def struck(work, job, out, moment):
    killed = halfmap(work, *command(job, out), before=("-c", STRIKE, str(moment)))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not list((work / out).glob("*.mrc"))


def steps_of(folder) -> list[int]:
    """Steps of the growth that were told of, in order of time."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event["steps"] for event in events if event["kind"] == "checkpoint" and "steps" in event]


def same(work, out, whole) -> bool:
    job = next(job for job in JOBS if (work / out / "job.json").read_text().count(f'"job": "{job}"'))
    return all((work / out / name).read_bytes() == (whole[job] / name).read_bytes() for name in RESULTS[job])


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_growth_killed_resumes_to_the_same_map_and_poses(moment, work, whole):
    out = moment.replace(" ", "-")
    struck(work, "abinitio", out, MOMENTS[moment])
    before = steps_of(work / out)
    resumed = halfmap(work, "resume", out)
    assert resumed.returncode == 0, resumed.stderr
    assert same(work, out, whole)
    told = [json.loads((place / "summary.json").read_text()) for place in (work / out, whole["abinitio"])]
    for name in ("verdict", "evidence", "phases", "evidence_of_starts", "steps", "resolution_A"):
        assert told[0][name] == told[1][name], name
    assert not set(before) & set(steps_of(work / out)[len(before):])  # no step that was kept is done again
    assert [path.name for path in (work / out).rglob("*") if path.suffix in (".tmp", ".part")] == []


@pytest.mark.parametrize("moment", [12, 31])
def test_halves_that_grow_apart_resume_to_the_same_half_maps(moment, work, whole):
    out = f"half-{moment}"
    struck(work, "abinitio-refine", out, moment)
    assert halfmap(work, "resume", out).returncode == 0
    assert same(work, out, whole)


def test_a_request_to_stop_ends_the_growth_at_its_next_batch(work, whole):
    process = subprocess.Popen([sys.executable, "-m", "halfmap.cli.main", *command("abinitio", "stopped")], cwd=work,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    events = work / "stopped" / "events.jsonl"
    while process.poll() is None and not (events.is_file() and '"checkpoint"' in events.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 5 and not (work / "stopped" / "map.mrc").exists()
    assert halfmap(work, *command("abinitio", "stopped"), "--resume").returncode == 0
    assert same(work, "stopped", whole)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(work, whole):
    struck(work, "abinitio", "damaged", 24)
    newest = kept.path_of(work / "damaged", 20, kept.GROWTH) / checkpoint.STATE
    os.truncate(newest, newest.stat().st_size // 2)
    resumed = halfmap(work, "resume", "damaged")
    assert resumed.returncode == 0 and "growth_020/state.npz" in resumed.stderr
    assert same(work, "damaged", whole)


def test_settings_of_a_growth_cannot_change_when_it_goes_on(work):
    struck(work, "abinitio", "changed", 12)
    refused = halfmap(work, *command("abinitio", "changed"), "--resume", "--offset-range", "5")
    assert refused.returncode == 2 and "offset_range_A was 10.0" in refused.stderr


def test_no_other_job_goes_on_from_a_growth(work, whole):
    place = kept.listed(whole["abinitio-refine"], kept.GROWTH)[-1]
    refused = halfmap(work, *command("abinitio-refine", "never"), "--continue-from", str(place))
    assert refused.returncode == 3 and "a map that grows" in refused.stderr


def test_a_growth_read_back_is_the_one_written(whole):
    place = kept.listed(whole["abinitio-refine"], kept.GROWTH)[-1]
    snapshots = checkpoint.content(place, growths.unpacked)
    assert len(snapshots) >= 2 and all(one.state.found for one in snapshots)
    packed, twice = growths.packed(snapshots), growths.packed(growths.unpacked(growths.packed(snapshots)))
    assert packed.keys() == twice.keys()
    for name, values in packed.items():
        assert values.dtype == twice[name].dtype and values.tobytes() == twice[name].tobytes(), name
