"""A map that grows from nothing, stopped at any moment and resumed, ends as if it had never stopped, bit for bit.

Jobs that are killed run in processes forked off this one, where all is imported and compiled already, and draw nothing;
they are resumed in this one. One job is started and stopped as a user does it.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback

import pytest

from halfmap.align import maps
from halfmap.cli import main
from halfmap.data import relion
from halfmap.jobs.pictures import painter
from halfmap.jobs.running import checkpoint, events, growths, kept
from halfmap.kernels import threads
from tests.jobs.conftest import NoPlots
from tests.refine import made

STEPS = ["--initial-resolution", "40", "--max-resolution", "28", "--num-initial-iterations", "8",
         "--num-final-iterations", "4", "--fourier-radius-step", "0.25", "--initial-minibatch-size", "40",
         "--minibatch-epsilon", "0.01", "--particle-diameter", "140", "--threads", "2", "--seed", "3"]  # fmt: skip
JOBS = {
    "abinitio": ["abinitio", "--starts", "2", "--final-passes", "1", "--symmetry", "D2"],
    "classes": ["abinitio", "--starts", "1", "--final-passes", "2", "--classes", "2"],
    "halves": ["abinitio-refine", "--starts", "1", "--max-iterations", "2", "--max-restarts", "1", "--symmetry", "D2"],
}
RESULTS = {"abinitio": ("map.mrc", "particles.star"), "classes": ("map_class1.mrc", "map_class2.mrc", "particles.star"),
           "halves": ("half1.mrc", "half2.mrc", "particles.star")}  # fmt: skip
# where to strike: at so many steps of all growths, or while the checkpoint of so many is being written
MOMENTS = {"first start": 14, "second start": 18, "best start": 27, "checkpoint": "growth_020"}
# where to strike in what follows a growth: a job, and how many iterations it has told of
PASSES = {"passes of all": ("classes", 1), "passes of class 1": ("classes", 3), "passes of class 2": ("classes", 5),
          "halves": ("halves", 1)}  # fmt: skip
FAILED = 99


@pytest.fixture(scope="module", autouse=True)
def quick():
    """No plots; maps are brought onto each other by a coarse search of few shells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painter, "Painter", NoPlots)
        for name, value in (("GRID_ORDER", 2), ("FINE_SHELLS", 10), ("STARTS", 4), ("FINALISTS", 2)):
            patch.setattr(maps, name, value)
        yield


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
        assert main.main(command(work, job, f"{job}-whole")) == 0
    return {job: work / f"{job}-whole" for job in JOBS}


def command(work, job: str, out: str) -> list[str]:
    name, *flags = JOBS[job]
    return [name, str(work / "particles.star"), "--out", str(work / out), *STEPS, *flags, "--no-intermediate-plots"]


def strike(moment: int | str, iterations: int):
    """Have this process killed at step ``moment``, while the checkpoint ``moment`` is written, or in the first thing
    it does once the checkpoint after so many ``iterations`` lies there.
    """
    steps, seen, due, tell, rename = [0], [0], [False], events.Watch.tell, os.rename

    def told(self, kind, **data):
        tell(self, kind, **data)
        steps[0] += kind == "progress" and data["stage"] == "ab-initio"
        if moment == steps[0] or (due[0] and kind == "progress"):
            os.kill(os.getpid(), signal.SIGKILL)
        seen[0] += kind == "iteration"
        due[0] = due[0] or (kind == "checkpoint" and seen[0] == iterations)

    def renamed(source, target):
        if source.name == f"{moment}.part":
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    events.Watch.tell, os.rename = told, renamed


def struck(work, job, out, moment: int | str = "", iterations: int = -1):
    """Start a job in a process of its own, and see it killed."""
    child = os.fork()
    if not child:
        threads._pool.cache_clear()  # its threads have stayed behind
        try:
            strike(moment, iterations)
            main.main(command(work, job, out))
        except BaseException:  # a fork of the test run must not go on with its tests; its exit is what tells
            traceback.print_exc()
        os._exit(FAILED)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not list((work / out).glob("*.mrc"))


def of_kind(folder, kind: str) -> list[dict]:
    """Events, in order of time."""
    told = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event for event in told if event["kind"] == kind]


def steps_of(folder) -> list[int]:
    """Steps of the growth that were told of."""
    return [event["steps"] for event in of_kind(folder, "checkpoint") if "steps" in event]


def iterations_of(folder) -> list[tuple]:
    """Iterations of the passes that were told of."""
    return [(event.get("whose"), event["iteration"]) for event in of_kind(folder, "iteration")]


