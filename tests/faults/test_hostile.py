"""Names, settings and templates that mean harm, and places that are hard to name. Table D: 21, 23, 29."""

import json
import os

import pytest

from halfmap.errors import UsageError
from halfmap.jobs.running import record, run
from tests.faults import made

NASTY = ("a; rm -rf x", "$(touch owned)", "`touch owned`", "{{ 1237 * 1237 }}", "<script>alert(1)", "a\nb", "-rf",
         "%s%n", "'quoted\"")  # fmt: skip
VALUES = (("--seed", "7; ls"), ("--seed", "__import__('os')"), ("--threads", "-1"), ("--box-size", "1e99"),
          ("--symmetry", "D2; rm"), ("--symmetry", "{{x}}"), ("--particle-diameter-A", "nan"))  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
def test_a_hostile_name_of_a_job_is_only_a_name(name, monkeypatch, tmp_path):
    """D 29: no shell, no template and no page makes more of it."""
    monkeypatch.chdir(tmp_path)

    def runner(params, folder, rng, watch):
        watch("warning", message=name)
        return {"resolution_A": 7.5}

    ended = made.job(monkeypatch, runner, tmp_path / name, data=tmp_path / name)
    assert ended.exit_code == 0
    assert json.loads((tmp_path / name / "job.json").read_text())["params"]["data"] == str(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    page = (tmp_path / name / "report.html").read_text()
    assert "<script>alert" not in page and "1530169" not in page
    for line in (tmp_path / name / "events.jsonl").read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("flags", VALUES)
def test_a_hostile_value_of_a_setting_is_a_usage_fault(flags, tmp_path):
    """D 29: also NaN, which compares with nothing."""
    made.particle_set(tmp_path)
    done = made.halfmap(tmp_path, "reconstruct", "--particles", "particles.star", "--out", "a", *flags)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "a" / "map.mrc").exists()


@pytest.mark.parametrize("text", [
    "!!python/object/apply:os.system ['touch owned']\n",
    "symmetry: !!python/name:os.system\n",
    "a: &a [*a]\n",
    "symmetry: [" * 2000,
    '{"job": "reconstruct", "params": {"symmetry": {"x": 1}}}',
], ids=["call", "name", "circle", "deep", "nested"])  # fmt: skip
def test_a_hostile_settings_file_is_refused(text, tmp_path):
    """D 29 and 30: YAML that would run code in a careless reader."""
    made.particle_set(tmp_path)
    (tmp_path / "job.yaml").write_text(text)
    done = made.halfmap(tmp_path, "reconstruct", "--config", "job.yaml", "--particles", "particles.star", "--out", "a")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["with spaces", "Ångström 結構", "o'brien", "a" * 200])
def test_unusual_places_work_like_others(name, tmp_path):
    """D 23: spaces, letters of all alphabets, long names."""
    folder = tmp_path / name
    folder.mkdir()
    made.particle_set(folder)
    ended = made.check(folder)
    assert ended.exit_code == 0 and "images.mrcs" not in made.told(ended)
    assert ended.summary["counts"]["images_read"] == 12


def test_a_path_of_thousands_of_letters_is_a_fault_with_words(tmp_path):
    """D 23: longer than the system allows, for inputs and for the job folder."""
    made.particle_set(tmp_path)
    long = tmp_path / "/".join(["x" * 200] * 25)
    ended = made.check(tmp_path, particles=long / "a.star")
    assert ended.exit_code == 3 and "File name too long" in made.told(ended)
    with pytest.raises(UsageError, match="File name too long"):
        made.check(tmp_path, out=long)
    done = made.halfmap(tmp_path, "check", "particles", "--particles", "particles.star", "--out", "y" * 5000)
    assert done.returncode == 2 and "File name too long" in done.stderr


def test_a_deep_place_within_the_limit_works(tmp_path):
    """D 23: 3,000 letters."""
    folder = tmp_path
    while len(str(folder)) < 3000:
        folder = folder / ("d" * 200)
    folder.mkdir(parents=True)
    made.particle_set(folder)
    assert made.check(folder).summary["counts"]["images_read"] == 12


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b'{"job": "check particles"'])
def test_a_damaged_job_record_is_told_and_not_a_bug(content, tmp_path):
    """D 21"""
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / record.RECORD).write_bytes(content)
    with pytest.raises(UsageError, match="job.json"):
        run.resume(folder)
