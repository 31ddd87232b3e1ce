"""Fourier transforms of images and maps, and sums over their shells."""
