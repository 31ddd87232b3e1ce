"""Plots of `refine auto`: its course, and which particles count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halfmap.jobs.pictures import views

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RED, BLUE, GREY, GREEN = "#d62728", "#1f77b4", "#777777", "#2ca02c"
CROWDED = 8.0  # ratio of the ends of an axis from which on the numbers between powers of ten would overlap
# panel: title, (array of the course, label, colour) of each line
PANELS = (
    ("resolution (A)", (("resolution_A", "corrected", RED), ("resolution_unmasked_A", "no mask", GREY),
                        ("band_A", "aligned to", BLUE))),
    ("particles", (("searched_globally", "searched everywhere", RED), ("searched_locally", "searched nearby", BLUE),
                   ("junk_particles", "count for less than half", GREY))),
    ("rotations (deg)", (("angular_step_deg", "step of the search", GREY),
                         ("accuracy_rotation_deg", "estimated accuracy", RED),
                         ("change_rotation_deg", "changed by, median", BLUE))),
    ("shifts (A)", (("offset_step_A", "step of the search", GREY), ("accuracy_shift_A", "estimated accuracy", RED),
                    ("change_shift_A", "changed by, median", BLUE))),
)  # fmt: skip


def _course(figure: Figure, view: views.View) -> None:
    for place, (title, lines) in enumerate(PANELS):
        row, column = divmod(place, 2)
        axes = figure.add_axes((0.09 + 0.5 * column, 0.57 - 0.49 * row, 0.40, 0.37))
        for name, label, colour in lines:
            axes.plot(view.arrays["course_iteration"], view.arrays[f"course_{name}"], "o-", ms=3, lw=1.3,
                      color=colour, label=label)  # fmt: skip
        _dress(axes, title, logarithmic=title != "particles")


def _dress(axes: Axes, title: str, logarithmic: bool) -> None:
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        low, high = axes.get_ylim()
        axes.yaxis.set_minor_formatter("{x:g}" if high < CROWDED * low else "")
        axes.tick_params(axis="y", which="minor", labelsize=6)
    axes.set(title=title, xlabel="iteration")
    axes.locator_params(axis="x", integer=True)
    axes.legend(fontsize=7)


def _matches(figure: Figure, view: views.View) -> None:
    edges = view.arrays["matches_edges"]
    axes = figure.add_axes((0.09, 0.14, 0.88, 0.80))
    for name, label, colour in (("particles", "count for more than half", BLUE), ("junk", "for less", RED)):
        counts = view.arrays[f"matches_{name}"]
        axes.stairs(counts, edges, fill=True, alpha=0.6, color=colour, label=f"{label}: {int(counts.sum()):,}")
    axes.set(xlabel="signal-to-noise ratio of the match with the map", ylabel="particles")
    axes.legend(fontsize=8)


PLOTS = (
    views.Plot(
        "course",
        "Course of the refinement",
        "Resolution, steps of the searches, estimated accuracies and changes of the poses, and how many particles were "
        "searched again, iteration by iteration. Good: the accuracy falls with the resolution, the changes fall below "
        "the accuracy, and ever fewer particles need a search. Poses do not stay on the grid of the search: its step "
        "is where they start from.",
        views.array("course_iteration"),
        _course,
        5.6,
    ),
    views.Plot(
        "matches",
        "Particles and junk",
        "How well each particle matches the map at its best pose, in standard deviations of its noise. Particles with "
        "a low probability to be one count for less in the map. Good: one peak, well away from 5, where noise lies; a "
        "second one there is junk.",
        views.array("matches_edges"),
        _matches,
        3.4,
    ),
)
