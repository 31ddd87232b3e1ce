"""Values of a half space at any points, turned: what two maps are compared by."""

from halfmap.kernels.points.cpu import points

__all__ = ["points"]
