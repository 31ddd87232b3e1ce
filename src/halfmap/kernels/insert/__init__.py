"""Back-projection of half planes into a half space: the adjoint of slicing, with its weights."""

from halfmap.kernels.insert.cpu import insert

__all__ = ["insert"]
