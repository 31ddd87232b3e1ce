"""RELION sees the same curvature in our files: what sign of --ewald-sphere its options of the same purpose mean.

Origin of the expectation: relion_reconstruct of RELION 3.1.3 (Debian package `relion`) run here, where it is installed,
on images summed over atoms, each with the defocus of its own height (tests/atoms.py).
"""

import shutil
import subprocess

import numpy as np
import pytest

from halfmap.data import relion
from halfmap.io import mrc
from halfmap.types import Map, Optics
from halfmap.validate import fsc
from tests import atoms, blobs

PROGRAM = "relion_reconstruct"
BOX, VOXEL_A = 64, 1.0
# 20 kV, so that 16 A matter, and little defocus, so that RELION's mask of 44 A keeps what it spreads to
OPTICS = Optics("one", 20.0, 0.0, 0.1, VOXEL_A, BOX)
DEFOCUS_A = (300.0, 800.0)
OPTIONS = {"off": (), "positive": ("--ewald",), "negative": ("--ewald", "--reverse_curvature")}

pytestmark = pytest.mark.skipif(
    shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed: no comparison with RELION"
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """(folder, map) of 200 images with positive curvature."""
    folder, rng = tmp_path_factory.mktemp("curved"), np.random.default_rng(1)
    object_ = blobs.scattered(40, 16.0, 0.7, rng)
    particles = atoms.written(folder / "thick.mrcs", object_, 200, (OPTICS,), DEFOCUS_A, 1, 1.0, rng)
    relion.write(folder / "thick.star", particles)
    return folder, object_.map(BOX, VOXEL_A)


@pytest.fixture(scope="module")
def agreement(simulated) -> dict[str, float]:
    """Mean FSC of the truth with RELION's maps, 4 to 2.2 A."""
    folder, truth = simulated
    found = {}
    for name, options in OPTIONS.items():
        result = folder / f"{name}.mrc"
        options = (*options, "--mask_diameter", "44") if options else ()
        done = subprocess.run([PROGRAM, "--i", folder / "thick.star", "--o", result, "--ctf", "--iter", "2", *options],
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[name] = float(fsc.curve(Map(mrc.read(result).data, VOXEL_A), truth).values[16:30].mean())
    return found


def test_positive_is_relions_curvature_and_negative_its_reverse(agreement):
    # 0.87, 0.81, 0.81: its mask takes noise away whatever the sign
    assert agreement["positive"] > agreement["off"] + 0.03
    assert agreement["positive"] > agreement["negative"] + 0.03
