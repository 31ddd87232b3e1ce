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
if "numba" in sys.modules and os.environ["NUMBA_OPT"] == "max" and not sys.modules["numba"].config.OPT.is_opt_max:
    warnings.warn(
        "numba was imported before halfmap and did not read how halfmap's kernels are to be compiled: they take twice "
        "as long, and last digits differ. Import halfmap first, or set NUMBA_OPT=max in the environment",
        RuntimeWarning,
        stacklevel=2,
    )

__version__ = "0.1.0"
PROJECT_MARKER = "halfmap.json"  # in the root folder of every project


def __getattr__(name: str):
    """Functions and results, from ``halfmap.api``: imported when the first is asked for, not for a package of ours."""
    if name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}") is not None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.api").named(name)


def __dir__() -> list[str]:
    return ["__version__", *importlib.import_module(f"{__name__}.api").names()]
