"""A protein-like object from nothing: alpha helices in bundles, joined loosely by coil, in a few globular domains.

Owns the geometry of the pseudo-atoms and their density. What a refinement sees of a protein is there: an asymmetric
envelope, rods 10 A apart, their 5.4 A pitch, side chains, solvent of exactly zero. Sequence, strands and chemistry
are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from halfmap.errors import UsageError
from halfmap.geometry import rotations
from halfmap.types import Map

# The alpha helix: Pauling, Corey & Branson 1951, PNAS 37:205
RISE_A = 1.5  # per residue: 5.4 A pitch at 3.6 residues a turn
TURN_RAD = np.deg2rad(100.0)
# N, C-alpha, C, O, C-beta of one residue: distance from the axis (A), angle (degrees), height (A)
RESIDUE = np.array([(1.55, -28, -0.9), (2.29, 0, 0.0), (1.68, 26, 1.1), (2.0, 19, 2.3), (3.3, -18, -0.4)])
BOND_A = 1.5
SIDE_CHAIN = 5  # atoms beyond C-beta: 0..4, 2 on average, so that a residue has 7
HELIX = (8, 26)  # residues
COIL = (3, 9)
STEP_A = 3.8  # between C-alphas of a coil
HELIX_SPACING_A = (8.5, 10.5)  # between axes of neighbours: first is refused below, second is where one is tried
COIL_SPACING_A = 4.5
RESIDUE_VOLUME_A3 = 134.0  # 110 Da at 1.22 A^3/Da: Matthews 1968, J Mol Biol 33:491
FILLING = 0.45  # of the sphere of the given diameter: clefts and lobes take the rest
DOMAINS = 4
TRIED = 20  # places for the next helix looked at together
PATIENCE = 15  # rounds without success per helix placed; then the packing is full
SMALLEST_SIGMA = 0.75  # voxels: a narrower Gaussian would alias (6 % is left at the Nyquist frequency)
REACH = 4.5  # standard deviations of an atom that are drawn: 4e-5 of its height is left
CONTACT_A = 8.0  # atoms of two domains that near are where they touch: the distance of neighbouring helices


def protein_like(
    box: int,
    voxel_size_A: float,
    operators: np.ndarray,
    rng: np.random.Generator,
    diameter_A: float | None = None,
    bfactor_A2: float = 80.0,
) -> Map:
    """A random molecule that obeys ``operators`` (g, 3, 3) (``geometry.symmetry.group``), centred in the box.

    ``diameter_A``: of the sphere it lies in, 65 % of the box where None. ``bfactor_A2``: of each atom, its scattering
    included; the Gaussian is never narrower than SMALLEST_SIGMA voxels. Density in atoms per A^3, 0 in the solvent.
    Raises UsageError where the sphere does not fit the box or is too small for one helix per operator.
    """
    chains = _chains(operators, _radius_A(box, voxel_size_A, diameter_A), rng)
    return _drawn(_copies(np.concatenate(chains), operators), box, voxel_size_A, bfactor_A2)


def hinged(box: int, voxel_size_A: float, fraction: float, rng: np.random.Generator, diameter_A: float | None = None,
           bfactor_A2: float = 80.0) -> tuple[Map, Map, tuple[float, float, float]]:
    """The same molecule without symmetry, in two: its body, a domain, and where these touch.

    The domain is what lies furthest along the longest axis of the molecule, so many whole helices with their coil that
    it holds about ``fraction`` of the atoms. Where they touch, x y z in A from the box centre, is the mean of the
    domain's atoms within CONTACT_A of the body. Raises UsageError as ``protein_like``, and for a molecule of one helix.
    """
    chains = _chains(np.eye(3)[None], _radius_A(box, voxel_size_A, diameter_A), rng)
    if len(chains) < 2:
        raise UsageError("simulated molecule: one helix is too few for a hinge; give a larger box or diameter")
    domain, body = _parted(chains, fraction)
    near = cKDTree(body).query(domain)[0]
    touching = domain[near <= max(CONTACT_A, near.min())]
    maps = (_drawn(atoms, box, voxel_size_A, bfactor_A2) for atoms in (body, domain))
    return *maps, tuple(touching.mean(axis=0).tolist())


def _parted(chains: list[np.ndarray], fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Atoms of the chains at one end of the longest axis, at least one chain and never all; those of the others."""
    atoms = np.concatenate(chains)
    axis = np.linalg.svd(atoms - atoms.mean(axis=0), full_matrices=False)[2][0]
    order = np.argsort([-(chain @ axis).mean() for chain in chains])
    held = np.cumsum([len(chains[i]) for i in order]) / len(atoms)
    first = min(int(np.argmin(abs(held - fraction))) + 1, len(chains) - 1)
    parts = (np.concatenate([chains[i] for i in some]) for some in (order[:first], order[first:]))
    return next(parts), next(parts)


