"""Insertion on the Ewald sphere: its limits, its hand, its weights, and maps against truth."""

from dataclasses import replace

import numpy as np
import pytest

from halfmap.errors import InputError
from halfmap.fourier import shells
from halfmap.geometry import rotations, symmetry
from halfmap.kernels.project.reference import in_band
from halfmap.physics import ewald as physics_ewald
from halfmap.reconstruct import ewald, solve
from halfmap.types import Images, Map, Optics
from halfmap.validate import fsc
from tests import atoms, blobs

BOX, VOXEL_A, RADIUS = 48, 1.0, 23
LENGTH_A = BOX * VOXEL_A
DIAMETER_A = 40.0
ALONE = np.eye(3)[None]
# 20 kV stands for a large molecule at 300 kV: a phase of 1.2 rad at 2.1 A between the middle and 20 A above it
OPTICS = Optics("one", 20.0, 0.0, 0.1, VOXEL_A, BOX)


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def defocus(n: int, rng):
    u = rng.uniform(3000, 9000, n)
    return atoms.defocus(u, u - rng.uniform(0, 200, n), rng.uniform(0, np.pi, n))


def images(sphere: ewald.Flat, planes, optics: Optics, known) -> Images:
    """Half planes of noise 1 as Images for ``sphere``."""
    radius, box, pixel = planes.shape[-1] - 1, optics.box, optics.pixel_size_A
    planes = planes.astype(np.complex64)
    transfer, *quadrature = sphere.transfers(optics, known, radius, box, pixel)
    stretch = LENGTH_A / (box * pixel) * np.array(optics.magnification)
    return Images(np.arange(len(planes)), planes, planes, transfer, np.ones(radius + 1), box, pixel, stretch, 1.0,
                  optics.voltage_kV, *quadrature)


def summed(sphere: ewald.Flat, batch: Images, matrices, shifts, radius: int = RADIUS, group=ALONE):
    accumulator = sphere.accumulator(radius, BOX, VOXEL_A, DIAMETER_A)
    accumulator.add(batch, np.arange(len(batch)), matrices, shifts)
    return accumulator.sums(group)


def per_shell(values: np.ndarray) -> np.ndarray:
    shell = shells.shell_of_rfft(BOX)
    return np.bincount(shell.ravel(), values.ravel())[: RADIUS + 1]


def noisy(planes, rng, ratio: float):
    return planes + ratio * np.abs(planes).std() * blobs.white_noise(planes.shape, rng)


# ---- laws


@pytest.mark.parametrize("sphere", [ewald.Curved(1), ewald.Curved(-1)])
def test_without_a_wavelength_it_is_the_insertion_of_planes(sphere, rng):
    matrices, shifts = rotations.random(20, rng), rng.uniform(-3, 3, (20, 2))
    planes, known = blobs.white_noise((20, 2 * RADIUS + 1, RADIUS + 1), rng), defocus(20, rng)
    flat = summed(ewald.Flat(), images(ewald.Flat(), planes, OPTICS, known), matrices, shifts)
    curved = images(sphere, planes, OPTICS, known)
    found = summed(sphere, replace(curved, voltage_kV=1e15), matrices, shifts)  # the CTFs stay those of 20 kV
    np.testing.assert_allclose(found.numerator, flat.numerator, atol=2e-6 * abs(flat.numerator).max())
    np.testing.assert_allclose(found.weight, flat.weight, atol=2e-6 * flat.weight.max())
    bent = summed(sphere, curved, matrices, shifts)
    assert abs(bent.numerator - flat.numerator).max() > 0.1 * abs(flat.numerator).max()


def test_one_sign_of_a_map_is_the_other_sign_of_its_mirror_image(rng):
    mirror = np.diag([1.0, 1.0, -1.0])
    matrices, shifts = rotations.random(12, rng), rng.uniform(-3, 3, (12, 2))
    planes, known = blobs.white_noise((12, 2 * RADIUS + 1, RADIUS + 1), rng), defocus(12, rng)
    one = summed(ewald.Curved(1), images(ewald.Curved(1), planes, OPTICS, known), matrices, shifts)
    mirrored = mirror @ matrices @ mirror
    other = summed(ewald.Curved(-1), images(ewald.Curved(-1), planes, OPTICS, known), mirrored, shifts)
    np.testing.assert_allclose(other.numerator, one.numerator[::-1], atol=2e-6 * abs(one.numerator).max())
    np.testing.assert_allclose(other.weight, one.weight[::-1], atol=2e-6 * one.weight.max())


