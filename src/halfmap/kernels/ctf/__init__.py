"""Contrast transfer functions on half planes: the definition (`reference`) and the body the CPU runs (`cpu`).

Owns the arithmetic of "sine of a polynomial in (kx, ky)". Knows nothing of volts, defocus or Angstrom: `physics.ctf`
turns those into the coefficients.

Arguments of every body, per particle and per *half turn* (so that 1 is pi radians), with kx and ky in shells:

``phase``    (n, 5) float64: xx, yy, xy, quartic, constant;
             phase(kx, ky) = pi (xx kx^2 + yy ky^2 + xy kx ky + quartic (kx^2 + ky^2)^2 + constant)
``damping``  (n,) float64: the value is multiplied by exp(-damping (kx^2 + ky^2))
``scale``    (n,) float64
``radius``   K; the result is (n, 2K+1, K+1) float32, ``[:, ky + K, kx]``

`evaluate_aberrated` has two arguments more, the same for all particles:

``metric``   (3,) float64: gxx, gyy, gxy; gxx kx^2 + gyy ky^2 + gxy kx ky takes the place of kx^2 + ky^2 in the quartic
             term and in the damping (the other terms are as they are: `physics.ctf` has put the distortion into them)
``lead``     (2K+1, K+1) float64, half turns that are subtracted from the phase
"""

from halfmap.kernels.ctf.cpu import evaluate, evaluate_aberrated

__all__ = ["evaluate", "evaluate_aberrated"]
