"""`halfmap abinitio` as a user starts it, with few and small steps."""

import json
from dataclasses import replace

import numpy as np
import pytest

from halfmap.align import axes
from halfmap.cli import main as cli
from halfmap.data import relion
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.jobs.particles import demo
from halfmap.jobs.pictures import plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.refinement import abinitio
from halfmap.jobs.running import diagnostics
from halfmap.refine import settling
from tests.refine import made

pytestmark = pytest.mark.usefixtures("no_plots")

N = 300
QUICK = ["--initial-resolution", "40", "--max-resolution", "25", "--num-initial-iterations", "8",
         "--num-final-iterations", "3", "--fourier-radius-step", "0.25", "--initial-minibatch-size", "60",
         "--minibatch-size", "90", "--starts", "1", "--final-passes", "1", "--particle-diameter", "140", "--seed", "1",
         "--no-intermediate-plots"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    relion.write(folder / "particles.star", made.experiment(folder, n=N, snr=0.3).told())
    return folder / "particles.star"


def run(table, out, *flags):
    """(summary, particles) of a job that must succeed."""
    assert cli.main(["abinitio", str(table), "--out", str(out), *QUICK, *flags]) == 0
    return json.loads((out / "summary.json").read_text()), relion.read_table(out / "particles.star")


@pytest.fixture(scope="module")
def job(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("d2") / "job"
    return (*run(table, out, "--symmetry", "D2"), out)


def test_a_map_is_made_of_particles_alone(job):
    told, particles, out = job
    assert told["maps"] == ["map.mrc"] and told["n_particles"] == len(particles) == N and told["n_unused"] == 0
    assert particles.poses is not None and set(particles.half) == {1, 2}
    # the final passes impose the group: all that is lost is interpolation
    assert axes.find(mrc.read(out / "map.mrc"), symmetry.group("D2")).before > 0.98
    assert "stopped after" in told["verdict"] and told["steps"] > 10


def test_why_each_phase_ended_is_in_log_events_summary_and_report(job):
    told, _, out = job
    reasons = [phase["reason"] for phase in told["phases"]]
    assert [phase["name"] for phase in told["phases"]] == list(settling.PHASES) and len(set(reasons)) == 3
    assert sum(phase["steps"] for phase in told["phases"]) == told["steps"]
    page, log = ((out / name).read_text() for name in ("report.html", "log.txt"))
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [event["reason"] for event in events if event["kind"] == "phase"] == reasons
    assert all(reason in log and reason in page for reason in reasons) and reasons[-1] in told["verdict"]


def test_its_steps_can_be_drawn(job):
    *_, out = job
    names = diagnostics.iterations(out)
    shown = {plot.name for plot in plots.drawable(View(out, names[-1]))}
    assert {"ab_initio_maps", "ab_initio_course", "ab_initio_views"} <= shown and "ab_initio_classes" not in shown
    plots.import_all()
    plots.draw("ab_initio_course", View(out, names[-1]))
    assert View(out, names[-1]).picture("ab_initio_course", ".png").stat().st_size > 5000


def test_particles_beyond_the_number_asked_for_are_listed_as_unused(table, tmp_path):
    told, particles = run(table, tmp_path / "job", "--num-particles", "200")
    unused = relion.read_table(tmp_path / "job" / "particles_unused.star")
    assert (told["n_particles"], len(particles), told["n_unused"], len(unused)) == (200, 200, 100, 100)
    assert not set(particles.index) & set(unused.index)


def test_classes_have_maps_and_particles_of_their_own(table, tmp_path):
    told, particles = run(table, tmp_path / "job", "--classes", "2")
    rows = [json.loads(line) for line in (tmp_path / "job" / "events.jsonl").read_text().splitlines()]
    whose = [event["whose"] for event in rows if event["kind"] == "iteration"]
    page = (tmp_path / "job" / "report.html").read_text()
    posed = {f"class {number}" for number, count in enumerate(told["class_particles"], 1) if count}
    assert whose[0] == "all classes" and set(whose) == {"all classes", *posed}
    assert "<th>Of</th>" in page and all(page.count(f"<td>{name}</td>") == whose.count(name) for name in set(whose))
    assert told["maps"] == ["map_class1.mrc", "map_class2.mrc"] and sum(told["class_particles"]) == N
    maps = [mrc.read(tmp_path / "job" / name) for name in told["maps"]]
    assert all(whose.count(name) == 1 for name in set(whose))  # passes, as many as --final-passes
    assert {m.box for m in maps} == {made.BOX} and not np.array_equal(maps[0].data, maps[1].data)
    kept = np.array([float(x) for x in particles.columns["rlnClassNumber"]])
    assert [int((kept == c).sum()) for c in np.unique(kept)] == [c for c in told["class_particles"] if c >= 50]
    assert len(particles) + told["n_unused"] == N
    assert told["class_kinds"] == 1 and any("ONE KIND" in sentence for sentence in told["warnings"])


def test_of_noise_no_particle_gets_a_pose(tmp_path):
    noise = made.stacked(tmp_path / "noise.mrcs", made.white(N, 1.0), made.experiment(tmp_path, n=N).told())
    relion.write(tmp_path / "particles.star", noise)
    out = tmp_path / "job"
    assert cli.main(["abinitio", str(tmp_path / "particles.star"), "--out", str(out), *QUICK]) == 0
    told = json.loads((out / "summary.json").read_text())
    assert not told["found"] and told["resolution_A"] is None and told["n_unused"] == N
    assert any("NOTHING WAS FOUND" in sentence for sentence in told["warnings"])
    assert not (out / "particles.star").exists() and (out / "map.mrc").exists()


def test_too_few_particles_are_refused_in_words(tmp_path, capsys):
    relion.write(tmp_path / "few.star", made.experiment(tmp_path, n=20).told())
    assert cli.main(["abinitio", str(tmp_path / "few.star"), "--out", str(tmp_path / "job")]) != 0
    assert "too few particles for a map from nothing: 20" in capsys.readouterr().err


def test_images_that_cannot_be_used_are_listed_with_the_reason(tmp_path):
    sample = made.experiment(tmp_path, n=N, snr=0.3)
    images = sample.images.copy()
    images[7], images[250] = np.nan, 3.0
    bad = made.stacked(tmp_path / "bad.mrcs", images, sample.told())
    relion.write(tmp_path / "particles.star", bad)
    told, particles = run(tmp_path / "particles.star", tmp_path / "job")
    rejected, unused = (relion.read_table(tmp_path / "job" / f"{name}.star")
                        for name in ("rejected", "particles_unused"))  # fmt: skip
    assert told["n_rejected"] == 2 and list(rejected.index) == list(unused.index) == [7, 250]
    assert all("constant" in str(reason) for reason in rejected.columns["halfmapRejectReason"])
    assert len(particles) == N - 2 and not {7, 250} & set(particles.index)


def test_where_nothing_is_found_it_says_so_once_and_what_to_look_at(tmp_path, capsys):
    dark = made.stacked(tmp_path / "dark.mrcs", -made.experiment(tmp_path, n=N, snr=0.3).images,
                        made.experiment(tmp_path, n=N, snr=0.3).told())  # fmt: skip
    relion.write(tmp_path / "particles.star", dark)
    assert cli.main(["abinitio", str(tmp_path / "particles.star"), "--out", str(tmp_path / "job"), *QUICK]) == 0
    shown = capsys.readouterr().err
    assert shown.count("NOTHING WAS FOUND") == 1 and "bright on dark" in shown


def test_a_demo_from_scratch_grows_its_starting_map(tmp_path, monkeypatch):
    started = []

    def grown(params, folder, rng, watch):
        started.append(params)
        mrc.write(folder / "map.mrc", mrc.read(params.particles.parent / "map.mrc"))

    monkeypatch.setattr(abinitio, "run", grown)
    monkeypatch.setattr(demo, "PARTICLES", 40)
    assert cli.main(["demo", "--from-scratch", "--out", str(tmp_path / "job")]) == 0
    assert started[0].symmetry == "D2" and started[0].out == tmp_path / "job" / "abinitio"
    used = json.loads((tmp_path / "job" / "summary.json").read_text())
    assert used["n_particles"] == 40


def test_a_mirrored_map_along_other_axes_is_no_error_of_a_demo_from_scratch(tmp_path):
    mirror, turn = np.diag([1.0, 1.0, -1.0]), symmetry.normaliser(symmetry.group("D2"))[5]
    sample = made.experiment(tmp_path, n=30)
    relion.write(tmp_path / "truth.star", sample.truth)
    other = mirror @ sample.truth.poses.rotations @ mirror @ turn
    relion.write(tmp_path / "particles.star",
                 replace(sample.truth, poses=replace(sample.truth.poses, rotations=other)))
    assert demo._error_deg(tmp_path, tmp_path, True) < 0.01 < 5 < demo._error_deg(tmp_path, tmp_path, False)
