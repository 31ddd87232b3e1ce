"""`halfmap fsc`: what its own settings do."""

import json

import numpy as np
import pytest

from halfmap.errors import UsageError
from halfmap.io import mrc
from halfmap.jobs.running.events import Passing
from halfmap.jobs.volume import fsc
from halfmap.params.fsc import Fsc
from tests.validate import made


@pytest.fixture
def halves(tmp_path):
    paths = [tmp_path / f"half{i}.mrc" for i in (1, 2)]
    for path, half in zip(paths, made.halves(np.random.default_rng(1), made.particle(), 1.5), strict=True):
        mrc.write(path, half)
    return {"half1": paths[0], "half2": paths[1]}


def test_maps_of_a_large_group_have_too_few_values_for_a_tight_mask(halves, tmp_path):
    told = {}
    for symmetry in ("C1", "I"):
        folder = tmp_path / symmetry
        folder.mkdir()
        fsc.run(Fsc(**halves, symmetry=symmetry, out=folder), folder, np.random.default_rng(0), Passing())
        told[symmetry] = json.loads((folder / "fsc.json").read_text())["descriptions"]["tight"]
    assert "0.50 max" in told["C1"] and "too few Fourier values" in told["I"]


def test_an_unknown_group_is_refused_before_anything_is_computed(halves, tmp_path):
    with pytest.raises(UsageError, match="Q7"):
        fsc.check(Fsc(**halves, symmetry="Q7", out=tmp_path), Passing())