def same(work, out, job, whole) -> bool:
    assert [path.name for path in (work / out).rglob("*") if path.suffix in (".tmp", ".part")] == []
    return all((work / out / name).read_bytes() == (whole[job] / name).read_bytes() for name in RESULTS[job])


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_growth_killed_resumes_to_the_same_map_and_poses(moment, work, whole):
    out = moment.replace(" ", "-")
    struck(work, "abinitio", out, MOMENTS[moment])
    before = steps_of(work / out)
    assert main.main(["resume", str(work / out)]) == 0
    assert same(work, out, "abinitio", whole)
    told = [json.loads((place / "summary.json").read_text()) for place in (work / out, whole["abinitio"])]
    for name in ("verdict", "evidence", "phases", "evidence_of_starts", "steps", "resolution_A"):
        assert told[0][name] == told[1][name], name
    assert not set(before) & set(steps_of(work / out)[len(before):])  # no step that was kept is done again


@pytest.mark.parametrize("moment", [12, 31])
def test_halves_that_grow_apart_resume_to_the_same_half_maps(moment, work, whole):
    out = f"half-{moment}"
    struck(work, "halves", out, moment)
    assert main.main(["resume", str(work / out)]) == 0
    assert same(work, out, "halves", whole)


@pytest.mark.parametrize("moment", PASSES)
def test_passes_after_a_growth_that_are_killed_resume_and_none_that_was_kept_is_done_again(moment, work, whole):
    job, iterations = PASSES[moment]
    out = f"after-{moment.replace(' ', '-')}"
    struck(work, job, out, iterations=iterations)
    steps, passes = steps_of(work / out), iterations_of(work / out)
    assert len(passes) == iterations and passes == iterations_of(whole[job])[:iterations]
    assert main.main(["resume", str(work / out)]) == 0
    assert same(work, out, job, whole)
    assert iterations_of(work / out) == iterations_of(whole[job])
    assert steps_of(work / out)[len(steps):] == [step for step in steps_of(whole[job]) if step not in steps]
    told = [json.loads((place / "summary.json").read_text()) for place in (work / out, whole[job])]
    for name in ("warnings", "resolution_A", "n_particles", "found"):
        assert told[0][name] == told[1][name], name


def test_a_request_to_stop_ends_the_growth_at_its_next_batch(work, whole):
    start = [sys.executable, "-m", "halfmap.cli.main", *command(work, "abinitio", "stopped")]
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    told = work / "stopped" / "events.jsonl"
    while process.poll() is None and not (told.is_file() and '"checkpoint"' in told.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 5 and not (work / "stopped" / "map.mrc").exists()
    assert main.main([*command(work, "abinitio", "stopped"), "--resume"]) == 0
    assert same(work, "stopped", "abinitio", whole)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(work, whole, capfd):
    struck(work, "abinitio", "damaged", 24)
    newest = kept.path_of(work / "damaged", 20, kept.GROWTH) / checkpoint.STATE
    os.truncate(newest, newest.stat().st_size // 2)
    assert main.main(["resume", str(work / "damaged")]) == 0
    assert "growth_020/state.npz" in capfd.readouterr().err
    assert same(work, "damaged", "abinitio", whole)


def test_settings_of_a_growth_cannot_change_when_it_goes_on(work, capfd):
    struck(work, "abinitio", "changed", 12)
    assert main.main([*command(work, "abinitio", "changed"), "--resume", "--offset-range", "5"]) == 2
    assert "offset_range_A was None" in capfd.readouterr().err


def test_no_other_job_goes_on_from_a_growth(work, whole, capfd):
    place = kept.listed(whole["halves"], kept.GROWTH)[-1]
    assert main.main([*command(work, "halves", "never"), "--continue-from", str(place)]) == 3
    assert "a map that grows" in capfd.readouterr().err


@pytest.mark.parametrize("job", ["classes", "halves"])
def test_a_growth_read_back_is_the_one_written(job, whole):
    place = kept.listed(whole[job], kept.GROWTH)[-1]
    snapshots = checkpoint.content(place, growths.unpacked)
    assert len(snapshots) >= 2 and all(one.state.found for one in snapshots if hasattr(one.state, "found"))
    packed, twice = growths.packed(snapshots), growths.packed(growths.unpacked(growths.packed(snapshots)))
    assert packed.keys() == twice.keys()
    for name, values in packed.items():
        assert values.dtype == twice[name].dtype and values.tobytes() == twice[name].tobytes(), name
