"""Passes over a whole half space: shell means, regularised division, averaging over a point group."""

from halfmap.kernels.grid.cpu import divide, shell_means, symmetrised

__all__ = ["divide", "shell_means", "symmetrised"]
