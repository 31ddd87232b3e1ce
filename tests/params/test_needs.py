"""Settings that do nothing are told of, if somebody gave them."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from halfmap.cli import config
from halfmap.jobs import catalog
from halfmap.jobs.running import run
from halfmap.params.abinitio import Abinitio
from halfmap.params.common import NUMBER
from halfmap.params.fsc import Fsc
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.needs import idle
from halfmap.params.reconstruct import Reconstruct


def refine(**given):
    return idle(Homogeneous(particles="p", volume="v", out="o", **given))


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"scale_start_iteration": 2}, "scale_start_iteration has no effect: it needs per_particle_scale on, not off"),
        ({"subset_size": 500, "early_subsets": False}, "subset_size has no effect: it needs early_subsets on, not off"),
        ({"fit_tilt": True}, "fit_tilt has no effect: it needs refine_group_ctf on, not off"),
        ({"defocus_range": 900.0}, "defocus_range has no effect: it needs refine_defocus on, not off"),
        ({"dynamic_mask_near": 3.0, "mask": "m.mrc"},
         "dynamic_mask_near has no effect: it needs mask dynamic, not m.mrc"),
        ({"dynamic_mask_near_factor": 1.0},
         "dynamic_mask_near_factor has no effect: it needs dynamic_mask_scaling resolution, not fixed"),
        ({"mask_start_resolution": 9.0}, "mask_start_resolution has no effect: it needs mask a file, not dynamic"),
        ({"auto_tighten_fsc_mask": True, "fsc_mask": "f.mrc"},
         "auto_tighten_fsc_mask has no effect: it needs fsc_mask none, not f.mrc"),
    ],
)  # fmt: skip
def test_a_setting_that_was_given_and_does_nothing_is_told_of(given, sentence):
    assert refine(**given) == [sentence]


@pytest.mark.parametrize(
    "given",
    [{}, {"per_particle_scale": True, "scale_start_iteration": 2}, {"subset_size": 500}, {"mask": "none"},
     {"refine_group_ctf": True, "fit_tilt": False}, {"mask": "m.mrc", "mask_start_resolution": 9.0},
     {"dynamic_mask_scaling": "resolution", "dynamic_mask_far_factor": 4.0}, {"dynamic_mask_use_abs": True}],
)  # fmt: skip
def test_defaults_and_settings_that_work_are_silent(given):
    assert refine(**given) == []


def test_any_number_will_do_where_one_is_needed():
    def told(**given):
        return idle(Abinitio(particles="p", out="o", minibatch_min_probability=0.2, **given))

    assert told() == ["minibatch_min_probability has no effect: it needs minibatch_epsilon a number, not none"]
    assert told(minibatch_epsilon=0.07) == []


def test_what_several_lack_is_told_together():
    (sentence,) = refine(mask="none", dynamic_mask_far_factor=6.0)
    assert "mask dynamic, not none and dynamic_mask_scaling resolution, not fixed" in sentence


def test_a_need_that_a_job_has_no_setting_for_does_not_count():
    for job in (Fsc(half1="a", half2="b", out="o", auto_tighten_fsc_mask=True),
                Reconstruct(particles="p", out="o", auto_tighten_fsc_mask=True)):  # fmt: skip
        assert idle(job) == [] and idle(job.model_copy(update={"mask": "m.mrc"})) != []


def declared():
    return [(entry, name, other) for entry in catalog.JOBS for name, field in entry.params.model_fields.items()
            for other in (field.json_schema_extra or {}).get("needs") or {}]  # fmt: skip


def possible(field, value):
    try:
        return str(TypeAdapter(field.annotation).validate_python(value)) == str(value)  # a path is one by its name
    except ValidationError:
        return False


def test_what_is_needed_exists_and_may_have_that_value():
    assert declared()
    for entry, name, other in declared():
        assert any(other in each.params.model_fields for each in catalog.JOBS), f"{entry.name}: {name} needs {other}"
        if other not in entry.params.model_fields:
            continue
        wanted = entry.params.model_fields[name].json_schema_extra["needs"][other]
        values = wanted if isinstance(wanted, list) else [wanted]
        values = [0.5 if value == NUMBER else value for value in values]
        assert any(possible(entry.params.model_fields[other], value) for value in values), f"{name}: {other}"


def test_a_dry_run_and_a_run_both_say_so(tmp_path):
    params = Homogeneous(particles=tmp_path / "p.star", volume=tmp_path / "v.mrc", out=tmp_path / "o", fit_tilt=True)
    for each in (params.model_copy(update={"dry_run": True}), params):
        ended = run.run("refine homogeneous", each)  # files are missing: told after the settings
        assert ended.exit_code == 3 and any("fit_tilt has no effect" in line for line in ended.summary["warnings"])


def test_a_job_record_gives_only_what_differs_from_the_default(tmp_path):
    params = Homogeneous(particles="p", volume="v", out=tmp_path, fit_spherical=True, symmetry="D2", subset_size=500)
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"job": "refine homogeneous", "params": params.model_dump(mode="json")}))
    given = config.read(path, catalog.find("refine homogeneous"))
    assert set(given) == {"particles", "volume", "fit_spherical", "symmetry", "subset_size"}
