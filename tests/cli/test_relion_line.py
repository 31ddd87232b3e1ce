"""A line of relion_refine behind `halfmap refine auto`."""

import shlex

import pytest

from halfmap.cli import main, relion_line
from halfmap.cli.flags import flag
from halfmap.errors import UsageError
from halfmap.params import elsewhere_relion
from halfmap.params.auto import Auto
from halfmap.params.relion_options import BY_NAME, LEFT_OUT, OPTIONS

# RELION 5 on the EMPIAR-10204 subset, as the baselines of this project were measured
BASELINE = (
    "mpirun -n 3 relion_refine_mpi --i particles.star --ref reference_64.mrc --o Refine3D/job001/run --cpu --j 1 "
    "--auto_refine --split_random_halves --firstiter_cc --ini_high 30 --ctf --particle_diameter 200 --flatten_solvent "
    "--zero_mask --oversampling 1 --healpix_order 2 --auto_local_healpix_order 4 --offset_range 5 --offset_step 2 "
    "--sym D2 --low_resol_join_halves 40 --norm --scale --pool 30 --pad 2 --auto_ignore_angles --auto_resol_angles"
)
# What the window of RELION 4 makes of the settings of the beta-galactosidase tutorial
TUTORIAL = (
    "`which relion_refine_mpi` --o Refine3D/job019/run --auto_refine --split_random_halves --i "
    "Extract/job017/particles.star --ref ReboxRescale/job018/selected_class_reboxed_rescaled.mrc --firstiter_cc "
    '--ini_high 50 --pool 30 --pad 2  --auto_ignore_angles --auto_resol_angles --ctf --particle_diameter 200 '
    "--flatten_solvent --zero_mask --oversampling 1 --healpix_order 2 --auto_local_healpix_order 4 --offset_range 5 "
    '--offset_step 2 --sym D2 --low_resol_join_halves 40 --norm --scale  --j 6 --gpu ""  --pipeline_control '
    "Refine3D/job019/"
)


def read(line):
    return relion_line.read(["refine", "auto", *shlex.split(line)])


def settings(line):
    """The flags of a line and their values, as they would be typed."""
    words = read(line).words[2:]
    return {word: "" if i + 1 == len(words) or words[i + 1].startswith("--") else words[i + 1]
            for i, word in enumerate(words) if word.startswith("--")}  # fmt: skip


@pytest.mark.parametrize("line, folder, lowpass", [(BASELINE, "Refine3D/job001", "30"),
                                                   (TUTORIAL, "Refine3D/job019", "50")])  # fmt: skip
def test_a_pasted_line_becomes_our_settings(line, folder, lowpass):
    found = settings(line)
    assert found["--out"] == folder
    assert found["--initial-lowpass"] == lowpass
    assert found["--symmetry"] == "D2"
    assert found["--particle-diameter"] == "200"
    assert found["--initial-sampling"] == "7.5"  # order 2 is 15 degrees, the second pass of the search has half of it
    assert found["--local-searches-from"] == "1.875"
    assert (found["--offset-range"], found["--offset-step"]) == ("5", "1")
    assert found["--gsfsc-split-resolution"] == "40"
    assert found["--threads"] == ("1" if "--j 1" in line else "6")
    assert {"--finer-sampling-faster", "--zero-mask", "--ctf-correction", "--reestimate-greyscale"} <= set(found)


@pytest.mark.parametrize("line", [BASELINE, TUTORIAL])
def test_a_pasted_line_is_a_valid_command(line):
    """As far as files that are not there."""
    app = main.build()
    command, bound, _ = app.parse_args(read(line).words, exit_on_error=False, print_error=False)
    params = bound.arguments["params"]
    assert isinstance(params, Auto)
    assert params.finer_sampling_faster
    assert params.relion_files == "iterations"


def test_what_has_no_effect_is_told_in_one_line():
    (effect, absent) = read(TUTORIAL).notices
    assert "\n" not in effect
    for name in ("--pool", "--gpu", "--norm", "--scale"):
        assert name in effect
    for name in ("--pad", "--ctf", "--auto_refine", "--pipeline_control"):
        assert f"{name}:" not in effect and f"{name}," not in effect
    assert "--solvent_correct_fsc" in absent


