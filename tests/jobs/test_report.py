"""Plots and report: made from result files alone, one page that needs nothing else."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from halfmap.jobs import catalog, events, painter, plots, record, report, results
from halfmap.params.homogeneous import Homogeneous
from tests.jobs import made

NAMES = ["fsc", "slices", "directions", "guinier", "noise"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished job folder without report."""
    folder = tmp_path_factory.mktemp("job")
    params = Homogeneous(particles=Path("p"), volume=Path("v"), out=folder, seed=1)
    record.write(folder, catalog.find("refine homogeneous"), params, ["halfmap", "refine"], None)
    watch = events.Watch(folder)
    watch("iteration", iteration=1, resolution_A=9.0, seconds=1.5)
    found = results.write(made.outcome(folder), made.particles(folder), params, folder, watch)
    warnings = ["too <few> particles"]
    record.write_json(folder / "summary.json", {"job": "refine homogeneous", **found, "warnings": warnings})
    return folder


@pytest.fixture(scope="module")
def page(folder):
    plots.draw_all(folder)
    return report.write(folder).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_plot_is_a_png_and_an_svg(folder, page, name):
    assert (folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(folder / "plots" / f"{name}.svg").getroot().tag.endswith("svg")


def test_the_fsc_plot_names_every_curve_and_its_resolution(folder, page):
    text = (folder / "plots" / "fsc.svg").read_text()
    crossing = json.loads((folder / "fsc.json").read_text())["crossings_A"]["corrected"]["0.143"]
    assert f"corrected ({crossing:.2f} A)" in text
    for name in ("no mask", "spherical", "loose", "tight", "0.143"):
        assert name in text


def test_every_plot_has_its_sentence_under_it(page):
    for plot in plots.PLOTS[:5]:
        assert plot.title in page and plot.sentence in page and "Good:" in plot.sentence


def test_the_page_needs_no_other_file(page):
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) == len(NAMES)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in page and "@import" not in page


def test_the_page_tells_result_warnings_and_iterations(page):
    assert "too &lt;few&gt; particles" in page
    assert "Resolution (corrected FSC at 0.143)" in page and "Estimated accuracy of rotations" in page
    assert "<td>9.00</td>" in page


def test_a_job_without_maps_gets_only_the_plots_it_has_files_for(tmp_path, folder):
    (tmp_path / "fsc.json").write_text((folder / "fsc.json").read_text())
    assert [plot.name for plot in plots.drawable(tmp_path)] == ["fsc"]


def test_the_drawing_process_draws_when_told_to(tmp_path, folder):
    (tmp_path / "fsc.json").write_text((folder / "fsc.json").read_text())
    with painter.Painter(tmp_path) as process:
        assert process.draw() == ""
    assert (tmp_path / "plots" / "fsc.png").is_file()


def test_the_drawing_process_says_what_went_wrong(tmp_path):
    (tmp_path / "fsc.json").write_text("{}")
    with painter.Painter(tmp_path) as process:
        assert "KeyError" in process.draw()


def test_the_drawing_process_ends_with_the_job(tmp_path):
    with painter.Painter(tmp_path) as process:
        pass
    assert process._process.returncode is not None


def test_the_report_can_be_made_again_from_the_folder(folder, page):
    (folder / "report.html").unlink()
    subprocess.run([sys.executable, "-m", "halfmap.jobs.report", str(folder)], check=True)
    assert (folder / "report.html").read_text() == page
