"""Plots of refinements, reconstructions, FSCs and simulations, in the order of the report, each with its sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from halfmap.jobs.pictures import pictures, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THRESHOLD = 0.143  # what the curves of an iteration were judged by: Rosenthal & Henderson 2003
LEAST_DECADES = -4.0  # of the Fourier slices: below lies rounding
MAPS, MASKS = ("map.mrc", "map_sharp.mrc"), ("mask_refine.mrc", "mask_fsc.mrc", "mask_fsc_auto.mrc", "mask.mrc")


def _fsc(figure: Figure, view: views.View) -> None:
    pictures.fsc(figure, _final_fsc(view) if view.final else _iteration_fsc(view))


def _final_fsc(view: views.View) -> pictures.FscPicture:
    content = view.json("fsc.json")
    crossings = {name: at[f"{content['threshold']:g}"] for name, at in content["crossings_A"].items()}
    curves = {name: np.array(content[name], float) for name in pictures.COLOURS if name in content}
    others = [f"{at:.2f} A at {level}" for level, at in content["crossings_A"]["corrected"].items()
              if level != f"{content['threshold']:g}" and at]  # fmt: skip
    return pictures.FscPicture(curves, crossings, content["descriptions"], content["box"] * content["voxel_size_A"],
                               content["threshold"], content["randomised_from_shell"], view.facts.get("band"),
                               "".join(f", {other}" for other in others))


def _fsc_before(figure: Figure, view: views.View) -> None:
    """The curves of the first mask under the names of those in force."""
    shown, old = _final_fsc(view), _replaced(view)
    content = view.json("fsc.json")
    later = ("auto", "mask_free", "randomised", "corrected")
    kept = {name: values for name, values in shown.curves.items() if name not in later}
    curves = {**kept, **{name: np.array(content[f"{name}_{old}"], float) for name in later[2:]}}
    crossings = {**shown.crossings_A, "corrected": shown.crossings_A[f"corrected_{old}"]}
    words = {**shown.descriptions, **{name: shown.descriptions[f"{name}_{old}"] for name in later[2:]}}
    pictures.fsc(figure, replace(shown, curves=curves, crossings_A=crossings, descriptions=words))


def _replaced(view: views.View) -> str | None:
    """The mask that was made first, or given, and that another took the place of: "tight", "given"."""
    names = view.json("fsc.json") if view.has("fsc.json") else ()
    return next((mask for mask in ("tight", "given") if f"randomised_{mask}" in names), None)


def _iteration_fsc(view: views.View) -> pictures.FscPicture:
    curves = {name.removeprefix("fsc_"): v for name, v in view.arrays.items() if name.startswith("fsc_")}
    crossings = {name: view.length_A / shell if shell else None for name, shell in view.facts["radii"].items()}
    descriptions = {"no_mask": "no mask", "masked": f"masked: {view.facts['fsc_mask']}",
                    "randomised": "the same mask, random phases", "corrected": "corrected: the same mask",
                    **view.facts.get("fsc_words", {})}  # fmt: skip
    return pictures.FscPicture(curves, crossings, descriptions, view.length_A, THRESHOLD, view.facts["randomised_from"],
                               view.facts["band"])


def _slices(figure: Figure, view: views.View) -> None:
    if view.final:
        pictures.slices(figure, [views.row_of_file(view, name) for name in MAPS if view.has(name)])
        return
    cut = view.arrays["map_slices"].astype(np.float32)
    title = f"map of iteration {view.facts['iteration']}, {view.length_A:.0f} A wide: slices along x, y, z"
    at = views.focus(view, len(cut[0]), view.facts["voxel_size_A"])
    pictures.slices(figure, [pictures.Row(title, cut, *np.percentile(cut, (0.5, 99.9)), cross=at)])


def _masks(figure: Figure, view: views.View) -> None:
    if view.final:
        pictures.slices(figure, [views.row_of_file(view, name) for name in MASKS if view.has(name)])
        return
    cut = view.arrays["mask_slices"].astype(np.float32) * np.float32(view.arrays["mask_unit"])
    title = f"mask of the reference ({view.facts['mask']}), {view.length_A:.0f} A wide: slices along x, y, z"
    at = views.focus(view, len(cut[0]), view.facts["voxel_size_A"])
    pictures.slices(figure, [pictures.Row(title, cut, 0, 1, cross=at)])


def _fourier(figure: Figure, view: views.View) -> None:
    planes = view.arrays["fourier_slices"].astype(np.float32)
    at = view.facts.get("resolution_A")
    words = f"; circle: {at:.2f} A" if at else ""
    title = f"central planes across x, y, z, edge at {2 * view.facts['voxel_size_A']:.2f} A{words}"
    row = pictures.Row(title, planes, max(LEAST_DECADES, float(np.percentile(planes, 1))), 0.0, "magma")
    pictures.slices(figure, [row], [view.length_A / at if at else None], "log10 amplitude")


def _guinier(figure: Figure, view: views.View) -> None:
    if view.final:
        content = view.json("guinier.json")
        x, y = np.array(content["frequency2_1_A2"]), np.array(content["ln_amplitude"], float)
        pictures.guinier(figure, x, y, content["fit"], content["fit"])
        return
    amplitude = view.arrays["guinier_amplitude"]
    x = (np.arange(len(amplitude)) / view.length_A) ** 2
    fit = view.arrays.get("guinier_fit")
    line = None if fit is None else {"slope": fit[0], "intercept": fit[1], "x": fit[2:]}
    pictures.guinier(figure, x, np.log(np.maximum(amplitude, np.finfo(float).tiny)), line, None)


def _noise(figure: Figure, view: views.View) -> None:
    if "noise_sd" not in view.arrays:
        groups = view.json("noise.json")["groups"]
        parts = ((g["name"], np.array(g["frequency_1_A"]), np.array(g["noise_sd"], float), None) for g in groups)
    else:
        sd = view.arrays["noise_sd"]
        before = view.arrays.get("noise_sd_before", [None] * len(sd))  # maps that grow have but one estimate
        frequency = np.arange(sd.shape[1]) / view.length_A
        parts = zip(view.facts["groups"], [frequency] * len(sd), sd, before, strict=True)
    pictures.noise(figure, [pictures.Spectrum(*part) for part in parts])


def _directions(figure: Figure, view: views.View) -> None:
    from halfmap.validate import orientation

    counts = view.arrays.get("directions")
    if counts is None:
        counts = orientation.direction_histogram(_poses(view.folder).rotations).counts
    pictures.directions(figure, counts)


def _poses(folder: Path):
    """Poses of the job's particles, of simulated ones the true poses; None where the table has none."""
    from halfmap.data import relion

    truth = folder / "truth.star"
    return relion.read_table(truth if truth.is_file() else folder / "particles.star").poses


