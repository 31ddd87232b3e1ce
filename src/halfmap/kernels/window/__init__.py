"""The soft circle that takes a particle out of its image."""

from halfmap.kernels.window.cpu import window

__all__ = ["window"]
