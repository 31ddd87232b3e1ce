"""Sharpened maps against relion_postprocess with the same half-maps, mask, MTF and B-factor.

Weights, MTF and B-factor are told apart from the FSC: with RELION's own curve our factors must be RELION's. With our
curve, the mean over all random phases, weights differ by the error of RELION's one draw, 0.01 in the FSC: 0.7 % of the
weight where the FSC is 0.5, more beyond.
"""

import json
import shutil
import subprocess

import numpy as np
import pytest

from halfmap.data import relion
from halfmap.fourier import shells
from halfmap.io import mrc, star
from halfmap.jobs.running import run
from halfmap.maps import filters, sharpening
from halfmap.maps.sharpening import Mtf
from halfmap.params.sharpen import Sharpen
from halfmap.types import Map
from tests.contracts.test_relion_postprocess import BOX, PROGRAM, VOXEL_A, halves

B_A2, MTF_PIXEL_A = -120.0, 1.1
WITHIN = 0.01

needs_relion = pytest.mark.skipif(
    shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed: no comparison with RELION"
)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A folder with half-maps, mask, MTF, and what relion_postprocess makes of them: post.mrc, post.star."""
    folder = tmp_path_factory.mktemp("post")
    pair, mask = halves()
    for name, each in (("half1", pair[0]), ("half2", pair[1]), ("mask", mask)):
        mrc.write(folder / f"{name}.mrc", each)
    frequency = np.linspace(0, 0.5, 51)
    columns = {"rlnResolutionInversePixel": frequency, "rlnMtfValue": np.cos(2 * frequency)}
    star.write(folder / "mtf.star", [star.Block("mtf", columns)])
    files = {"--i": "half1.mrc", "--i2": "half2.mrc", "--mask": "mask.mrc", "--mtf": "mtf.star", "--o": "post"}
    command = [PROGRAM, *(word for pair in files.items() for word in pair)]
    numbers = ["--angpix", VOXEL_A, "--adhoc_bfac", B_A2, "--mtf_angpix", MTF_PIXEL_A]
    done = subprocess.run([*command, *map(str, numbers)], cwd=folder, capture_output=True, text=True)
    assert (folder / "post.mrc").exists(), done.stdout + done.stderr
    return folder


def compare(ours, theirs, shells_up_to):
    """Correlation per shell above 0.999, and amplitudes within WITHIN of one common factor, up to that shell."""
    fa, fb = (np.fft.rfftn(each.data) for each in (ours, theirs))
    tested = slice(1, shells_up_to + 1)
    assert shells.correlation(fa, fb, BOX)[tested].min() > 0.999
    ratio = (shells.amplitude(fa) / np.maximum(shells.amplitude(fb), 1e-30))[tested]
    np.testing.assert_allclose(ratio / np.median(ratio), 1, atol=WITHIN)


@needs_relion
def test_the_factors_are_those_of_relion_for_its_own_curve(theirs):
    blocks = star.read(theirs / "post.star")
    curve = np.asarray(blocks["fsc"].columns["rlnFourierShellCorrelationCorrected"], float)
    half1, half2 = (mrc.read(theirs / f"half{i}.mrc") for i in (1, 2))
    mean = Map((half1.data + half2.data) / 2, VOXEL_A)
    # RELION takes the factor of the nearest shell where ours is linear in between
    weight = sharpening.weights(curve, sharpening.cref)
    parts = [
        lambda radii: weight[np.minimum(np.rint(radii).astype(int), BOX // 2)],
        Mtf(*relion.read_mtf(theirs / "mtf.star")).undone(mean, MTF_PIXEL_A),
        filters.bfactor_factor(mean, B_A2),
    ]
    last = int(np.flatnonzero(curve < 0.1)[0]) - 1
    compare(filters.radial(mean, filters.product(parts)), mrc.read(theirs / "post.mrc"), last)


@needs_relion
def test_a_sharpened_map_is_that_of_relion_where_the_draw_of_phases_allows(theirs, tmp_path):
    settings = Sharpen(
        volume=theirs / "half1.mrc", half1=theirs / "half1.mrc", half2=theirs / "half2.mrc", mask=theirs / "mask.mrc",
        mtf=theirs / "mtf.star", mtf_pixel_size_A=MTF_PIXEL_A, bfactor=B_A2, lowpass="none", out=tmp_path / "job",
    )  # fmt: skip
    assert run.run("sharpen", settings).exit_code == 0
    curve = np.array(json.loads((tmp_path / "job" / "fsc.json").read_text())["corrected"])
    last = int(np.flatnonzero(curve < 0.5)[0]) - 1
    assert last > 25  # of 48 shells
    compare(mrc.read(tmp_path / "job" / "map_sharp.mrc"), mrc.read(theirs / "post.mrc"), last)
