"""Shell sums of images against their projections: noise, greyscale and signal in one pass."""

from halfmap.kernels.residual.cpu import shell_sums

__all__ = ["shell_sums"]
