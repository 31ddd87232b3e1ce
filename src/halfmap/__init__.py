"""Gold-standard refinement of cryo-EM single particles."""

__version__ = "0.1.0"
