"""Gold-standard refinement of cryo-EM single particles."""

__version__ = "0.1.0"
PROJECT_MARKER = "halfmap.json"  # in the root folder of every project
