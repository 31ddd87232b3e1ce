"""How good a map is: Fourier shell correlation, fall-off of amplitudes, viewing directions."""
