"""The methods text: says what the job did, cites what it used and nothing else, is one text for report and export."""

import json
import re
import xml.sax.saxutils

import pytest

from halfmap.jobs.export import citations, methods
from halfmap.jobs.pictures import report
from halfmap.jobs.running import finished
from halfmap.jobs.running.finished import Finished
from tests.jobs import made


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    return finished.read(made.finished(tmp_path_factory.mktemp("methods") / "job"))


def changed(job, summary=None, name=None, **params):
    return Finished(job.folder, {**job.job, "job": name or job.name, "params": {**job.job["params"], **params}},
                    {**job.summary, **(summary or {})})  # fmt: skip


def test_the_numbers_are_those_of_the_summary(refined):
    text = methods.of(refined).text
    assert f"{made.N} particle images" in text and "halfmap" in text and "random seed 1" in text
    assert f"{refined.summary['resolution_A']:.2f} A" in text and "0.143" in text


def test_every_citation_of_the_text_is_listed_once_and_no_other(refined):
    found = methods.of(changed(refined, refine_defocus=True, ewald_sphere="positive"))
    assert len(set(found.cited)) == len(found.cited)
    assert {key for key, told in citations.TEXT.items() if told in found.text} == set(found.cited)
    assert "[" not in found.text and " ." not in found.text and ".." not in found.text
    entries = re.findall(r"@\w+\{(\w+),", found.bibtex("0.1.0"))
    assert entries == ["halfmap", *found.cited]


@pytest.mark.parametrize("params, words, key", [
    ({"refine_defocus": True}, "defocus of every particle was refined", "zivanov_relion3_2018"),
    ({"refine_group_ctf": True}, "Beam tilt and trefoil of every optics group were refined",
     "zivanov_aberrations_2020"),
    ({"ewald_sphere": "negative"}, "curvature of the Ewald sphere (negative sign)", "wolf_2006"),
    ({"marginalization": True}, "Uncertain particles were back-projected at several poses", None),
    ({"per_particle_scale": True}, "grey scale was estimated for each particle", None),
    ({"mask": "masks/body.mrc"}, "static mask body.mrc", None),
    ({"relax_symmetry": "maximization"}, "was not imposed", None),
])  # fmt: skip
def test_what_was_not_done_is_not_told(refined, params, words, key):
    without, with_it = methods.of(refined), methods.of(changed(refined, {"symmetry": "D2"}, **params))
    assert words not in without.text and words in with_it.text
    assert key is None or (key in with_it.cited and key not in without.cited)


def test_the_phase_randomisation_is_cited_only_where_phases_were_randomised(refined, tmp_path):
    assert ("chen_2013" in methods.of(refined).cited) == (refined.fsc["randomised_from_A"] is not None)
    plain = changed(refined)
    plain.__dict__["fsc"] = {**refined.fsc, "randomised_from_A": None}
    assert "chen_2013" not in methods.of(plain).cited


def test_a_non_uniform_refinement_cites_its_idea(refined):
    told = methods.of(changed(refined, name="refine nonuniform", nonuniform_enable=True))
    assert "punjani_nonuniform_2020" in told.cited and "scheres_bayesian_2012" not in told.cited


def test_a_map_at_nyquist_is_told_to_be_there(refined):
    nyquist = refined.summary["nyquist_A"]
    assert "Nyquist limit" in methods.of(changed(refined, {"resolution_A": nyquist})).text
    assert "Nyquist limit" not in methods.of(changed(refined, {"resolution_A": 1.5 * nyquist})).text


@pytest.mark.parametrize("bfactor, wanted, words", [
    (None, None, "not sharpened"), (-80.0, None, "-80 A^2, from a Guinier fit"), (-80.0, -80.0, "-80 A^2, from choice"),
])  # fmt: skip
def test_sharpening_is_told_as_it_was(refined, bfactor, wanted, words):
    assert words in methods.of(changed(refined, {"bfactor_A2": bfactor}, bfactor=wanted)).text


@pytest.mark.parametrize("job, summary", [("fsc", {}), ("refine homogeneous", {"status": "failed"})])
def test_other_jobs_and_failed_ones_have_no_methods(refined, job, summary):
    assert methods.of(changed(refined, summary, job)) == methods.Methods("", ())


def test_the_report_holds_the_same_text_and_its_references(refined):
    page = report.write(refined.folder).read_text()
    told = methods.of(refined)
    shown = xml.sax.saxutils.unescape(page.replace("&#39;", "'"))
    assert told.text in shown
    assert all(citations.sentence(key) in shown for key in told.cited)


@pytest.mark.parametrize("key", citations.TEXT)
def test_a_paper_has_all_that_a_reader_needs_to_find_it(key):
    year = citations.TEXT[key].rsplit(", ", 1)[1]
    entry = citations.BIBTEX[key]
    assert entry.startswith(f"@article{{{key},") and f"year = {{{year}}}" in entry
    assert entry.count("{") == entry.count("}")
    assert re.search(r"doi:10\.\d{4}/\S+$", citations.sentence(key)) and "{" not in citations.sentence(key)


def test_methods_survive_a_summary_that_was_written_and_read(refined):
    again = Finished(refined.folder, json.loads(json.dumps(refined.job)), json.loads(json.dumps(refined.summary)))
    assert methods.of(again) == methods.of(refined)
