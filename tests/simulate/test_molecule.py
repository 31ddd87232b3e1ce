"""The protein-like object: symmetry, extent, spectrum."""

import numpy as np
import pytest

from halfmap.errors import UsageError
from halfmap.geometry import symmetry
from halfmap.simulate import hinged, protein_like
from halfmap.simulate.molecule import _gaussians


def molecule(name="C1", box=64, voxel_size_A=3.0, seed=1, diameter_A=90.0, **more):
    return protein_like(box, voxel_size_A, symmetry.group(name), np.random.default_rng(seed), diameter_A, **more)


def distances(box):
    offset = np.arange(box) - box // 2
    return np.sqrt(offset[:, None, None] ** 2 + offset[:, None] ** 2 + offset**2)


def without_first_planes(data):
    """An even box has no mirror image of its first planes about the centre."""
    return data[1:, 1:, 1:]


def test_same_generator_same_molecule():
    np.testing.assert_array_equal(molecule().data, molecule().data)
    assert not np.array_equal(molecule().data, molecule(seed=2).data)


@pytest.mark.parametrize("name", ["D2", "O", "I"])
def test_half_turns_about_x_and_z_bring_it_back(name):
    data = without_first_planes(molecule(name, diameter_A=130.0).data)
    # float32 densities below 0.1, atoms placed in float64
    np.testing.assert_allclose(data[:, ::-1, ::-1], data, atol=1e-6)
    np.testing.assert_allclose(data[::-1, ::-1], data, atol=1e-6)


def test_threefold_of_the_octahedron_permutes_the_axes():
    data = molecule("O", diameter_A=120.0).data
    np.testing.assert_allclose(data.transpose(2, 0, 1), data, atol=1e-6)


def test_an_asymmetric_molecule_is_not_its_own_mirror_or_turn():
    data = without_first_planes(molecule().data)
    for other in (data[::-1], data[:, ::-1, ::-1], data[::-1, :, ::-1], data[::-1, ::-1, ::-1]):
        assert np.corrcoef(other.ravel(), data.ravel())[0, 1] < 0.8


@pytest.mark.parametrize("name", ["C1", "C3", "D7", "I"])
def test_it_stays_within_its_diameter_and_solvent_is_zero(name):
    map = molecule(name, diameter_A=120.0)
    # an atom's Gaussian is drawn in a cube of 4 voxels to each side, 4.5 standard deviations of 0.75 voxel
    beyond = distances(64) * 3.0 > 60.0 + 3.0 * np.sqrt(3) * 4.5
    assert map.data[beyond].max() == 0
    assert map.data.min() == 0


def test_its_centre_is_near_the_centre_of_the_box():
    data = molecule().data
    offset = np.arange(64) - 32
    centre = [np.tensordot(data.sum(axis=axes), offset, 1) / data.sum() for axes in ((1, 2), (0, 2), (0, 1))]
    assert np.abs(centre).max() < 64 / 20


def test_total_density_counts_the_atoms():
    places = np.random.default_rng(3).uniform(20, 40, (50, 3))
    # trapezoidal sums of a Gaussian of 0.75 voxel are exact to 2 exp(-2 pi^2 sigma^2) = 3e-5 per axis
    assert _gaussians(places, 0.75, 64).sum() == pytest.approx(50, rel=2e-4)


def test_there_is_structure_beyond_ten_angstrom():
    map = molecule(box=64, voxel_size_A=1.5, diameter_A=80.0)
    power = np.abs(np.fft.rfftn(map.data)) ** 2
    k = np.fft.fftfreq(64, 1.5)
    frequency = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.fft.rfftfreq(64, 1.5) ** 2)
    atoms = float(map.data.sum() * 1.5**3)
    shell = (frequency > 1 / 9) & (frequency < 1 / 4)
    # unordered atoms give their number times the square of the envelope exp(-80 k^2 / 4): order adds to that
    envelope = np.exp(-80.0 / 2 * frequency[shell] ** 2)
    assert power[shell].sum() * 1.5**6 > 0.5 * (atoms * envelope).sum()


def test_a_sphere_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="90 % of the box"):
        molecule(diameter_A=190.0)


def test_a_sphere_too_small_for_its_symmetry_is_refused():
    with pytest.raises(UsageError, match="no helix fits 60 times"):
        molecule("I", diameter_A=60.0)


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5])
def test_a_hinged_molecule_is_the_same_one_in_two_parts(fraction):
    body, domain, _ = hinged(64, 3.0, fraction, np.random.default_rng(1), 90.0)
    atoms = float(molecule().data.sum()) * 27
    np.testing.assert_allclose(body.data + domain.data, molecule().data, atol=1e-6)  # float32 densities below 0.1
    # whole chains of at most 26 residues in a helix and 9 of coil, about 7 atoms each; off by no more than half of one
    assert domain.data.sum() / molecule().data.sum() == pytest.approx(fraction, abs=0.5 * 35 * 7.5 / atoms)


def test_the_hinge_lies_between_the_parts():
    body, domain, hinge = hinged(64, 3.0, 0.3, np.random.default_rng(1), 90.0)
    offset = (np.arange(64) - 32) * 3.0
    centres = [np.array([(part.data.sum(axis=axes) * offset).sum() for axes in ((0, 1), (0, 2), (1, 2))])
               / part.data.sum() for part in (body, domain)]  # fmt: skip
    apart = centres[1] - centres[0]
    along = (np.array(hinge) - centres[0]) @ apart / (apart @ apart)
    assert 0.2 < along < 1.0
