"""Global search, its inner loops: polar sampling, and the best of many correlations."""

from halfmap.kernels.polar.cpu import best_over_shifts, pick, sample_images, sample_slices

__all__ = ["best_over_shifts", "pick", "sample_images", "sample_slices"]
