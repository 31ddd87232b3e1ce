"""Back-projection of half planes into a half space: the adjoint of slicing, with its weights."""

from halfmap.kernels.insert.cpu import Points, insert

__all__ = ["Points", "insert"]
