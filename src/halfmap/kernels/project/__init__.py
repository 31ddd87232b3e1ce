"""Central slices of a half space: A in the model X = C A V."""

from halfmap.kernels.project.cpu import project

__all__ = ["project"]
