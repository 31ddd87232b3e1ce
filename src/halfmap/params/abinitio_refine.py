"""Settings of `halfmap abinitio-refine`."""

from __future__ import annotations

from halfmap.params.abinitio import SETTLED, Growing
from halfmap.params.common import setting
from halfmap.params.refinement import HalfMapRefinement


class AbinitioRefine(Growing, HalfMapRefinement):
    """Two half-maps from particles alone, each from a random start of its own, refined to high resolution apart."""

    settled_at_start = HalfMapRefinement.settled_at_start | SETTLED | {"max_restarts"}

    max_restarts: int = setting(
        3, help="How many times a half is grown anew, from another start, where the maps of the two halves are not of "
        "one structure; that which tells less of particles held back is.", ge=0, le=100,
    )  # fmt: skip
