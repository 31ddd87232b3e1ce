""".ci/run passes on what `make test` says."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("status", [0, 2])
def test_the_exit_status_and_the_closing_lines_are_those_of_make(tmp_path, status):
    stub = tmp_path / "make"
    stub.write_text(f'#!/bin/sh\necho "called with $*"\necho "== 7 passed in 1 s =="\nexit {status}\n')
    stub.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([ROOT / ".ci" / "run"], capture_output=True, text=True, env=environment)
    assert done.returncode == status
    assert "called with test" in done.stdout
    assert "7 passed" in done.stdout.split("closing lines")[1]