def test_parts_added_one_after_the_other_give_the_same_bits(rng):
    matrices, shifts = rotations.random(12, rng), rng.uniform(-3, 3, (12, 2))
    planes, known = blobs.white_noise((12, 2 * RADIUS + 1, RADIUS + 1), rng), defocus(12, rng)
    batch = images(ewald.Curved(1), planes, OPTICS, known)
    whole = summed(ewald.Curved(1), batch, matrices, shifts)
    accumulator = ewald.Curved(1).accumulator(RADIUS, BOX, VOXEL_A, DIAMETER_A)
    for rows in (np.arange(5), np.arange(5, 12)):
        accumulator.add(batch, rows, matrices[rows], shifts[rows])
    found = accumulator.sums(ALONE)
    np.testing.assert_array_equal(found.numerator, whole.numerator)
    np.testing.assert_array_equal(found.weight, whole.weight)
    assert found.images == 12


def test_images_of_every_voltage_are_laid_in_on_their_own_sheets(rng):
    sphere, matrices, shifts = ewald.Curved(1), rotations.random(12, rng), rng.uniform(-3, 3, (12, 2))
    planes, known = blobs.white_noise((12, 2 * RADIUS + 1, RADIUS + 1), rng), defocus(12, rng)
    batches = [images(sphere, planes, replace(OPTICS, voltage_kV=kV), known) for kV in (20.0, 300.0)]
    accumulator = sphere.accumulator(RADIUS, BOX, VOXEL_A, DIAMETER_A)
    for batch in batches:
        accumulator.add(batch, np.arange(12), matrices, shifts)
    together = accumulator.sums(ALONE)
    apart = summed(sphere, batches[0], matrices, shifts) + summed(sphere, batches[1], matrices, shifts)
    np.testing.assert_allclose(together.numerator, apart.numerator, atol=2e-6 * abs(apart.numerator).max())
    np.testing.assert_allclose(together.weight, apart.weight, atol=2e-6 * apart.weight.max())


def last_on_grid(bent: float, stretch: float) -> int:
    """Largest K <= RADIUS of which no pixel, |k|^2 <= K^2 + K, lies beyond the half space of RADIUS + 1 shells."""
    far = [stretch**2 * (k * k + k) for k in range(RADIUS + 1)]
    return max(k for k, square in enumerate(far) if square + (bent * square) ** 2 < (RADIUS + 1) ** 2)


@pytest.mark.parametrize("voltage_kV", [300.0, 0.1, 1e-4])  # sheets 0.2, 6.8 and 200 shells off the plane at the edge
@pytest.mark.parametrize("stretch", [1.0, 1.3])
def test_no_pixel_leaves_the_grid_however_curved_the_sphere(voltage_kV, stretch, rng):
    matrices = np.concatenate([rotations.random(6, rng), ALONE, rotations.euler_to_matrix([0, 90], [90, 90], [0, 0])])
    planes = blobs.white_noise((len(matrices), 2 * RADIUS + 1, RADIUS + 1), rng)
    batch = images(ewald.Curved(1), planes, OPTICS, defocus(len(matrices), rng))
    ones = np.ones(batch.ctf.shape, np.float32)
    batch = replace(batch, voltage_kV=voltage_kV, stretch=stretch * np.eye(2), ctf=ones, quadrature=ones)
    found = summed(ewald.Curved(1), batch, matrices, np.zeros((len(matrices), 2)))
    whole = 2 * found.weight[..., 1:].sum(dtype=float) + found.weight[..., 0].sum(dtype=float)
    expected = last_on_grid(physics_ewald.curvature(voltage_kV, LENGTH_A), stretch)
    assert expected == RADIUS if (voltage_kV, stretch) == (300, 1) else 0 < expected < RADIUS
    # a pixel and its mate carry (1 + 1) / 4 on either sheet, 2 together; what left the grid would be missing
    assert whole == pytest.approx(2 * len(matrices) * in_band(expected, RADIUS).sum(), rel=1e-5)


def test_the_noise_of_the_sums_is_what_their_weights_say(rng):
    n = 300
    matrices, shifts, known = rotations.random(n, rng), np.zeros((n, 2)), defocus(n, rng)
    planes = blobs.white_noise((n, 2 * RADIUS + 1, RADIUS + 1), rng)
    ratios = []
    for sphere in (ewald.Flat(), ewald.Curved(1)):
        sums = summed(sphere, images(sphere, planes, OPTICS, known), matrices, shifts)
        power = replace(sums, weight=(abs(sums.numerator) ** 2).astype(np.float32))
        ratios.append(solve.mean_weight(power)[1:] / solve.mean_weight(sums)[1:])
    # spreading a pixel over eight neighbours lowers both alike, to 0.29; they differ by no more than 2 %, and 0.3 % in
    # the mean. Weights that forget a half, or noise that is laid in twice at one place, would show as a factor of 2
    np.testing.assert_allclose(ratios[1], ratios[0], rtol=0.06)
    assert np.mean(ratios[1] / ratios[0]) == pytest.approx(1, abs=0.015)


