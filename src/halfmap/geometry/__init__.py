"""Rotations, orientation grids and point groups: plain mathematics, no particles and no files."""
