"""Settings: names, help, units, ranges."""

from pathlib import Path

import pydantic
import pytest

from halfmap.errors import UsageError
from halfmap.jobs import catalog
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.simulate import Simulate

NEEDED = {"particles": Path("p.star"), "volume": Path("v.mrc"), "out": Path("o")}
FIELDS = [(entry.name, name, field) for entry in catalog.JOBS for name, field in entry.params.model_fields.items()]


def test_defaults_are_those_of_the_programs_users_know():
    settings = Homogeneous(**NEEDED)
    # cryoSPARC guide, Homogeneous Refinement: 30 A, 20 A, 0.2, 6 A, 14 A, 12 A
    assert (settings.initial_lowpass, settings.gsfsc_split_resolution) == (30, 20)
    assert (settings.dynamic_mask_threshold, settings.dynamic_mask_near, settings.dynamic_mask_far) == (0.2, 6, 14)
    assert settings.dynamic_mask_start_resolution == 12
    assert settings.symmetry == "C1" and settings.mask == "dynamic" and settings.reestimate_greyscale


def test_ctf_refinement_is_off_and_its_defaults_are_those_of_cryosparc():
    settings = Homogeneous(**NEEDED)
    assert not settings.refine_defocus and not settings.refine_group_ctf
    assert (settings.defocus_range, settings.defocus_min_fit_resolution, settings.ctf_min_fit_resolution) == (
        2000, 20, 10)  # fmt: skip
    assert settings.fit_tilt and settings.fit_trefoil
    assert not (settings.fit_spherical or settings.fit_tetrafoil or settings.fit_anisotropic_magnification)


@pytest.mark.parametrize("job, name, field", FIELDS, ids=[f"{job}-{name}" for job, name, _ in FIELDS])
def test_a_setting_has_help_and_its_unit_in_it(job, name, field):
    assert field.description and field.description[0].isupper()
    unit = (field.json_schema_extra or {}).get("unit")
    assert unit is None or f"[{unit}]" in field.description


@pytest.mark.parametrize(
    "suffix, unit", [("_A", "A"), ("_A2", "A^2"), ("_kV", "kV"), ("_mm", "mm"), ("_deg", "degrees"), ("_mrad", "mrad")]
)
def test_a_name_that_ends_in_a_unit_means_it(suffix, unit):
    for _, name, field in FIELDS:
        if name.endswith(suffix):
            assert field.json_schema_extra["unit"] == unit, name


@pytest.mark.parametrize(
    "change",
    [
        {"box_size": 63},
        {"box_size": 8},
        {"initial_lowpass": 0},
        {"dynamic_mask_threshold": 1.0},
        {"dynamic_mask_near": 14.0},
        {"candidates": 0},
        {"minibatch_size": 0},
        {"defocus_range": 0},
        {"defocus_prior": 0},
        {"bfactor": -5000},
        {"mask": "static"},
        {"nonsense": 1},
    ],
)
def test_a_value_out_of_range_is_refused(change):
    with pytest.raises(pydantic.ValidationError):
        Homogeneous(**NEEDED, **change)


def test_a_gpu_that_is_not_supported_is_refused_in_words():
    with pytest.raises(UsageError, match="no GPU code yet"):
        Homogeneous(**NEEDED, device="cuda")


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(pydantic.ValidationError):
        Homogeneous(**NEEDED).symmetry = "D2"


@pytest.mark.parametrize("change", [{"map": "m.mrc", "box_size": 64}, {"moving": "d.mrc"}, {"hinge_x_A": 3.0}])
def test_a_simulation_refuses_settings_without_effect(change):
    with pytest.raises(pydantic.ValidationError):
        Simulate(out="o", **change)


@pytest.mark.parametrize(
    "wrong, flag",
    [
        ({"dynamic_mask_near_factor": 5.0}, "--dynamic-mask-far-factor"),
        ({"fsc_mask_far_factor": 2.0}, "--fsc-mask-far-factor"),
        ({"bfactor_fit_high_A": 10.0}, "--bfactor-fit-high"),
    ],
)
def test_ranges_the_wrong_way_round_are_refused_by_the_name_of_their_flag(wrong, flag):
    paths = {name: "not-read" for name in ("out", "particles", "volume")}
    with pytest.raises(ValueError, match=f"{flag} must be"):
        Homogeneous(**paths, **wrong)
