"""Back-projection sums: additive, symmetric, joined."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.fourier import transforms
from halfmap.geometry import rotations, symmetry
from halfmap.kernels.project.reference import in_band
from halfmap.reconstruct import solve, sums
from halfmap.types import Sums
from tests.reconstruct import made


@pytest.fixture
def rng():
    return np.random.default_rng(15)


def radii(sums: Sums) -> np.ndarray:
    """Grid steps from the origin of every point."""
    r = sums.weight.shape[-1] - 1
    z, y, x = np.ogrid[-r : r + 1, -r : r + 1, 0 : r + 1]
    return np.sqrt(x**2 + y**2 + z**2)


def close(a: Sums, b: Sums):
    """Equal up to float32 sums in another order."""
    np.testing.assert_allclose(a.numerator, b.numerator, atol=2e-6 * abs(b.numerator).max())
    np.testing.assert_allclose(a.weight, b.weight, atol=2e-6 * b.weight.max())


@pytest.mark.parametrize("name", ["C1", "D2", "C3"])
def test_sums_of_two_batches_add_up_to_the_sums_of_all(name, rng):
    group = symmetry.group(name)
    matrices, shifts = made.views(30, rng)
    images = made.images(made.object_(), matrices, shifts)
    whole = made.summed(images, matrices, shifts, group)
    parts = []
    for rows in (np.arange(0, 30, 2), np.arange(1, 30, 2)):
        accumulator = sums.Accumulator(made.RADIUS, made.BOX, made.VOXEL_A)
        accumulator.add(images, rows, matrices[rows], shifts[rows])
        parts.append(accumulator.sums(group))
    close(parts[0] + parts[1], whole)
    assert (parts[0] + parts[1]).images == whole.images == 30


def test_adding_twice_to_one_accumulator_is_adding_all(rng):
    matrices, shifts = made.views(10, rng)
    images = made.images(made.object_(), matrices, shifts)
    accumulator = sums.Accumulator(made.RADIUS, made.BOX, made.VOXEL_A)
    for rows in (np.arange(7), np.arange(7, 10)):
        accumulator.add(images, rows, matrices[rows], shifts[rows])
    whole = made.summed(images, matrices, shifts)
    found = accumulator.sums(made.ALONE)
    np.testing.assert_array_equal(found.numerator, whole.numerator)  # the same order
    np.testing.assert_array_equal(found.weight, whole.weight)


def test_sums_of_nothing_are_zero_and_change_nothing(rng):
    matrices, shifts = made.views(3, rng)
    some = made.summed(made.images(made.object_(), matrices, shifts), matrices, shifts)
    nothing = sums.empty(made.RADIUS, made.BOX, made.VOXEL_A)
    assert not nothing.numerator.any() and not nothing.weight.any()
    np.testing.assert_array_equal((some + nothing).numerator, some.numerator)


def test_the_weight_is_the_square_of_the_ctf(rng):
    matrices, shifts = made.views(4, rng)
    images = made.images(made.object_(), matrices, shifts)
    plain = made.summed(images, matrices, shifts)
    half = made.summed(replace(images, ctf=0.5 * images.ctf), matrices, shifts)
    np.testing.assert_allclose(half.weight, 0.25 * plain.weight, rtol=1e-6)
    np.testing.assert_allclose(half.numerator, 0.5 * plain.numerator, rtol=1e-6)
    whole = 2 * plain.weight[..., 1:].sum(dtype=float) + plain.weight[..., 0].sum(dtype=float)
    assert whole == pytest.approx(4 * 2 * in_band(made.RADIUS, made.RADIUS).sum(), rel=1e-5)


def test_adding_the_unmasked_images_moves_them_to_the_centre(rng):
    matrices, shifts = made.views(3, rng)
    moved = made.images(made.object_(), matrices, shifts)
    centred = made.images(made.object_(), matrices, np.zeros_like(shifts))
    masked = replace(moved, masked=np.zeros_like(moved.masked))
    close(made.summed(masked, matrices, shifts), made.summed(centred, matrices, np.zeros_like(shifts)))


def test_images_of_another_length_are_laid_in_on_the_grid_of_the_map(rng):
    stretch = 1.04
    matrices, shifts = made.views(400, rng)
    truth = made.object_()
    planes = truth.half_planes(matrices, shifts, made.RADIUS, made.LENGTH_A / stretch, made.VOXEL_A) / stretch**2
    images = replace(made.images(truth, matrices, shifts), unmasked=planes.astype(np.complex64))
    images = replace(images, stretch=stretch * np.eye(2), pixel_size_A=made.VOXEL_A / stretch)
    found = solve.unfiltered(made.summed(images, matrices, shifts, radius=10), made.BOX, made.BOX).data
    plain = solve.unfiltered(made.summed(made.images(truth, matrices, shifts), matrices, shifts, radius=10), made.BOX,
                             made.BOX).data  # fmt: skip
    # two reconstructions of one object from different samples: interpolation alone, a few per cent
    assert np.linalg.norm(found - plain) < 0.05 * np.linalg.norm(plain)


def test_shells_beyond_the_images_own_box_are_left_out(rng):
    # filled up to the radius of the batch: stretched, they would lie beyond the grid
    matrices, shifts = made.views(4, rng)
    images = replace(made.images(made.object_(), matrices, shifts), box=20, stretch=1.05 * np.eye(2))
    inside = in_band(10, made.RADIUS)
    emptied = replace(images, unmasked=images.unmasked * inside, ctf=images.ctf * inside)
    found, expected = made.summed(images, matrices, shifts), made.summed(emptied, matrices, shifts)
    np.testing.assert_array_equal(found.numerator, expected.numerator)
    np.testing.assert_array_equal(found.weight, expected.weight)


def test_images_that_are_magnified_off_the_grid_lose_their_last_shells(rng):
    matrices, shifts = made.views(4, rng)
    matrices[0] = np.eye(3)
    images = replace(made.images(made.object_(), matrices, shifts), stretch=1.4 * np.eye(2))
    inside = in_band(8, made.RADIUS)  # 2 x 1.4 x sqrt(8 x 9) = 23.8 of 24 steps
    emptied = replace(images, unmasked=images.unmasked * inside, ctf=images.ctf * inside)
    found, expected = made.summed(images, matrices, shifts), made.summed(emptied, matrices, shifts)
    np.testing.assert_array_equal(found.numerator, expected.numerator)
    np.testing.assert_array_equal(found.weight, expected.weight)
    assert found.weight[..., 23].any()  # kx = 8 lies at 22.4


def test_distorted_images_are_laid_in_where_they_belong(rng):
    matrices, _ = made.views(300, rng)
    shifts = np.zeros((300, 2))
    truth = made.object_()
    magnification = np.array([[1.03, 0.01], [0.01, 0.98]])
    # V(A^T M k) of Gaussians: the plane of an object is that at M k, by its closed form at any matrix
    ky, kx = np.mgrid[-made.RADIUS : made.RADIUS + 1, 0 : made.RADIUS + 1]
    q = np.einsum("ij,jyx->iyx", magnification, np.stack([kx, ky]).astype(float)) / made.LENGTH_A
    place = np.einsum("nij,mj->nmi", matrices[:, :2], truth.centres_A)
    height = truth.weights * (2 * np.pi) ** 1.5 * truth.widths_A**3 / (made.VOXEL_A * made.LENGTH_A**2)
    damping = np.exp(-2 * np.pi**2 * np.einsum("m,yx->myx", truth.widths_A**2, (q**2).sum(0)))
    waves = np.exp(-2j * np.pi * np.einsum("nmi,iyx->nmyx", place, q))
    planes = np.einsum("m,myx,nmyx->nyx", height, damping, waves, optimize=True)
    plain = made.images(truth, matrices, shifts)
    images = replace(plain, unmasked=planes.astype(np.complex64), stretch=magnification)
    wanted, known, ignored = (
        solve.unfiltered(made.summed(batch, matrices, shifts, radius=9), made.BOX, made.BOX).data
        for batch in (plain, images, replace(images, stretch=np.eye(2)))
    )
    # interpolation from other samples alone, a few per cent; ignored, the object is smeared by 3 % of its size
    assert np.linalg.norm(known - wanted) < 0.05 * np.linalg.norm(wanted)
    assert np.linalg.norm(ignored - wanted) > 2 * np.linalg.norm(known - wanted)


@pytest.mark.parametrize("name", ["D2", "C3"])
def test_symmetrised_sums_are_those_of_all_equivalent_views(name, rng):
    group = symmetry.group(name)
    matrices, shifts = made.views(20, rng)
    truth = made.object_(name)
    images = made.images(truth, matrices, shifts)
    by_group = made.summed(images, matrices, shifts, group)
    everything = np.concatenate([matrices @ op for op in group])
    copies = made.images(truth, everything, np.tile(shifts, (len(group), 1)))
    by_views = made.summed(copies, everything, np.tile(shifts, (len(group), 1)))
    inside = radii(by_views) <= 2 * 10
    difference = (by_group.weight - by_views.weight) * inside
    if name == "D2":  # maps the grid onto itself; float32 sums
        assert abs(difference).max() < 1e-5 * by_views.weight.max()
    else:  # C3 interpolates once more, which smooths but keeps the total
        assert abs(difference.sum()) < 0.01 * (by_views.weight * inside).sum()


@pytest.mark.parametrize("shell", [4.0, 5.3, 40.0])
def test_the_core_holds_the_sums_up_to_its_shell(shell, rng):
    matrices, shifts = made.views(5, rng)
    whole = made.summed(made.images(made.object_(), matrices, shifts), matrices, shifts)
    core = sums.core(whole, shell)
    r, edge = whole.weight.shape[-1] - 1, core.weight.shape[-1] - 1
    assert edge == r or edge >= whole.padding * shell
    place = (slice(r - edge, r + edge + 1), slice(r - edge, r + edge + 1), slice(0, edge + 1))
    np.testing.assert_array_equal(core.numerator, whole.numerator[place])
    np.testing.assert_array_equal(core.weight, whole.weight[place])


def test_sums_of_real_images_are_those_of_a_real_map(rng):
    matrices = rotations.random(5, rng)
    images = made.images(made.object_(), matrices, np.zeros((5, 2)))
    numerator = made.summed(images, matrices, np.zeros((5, 2))).numerator
    np.testing.assert_array_equal(numerator[..., 0], numerator[::-1, ::-1, 0].conj())
    assert transforms.to_volume(numerator, made.BOX, 2).dtype == np.float32
