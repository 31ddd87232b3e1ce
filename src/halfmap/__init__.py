"""Gold-standard refinement of cryo-EM single particles.

Every job is a function, ``halfmap.refine_homogeneous(particles=..., volume=..., out=...)``; ``dir(halfmap)`` lists
them, and ``help`` tells the settings of each.
"""

import importlib.util
import os
import sys
import warnings

# numba reads it when it is first imported. Its usual level gives up on the loops over pixels, which then take twice as
# long: normal equations of 2,000 poses at K = 30 in 0.34 s of processor, with this 0.13
os.environ.setdefault("NUMBA_OPT", "max")


def _numba_told() -> None:
    """Make numba read the level where it was imported before; too late once it has compiled, which is warned of.

    Its cache of kernels does not tell levels apart: slower ones go to a folder of their own, else they would stay.
    """
    numba = sys.modules["numba"]
    numba.config.reload_config()
    if "_toplevel_target_context" not in vars(numba.core.registry.cpu_target):  # made for the first that it compiles
        return
    kept = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    numba.config.CACHE_DIR = os.path.join(numba.config.CACHE_DIR or os.path.join(kept, "halfmap"), "usual_level")
    warnings.warn(
        "numba had compiled before halfmap was imported, not as halfmap's kernels are to be: they take twice as long, "
        "and last digits differ. Import halfmap first, or set NUMBA_OPT=max in the environment",
        RuntimeWarning,
        stacklevel=3,
    )


if "numba" in sys.modules and os.environ["NUMBA_OPT"] == "max" and not sys.modules["numba"].config.OPT.is_opt_max:
    _numba_told()

__version__ = "0.1.0"
PROJECT_MARKER = "halfmap.json"  # in the root folder of every project


def __getattr__(name: str):
    """Functions and results, from ``halfmap.api``: imported when the first is asked for, not for a package of ours."""
    if name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}") is not None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.api").named(name)


def __dir__() -> list[str]:
    return ["__version__", *importlib.import_module(f"{__name__}.api").names()]