def _precision(figure: Figure, view: views.View) -> None:
    pictures.precision(figure, view.arrays["precision_directions"], view.arrays["precision"])


def _changes(figure: Figure, view: views.View) -> None:
    rows = [
        [
            (f"turned by (deg), since {SINCE[since]}", _change(view, "rotation", since, "deg")),
            (f"shifted by (A), since {SINCE[since]}", _change(view, "shift", since, "A")),
        ]
        for since in _compared(view)
    ]
    pictures.histograms(figure, rows)


SINCE = {"last": "the last iteration", "input": "the input"}


def _compared(view: views.View) -> list[str]:
    """What poses are compared with: "last", "input"."""
    return [since for since in SINCE if f"rotation_change_{since}" in view.arrays]


def _change(view: views.View, kind: str, since: str, unit: str) -> pictures.Counts:
    key = f"{kind}_change_{since}"
    median = float(view.arrays[f"{key}_median"])
    limit = view.facts.get(f"{kind}_extent") if since == "input" else None
    return pictures.Counts(f"median {median:.2f} {unit}", view.arrays[key], view.arrays[f"{key}_edges"], limit)


def _mates(figure: Figure, view: views.View) -> None:
    hopped = view.facts.get("hopped")
    title = "" if hopped is None else f"{100 * hopped:.1f} % of the particles went to another mate in this iteration"
    certainty = None
    if "mate_certainty" in view.arrays:
        label = f"median {float(view.arrays['mate_certainty_median']):.2f}"
        certainty = pictures.Counts(label, view.arrays["mate_certainty"], view.arrays["mate_certainty_edges"])
    pictures.mates(figure, view.arrays["mates"], certainty, title)


def _scaled(view: views.View) -> bool:
    """Scales were fitted: a single column at 1 tells nothing."""
    return np.count_nonzero(view.arrays.get("scales", ())) > 1


def _scales(figure: Figure, view: views.View) -> None:
    label = f"mean {float(view.arrays['scales_mean']):.3f}"
    counts = pictures.Counts(label, view.arrays["scales"], view.arrays["scales_edges"])
    pictures.histograms(figure, [[("scale of a particle", counts)]])


def _cones(figure: Figure, view: views.View) -> None:
    parts = [view.arrays[f"cfsc_{name}"] for name in ("mean", "min", "max", "sd", "resolutions_A")]
    pictures.cones(figure, pictures.Cones(*parts, view.length_A, view.facts["cfar"], view.facts["mask"]))


def _images(figure: Figure, view: views.View) -> None:
    from halfmap.io import mrc

    path = view.folder / "particles.mrcs"
    pictures.images(figure, mrc.read_images(path, np.arange(min(8, mrc.read_header(path).nz))).astype(np.float32))


def _some_directions(view: views.View) -> bool:
    return "directions" in view.arrays or (view.has("particles.star") and _poses(view.folder) is not None)


