"""Where parameters of other programs are: the page is current, complete and says nothing that is not so."""

import re
from pathlib import Path

import pytest

from halfmap.cli import equivalents
from halfmap.jobs import catalog
from halfmap.params import elsewhere_cryosparc
from halfmap.params.common import Job
from halfmap.params.elsewhere import TABLES

PAGE = Path(__file__).parents[2] / "docs" / "PARAMETERS.md"
ROWS = [(table, parameter) for table in TABLES for parameter in table.parameters]
# cryoSPARC's keys of its homogeneous refinement, by their kinds: one of them that is missing was forgotten
KEYS = """refine_N refine_symmetry refine_relax_symmetry refine_symmetry_do_align refine_do_init_scale_est
refine_num_final_iterations refine_res_align_max refine_highpass_res refine_res_init refine_res_gsfsc_split
refine_gs_resplit refine_clip refine_window refine_skip_premult refine_ignore_dc refine_ignore_tilt
refine_ignore_trefoil refine_ignore_tetra refine_ignore_anisomag refine_batch_random refine_batchsize_no_auto
refine_batchsize_init refine_batchsize_epsilon refine_batchsize_snrfactor refine_scale_min refine_scale_start_iter
refine_scale_reset refine_noise_model refine_noise_priorw refine_noise_initw refine_noise_init_sigmascale
refine_noise_init_from_imgs refine_mask refine_dynamic_mask_thresh_factor refine_dynamic_mask_near_ang
refine_dynamic_mask_far_ang refine_dynamic_mask_start_res refine_dynamic_mask_use_abs refine_defocus_refine
crl_num_plots crl_min_res_A crl_df_range refine_ctf_global_refine crg_num_plots crg_plot_binfactor crg_min_res_A
crg_do_tilt crg_do_trefoil crg_do_spherical crg_do_tetrafoil crg_do_anisomag refine_do_ews_correct
refine_do_ews_correct_align refine_ews_zsign refine_ews_simple prepare_window_dataset prepare_window_inner_radius
prepare_window_outer_radius compute_use_ssd random_seed intermediate_plots low_memory_mode refine_compute_batch_size
compute_num_gpus""".split()
# What neither program has
OF_OUR_OWN = {"keep_checkpoints", "write_cs", "mask_start_resolution", "write_candidates", "defocus_prior",
              "relion_files"}  # fmt: skip


def test_the_page_is_what_the_tables_say():
    assert PAGE.read_text() == equivalents.markdown(), (
        "make it again: python -m halfmap.cli.equivalents > docs/PARAMETERS.md"
    )


def test_every_key_of_a_homogeneous_refinement_has_its_line():
    assert set(KEYS) <= {parameter.name for parameter in elsewhere_cryosparc.CRYOSPARC_HOMOGENEOUS}


@pytest.mark.parametrize("table, parameter", ROWS, ids=[f"{t.job}-{p.name}" for t, p in ROWS])
def test_a_line_names_settings_of_its_job_or_says_why_there_is_none(table, parameter):
    fields = catalog.find(table.job).params.model_fields
    assert set(parameter.settings) <= set(fields)
    assert parameter.settings or parameter.remark.endswith(".")
    assert parameter.remark == "" or parameter.remark.endswith(".")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.program)
def test_no_parameter_has_two_lines(table):
    names = [parameter.name for parameter in table.parameters]
    assert len(names) == len(set(names))


def known_elsewhere():
    """(job, setting, program) for every name that a help text gives."""
    for entry in catalog.JOBS:
        for name, field in entry.params.model_fields.items():
            if name in Job.model_fields:
                continue  # threads, seed and the like are the same everywhere
            for program in ("cryoSPARC", "RELION --"):
                if re.search(rf"{program}", (field.json_schema_extra or {}).get("known_as") or ""):
                    yield entry.name, name, program.split()[0]


@pytest.mark.parametrize("job, name, program", sorted(known_elsewhere()))
def test_a_setting_that_says_how_others_call_it_is_in_the_page(job, name, program):
    listed = {setting for table, parameter in ROWS if table.job == job and table.program.startswith(program)
              for setting in parameter.settings}  # fmt: skip
    tabled = any(table.job == job and table.program.startswith(program) for table in TABLES)
    assert name in listed or not tabled, f"{job}: --{name} is known to {program}: add it to params/elsewhere_*.py"


def test_nearly_every_setting_of_a_refinement_is_known_to_someone():
    entry = catalog.find("refine homogeneous")
    listed = {setting for table in TABLES for parameter in table.parameters for setting in parameter.settings}
    alone = set(entry.params.model_fields) - listed
    assert alone <= OF_OUR_OWN | {"overwrite", "dry_run", "device", "fsc_mask"}


@pytest.mark.parametrize(
    "job, name, words",
    [("refine homogeneous", "initial_lowpass", "30 A"), ("refine homogeneous", "non_negative", "off"),
     ("refine homogeneous", "volume", "required"), ("refine homogeneous", "box_size", "none"),
     ("refine homogeneous", "candidates", "8"), ("refine homogeneous", "early_subsets", "on"),
     ("refine homogeneous", "extra_final_passes", "0"), ("refine homogeneous", "noise_initial_scale", "1")],
)  # fmt: skip
def test_defaults_are_told_in_words_and_with_their_unit(job, name, words):
    assert equivalents.default(catalog.find(job).params.model_fields[name]) == words
