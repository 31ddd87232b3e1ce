"""`halfmap abinitio-refine` as a user starts it, with few and small steps; and what one half can know of the other."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from halfmap.cli import main as cli
from halfmap.data import halves, relion
from halfmap.errors import Interrupted
from halfmap.geometry import frames, symmetry
from halfmap.io import mrc
from halfmap.jobs.pictures import plots
from halfmap.jobs.pictures.views import View
from halfmap.jobs.refinement import abinitio_refine as job_module
from halfmap.jobs.running import diagnostics, events, growths
from halfmap.maps import filters, turn
from halfmap.params.abinitio_refine import AbinitioRefine
from halfmap.refine.diagnostics import Diagnostics
from halfmap.types import Map
from tests.refine import made

pytestmark = pytest.mark.usefixtures("no_plots")

N = 600
STEPS = {"initial_resolution": 40.0, "max_resolution": 23.0, "num_initial_iterations": 15, "num_final_iterations": 5,
         "fourier_radius_step": 0.15, "initial_minibatch_size": 80, "minibatch_size": 120, "starts": 1,
         "particle_diameter_A": 140.0}
FLAGS = {"particle_diameter_A": "particle-diameter"}
QUICK = [word for name, value in STEPS.items() for word in (f"--{FLAGS.get(name, name).replace('_', '-')}", str(value))]
QUICK += ["--max-iterations", "2", "--seed", "1", "--no-intermediate-plots"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    one = made.experiment(folder, n=N, snr=1.0)
    relion.write(folder / "particles.star", one.told())
    return one, folder / "particles.star"


def run(table, out, *flags):
    """The summary of a job that must succeed."""
    assert cli.main(["abinitio-refine", str(table), "--out", str(out), *QUICK, "--symmetry", "D2", *flags]) == 0
    return json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def job(sample, tmp_path_factory):
    out = tmp_path_factory.mktemp("job") / "job"
    told = run(sample[1], out, "--num-particles", "560", "--max-restarts", "2")
    return told, relion.read_table(out / "particles.star"), out


def settings(table, **changes):
    return AbinitioRefine(out=table.parent / "x", particles=table, **{**STEPS, "symmetry": "D2", **changes})


def test_half_maps_poses_and_half_sets_are_made_of_particles_alone(job):
    told, particles, out = job
    assert told["n_particles"] == len(particles) == 560 and set(particles.half) == {1, 2}
    assert particles.poses is not None and len(particles.optics) == 1
    maps = [mrc.read(out / f"{name}.mrc").data for name in ("half1", "half2", "map", "map_sharp")]
    assert not np.array_equal(maps[0], maps[1])
    assert len(told["verdicts"]) == len(told["significance"]) == 2
    # Nyquist is 10 A, the maps were grown to 23
    assert told["found"] and told["halves_agree"] and told["resolution_A"] < 14
    assert {group["name"].rpartition(" ")[2] for group in json.loads((out / "noise.json").read_text())["groups"]} == {
        "1", "2"}


def test_particles_beyond_the_number_asked_for_are_listed_as_unused(job):
    told, particles, out = job
    unused = relion.read_table(out / "particles_unused.star")
    assert told["n_unused"] == len(unused) == 40 and not set(particles.index) & set(unused.index)


def test_its_halves_make_the_same_map_when_reconstructed(job, tmp_path):
    told, _, out = job
    flags = ["--out", str(tmp_path / "job"), "--symmetry", "D2"]
    assert cli.main(["reconstruct", str(out / "particles.star"), *flags]) == 0
    for name in ("half1", "half2"):
        here, there = (mrc.read(folder / f"{name}.mrc") for folder in (out, tmp_path / "job"))
        low = [filters.lowpass(one, told["resolution_A"]).data.ravel() for one in (here, there)]
        assert np.corrcoef(*low)[0, 1] > 0.98  # the noise that weighs the images is estimated anew


def after(job, out, *words):
    """Half-sets of the input and of the result of a job that takes the folder of another."""
    *_, given = job
    assert cli.main([*words, "--out", str(out), "--symmetry", "D2", "--seed", "1"]) == 0
    mine, theirs = (relion.read_table(folder / "particles.star") for folder in (out, given))
    order = np.argsort(theirs.index)
    return mine, theirs[order[np.searchsorted(theirs.index[order], mine.index)]]


@pytest.mark.parametrize("kind", ["reconstruct", "refine homogeneous", "refine local"])
def test_its_folder_is_an_input_of_other_jobs_which_keep_its_half_sets(kind, job, tmp_path):
    given = str(job[2])
    volume = [] if kind == "reconstruct" else ["--volume", given, "--max-iterations", "1", "--no-intermediate-plots"]
    own = ["--mask", "dynamic", "--initialize-from-halfmaps"] if kind == "refine local" else []
    mine, theirs = after(job, tmp_path / "job", *kind.split(), "--particles", given, *volume, *own)
    np.testing.assert_array_equal(mine.half, theirs.half)
    told = json.loads((tmp_path / "job" / "summary.json").read_text())
    assert told["resolution_A"] < 1.2 * job[0]["resolution_A"]


def local(given, particles, out, *halves):
    words = ["refine", "local", "--particles", str(particles), "--volume", str(given), "--mask", "dynamic", *halves]
    return cli.main([*words, "--initialize-from-halfmaps", "--symmetry", "D2", "--out", str(out)])


def test_half_maps_that_are_exchanged_are_refused(job, tmp_path, capsys):
    given = job[2]
    swapped = ["--half1", str(given / "half2.mrc"), "--half2", str(given / "half1.mrc")]
    assert local(given, given, tmp_path / "job", *swapped) == 3
    assert "by their names they are exchanged" in capsys.readouterr().err
    assert not (tmp_path / "job" / "map.mrc").exists()


def test_particles_of_another_split_than_the_half_maps_are_refused(job, sample, tmp_path, capsys):
    _, particles, given = job
    half = particles.half.copy()
    half[:7] = 3 - half[:7]
    relion.write(tmp_path / "mixed.star", replace(relion.read(given / "particles.star"), half=half))
    assert local(given, tmp_path / "mixed.star", tmp_path / "job") == 3
    assert "7 of the 560 particles" in capsys.readouterr().err
    assert not (tmp_path / "job" / "map.mrc").exists()


def test_steps_of_both_halves_and_the_fsc_of_each_iteration_can_be_drawn(job):
    *_, out = job
    names = diagnostics.iterations(out)
    grown = [name for name in names if "half" in name]
    assert {name.split("_")[2] for name in grown} == {"half1", "half2"} and names[: len(grown)] == grown
    assert names[len(grown)] == "iteration_000_meeting"
    meet = View(out, "iteration_000_meeting")
    assert {plot.name for plot in plots.drawable(meet)} == {"halves_meet", "halves_meet_fsc"}
    assert "iteration_001" in names
    shown = {plot.name for plot in plots.drawable(View(out, grown[-1]))}
    assert {"ab_initio_maps", "ab_initio_course"} <= shown
    assert "fsc" in {plot.name for plot in plots.drawable(View(out, "iteration_001"))}
    plots.import_all()
    plots.draw("ab_initio_maps", View(out, grown[-1]))
    assert View(out, grown[-1]).picture("ab_initio_maps", ".png").stat().st_size > 5000
    for name in ("halves_meet", "halves_meet_fsc"):
        plots.draw(name, meet)
        assert meet.picture(name, ".png").stat().st_size > 5000


# ---- one half and the other


def test_a_half_grows_the_same_map_whatever_the_images_of_the_other_are(sample, tmp_path):
    one, table = sample
    half = 1 + np.arange(N) % 2
    whole = halves.with_own_optics(replace(one.told(), half=half))
    images = one.images.copy()
    images[half == 2] = made.white(N // 2, 3.0)
    mixed = replace(made.stacked(tmp_path / "mixed.mrcs", images, one.told()), **{
        name: getattr(whole, name) for name in ("half", "group", "optics", "optics_columns")})
    params = settings(table)
    recipe, _ = job_module.read(params, made.Heard())
    grown = [job_module.grow(params, recipe, particles, job_module.Origin(1, np.random.default_rng(5)), made.Heard())
             for particles in (whole, mixed)]
    np.testing.assert_array_equal(grown[0].map.data, grown[1].map.data)
    assert grown[0].found.evidence == grown[1].found.evidence
    other = job_module.grow(params, recipe, mixed, job_module.Origin(2, np.random.default_rng(5)), made.Heard())
    assert grown[0].found.something and not other.found.something


def test_bringing_half_2_onto_half_1_leaves_half_1_as_it_is(sample):
    one, table = sample
    recipe, _ = job_module.read(settings(table), made.Heard())
    start = filters.lowpass(one.map, 20.0)
    before = start.data.copy()
    there = job_module.brought_together(start, turn.placed(start, frames.mirror()), recipe, made.Heard())
    np.testing.assert_array_equal(start.data, before)
    assert np.corrcoef(there.data.ravel(), before.ravel())[0, 1] > 0.99


def test_the_weaker_half_is_grown_anew_where_the_halves_differ(sample, monkeypatch):
    one, table = sample
    right = filters.lowpass(one.map, 20.0)
    wrong = Map(np.ascontiguousarray(np.roll(right.data, 6, 0) + np.roll(right.data, -6, 2)), right.voxel_size_A)
    made_of = iter([(right, 3.0), (wrong, 1.0), (wrong, 0.5), (right, 2.5)])
    asked = []

    def grow(params, recipe, table, origin, watch):
        asked.append((origin.half, origin.attempt))
        map, gain = next(made_of)
        return job_module.Grown(map, SimpleNamespace(evidence=gain, ball=0.0, something=True, resolution_A=23.0))

    monkeypatch.setattr(job_module, "grow", grow)
    params = settings(table, max_restarts=5)
    recipe, particles = job_module.read(params, made.Heard())
    first, second = job_module.grown_together(params, recipe, particles, (None, None), made.Heard(),
                                              growths.Growths(sample[1].parent, made.Heard()))
    assert asked == [(1, 1), (2, 1), (2, 2), (2, 3)] and first.gain == 3.0 and second.gain == 2.5


def test_progress_says_of_which_half_it_is():
    heard = made.Heard()
    told = job_module._of_half(job_module.Origin(2, None), heard)
    told("progress", stage="ab-initio", done=1, total=9, whose="start 1 of 2")
    told("progress", stage="ab-initio", done=1, total=9, whose="")
    assert [event["whose"] for event in heard.of("progress")] == ["half 2, start 1 of 2", "half 2"]


def test_views_of_a_half_that_is_grown_anew_have_names_of_their_own():
    names = []
    for half, attempt in ((1, 1), (2, 1), (1, 2)):
        told = job_module._of_half(job_module.Origin(half, None, attempt=attempt),
                                   lambda kind, **data: names.append(data["made"].name))
        told("diagnostics", made=Diagnostics("iteration_010", {}, {}))
    assert names == ["iteration_000_half1_step010", "iteration_000_half2_step010", "iteration_000_half1_try2_step010"]


def test_of_noise_nothing_is_found_and_no_particle_gets_a_pose(sample, tmp_path):
    one, _ = sample
    noise = made.stacked(tmp_path / "noise.mrcs", made.white(N, 1.0), one.told())
    relion.write(tmp_path / "particles.star", noise)
    told = run(tmp_path / "particles.star", tmp_path / "job")
    assert told["found"] is False and told["halves_agree"] is False and told["n_particles"] == 0
    assert told["resolution_A"] is None and told["resolution_05_A"] is None and told["nyquist_A"] == 10.0
    words = " ".join(told["warnings"])
    assert "half 1: " in words and "half 2: " in words and "NOTHING WAS FOUND" in words
    left = {path.name for path in (tmp_path / "job").iterdir()}
    assert {"half1.mrc", "half2.mrc", "fsc.json"} <= left and not {"map.mrc", "particles.star"} & left
    assert len(relion.read_table(tmp_path / "job" / "particles_unused.star")) == N


def test_the_start_of_the_refinement_is_no_finer_than_the_grown_maps(sample):
    params = settings(sample[1])
    recipe, particles = job_module.read(params, made.Heard())
    told = job_module.check(params, made.Heard())
    assert told["resolved"]["max_resolution"] == 23.0 and told["resolved"]["steps_at_most"] > 10
    assert len(recipe.group) == len(symmetry.group("D2")) and particles.poses is None


def test_a_stopped_job_resumes_to_the_same_result(sample, job, tmp_path, monkeypatch):
    tell, struck = events.Watch.tell, []

    def told(self, kind, **data):
        tell(self, kind, **data)
        if kind == "checkpoint" and "iteration" in data and not struck:
            struck.append(data)
            raise Interrupted("stopped by the test")

    monkeypatch.setattr(events.Watch, "tell", told)
    words = ["abinitio-refine", str(sample[1]), "--out", str(tmp_path / "job"), *QUICK, "--symmetry", "D2",
             "--num-particles", "560", "--max-restarts", "2"]
    assert cli.main(words) == Interrupted.exit_code and struck
    assert cli.main([*words, "--resume"]) == 0
    *_, whole = job
    for name in ("half1.mrc", "half2.mrc", "particles.star"):
        assert (tmp_path / "job" / name).read_bytes() == (whole / name).read_bytes()
    told = [(folder / "events.jsonl").read_text().count('"kind": "phase"') for folder in (tmp_path / "job", whole)]
    assert told[0] == told[1] > 0  # nothing has grown a second time
