"""Cores and memory of the machine."""

import os
import resource
import subprocess
import sys

import pytest

from halfmap import device


def test_threads_are_the_cores_of_this_process_unless_set():
    code = "from halfmap import device; print(device.threads()); device.set_threads(1); print(device.threads())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(os.sched_getaffinity(0))), "1"]


def test_more_threads_than_cores_can_be_asked_for():
    code = "from halfmap import device; device.set_threads(4096); print(device.threads())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4096"]


def test_memory_now_is_part_of_its_peak():
    # the kernel counts pages of a process in batches per processor: up to 64 pages of 4 kB a core lag behind
    assert 0 < device.memory_GB() <= device.peak_memory_GB() + 0.01


def test_peak_memory_never_falls():
    before = device.peak_memory_GB()
    block = bytearray(50_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert device.peak_memory_GB() >= before > 0


LIMIT, USED, KEPT = 4_000_000_000, 1_500_000_000, 500_000_000


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups of another machine; returns how to write one: its folder, the files in it."""
    monkeypatch.setattr(device, "CGROUP", tmp_path)
    monkeypatch.setattr(device, "MEMBERSHIP", tmp_path / "membership")

    def write(folder, **files):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tmp_path / folder / f"memory.{name}").write_text(f"{text}\n")

    return write


def test_the_limit_of_a_group_around_counts_in_both_versions_of_control_groups(groups, tmp_path):
    (tmp_path / "membership").write_text("0::/slurm/job_5/step_batch\n")
    groups("slurm/job_5/step_batch", max="max", current=USED)
    groups("slurm/job_5", max=LIMIT, current=USED, stat=f"anon 5\ninactive_file {KEPT}")
    assert device.available_memory_GB() == pytest.approx((LIMIT - USED + KEPT) / 1e9)
    assert device.headroom_GB() == pytest.approx(LIMIT / 1e9 - device.memory_GB(), abs=0.1)

    (tmp_path / "membership").write_text("9:cpu:/else\n4:memory:/slurm/uid_0/job_6\n")
    groups("memory/slurm/uid_0/job_6", limit_in_bytes=2 * LIMIT, usage_in_bytes=USED)
    groups("memory", limit_in_bytes=2**63 - 4096, usage_in_bytes=USED)
    assert device.headroom_GB() == pytest.approx(2 * LIMIT / 1e9 - device.memory_GB(), abs=0.1)


def test_without_control_groups_nothing_is_limited(groups):
    assert device.headroom_GB() == float("inf") or resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


@pytest.mark.parametrize("told, megabytes", [
    ({"NODE": "3000"}, 3000),
    ({"CPU": "1000"}, 2000),
    ({"NODE": "0"}, None),  # all of the node
])  # fmt: skip
def test_memory_that_slurm_gave_is_a_limit(groups, monkeypatch, told, megabytes):
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "2")
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_MEM_PER_{name}", value)
    expected = float("inf") if megabytes is None else megabytes * 2**20 / 1e9 - device.memory_GB()
    assert device.headroom_GB() == pytest.approx(expected, abs=0.1)


def test_a_job_takes_the_cores_that_slurm_gave(monkeypatch):
    monkeypatch.setattr(device, "_threads", None)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    assert device.threads() == 1
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4096")
    assert device.threads() == len(os.sched_getaffinity(0))