def test_groups_of_images_multiplied_by_their_ctf_are_refused_by_name():
    groups = [replace(OPTICS, name=name, premultiplied=flag) for name, flag in
              (("krios1", False), ("krios2", True), ("talos", True))]
    with pytest.raises(InputError) as caught:
        ewald.Curved(1).check(groups)
    text = str(caught.value)
    assert "krios2" in text and "talos" in text and "krios1" not in text and "--ewald-sphere off" in text
    ewald.Curved(1).check(groups[:1])
    ewald.Flat().check(groups)


# ---- truth: images summed over atoms, each with its own defocus


@pytest.fixture(scope="module")
def thick():
    """(object, its map, rotations, shifts, defocus) of 300 images."""
    rng = np.random.default_rng(1)
    object_ = blobs.scattered(40, 18.0, 0.7, rng)
    return (object_, object_.map(BOX, VOXEL_A), rotations.random(300, rng), rng.uniform(-2, 2, (300, 2)),
            defocus(300, rng))


def reconstructed(name: str, planes, optics, thick) -> Map:
    _, _, matrices, shifts, known = thick
    sphere = ewald.SPHERES[name]
    return solve.unfiltered(summed(sphere, images(sphere, planes, optics, known), matrices, shifts), BOX, BOX)


SETUPS = {
    "plain": OPTICS,
    "with spherical aberration": replace(OPTICS, spherical_aberration_A=1e6),
    "distorted": replace(OPTICS, magnification=((1.03, 0.03), (-0.02, 0.97))),
    "longer box": replace(OPTICS, box=50),
    "finer pixel": replace(OPTICS, pixel_size_A=0.9, box=56),
}


@pytest.mark.parametrize(("setup", "true"), [*((name, "positive") for name in SETUPS), ("plain", "negative")])
def test_the_true_sign_improves_the_map_and_the_wrong_one_spoils_it(setup, true, thick, rng):
    object_, map_, matrices, shifts, known = thick
    optics, sign = SETUPS[setup], ewald.SPHERES[true].sign
    planes = noisy(atoms.half_planes(object_, matrices, shifts, optics, known, RADIUS, sign), rng, 1.0)
    wrong = {"positive": "negative", "negative": "positive"}[true]
    maps = (reconstructed(name, planes, optics, thick) for name in (true, "off", wrong))
    right, flat, worse = (fsc.curve(found, map_).values[16:23].mean() for found in maps)
    # 0.79 to 0.81, 0.74 to 0.77, 0.67 to 0.69 over these six
    assert right > flat + 0.02
    assert flat > worse + 0.05


def slopes(thick, optics: Optics, known) -> dict[str, np.ndarray]:
    """Per setting, amplitude of the noise-free reconstruction over that of the truth in each shell."""
    object_, map_, matrices, shifts = thick[:4]
    planes = atoms.half_planes(object_, matrices, shifts, optics, known, RADIUS, 1)
    truth, with_known = np.fft.rfftn(map_.data), (object_, map_, matrices, shifts, known)
    found = {name: np.fft.rfftn(reconstructed(name, planes, optics, with_known).data) for name in ewald.SPHERES}
    return {n: per_shell((f * truth.conj()).real) / per_shell(abs(truth) ** 2) for n, f in found.items()}


def test_high_shells_keep_the_signal_that_planes_lose(thick):
    slope = slopes(thick, OPTICS, thick[-1])
    np.testing.assert_allclose(slope["positive"][4:22], 1, atol=0.05)  # 0.97 to 1.01; the border of the data follows
    assert slope["off"][21] < 0.9 and slope["negative"][21] < 0.65  # 0.86, 0.58


def test_low_shells_before_the_first_zero_keep_what_planes_give(thick):
    known = thick[-1]
    close = replace(known, u_A=known.u_A / 15, v_A=known.v_A / 15)  # 200 to 600 A at 300 kV: zeros from shell 14 on
    slope = slopes(thick, replace(OPTICS, voltage_kV=300.0), close)
    # the same within 0.1 % up to shell 12. Weights of (sine^2 + cosine^2) / 4 everywhere would leave 0.03 of shell 1,
    # 0.27 of shell 5, and 1.6 of shell 12
    np.testing.assert_allclose(slope["positive"][1:13], slope["off"][1:13], atol=0.01)


def test_a_symmetric_object_is_corrected_as_well(rng):
    group = symmetry.group("D2")
    object_ = blobs.scattered(10, 18.0, 0.7, rng).symmetrised(group)
    matrices, shifts, known = rotations.random(100, rng), np.zeros((100, 2)), defocus(100, rng)
    planes = noisy(atoms.half_planes(object_, matrices, shifts, OPTICS, known, RADIUS, 1), rng, 1.0)
    values = {}
    for name, sphere in ewald.SPHERES.items():
        sums = summed(sphere, images(sphere, planes, OPTICS, known), matrices, shifts, group=group)
        found = solve.unfiltered(sums, BOX, BOX)
        values[name] = fsc.curve(found, object_.map(BOX, VOXEL_A)).values[16:23].mean()
    assert values["positive"] > values["off"] + 0.02 and values["off"] > values["negative"] + 0.05
