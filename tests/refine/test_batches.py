"""From files to Images: masks, whitening, other boxes and pixel sizes, images that cannot be used."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.data.particles import Particles
from halfmap.data.stack import Stack
from halfmap.fourier import transforms
from halfmap.geometry import rotations
from halfmap.io import mrc
from halfmap.kernels.project.reference import in_band
from halfmap.physics import aberrations, ctf, noise
from halfmap.refine.batches import EDGE_PX, Frame, Source
from halfmap.types import Defocus, Optics
from tests import blobs

BOX, VOXEL_A, DIAMETER_A = 32, 3.0, 60.0
FRAME = Frame(BOX, VOXEL_A, DIAMETER_A)
RADIUS = 12


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture(scope="module")
def truth():
    return blobs.scattered(6, 16.0, 4.5, np.random.default_rng(1))


def optics(pixel_size_A: float, box: int, **changes) -> Optics:
    return replace(Optics("group", 300.0, 2.7e7, 1.0, pixel_size_A, box), **changes)


def no_ctf(n: int) -> Defocus:
    """With an amplitude contrast of 1 and no defocus the CTF is 1 but for the spherical aberration."""
    zeros = np.zeros(n)
    return Defocus(zeros, zeros, zeros, zeros, zeros, zeros + 1)


class Rejected(list):
    def __call__(self, rows, reason):
        self.append((list(rows), reason))


def source(folder, stacks, described, frame=FRAME) -> Source:
    """One stack file per optics group."""
    counts = [len(images) for images in stacks]
    files = tuple(folder / f"{g}.mrcs" for g in range(len(stacks)))
    for path, images, optics_group in zip(files, stacks, described, strict=True):
        mrc.write_stack(path, images.astype(np.float32), optics_group.pixel_size_A)
    group = np.repeat(np.arange(len(stacks)), counts).astype(np.int32)
    n = len(group)
    index = np.concatenate([np.arange(c) for c in counts])
    particles = Particles(files, group, index, tuple(described), group, no_ctf(n), None, np.zeros(n, np.int8),
                          np.ones(n))  # fmt: skip
    return Source(particles, Stack(particles), frame, Rejected())


def flat(box: int, sd: float = 1.0, grey: float = 1.0) -> noise.GroupModel:
    return noise.GroupModel(np.full(box // 2 + 1, sd), grey)


def everything(made: Source, models, radius=RADIUS, size=100, shifts_A=None) -> list:
    n = len(made.particles)
    shifts_A = np.zeros((n, 2)) if shifts_A is None else shifts_A
    return list(made.batches(np.arange(n), size, radius, models, shifts_A))


def shell_means(planes, radius):
    """Mean |x|^2 per shell over images and the pixels that count."""
    ky, kx = np.mgrid[-radius : radius + 1, 0 : radius + 1]
    shell = np.rint(np.hypot(kx, ky)).astype(int)
    keep = in_band(radius, radius)
    return np.array([(abs(planes[:, keep & (shell == s)]) ** 2).mean() for s in range(1, radius + 1)])


def measured(made: Source, groups: int) -> list[noise.GroupModel]:
    """Noise models of images without particles, as the start of a refinement makes them."""
    powers = [[] for _ in range(groups)]
    for group, power in made.powers(np.arange(len(made.particles)), 64):
        powers[group].append(power)
    return [noise.from_power(np.concatenate(parts).mean(0)) for parts in powers]


def test_whitened_noise_has_unit_variance_in_every_shell(tmp_path, rng):
    n = 400
    white = rng.normal(0, 3, (n, BOX, BOX))
    # coloured: neighbours averaged, amplitude falls by cos(pi k / N) along x
    coloured = (white + np.roll(white, 1, axis=2)) / 2
    made = source(tmp_path, [white, coloured], [optics(VOXEL_A, BOX)] * 2)
    models = measured(made, 2)
    for images in everything(made, models, size=n):
        # shell 1 has 4 pixels x 400 images, correlated by the mask over some 3 pixels: 1 / sqrt(1600 / 3) = 4 %;
        # three standard deviations, and less in larger shells. The colour changes within a shell along kx only.
        assert images.kept < 1
        np.testing.assert_allclose(shell_means(images.masked, RADIUS) / images.kept, 1, atol=0.13)
        np.testing.assert_allclose(shell_means(images.unmasked, RADIUS), 1, atol=0.13)


def test_the_noise_model_of_white_noise_is_its_power(tmp_path, rng):
    made = source(tmp_path, [rng.normal(0, 3, (300, BOX, BOX))], [optics(VOXEL_A, BOX)])
    sd = measured(made, 1)[0].noise_sd
    # E|transform / N^2|^2 = sd^2 / N^2
    np.testing.assert_allclose(sd[: BOX // 2], 3 / BOX, rtol=0.07)


def test_images_are_those_of_the_object_over_the_noise(tmp_path, truth, rng):
    matrices, shifts = rotations.random(3, rng), rng.uniform(-6, 6, (3, 2))
    made = source(tmp_path, [truth.images(matrices, shifts, BOX, VOXEL_A, VOXEL_A)], [optics(VOXEL_A, BOX)])
    (images,) = everything(made, [flat(BOX, 0.02)])
    expected = truth.half_planes(matrices, shifts, RADIUS, FRAME.length_A, VOXEL_A) / 0.02
    np.testing.assert_allclose(images.unmasked, expected, atol=2e-4 * abs(expected).max())  # aliases: sigma 1.5 px


def test_the_window_follows_the_particle(tmp_path, truth, rng):
    matrices = rotations.random(2, rng)
    shifts = np.array([[0.0, 0.0], [18.0, -12.0]])  # whole pixels
    made = source(tmp_path, [truth.images(matrices[[0, 0]], shifts, BOX, VOXEL_A, VOXEL_A)], [optics(VOXEL_A, BOX)])
    (images,) = everything(made, [flat(BOX)], shifts_A=shifts)
    ky, kx = np.mgrid[-RADIUS : RADIUS + 1, 0 : RADIUS + 1]
    turn = np.exp(2j * np.pi * (kx * 18.0 - ky * 12.0) / FRAME.length_A)
    largest = abs(images.masked).max()
    np.testing.assert_allclose(images.masked[1], images.masked[0] * turn, atol=1e-3 * largest)
    (astray,) = everything(made, [flat(BOX)], shifts_A=-shifts)
    assert abs(astray.masked[1] - images.masked[1]).max() > 0.05 * largest


def test_the_mask_leaves_the_stated_fraction_of_the_noise(tmp_path, rng):
    made = source(tmp_path, [rng.normal(0, 1, (300, BOX, BOX))], [optics(VOXEL_A, BOX)])
    (images,) = everything(made, [flat(BOX, 1 / BOX)], size=300)
    radius = DIAMETER_A / 2 / VOXEL_A
    area = np.pi * radius**2 / BOX**2, np.pi * (radius + EDGE_PX) ** 2 / BOX**2
    assert area[0] < images.kept < area[1]
    ratio = shell_means(images.masked, RADIUS).mean() / shell_means(images.unmasked, RADIUS).mean()
    assert ratio == pytest.approx(images.kept, rel=0.03)  # 300 images x 200 pixels, a third independent: 0.7 %


@pytest.mark.parametrize(
    "pixel, box",
    [(3.0, 40), (3.0, 26), (2.4, 40), (2.0, 64), (3.1, 32), (3.9, 24)],
    ids=["wider", "narrower", "finer", "finer and wider", "another ratio", "coarser"],
)
def test_images_of_another_box_or_pixel_size_land_on_the_same_grid(tmp_path, truth, rng, pixel, box):
    matrices, shifts = rotations.random(3, rng), rng.uniform(-4, 4, (3, 2))
    pictures = truth.images(matrices, shifts, box, pixel, VOXEL_A)
    made = source(tmp_path, [pictures], [optics(pixel, box)])
    (images,) = everything(made, [flat(box)])
    stretch = FRAME.length_A / (images.box * images.pixel_size_A)
    np.testing.assert_allclose(images.stretch, stretch * np.eye(2), rtol=1e-12)
    assert abs(stretch - 1) <= 1 / images.box  # boxes are even: at most a pixel off
    # coefficient k of the image is the object at grid point stretch k, in units of the frame's area
    expected = truth.half_planes(matrices, shifts, RADIUS, images.box * pixel, VOXEL_A) / stretch**2
    reach = min(RADIUS, images.box // 2 - 1)
    assert images.unmasked.shape == expected.shape
    inside = in_band(reach, RADIUS)
    # aliases of sigma = 4.5 A: exp(-2 pi^2 (4.5 / 3.9)^2 / 4) = 1e-3 at the Nyquist frequency of the coarsest;
    # what lies outside a box of 26: exp(-(39 - 20)^2 / 2 / 4.5^2) = 1e-4
    np.testing.assert_allclose(images.unmasked[:, inside], expected[:, inside], atol=2e-3 * abs(expected).max())


def test_two_groups_of_one_object_agree_on_the_grid(tmp_path, truth, rng):
    matrices, shifts = rotations.random(2, rng), rng.uniform(-4, 4, (2, 2))
    stacks = [truth.images(matrices, shifts, box, pixel, VOXEL_A) for box, pixel in ((32, 3.0), (64, 1.5))]
    made = source(tmp_path, stacks, [optics(3.0, 32), optics(1.5, 64)])
    first, second = everything(made, [flat(32), flat(64)])
    assert (first.stretch == np.eye(2)).all() and (second.stretch == np.eye(2)).all()
    largest = abs(first.unmasked).max()
    np.testing.assert_allclose(first.unmasked, second.unmasked, atol=3e-4 * largest)
    inside = in_band(RADIUS, RADIUS)
    # the soft edge is 5 pixels of either image: 15 and 7.5 A, where the object has little
    np.testing.assert_allclose(first.masked[:, inside], second.masked[:, inside], atol=0.02 * largest)


def test_images_that_end_earlier_are_filled_with_zeros(tmp_path, truth, rng):
    pictures = truth.images(rotations.random(1, rng), np.zeros((1, 2)), 16, 6.0, VOXEL_A)
    made = source(tmp_path, [pictures], [optics(6.0, 16)])
    (images,) = everything(made, [flat(16)])
    assert images.radius == RADIUS
    for planes in (images.masked, images.unmasked, images.ctf):
        assert not planes[:, : RADIUS - 8].any() and not planes[:, :, 9:].any()
        assert planes[:, RADIUS, 1:7].all()


def test_images_with_nan_or_without_contrast_are_rejected_and_reported(tmp_path, rng):
    pictures = rng.normal(0, 1, (6, BOX, BOX))
    pictures[1, 3, 4] = np.nan
    pictures[2] = 7.0
    pictures[4, 0, 0] = np.inf
    made = source(tmp_path, [pictures], [optics(VOXEL_A, BOX)])
    batches = everything(made, [flat(BOX)], size=4)
    np.testing.assert_array_equal(np.concatenate([b.rows for b in batches]), [0, 3, 5])
    assert [rows for rows, _ in made.reject] == [[1, 2], [4]]
    assert "NaN" in made.reject[0][1]
    assert all(np.isfinite(b.masked).all() for b in batches)


def test_a_batch_of_which_nothing_is_left_does_not_come(tmp_path):
    pictures = np.full((2, BOX, BOX), np.nan)
    made = source(tmp_path, [pictures], [optics(VOXEL_A, BOX)])
    assert everything(made, [flat(BOX)]) == []
    assert list(made.powers(np.arange(2), 2)) == []


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_size_of_batches_changes_no_image(tmp_path, rng, size):
    pictures = rng.normal(0, 1, (7, BOX, BOX))
    made = source(tmp_path, [pictures], [optics(VOXEL_A, BOX)])
    (whole,) = everything(made, [flat(BOX)])
    parts = everything(made, [flat(BOX)], size=size)
    np.testing.assert_array_equal(np.concatenate([p.masked for p in parts]), whole.masked)
    np.testing.assert_array_equal(np.concatenate([p.ctf for p in parts]), whole.ctf)


@pytest.mark.parametrize("premultiplied", [False, True])
def test_the_ctf_comes_with_the_grey_scale_over_the_noise(tmp_path, rng, premultiplied):
    described = optics(VOXEL_A, BOX, amplitude_contrast=0.1, premultiplied=premultiplied)
    made = source(tmp_path, [rng.normal(0, 1, (2, BOX, BOX))], [described])
    (images,) = everything(made, [flat(BOX, 0.5, grey=1.7)])
    plain = ctf.half_plane(described, no_ctf(2), RADIUS)
    expected = (plain**2 if premultiplied else plain) * 1.7 / 0.5
    np.testing.assert_allclose(images.ctf, expected, rtol=1e-5, atol=1e-6)


def test_the_band_of_the_batch_is_the_one_asked_for(tmp_path, rng):
    made = source(tmp_path, [rng.normal(0, 1, (2, BOX, BOX))], [optics(VOXEL_A, BOX)])
    (wide,), (narrow,) = (everything(made, [flat(BOX)], radius) for radius in (RADIUS, 5))
    np.testing.assert_allclose(narrow.masked, wide.masked[:, RADIUS - 5 : RADIUS + 6, :6], atol=1e-6)


def test_shells_and_resolutions_are_inverse():
    assert FRAME.shell(FRAME.length_A / 7) == 7
    assert FRAME.resolution_A(7) == pytest.approx(FRAME.length_A / 7)
    assert FRAME.shell(0.1) == BOX // 2
    assert FRAME.shell(1e6) == 1
    assert FRAME.resolution_A(0) == float("inf")


# ---- aberrations

# large, for pixels of 3 A: at 8 A 1.3 rad of coma and 0.6 of trefoil
COMA = {"beam_tilt_rad": (9e-3, -4e-3), "odd_zernike": (0.0, 0.0, 250.0, 0.0, 0.0, -150.0)}


def blurred(pictures, described, radius, box):
    """The pictures as a lens with an odd phase shows them: their transforms times exp(i phi)."""
    phase = aberrations.odd_phase(described, radius, box * described.pixel_size_A)
    return transforms.to_images(transforms.half_plane(pictures, radius) * np.exp(1j * phase), box)


@pytest.mark.parametrize("part", ["masked", "unmasked"])
def test_odd_phases_are_taken_out_of_the_images(tmp_path, truth, rng, part):
    matrices, shifts = rotations.random(3, rng), rng.uniform(-4, 4, (3, 2))
    pictures = truth.images(matrices, shifts, BOX, VOXEL_A, VOXEL_A)
    described = optics(VOXEL_A, BOX, **COMA)
    shown = blurred(pictures, described, BOX // 2, BOX)
    planes = []
    for name, stack, group in (("plain", pictures, optics(VOXEL_A, BOX)), ("told", shown, described),
                               ("untold", shown, optics(VOXEL_A, BOX))):  # fmt: skip
        (tmp_path / name).mkdir()
        (images,) = everything(source(tmp_path / name, [stack], [group]), [flat(BOX)])
        planes.append(getattr(images, part))
    plain, told, untold = planes
    largest = abs(plain).max()
    # unmasked: float32. Masked: the circle cuts what coma carries out of it, phase gradient / 2 pi = 2 A at 12 A
    np.testing.assert_allclose(told, plain, atol={"unmasked": 2e-6, "masked": 5e-3}[part] * largest)
    assert abs(untold - plain).max() > 0.03 * largest


def test_an_odd_phase_changes_neither_power_nor_ctf(tmp_path, rng):
    pictures = rng.normal(0, 1, (4, BOX, BOX))
    made = []
    for name, changes in (("plain", {}), ("told", COMA)):
        (tmp_path / name).mkdir()
        made.append(source(tmp_path / name, [pictures], [optics(VOXEL_A, BOX, **changes)]))
    (plain,), (told,) = (everything(m, [flat(BOX)]) for m in made)
    np.testing.assert_array_equal(plain.ctf, told.ctf)
    np.testing.assert_allclose(abs(plain.masked), abs(told.masked), rtol=1e-4, atol=1e-6)
    powers = [next(m.powers(np.arange(4), 4))[1] for m in made]
    np.testing.assert_array_equal(*powers)


def test_images_of_another_pixel_size_lose_the_same_phase(tmp_path, truth, rng):
    matrices, shifts = rotations.random(2, rng), np.zeros((2, 2))
    groups = optics(3.0, 32, **COMA), optics(2.0, 64, **COMA)
    stacks = [blurred(truth.images(matrices, shifts, o.box, o.pixel_size_A, VOXEL_A), o, o.box // 2, o.box)
              for o in groups]  # fmt: skip
    for name, stack, group in zip("ab", stacks, groups, strict=True):
        (tmp_path / name).mkdir()
        (images,) = everything(source(tmp_path / name, [stack], [group]), [flat(group.box)])
        inside = in_band(RADIUS, RADIUS)
        expected = truth.half_planes(matrices, shifts, RADIUS, images.box * images.pixel_size_A, VOXEL_A)
        expected /= images.stretch[0, 0] ** 2
        largest = abs(expected).max()  # aliases, as above
        np.testing.assert_allclose(images.unmasked[:, inside], expected[:, inside], atol=2e-3 * largest)


def test_the_magnification_becomes_part_of_the_stretch(tmp_path, rng):
    magnification = ((1.02, 0.01), (-0.005, 0.99))
    pictures = rng.normal(0, 1, (2, 26, 26))
    made = source(tmp_path, [pictures], [optics(3.1, 26, magnification=magnification)])
    (images,) = everything(made, [flat(26)])
    ratio = FRAME.length_A / (images.box * images.pixel_size_A)
    np.testing.assert_allclose(images.stretch, ratio * np.array(magnification), rtol=1e-12)
