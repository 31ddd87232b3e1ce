"""Plots and report: made from result files alone, one page that needs nothing else."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import markupsafe
import pytest

from halfmap.cli import main as cli
from halfmap.jobs import catalog
from halfmap.jobs.pictures import headlines, painter, plots, report
from halfmap.jobs.pictures.views import View
from halfmap.jobs.running import diagnostics, events, record, results
from halfmap.params.homogeneous import Homogeneous
from tests.jobs import made

NAMES = "slices fourier masks fsc guinier noise directions precision changes mates scales cfsc phases defocus".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished job folder of one iteration without report."""
    folder = tmp_path_factory.mktemp("job")
    params = Homogeneous(particles=Path("p"), volume=Path("v"), out=folder, seed=1)
    record.write(folder, catalog.find("refine homogeneous"), params, ["halfmap", "refine"], None)
    watch = events.Watch(folder)
    watch("iteration", iteration=1, resolution_A=9.0, seconds=1.5)
    diagnostics.write(folder, made.lens(1))
    diagnostics.write(folder, made.iteration(1))
    found = results.write(made.outcome(folder), made.particles(folder), params, folder, watch)
    warnings = ["too <few> particles"]
    record.write_json(folder / "summary.json", {"job": "refine homogeneous", **found, "warnings": warnings})
    return folder


@pytest.fixture(scope="module")
def page(folder):
    plots.draw_all(folder, plots.views(folder))
    return report.write(folder).read_text()


@pytest.mark.parametrize("view", ["", "iteration_001"])
@pytest.mark.parametrize("name", NAMES)
def test_a_plot_is_a_png_and_an_svg(folder, page, view, name):
    assert (folder / "plots" / view / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(folder / "plots" / view / f"{name}.svg").getroot().tag.endswith("svg")


def test_nothing_unfinished_is_left(folder, page):
    assert [path for path in (folder / "plots").rglob(".*")] == []


def test_the_fsc_plot_names_every_curve_its_mask_and_its_resolution(folder, page):
    text = (folder / "plots" / "fsc.svg").read_text()
    crossing = json.loads((folder / "fsc.json").read_text())["crossings_A"]["corrected"]["0.143"]
    told = json.loads((folder / "fsc.json").read_text())["descriptions"]
    assert f"{told['corrected']}: {crossing:.2f} A" in text
    assert {"no_mask", "spherical", "loose", "tight", "randomised"} <= told.keys()
    for name, words in told.items():
        assert words in text or name.startswith("corrected_")
    assert "phases randomised from" in text and "aligned up to" in text


def test_the_fsc_plot_of_an_iteration_names_the_mask_of_the_reference(folder, page):
    text = (folder / "plots" / "iteration_001" / "fsc.svg").read_text()
    assert f"masked: {made.iteration().facts['fsc_mask']}" in text


def test_every_plot_has_its_sentence_under_it(page):
    for plot in (plot for plot in plots.PLOTS if plot.name in NAMES):
        assert plot.title in page and str(markupsafe.escape(plot.sentence)) in page and "Good:" in plot.sentence


def test_sections_stand_in_the_order_of_the_list(page):
    assert re.findall(r'<h2 id="(\w+)">', page) == [*NAMES, "facts"]


def test_the_page_needs_no_other_file(page):
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) == 2 * len(NAMES)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in page and "@import" not in page and "url(" not in page


def test_the_page_shows_one_view_at_a_time_the_result_first(page):
    assert re.findall(r'id="show-(\w+)"( checked)?', page) == [("final", " checked"), ("iteration_001", "")]
    assert len(re.findall(r"<label for=", page)) == 2


def test_the_page_tells_result_warnings_and_iterations(page):
    assert "too &lt;few&gt; particles" in page
    assert "Resolution (corrected FSC at 0.143)" in page and "Estimated accuracy of rotations" in page
    assert "<td>9.00</td>" in page and "cFAR" in page and "6 + 6" in page


def test_a_plot_there_was_no_time_for_is_said_to_be_missing_and_how_to_get_it(folder, page):
    path = folder / "plots" / "iteration_001" / "guinier.png"
    picture = path.read_bytes()
    path.unlink()
    try:
        assert f"halfmap report {folder}" in report.write(folder).read_text()
    finally:
        path.write_bytes(picture)


def test_a_page_that_would_grow_too_large_leaves_out_the_oldest_plots(folder, page, monkeypatch):
    final = sum(path.stat().st_size for path in (folder / "plots").glob("*.png"))
    monkeypatch.setattr(report, "MOST_BYTES", 4 * final // 3 + 40_000)
    text = report.write(folder).read_text()
    assert "it is plots/iteration_001/" in text and len(text) < report.MOST_BYTES + 40_000
    assert len(re.findall("data:image", text)) >= len(NAMES)


def test_a_job_without_maps_gets_only_the_plots_it_has_files_for(tmp_path, folder):
    (tmp_path / "fsc.json").write_text((folder / "fsc.json").read_text())
    assert [plot.name for plot in plots.drawable(View(tmp_path))] == ["fsc"]


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


def test_the_report_can_be_made_again_from_the_folder(folder, page, capsys):
    (folder / "report.html").unlink()
    shutil.rmtree(folder / "plots")
    assert cli.main(["report", str(folder)]) == 0
    assert (folder / "report.html").read_text() == page
    assert capsys.readouterr().out.strip() == str(folder / "report.html")


def test_a_folder_without_a_job_has_no_report(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "holds no job.json" in capsys.readouterr().err


def test_the_curves_before_the_mask_was_changed_have_a_plot_of_their_own(tmp_path, folder):
    content = json.loads((folder / "fsc.json").read_text())
    first = content["descriptions"].pop("corrected_tight", None)
    for name in ("randomised", "corrected"):  # as after a search
        content[f"{name}_tight"], content["crossings_A"][f"{name}_tight"] = content[name], {"0.143": 12.34, "0.5": 20.0}
        content["descriptions"][f"{name}_tight"] = f"{name}: tight mask, before the search"
    (tmp_path / "fsc.json").write_text(json.dumps(content))
    assert first is None and [plot.name for plot in plots.drawable(View(tmp_path))] == ["fsc", "fsc_before"]
    plots.draw("fsc_before", View(tmp_path))
    text = (tmp_path / "plots" / "fsc_before.svg").read_text()
    assert "corrected: tight mask, before the search: 12.34 A" in text and content["descriptions"]["tight"] in text
    assert content["descriptions"]["corrected"] not in text


def test_headlines_are_written_as_people_write_them():
    told = dict(headlines.of({"found": True, "halves_agree": False, "class_particles": [300, 44], "resolution_A": 9.0,
                              "one_start_A": 18.0, "centre_of_mass_px": [16, 15, 17]}))  # fmt: skip
    assert (told["Something was found"], told["Two maps from nothing agree"]) == ("yes", "no")
    assert told["Particles of each class"] == "300, 44" and "16.0, 15.0, 17.0" in told.values()
    assert told["Resolution (corrected FSC at 0.143 of half-sets that began from one map at 18 A)"] == "9.00 A"
    assert dict(headlines.of({"resolution_A": 9.0})) == {"Resolution (corrected FSC at 0.143)": "9.00 A"}