PLOTS = (
    views.Plot(
        "slices",
        "Map",
        "The map cut through its centre along x, y and z, of a local refinement through the fulcrum, which the dotted "
        "lines mark. Good: clear protein on a flat, even background, no streaks in one direction, no rings; of a local "
        "refinement inside the mask alone, what moves against it is blurred.",
        lambda view: "map_slices" in view.arrays if not view.final else view.has("map.mrc"),
        _slices,
        2.55,
        views.rows_of(MAPS),
    ),
    views.Plot(
        "fourier",
        "Fourier space",
        "Strength of the map's Fourier components in the same planes, centre = low resolution. Good: round and the "
        "same in all three; missing or weak wedges are directions that no particle shows.",
        views.array("fourier_slices"),
        _fourier,
        2.4,
    ),
    views.Plot(
        "masks",
        "Masks",
        "The masks cut in the same way: of the reference, and of the FSC. Good: all of the density inside, with a wide "
        "soft edge; a mask that cuts density makes the FSC too good. Of a local refinement: all of the part and as "
        "little as possible of what moves against it, which would hold the poses back.",
        lambda view: views.files(*MASKS)(view) if view.final else "mask_slices" in view.arrays,
        _masks,
        2.55,
        views.rows_of(MASKS),
    ),
    views.Plot(
        "fsc",
        "Fourier shell correlation",
        "How well the two half-maps agree at each resolution. Good: the curves stay near 1 and fall once, smoothly; "
        "corrected follows tight closely (a gap means that the mask adds correlation), random phases stay near 0, and "
        "all end near 0 unless the data reach Nyquist.",
        lambda view: "fsc_corrected" in view.arrays if not view.final else view.has("fsc.json"),
        _fsc,
        height=5.6,  # the legend names every mask in full, below the axes
    ),
    views.Plot(
        "fsc_before",
        "Fourier shell correlation, before the mask was changed",
        "The same with the mask as it was first made or given, before the search for a tighter one or before it had to "
        "give way. Good: corrected follows tight as closely here as above; what was gained is real if the curve moved "
        "out and kept its shape.",
        lambda view: _replaced(view) is not None,
        _fsc_before,
        height=5.6,
    ),
    views.Plot(
        "guinier",
        "Guinier plot",
        "How the amplitudes of the map fall off with resolution; the slope of the line gives the B-factor of "
        "map_sharp.mrc. Good: a straight stretch from 10 A to the resolution; B of -50 to -200 A^2 is common.",
        lambda view: "guinier_amplitude" in view.arrays if not view.final else view.has("guinier.json"),
        _guinier,
    ),
    views.Plot(
        "noise",
        "Noise spectrum",
        "What is left of the images when the model is taken away, one curve for each optics group. Good: a smooth "
        "curve that falls steeply at low and slowly at high resolution; a spike means bad images.",
        views.array("noise_sd", "noise.json"),
        _noise,
    ),
    views.Plot(
        "directions",
        "Viewing directions",
        "How many particles are seen from each side; every bin covers the same solid angle. Good: counts within a "
        "factor of ten everywhere, for symmetric molecules within the asymmetric unit; one bright spot means a "
        "preferred orientation.",
        _some_directions,
        _directions,
    ),
    views.Plot(
        "precision",
        "Precision by Fourier direction",
        "How well each direction of Fourier space is measured: a particle counts for the great circle perpendicular "
        "to its view, with its CTF^2 over the noise. Good: largest over smallest below ten; dark patches are where the "
        "map will be smeared.",
        views.array("precision"),
        _precision,
    ),
    views.Plot(
        "changes",
        "Changes of poses",
        "How far particles were turned and shifted since the last iteration and, where it had poses, since the input; "
        "the last bin takes all larger changes. Good: all near 0 at the end; a far bin that stays means particles that "
        "cannot make up their mind. Of a local refinement shifts are those of the fulcrum, and red lines mark how far "
        "poses may go: good is a smooth decay before the line; many at the line ask for a larger extent or another "
        "fulcrum.",
        lambda view: bool(_compared(view)),
        _changes,
        3.2,
        lambda view: len(_compared(view)),
    ),
    views.Plot(
        "mates",
        "Symmetry mates",
        "Where the symmetry is relaxed. Left: how many particles are posed in each asymmetric unit. Right: how sure "
        "each particle is of its place among the mates. Good: most are sure, and hardly any changes its mate at the "
        "end; probabilities near one over the number of mates mean that the molecule shows no difference between them.",
        views.array("mates"),
        _mates,
        3.4,
    ),
    views.Plot(
        "scales",
        "Scales of particles",
        "How strongly each particle shows the map, relative to the others. Good: one peak at 1; values near 0 are "
        "empty images, values above 2 crowded ones.",
        _scaled,
        _scales,
    ),
    views.Plot(
        "cfsc",
        "Conical FSC",
        "The FSC within cones of 20 degrees half-angle around many axes, and the resolution of each cone. Good: a "
        "narrow band and a narrow histogram; cFAR, the smallest over the largest area under the curves, above 0.5.",
        views.array("cfsc_mean"),
        _cones,
    ),
    views.Plot(
        "images",
        "Example images",
        "The first particles as they were simulated. Good: the particle can just be made out by eye at an SNR of 0.1 "
        "and more.",
        lambda view: view.has("particles.mrcs") and not view.has("montage.npz"),
        _images,
        3.6,
    ),
)
