"""The electrons of the microscope: their wavelength. Knows nothing of lenses."""

from __future__ import annotations

import numpy as np


def wavelength_A(voltage_kV: float) -> float:
    """Relativistic wavelength of an electron, Angstrom: 12.2643 / sqrt(V + 0.978466e-6 V^2) with V in volts."""
    volts = 1e3 * voltage_kV
    return 12.2643247 / np.sqrt(volts * (1.0 + 0.978466e-6 * volts))
