"""What is known of the map before its data: the signal spectrum, from the FSC of the halves.

Source: Scheres, J. Struct. Biol. 180 (2012) 519, and Scheres & Chen, Nat. Methods 9 (2012) 853: with
SSNR = F / (1 - F) and the mean weight <W> of a shell, 1 / tau^2 = <W> / SSNR, so that V = N / (W + <W> (1 - F) / F),
which is F N / W where the sampling is even.
"""

from __future__ import annotations

import numpy as np

LEAST, MOST = 0.001, 0.999  # FSC is trusted no further than this; RELION 5 clips to the same


def combined(fsc: np.ndarray) -> np.ndarray:
    """FSC of the average of two halves with the truth, squared: 2F / (1 + F). Rosenthal & Henderson 2003."""
    fsc = np.clip(fsc, 0, 1)
    return 2 * fsc / (1 + fsc)


def ridge(fsc: np.ndarray, mean_weight: np.ndarray) -> np.ndarray:
    """1 / tau^2 per shell, (shells,) float64, in the units of the weights."""
    f = np.clip(fsc, LEAST, MOST)
    return mean_weight * (1 - f) / f
