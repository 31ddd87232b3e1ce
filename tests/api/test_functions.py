"""Jobs as functions: names, signatures, faults as exceptions, what is printed."""

import inspect
from pathlib import Path

import pytest

import halfmap
from halfmap.api import functions
from halfmap.api.result import Result
from halfmap.jobs import catalog
from halfmap.jobs.project import project
from halfmap.jobs.running import run as runner
from halfmap.jobs.running.run import Ended
from tests.jobs import made

SOURCE = Path(halfmap.__file__).parent
ENTRIES = sorted(functions.ENTRIES.items())


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    return made.finished(tmp_path_factory.mktemp("api") / "J3")


@pytest.fixture
def started(monkeypatch, refined):
    """Replaces the runner; the list of (job, settings, command, listeners) it was called with."""
    calls = []

    def fake(name, params, command, listeners):
        calls.append((name, params, command, listeners))
        return Ended(0, refined, {"status": "dry run", "forecast": {}})

    monkeypatch.setattr(runner, "run", fake)
    return calls


def test_every_job_is_a_function_and_none_hides_a_package():
    assert len(functions.ENTRIES) == len(catalog.JOBS)
    rooms = {path.stem for path in SOURCE.iterdir()}
    assert set(halfmap.api.names()) & rooms == set()
    assert set(halfmap.api.names()) <= set(dir(halfmap))


@pytest.mark.parametrize("name, entry", ENTRIES)
def test_signature_and_docstring_are_those_of_the_settings(name, entry):
    function = getattr(halfmap, name)
    parameters = inspect.signature(function).parameters
    fields = entry.params.model_fields
    assert set(parameters) == set(fields) - {"dry_run"} | {"progress"}
    for field in set(fields) - {"dry_run"}:
        assert (parameters[field].default is inspect.Parameter.empty) == fields[field].is_required()
        assert f"    {field}: {fields[field].description}" in function.__doc__
    assert (function.__name__, function.__doc__.splitlines()[0]) == (name, entry.summary)


def test_a_call_runs_the_job_with_its_settings_and_records_itself(started, capsys):
    result = halfmap.reconstruct_particles("p.star", symmetry="D2", out=Path("o"))
    name, params, command, listeners = started[0]
    assert (name, params.symmetry, params.particles, params.out) == ("reconstruct", "D2", Path("p.star"), Path("o"))
    assert command == ["halfmap.reconstruct_particles(out='o', particles='p.star', symmetry='D2')"]
    assert isinstance(result, Result)
    listeners[0]({"kind": "warning", "message": "few"})
    assert capsys.readouterr().out == "warning: few\n"


def test_progress_is_silent_when_not_wanted(started):
    halfmap.reconstruct_particles("p.star", out="o", progress=False)
    assert started[0][3] == ()


def test_a_result_stands_for_its_folder_also_in_lists(started, refined):
    result = halfmap.open(refined)
    halfmap.sharpen(result, out="o")
    halfmap.mask_combine(mask=[result, "other.mrc"], operation="union", out="o")
    assert started[0][1].volume == refined
    assert started[1][1].mask == (refined, Path("other.mrc"))


def test_a_forecast_is_a_dry_run_and_a_dict(started):
    assert halfmap.reconstruct_particles.forecast("p.star", out="o")["status"] == "dry run"
    assert started[0][1].dry_run


@pytest.mark.parametrize("settings, words", [
    ({"simmetry": "D2", "volum": "v"}, ["no setting 'simmetry'; did you mean symmetry?", "no setting 'volum'"]),
    ({"dry_run": True}, ["no setting 'dry_run'"]),
    ({"box_size": 17, "symmetry": 3}, ["box_size: input should be a multiple of 2, not 17", "symmetry: "]),
    ({"device": "cuda"}, ["no GPU code yet"]),
    ({"dynamic_mask_near": 20.0}, ["--dynamic-mask-near"]),
])  # fmt: skip
def test_settings_that_make_no_sense_are_all_named(started, settings, words):
    with pytest.raises(halfmap.UsageError) as fault:
        halfmap.refine_homogeneous(**{"particles": "p", "volume": "v", "out": "o", **settings})
    assert all(each in str(fault.value) for each in words) and started == []


def test_what_is_needed_and_missing_is_named(started):
    with pytest.raises(halfmap.UsageError, match="volume: field required"):
        halfmap.refine_homogeneous(particles="p", out="o")
    with pytest.raises(halfmap.UsageError, match="name its settings"):
        halfmap.sharpen("a", "b", out="o")


@pytest.mark.parametrize("code, kind", [(2, "UsageError"), (3, "InputError"), (4, "ResourceError"),
                                        (5, "Interrupted"), (70, "HalfmapError")])  # fmt: skip
def test_a_job_that_ends_badly_raises_what_its_exit_code_says(monkeypatch, tmp_path, code, kind):
    monkeypatch.setattr(runner, "run", lambda *_: Ended(code, tmp_path, {"faults": ["first", "second"], "counts": 3}))
    with pytest.raises(getattr(halfmap, kind), match="first\nsecond") as fault:
        halfmap.sharpen("m.mrc", out="o")
    assert type(fault.value).__name__ == kind
    assert kind != "InputError" or (fault.value.faults == ("first", "second") and fault.value.found["counts"] == 3)


def test_faulty_data_raise_with_every_fault_and_leave_the_folder_as_a_command_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(halfmap.InputError) as fault:
        halfmap.fsc(half1="missing.mrc", half2="absent.mrc", out="wrong", progress=False)
    assert len(fault.value.faults) == 2 and '"failed"' in (tmp_path / "wrong" / "summary.json").read_text()


def test_a_name_that_is_none_suggests_one():
    with pytest.raises(AttributeError, match="did you mean halfmap.refine_homogeneous?"):
        halfmap.refine_homogenous  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute"):
        halfmap.__no_such_thing__  # noqa: B018


def test_a_job_of_the_project_is_opened_by_its_name(refined, monkeypatch):
    (refined.parent / project.MARKER).write_text("{}")
    (refined.parent / "below").mkdir()
    monkeypatch.chdir(refined.parent / "below")
    assert halfmap.open("J3").folder == refined
    with pytest.raises(halfmap.InputError, match="J4"):
        halfmap.open("J4")


def test_resuming_does_not_move_the_working_folder(refined, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def moving(folder, command, listeners):
        monkeypatch.chdir(folder)
        return Ended(0, folder, {})

    monkeypatch.setattr(runner, "resume", moving)
    assert halfmap.resume(refined).folder == refined
    assert Path.cwd() == tmp_path


