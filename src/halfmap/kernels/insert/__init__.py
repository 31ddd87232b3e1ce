"""Back-projection of half planes into a half space: the adjoint of slicing, with its weights."""

from halfmap.kernels.insert.cpu import Points, insert, insert_curved

__all__ = ["Points", "insert", "insert_curved"]
