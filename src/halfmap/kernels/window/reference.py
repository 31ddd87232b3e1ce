"""Definition of the window, in float64."""

from __future__ import annotations

import numpy as np


def window(images, centres, radius_px, edge_px):
    """images (b, N, N) times a circle about centres (b, 2) (x, y px): 1 to radius, cosine to 0 over the edge."""
    n = images.shape[-1]
    y, x = np.mgrid[:n, :n]
    distance = np.hypot(x - centres[:, 0, None, None], y - centres[:, 1, None, None])
    t = np.clip((distance - radius_px) / edge_px, 0, 1)
    return images * (0.5 + 0.5 * np.cos(np.pi * t))
