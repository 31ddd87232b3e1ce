"""Pairs of half-maps with a known truth, for the tests of curves and masks."""

import numpy as np

from halfmap.maps import filters, masks
from halfmap.types import Map

VOXEL_A = 3.0


def noise(rng, box=48, sd=1.0):
    """White noise."""
    return Map((sd * rng.standard_normal((box,) * 3)).astype(np.float32), VOXEL_A)


def particle(box=64, seed=9, texture_sd=3.0):
    """A solid body of random density, its spectrum falling as a protein's (B = 200 A^2)."""
    texture = filters.bfactor(noise(np.random.default_rng(seed), box), 200.0).data
    body = masks.sphere(box, 0.28 * box, 2.0)
    return Map((body * (1 + texture_sd * texture / texture.std())).astype(np.float32), VOXEL_A)


def halves(rng, map, sd):
    """Two copies with independent white noise."""
    return [Map(map.data + noise(rng, map.box, sd).data, map.voxel_size_A) for _ in range(2)]


def halves_to(shell, rng, box=64, sd=0.3):
    """Halves that agree up to ``shell``; from there on both hold independent white noise and nothing else."""
    low = filters.lowpass(particle(box), box * VOXEL_A / shell, 1.0)
    return halves(rng, Map(20 * low.data, VOXEL_A), sd)


def symmetrised(map, group):
    """Sum over the operators of a group that maps the grid onto itself: C2, D2, O and their kin. Even boxes."""
    n = map.box
    k = np.arange(n) - n // 2
    points = np.stack(np.meshgrid(k, k, k, indexing="ij")[::-1])  # x, y, z
    total = np.zeros_like(map.data)
    for g in np.rint(group).astype(int):
        x, y, z = (np.einsum("ij,j...->i...", g, points) + n // 2) % n
        total += map.data[z, y, x]
    return Map(total, map.voxel_size_A)
