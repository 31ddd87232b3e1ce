"""numba body of the window; one image a task, cosine only on the edge."""

from __future__ import annotations

import numba as nb
import numpy as np

from halfmap.kernels import threads


@nb.njit(cache=True, fastmath=True, nogil=True)
def _window(begin, end, images, centres, radius, edge, out):
    n = images.shape[1]
    for i in range(begin, end):
        for y in range(n):
            dy2 = (y - centres[i, 1]) ** 2
            for x in range(n):
                d2 = dy2 + (x - centres[i, 0]) ** 2
                if d2 <= radius * radius:
                    out[i, y, x] = images[i, y, x]
                elif d2 >= (radius + edge) ** 2:
                    out[i, y, x] = 0
                else:
                    t = np.float32((np.sqrt(d2) - radius) / edge)
                    out[i, y, x] = images[i, y, x] * (np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(np.pi) * t))


def window(images: np.ndarray, centres: np.ndarray, radius_px: float, edge_px: float) -> np.ndarray:
    """images (b, N, N) float32 times a soft circle about ``centres`` (b, 2), x and y in pixels. See reference.py."""
    out = np.empty(images.shape, np.float32)
    threads.share(_window, len(images), images, np.ascontiguousarray(centres, np.float64), float(radius_px),
                  float(edge_px), out)
    return out
