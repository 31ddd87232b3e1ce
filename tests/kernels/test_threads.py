"""Sharing of a kernel's loop among threads, and that a kernel computes the same whether compiled just now or before."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import halfmap
from halfmap import device
from halfmap.kernels import threads

KERNELS = Path(halfmap.__file__).parent / "kernels"
HASHED = """
import hashlib, numpy as np
from halfmap.kernels.normal_equations import cpu
rng = np.random.default_rng(0)
half, images = ((rng.standard_normal(s) + 1j * rng.standard_normal(s)).astype(np.complex64)
                for s in ((41, 41, 21), (5, 17, 9)))
ctf, which = rng.standard_normal((5, 17, 9)).astype(np.float32), np.arange(40) % 5
turns = np.linalg.qr(rng.standard_normal((40, 3, 3)))[0]
found = cpu.normal_equations(half, images, ctf, which, turns, np.full((40, 2), 0.01), 8, 2)
print(hashlib.sha256(b"".join(part.tobytes() for part in found)).hexdigest())
"""


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 100])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_index_is_visited_once(n, count, monkeypatch):
    monkeypatch.setattr(device, "_threads", count)
    visits, guard = [0] * n, threading.Lock()

    def loop(begin, end, step):
        for i in range(begin, end):
            with guard:
                visits[i] += step

    threads.share(loop, n, 3)
    assert visits == [3] * n


def test_a_fault_in_a_piece_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(device, "_threads", 2)

    def loop(begin, end):
        if begin > 0:
            raise ValueError("no such pixel")

    with pytest.raises(ValueError, match="no such pixel"):
        threads.share(loop, 100)


def test_the_first_run_after_an_installation_computes_what_later_ones_do(tmp_path):
    """Compiled in this process or taken from the cache: the same bits."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(KERNELS.parent.parent)}
    runs = [subprocess.run([sys.executable, "-c", HASHED], env=environment, capture_output=True, text=True, check=True)
            for _ in range(2)]
    assert list(tmp_path.rglob("*.nbc"))
    assert runs[0].stdout == runs[1].stdout


def test_no_kernel_uses_loops_that_compute_otherwise_when_taken_from_the_cache():
    """numba's parallel loops do, in the last bits: see `kernels.threads`."""
    assert [path for path in KERNELS.rglob("*.py") if "parallel=True" in path.read_text()] == []