def test_our_own_flags_pass_also_with_underscores_and_with_equals():
    line = "--particles p.star --initial_lowpass 40 --volume=v.mrc --no-marginalization --out J --sym d2"
    assert read(line).words[2:] == shlex.split(
        "--particles p.star --initial-lowpass 40 --volume=v.mrc --no-marginalization --out J --symmetry D2")


def test_a_short_line_leaves_our_defaults():
    found = settings("--i p.star --ref v.mrc --o J/run --particle_diameter 200")
    assert set(found) == {"--particles", "--volume", "--out", "--particle-diameter"}


def test_what_a_whole_line_leaves_out_is_off_as_in_relion():
    line = read("relion_refine --auto_refine --i p.star --ref v.mrc --o J/run")
    assert {"--no-zero-mask", "--no-ctf-correction"} <= set(line.words)
    assert line.words[line.words.index("--mask") + 1] == "none"
    assert "masked with noise" in line.notices[0]


def test_a_value_may_be_called_like_an_option():
    assert settings("--out cpu --particles ctf") == {"--out": "cpu", "--particles": "ctf"}


def test_oversampling_halves_the_steps_that_the_orders_mean():
    assert settings("--healpix_order 3 --oversampling 0")["--initial-sampling"] == "7.5"
    assert settings("--healpix_order 1 --oversampling 2")["--initial-sampling"] == "7.5"
    assert settings("--offset_step 4 --oversampling 2")["--offset-step"] == "1"


def test_a_mistyped_option_is_refused_with_the_one_that_is_meant():
    with pytest.raises(UsageError, match=r"--healpix_oder: .* did you mean --healpix_order\?"):
        read("--i p.star --healpix_oder 2")


def test_what_would_change_the_result_is_refused_with_the_reason():
    with pytest.raises(UsageError, match=r"--helix: .*no helices\n--skip_align: .*halfmap reconstruct"):
        read("--i p.star --helix --skip_align")


def test_a_missing_value_is_found():
    with pytest.raises(UsageError, match="--particle_diameter: a value is missing"):
        read("--i p.star --particle_diameter --ctf")


def test_an_order_that_is_no_number_is_refused():
    with pytest.raises(UsageError, match="--healpix_order: 'two' is no number"):
        read("--healpix_order two")


def test_to_continue_names_folder_and_iteration(tmp_path):
    (tmp_path / "job.json").write_text("{}")
    optimiser = tmp_path / "run_it003_optimiser.star"
    found = settings(f"--continue {optimiser} --o Refine3D/job020/run --force_converge")
    assert found == {"--continue-from": str(tmp_path), "--continue-iteration": "3", "--out": "Refine3D/job020",
                     "--force-convergence": ""}  # fmt: skip


@pytest.mark.parametrize("out", ["", "--o {folder}/run_ct3"])
def test_a_continued_job_needs_a_folder_of_its_own(tmp_path, out):
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(UsageError, match="name a new folder with --o"):
        read(f"--continue {tmp_path}/run_it003_optimiser.star {out.format(folder=tmp_path)}")


def test_a_run_of_relion_cannot_be_gone_on_with(tmp_path):
    with pytest.raises(UsageError, match="run_class001.mrc as --ref"):
        read(f"--continue {tmp_path}/run_it003_optimiser.star --o J/run")


def test_other_jobs_keep_their_lines():
    words = ["refine", "homogeneous", "--healpix_order", "2"]
    assert relion_line.read(words) == relion_line.Line(words, [])


def test_every_option_has_a_setting_of_the_job_or_none():
    fields = set(Auto.model_fields)
    assert {option.setting for option in OPTIONS if option.setting} <= fields
    flags = {flag(name) for name in fields} | {f"--no-{flag(name)[2:]}" for name in fields}
    assert {word for words, _ in LEFT_OUT.values() for word in words if word.startswith("--")} <= flags
    assert not {f"--{name}" for name in BY_NAME} & flags
    assert len(BY_NAME) == len(OPTIONS)


def test_every_option_of_the_page_of_equivalents_is_read():
    named = {word.rstrip(",") for parameter in elsewhere_relion.RELION_AUTO for word in parameter.name.split()}
    assert named - {"--ewald", "--reverse_curvature", "..."} <= {f"--{name}" for name in BY_NAME}


def test_an_unknown_option_ends_with_the_exit_code_of_usage(capsys):
    assert main.main(["refine", "auto", "--i", "p.star", "--heal_order", "2"]) == UsageError.exit_code
    assert "no such option" in capsys.readouterr().err
