"""Plots of sharpening, local resolution and orientation diagnostics, each with its sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures_validation as pictures
from halfmap.jobs.pictures import views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOCAL = ("map_local_filtered.mrc",)


def _sharpening(figure: Figure, view: views.View) -> None:
    content = view.json("guinier.json")
    curves = {name: np.array(content[name], float) for name in pictures.CURVES if name in content}
    pictures.sharpening(figure, np.array(content["frequency2_1_A2"]), curves, content["bfactor_used_A2"])


def _local_slices(figure: Figure, view: views.View) -> None:
    from halfmap.io import mrc

    name = next(name for name in (*LOCAL, "map.mrc") if view.has(name))
    density, resolution = (views.row_of_file(view, file).slices for file in (name, "locres.mrc"))
    values = mrc.read(view.folder / "locres.mrc").data
    low, high = np.percentile(values[values > 0], (0.5, 99.5))
    title = f"{name}, coloured by its local resolution: slices along x, y, z"
    pictures.local_resolution(figure, density, resolution, (low, max(high, low + 0.1)), title)


def _local_histogram(figure: Figure, view: views.View) -> None:
    content = view.json("locres.json")
    marks = {"median": content["local_resolution_median_A"], "5 %": content["local_resolution_5_percent_A"],
             "95 %": content["local_resolution_95_percent_A"]}  # fmt: skip
    pictures.resolution_histogram(figure, np.array(content["edges_A"]), np.array(content["voxels"]), marks)


def _local_map(figure: Figure, view: views.View) -> None:
    from halfmap.jobs.pictures import pictures as plain

    plain.slices(figure, [views.row_of_file(view, name) for name in LOCAL])


def _sampling(figure: Figure, view: views.View) -> None:
    facts = view.facts
    title = f"SCF* {facts['scf']:.2f}, {100 * facts['unsampled']:.1f} % of all directions never measured"
    pictures.on_sphere(figure, view.arrays["sampling_directions"], view.arrays["sampling"],
                       "sampling over that of even views", title)  # fmt: skip


def _signal(figure: Figure, view: views.View) -> None:
    title = f"tFAR {view.facts['tfar']:.2f}"
    pictures.on_sphere(figure, view.arrays["signal_directions"], view.arrays["signal"],
                       "signal over the largest", title)  # fmt: skip


PLOTS = (
    views.Plot(
        "sharpening",
        "Amplitudes before and after",
        "How the amplitudes fall off before anything was done, after weights and low-pass, and after sharpening. Good: "
        "the sharpened curve is level between 10 A and the resolution and ends there; one that rises is sharpened too "
        "much.",
        lambda view: view.has("guinier.json") and "ln_amplitude_map_sharp" in view.json("guinier.json"),
        _sharpening,
    ),
    views.Plot(
        "local_resolution",
        "Local resolution",
        "The map, coloured by how fine its half-maps agree at each place. Good: the core is fine and the rim coarse, "
        "with smooth changes; a fine rim or shell means that the mask cuts density or the noise is not independent.",
        views.files("locres.mrc"),
        _local_slices,
        2.8,
    ),
    views.Plot(
        "local_resolution_histogram",
        "Histogram of local resolution",
        "Voxels of the mask by their resolution. Good: one peak near the resolution of the whole map, or finer; a "
        "heap at the coarse end is solvent in the mask or disorder.",
        views.files("locres.json"),
        _local_histogram,
    ),
    views.Plot(
        "local_filtered",
        "Locally filtered map",
        "Every place low-passed to its own resolution. Good: detail where the map is fine, smooth density where it is "
        "not, and no grain in the coarse parts.",
        views.files(*LOCAL),
        _local_map,
        2.55,
    ),
    views.Plot(
        "sampling",
        "Sampling by Fourier direction",
        "How often each direction of Fourier space is measured by the views: a view for its great circle. Good: "
        "between half and twice the mean everywhere; grey is never measured. SCF* is 1 for even views, 0.81 for views "
        "from all sides about one axis, less where directions are missing.",
        views.array("sampling"),
        _sampling,
    ),
    views.Plot(
        "signal",
        "Signal by viewing direction",
        "How far the half-maps agree in what the views from each direction, and those within 20 degrees, measured. "
        "Good: even; a dark patch is a view that is missing or whose particles are junk.",
        views.array("signal"),
        _signal,
    ),
)
