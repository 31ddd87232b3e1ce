"""What two rfftn layouts of unlike size share: the coefficients of a coarser grid, filtered, and their way back."""

from halfmap.kernels.band.cpu import added, band

__all__ = ["added", "band"]
