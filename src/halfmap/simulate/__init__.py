"""Particle images with known truth, made from a map; and protein-like maps made from nothing.

Owns its own projector (`slices`), more accurate than that of a refinement and sharing no code with it, so that a
refinement of simulated images is a fair test of the refinement.
"""

from halfmap.simulate.images import Hinge, Settings, Simulation, noise, simulation
from halfmap.simulate.molecule import hinged, protein_like
from halfmap.simulate.slices import Slices
from halfmap.simulate.writing import write

__all__ = ["Hinge", "Settings", "Simulation", "Slices", "hinged", "noise", "protein_like", "simulation", "write"]
