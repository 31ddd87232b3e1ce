"""The case study: its page tells its numbers, its pictures are small, its script runs."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from halfmap.cli.main import main as halfmap
from halfmap.jobs.pictures import painter

ROOT = Path(__file__).parents[2]
LARGEST, ALL = 150_000, 1_000_000  # bytes


class NoPainter:
    """Stands for the drawing process: the jobs' plots have tests of their own."""

    def __init__(self, folder):
        self.draw = str
        self.iteration = str

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture(scope="module")
def script():
    """The script as a module; what it adds to the path, and what it imports from there, is taken back."""
    path, before = list(sys.path), set(sys.modules)
    spec = importlib.util.spec_from_file_location("case_study", ROOT / "examples" / "case_study.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules["case_study"] = found  # dataclasses look their module up
    spec.loader.exec_module(found)
    yield found
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith((str(ROOT / "ex"), str(ROOT / "bench"))):
            del sys.modules[name]


def in_process(*words):
    """What benchmarks start as a process of its own."""
    return SimpleNamespace(code=halfmap([*map(str, words)]), command=words, stderr="")


@pytest.fixture(scope="module")
def ran(script, tmp_path_factory):
    out = tmp_path_factory.mktemp("case")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painter, "Painter", NoPainter)
        patch.setattr(script.against_truth, "halfmap", in_process)
        patch.setattr(sys, "argv", ["case_study.py", "--out", str(out), "--quick"])
        patch.chdir(out)
        script.main()
    return json.loads((out / "case_study.json").read_text())


def test_the_quick_variant_runs_and_measures_every_stage(ran):
    stages = ("consensus", "local", "local after subtraction")
    errors = [ran["measured"][stage]["error_deg"] for stage in stages]
    assert np.isfinite(errors).all() and max(errors) < 30  # the hinge's own spread is 12; how good: benchmarks/
    assert ran["fulcrum_off_A"] < 25 and ran["chosen"]  # the molecule is 104 A long


def test_every_stage_of_the_page_is_run(ran, script):
    shown = json.loads((ROOT / "docs" / "figures" / "case_study.json").read_text())["commands"]
    assert set(shown) == set(ran["commands"]) - {"truth"}


def test_the_page_is_what_its_numbers_say(script):
    numbers = json.loads((ROOT / "docs" / "figures" / "case_study.json").read_text())
    assert (ROOT / "docs" / "case_study.md").read_text() == script.case_study_page.rendered(numbers), (
        "make it again: examples/case_study.py --page, or case_study_page.py"
    )


def test_the_figures_are_small_and_all_of_them_are_shown():
    figures = {path.name: path.stat().st_size for path in (ROOT / "docs" / "figures").glob("case_study_*.png")}
    page = (ROOT / "docs" / "case_study.md").read_text()
    assert figures and all(f"(figures/{name})" in page for name in figures)
    assert max(figures.values()) < LARGEST and sum(figures.values()) < ALL
