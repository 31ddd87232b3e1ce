"""Plots of two half-maps from nothing: how they meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import gallery_abinitio, pictures, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = ("half 1", "half 2 as it has grown", "half 2 brought onto half 1")


def _meeting(figure: Figure, view: views.View) -> None:
    cuts = view.arrays["meeting_slices"]
    pictures.slices(figure, [gallery_abinitio.row(title, cut, view.length_A)
                             for title, cut in zip(TITLES, cuts, strict=True)])  # fmt: skip


def _agreement(figure: Figure, view: views.View) -> None:
    axes = figure.add_axes((0.09, 0.16, 0.89, 0.8))
    values = view.arrays["meeting_fsc"]
    frequency = np.arange(len(values)) / view.length_A
    axes.plot(frequency, values, lw=1.6, color=pictures.COLOURS["spherical"])
    for level in (0.5, 0.143):
        axes.axhline(level, color="black", lw=0.8, ls=":")
    axes.axvline(1 / view.facts["grown_A"], color="#777777", lw=0.8, ls="--")
    axes.set(ylim=(-0.1, 1.05), xlim=(0, frequency[-1]), ylabel="Fourier shell correlation")
    pictures.resolution_ticks(axes, frequency[-1])


PLOTS = (
    views.Plot(
        "halves_meet",
        "The half-maps when they first meet",
        "Each grown from the particles of its own half-set, then turned, moved and mirrored onto half 1. Good: the "
        "first and the last row show one shape.",
        views.array("meeting_slices"),
        _meeting,
        2.4,
        lambda view: len(TITLES),
    ),
    views.Plot(
        "halves_meet_fsc",
        "FSC of the half-maps when they first meet",
        "In a sphere of the particle's diameter; dashed: the resolution they were grown to. Good: above 0.5 up to "
        "there; what stays below 0.5 at low resolution are two different structures.",
        views.array("meeting_fsc"),
        _agreement,
        3.2,
    ),
)
