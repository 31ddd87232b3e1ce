"""What the images of an optics group say, pixel by pixel, of the phase of the lens and of its distortion.

With d = x e^{-2 pi i k.s} (the image moved to the centre), A the slice, c the whitened CTF, c' its derivative by the
phase chi, m = c A and m' = c' A. All sums are additive over images, in float64.

`phase_sums`, per pixel of the half plane, over the images:

    cross (2, 2K+1, K+1) complex128    sum conj(m) d, sum conj(m') d
    power (3, 2K+1, K+1) float64       sum |m|^2, sum Re conj(m) m', sum |m'|^2

An odd phase phi and a change delta of chi, the same for all images, give the log likelihood exactly:

    2 Re e^{-i phi} (cross[0] cos delta + cross[1] sin delta)
        - power[0] cos^2 delta - 2 power[1] cos delta sin delta - power[2] sin^2 delta

`distortion_sums`, per shell, over images and pixels, for the small matrix D by which k is to be read as (1 + D) k:
only the phase of the data counts, y = Im(conj(m) d) / |m|, so that wrong amplitudes do not pass for a distortion.

    t_a = Im(conj(m) dm/dk_a) / |m|,  J_ab = t_a k_b;  rows of the result (K+1, 15) float64:
    y J_xx, y J_xy, y J_yx, y J_yy, then t_x t_x, t_x t_y, t_y t_y times k_x k_x, k_x k_y, k_y k_y, |m|^2, Re conj(m) d

Pixels are those of project.reference.in_band; all others are zero. Arguments as in cpu.py.
"""

from halfmap.kernels.aberrations.cpu import distortion_sums, phase_sums

__all__ = ["distortion_sums", "phase_sums"]
