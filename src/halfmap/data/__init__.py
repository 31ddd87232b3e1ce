"""Our particles: the table, the images behind it, the half-sets, and the foreign files they come from."""
