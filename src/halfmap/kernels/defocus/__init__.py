"""Images collapsed to rings of equal |k|^2: all that a change of their defocus needs to know of them.

With d = x e^{-2 pi i k.s}, A the slice, c = E sin chi the whitened CTF and c' = E cos chi its derivative by the phase,
sums over the pixels of each ring, per image, (b, 5, rings) float64:

    Re(conj(A) d) c,  Re(conj(A) d) c',  |A|^2 E^2,  |A|^2 E^2 cos 2 chi,  |A|^2 E^2 sin 2 chi

A phase p added to chi everywhere in a ring makes the ring's log likelihood

    2 (sum0 cos p + sum1 sin p) - (sum2 - sum3 cos 2p + sum4 sin 2p) / 2
"""

from halfmap.kernels.defocus.cpu import ring_sums

__all__ = ["ring_sums"]
