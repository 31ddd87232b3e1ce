"""Inner loops of the global search: polar sampling; the best of many correlations, or the probabilities of all."""

from halfmap.kernels.polar.cpu import best_over_shifts, lay_rings, pick, sample_images, sample_slices, soften, weigh

__all__ = ["best_over_shifts", "lay_rings", "pick", "sample_images", "sample_slices", "soften", "weigh"]
