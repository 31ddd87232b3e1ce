"""The inner loops. Each folder holds one: ``reference.py`` in float64 is its definition, ``cpu.py`` its numba body."""
