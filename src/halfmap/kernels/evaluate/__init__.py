"""Values of a map between its voxels, on a grid turned and moved against its own."""

from halfmap.kernels.evaluate.cpu import evaluate

__all__ = ["evaluate"]
