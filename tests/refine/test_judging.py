"""Which mask judges the resolution: the user's, until it is found unfit."""

import numpy as np
import pytest

from halfmap.maps import masks
from halfmap.refine import loop
from halfmap.types import Map
from tests.refine import made

MARK = "too tight or cuts density away"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.experiment(tmp_path_factory.mktemp("judging"), n=200, snr=0.05)


def _reconstructed(data, mask):
    heard = made.Heard()
    outcome = loop.run(made.reconstruction(), data.truth, None, mask, np.random.default_rng(1), heard)
    return outcome, [warning["message"] for warning in heard.of("warning")]


def test_a_mask_of_scraps_gives_way_to_the_sphere_and_both_alignment_and_report_say_so(data):
    scraps = Map((data.map.data > np.quantile(data.map.data, 0.995)).astype(np.float32), made.VOXEL_A)
    outcome, warnings = _reconstructed(data, scraps)
    assert outcome.history[-1]["mask"] == "given mask" and outcome.history[-1]["fsc_mask"].startswith("sphere")
    assert sum("resolution of the alignment" in text for text in warnings) == 1
    assert sum(MARK in text for text in warnings) == 2  # one of the iteration, one of the report
    assert "corrected_given" in outcome.curves


def test_a_good_mask_judges_without_a_word(data):
    body = masks.dynamic(data.map, 15.0, 0.1, 10.0, 30.0)
    outcome, warnings = _reconstructed(data, body)
    assert outcome.history[-1]["fsc_mask"] == "given mask" and not [text for text in warnings if MARK in text]
    np.testing.assert_allclose(outcome.fsc.masks["mask_fsc"].data, body.data, atol=1e-6)
