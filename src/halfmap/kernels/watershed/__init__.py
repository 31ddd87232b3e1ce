"""Steepest ascent on a grid: every voxel to its highest neighbour, up to a local maximum."""

from halfmap.kernels.watershed.cpu import climb, summits

__all__ = ["climb", "summits"]
