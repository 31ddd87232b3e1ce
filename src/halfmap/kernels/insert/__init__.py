"""Back-projection of half planes into a half space: the adjoint of slicing, with its weights."""

from halfmap.kernels.insert.cpu import Points, best_buffer_bytes, insert, insert_curved

__all__ = ["Points", "best_buffer_bytes", "insert", "insert_curved"]
