"""Likelihood, gradient and curvature of a pose in one pass over the Fourier pixels: the hot kernel."""

from halfmap.kernels.normal_equations.cpu import normal_equations

__all__ = ["normal_equations"]
