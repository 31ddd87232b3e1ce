"""Cores and memory of the machine."""

import os
import subprocess
import sys

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
