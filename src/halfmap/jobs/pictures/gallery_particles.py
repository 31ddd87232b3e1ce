"""Plots of jobs that write particle images: some of the images, and a micrograph with its particles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MONTAGE = "montage.npz"
PAIRS = 4  # images shown before and after


def _montage(view: views.View) -> dict[str, np.ndarray]:
    with np.load(view.folder / MONTAGE) as kept:
        return dict(kept)


def _holds(*names: str) -> Callable[[views.View], bool]:
    """Whether the job left all of these pictures."""
    return lambda view: view.has(MONTAGE) and set(names) <= set(_montage(view))


def _pairs(figure: Figure, view: views.View) -> None:
    kept = _montage(view)
    pictures.images(figure, [*kept["before"][:PAIRS], *[()] * (PAIRS - len(kept["before"])), *kept["after"][:PAIRS]])


def _new(figure: Figure, view: views.View) -> None:
    pictures.images(figure, _montage(view)["after"])


def _micrograph(figure: Figure, view: views.View) -> None:
    kept = _montage(view)
    pictures.micrograph(figure, kept["micrograph"], kept["picks"], kept["fits"])


PLOTS = (
    views.Plot(
        "before_after",
        "Images before and after",
        "The first particles as they were, above, and as they are now, below. Good: the same particles; after a "
        "subtraction hardly a difference to be seen by eye, for the noise is stronger than what was taken away.",
        _holds("before", "after"),
        _pairs,
        3.6,
    ),
    views.Plot(
        "new_images",
        "Example images",
        "The first of the new images. Good: the particle, where it can be seen, is white and in the middle; the "
        "background is even, without a gradient.",
        lambda view: _holds("after")(view) and not _holds("before")(view),
        _new,
        3.6,
    ),
    views.Plot(
        "micrograph",
        "Micrograph",
        "The first micrograph, circles where particles are; dashed and red where a box reaches beyond it. Good: a "
        "circle about every particle and none about ice or carbon.",
        _holds("micrograph", "picks", "fits"),
        _micrograph,
        7.0,
    ),
)