def _radius_A(box: int, voxel_size_A: float, diameter_A: float | None) -> float:
    """Of the sphere the molecule lies in. Raises UsageError where it does not fit the box."""
    limit = 0.9 * box * voxel_size_A
    diameter_A = 0.65 * box * voxel_size_A if diameter_A is None else diameter_A
    if not 0 < diameter_A <= limit:
        raise UsageError(f"simulated molecule: diameter {diameter_A:g} A; give at most {limit:g} A, 90 % of the box")
    return diameter_A / 2


def _drawn(atoms: np.ndarray, box: int, voxel_size_A: float, bfactor_A2: float) -> Map:
    sigma = max(np.sqrt(bfactor_A2 / (8 * np.pi**2)) / voxel_size_A, SMALLEST_SIGMA)
    density = _gaussians(atoms / voxel_size_A + box // 2, sigma, box)
    return Map(density / np.float32(voxel_size_A**3), voxel_size_A)


@dataclass(frozen=True)
class Helix:
    """Residue axis points (n, 3), the frame (3, 3) with the axis as third column, both in A about the centre."""

    axis: np.ndarray
    frame: np.ndarray


def _chains(operators: np.ndarray, radius_A: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Atoms (n, 3) in A of one unit: an array for each helix with the coil that leaves it."""
    helices = _helices(operators, radius_A, rng)
    chains = [_helix_atoms(helix, rng) for helix in helices]
    tree = cKDTree(_copies(np.concatenate([helix.axis for helix in helices]), operators))
    coils = [_coil_atoms(helix.axis[-1], tree, radius_A, rng) for helix in helices]
    return [np.concatenate(both) for both in zip(chains, coils, strict=True)]


def _helices(operators: np.ndarray, radius_A: float, rng: np.random.Generator) -> list[Helix]:
    """Packs helices until the molecule holds its residues or nothing fits any more."""
    wanted = FILLING * 4 / 3 * np.pi * radius_A**3 / RESIDUE_VOLUME_A3
    domains = _domains(operators, radius_A, rng)
    helices: list[Helix] = []
    taken = np.empty((0, 3))  # axis points of all copies
    failures = 0
    while len(taken) < wanted and failures < PATIENCE * (1 + len(helices)):
        tried = _beside(helices[rng.integers(len(helices))], rng) if helices else _anywhere(domains, rng)
        free = (helix for helix in tried if _within(helix.axis, domains) and _is_free(helix.axis, taken, operators))
        helix = next(free, None)
        if helix is None:
            failures += 1
        else:
            helices.append(helix)
            taken = np.concatenate([taken, _copies(helix.axis, operators)])
    if not helices:
        raise UsageError(f"simulated molecule: no helix fits {len(operators)} times in {2 * radius_A:g} A; "
                         "give a larger diameter or a smaller symmetry")
    return helices


def _domains(operators: np.ndarray, radius_A: float, rng: np.random.Generator) -> np.ndarray:
    """Overlapping balls (d, 4), x y z radius, whose copies have their centre at 0 and just reach ``radius_A``."""
    size = rng.uniform(0.45, 0.6, DOMAINS)
    place = rotations.random(DOMAINS, rng)[:, 2] * (1 - size)[:, None]
    place -= _copies(np.average(place, axis=0, weights=size**3)[None], operators).mean(axis=0)
    extent = (np.linalg.norm(place, axis=1) + size).max()
    return np.column_stack([place, size]) * radius_A / extent


def _within(points: np.ndarray, domains: np.ndarray) -> bool:
    """Whether both ends and the middle lie in one of the balls, 5 A of side chains inside the surface."""
    some = points[[0, len(points) // 2, -1]]
    square = ((some[:, None] - domains[:, :3]) ** 2).sum(axis=-1)
    return bool((square < (domains[:, 3] - 5.0) ** 2).any(axis=1).all())


def _anywhere(domains: np.ndarray, rng: np.random.Generator) -> list[Helix]:
    """Helices of any direction in random balls."""
    x, y, z, size = domains[rng.integers(len(domains), size=TRIED)].T
    centres = np.stack([x, y, z], axis=1) + size[:, None] / 2 * rng.uniform(-1, 1, (TRIED, 3))
    return _made(centres, rotations.random(TRIED, rng), rng)


def _beside(neighbour: Helix, rng: np.random.Generator) -> list[Helix]:
    """Helices next to another, about 20 degrees off parallel or antiparallel, as in helix bundles."""
    angle = rng.uniform(0, 2 * np.pi, TRIED)
    sideways = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ neighbour.frame[:, :2].T
    along = rng.normal(0, 8.0, (TRIED, 1)) * neighbour.frame[:, 2]
    centres = neighbour.axis.mean(axis=0) + HELIX_SPACING_A[1] * sideways + along
    tilts = rotations.exp_so3(rng.normal(0, 0.35, (TRIED, 3)))
    flips = rng.choice(np.array([np.diag([1, 1, 1]), np.diag([1, -1, -1])]), TRIED)
    return _made(centres, tilts @ neighbour.frame @ flips, rng)


def _made(centres: np.ndarray, frames: np.ndarray, rng: np.random.Generator) -> list[Helix]:
    helices = []
    for centre, frame, length in zip(centres, frames, rng.integers(*HELIX, size=len(centres)), strict=True):
        height = RISE_A * (np.arange(length) - (length - 1) / 2)
        helices.append(Helix(centre + height[:, None] * frame[:, 2], frame))
    return helices


def _is_free(axis: np.ndarray, taken: np.ndarray, operators: np.ndarray) -> bool:
    """Whether a helix keeps its distance from the points of all others and from its own copies."""
    some = axis[::2]  # the points between are 1.5 A away
    near = HELIX_SPACING_A[0] ** 2
    # most fail at their middle already; |a - b|^2 by its parts, as a matrix product
    if len(taken) and ((taken - axis[len(axis) // 2]) ** 2).sum(axis=1).min() < near:
        return False
    others = np.concatenate([taken, _copies(axis, operators[1:])])
    square = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * some @ others.T
    return bool((square > near).all())


def _helix_atoms(helix: Helix, rng: np.random.Generator) -> np.ndarray:
    """Backbone and side chains (n, 3) of a helix."""
    number = len(helix.axis)
    angle = np.deg2rad(RESIDUE[:, 1]) + TURN_RAD * np.arange(number)[:, None]
    height = np.broadcast_to(RESIDUE[:, 2], angle.shape)
    local = np.stack([RESIDUE[:, 0] * np.cos(angle), RESIDUE[:, 0] * np.sin(angle), height], axis=-1)
    outward = local[:, -1] * [1, 1, 0] / RESIDUE[-1, 0]
    backbone = helix.axis[:, None] + local @ helix.frame.T
    chains = [_side_chain(*start, rng) for start in zip(backbone[:, -1], outward @ helix.frame.T, strict=True)]
    return np.concatenate([backbone.reshape(-1, 3), *chains])


def _side_chain(start: np.ndarray, direction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random number of atoms from ``start`` on, roughly in ``direction``: (0..4, 3)."""
    steps = direction + rng.normal(0, 0.6, (rng.integers(SIDE_CHAIN), 3))
    steps *= BOND_A / np.linalg.norm(steps, axis=1, keepdims=True)
    return start + np.cumsum(steps, axis=0)


def _coil_atoms(start: np.ndarray, helices: cKDTree, radius_A: float, rng: np.random.Generator) -> np.ndarray:
    """A walk of C-alphas away from a helix that keeps off the others, five atoms and a side chain on each: (n, 3)."""
    atoms = [np.empty((0, 3))]
    for place in _walk(start, helices, radius_A, rng):
        cluster = place + rng.normal(0, 1.0, (len(RESIDUE), 3))
        atoms += [cluster, _side_chain(place, rng.normal(0, 1.0, 3), rng)]
    return np.concatenate(atoms)


def _walk(start: np.ndarray, helices: cKDTree, radius_A: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
    place = start
    for _ in range(rng.integers(*COIL)):
        candidates = place + STEP_A * rotations.random(30, rng)[:, 2]
        free = (helices.query(candidates)[0] > COIL_SPACING_A) & (np.linalg.norm(candidates, axis=1) < radius_A - 5.0)
        if not free.any():
            return
        place = candidates[np.argmax(free)]
        yield place


def _copies(points: np.ndarray, operators: np.ndarray) -> np.ndarray:
    """Points (n, 3) under every operator: (g n, 3)."""
    return np.einsum("gij,nj->gni", operators, points).reshape(-1, 3)


def _gaussians(places: np.ndarray, sigma: float, box: int) -> np.ndarray:
    """Sum of normalised Gaussians (z, y, x) float32 at ``places`` (n, 3) x y z, all in voxels."""
    reach = int(np.ceil(REACH * sigma))
    window = np.arange(-reach, reach + 1)
    total = np.zeros(box**3)
    for batch in np.array_split(places, 1 + len(places) // 2000):
        nearest = np.rint(batch).astype(np.int64)
        index = np.clip(nearest[..., None] + window, 0, box - 1)
        weight = np.exp(-0.5 * ((nearest - batch)[..., None] + window) ** 2 / sigma**2) / np.sqrt(2 * np.pi) / sigma
        flat = (index[:, 2, :, None, None] * box + index[:, 1, None, :, None]) * box + index[:, 0, None, None, :]
        value = weight[:, 2, :, None, None] * weight[:, 1, None, :, None] * weight[:, 0, None, None, :]
        total += np.bincount(flat.ravel(), weights=value.ravel(), minlength=box**3)
    return total.reshape(box, box, box).astype(np.float32)
