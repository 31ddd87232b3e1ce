"""The numbers of summary.json that people look at first, with their labels. Imports no numerics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINES = {
    "found": ("Something was found", "{}"),
    "halves_agree": ("Two maps from nothing agree", "{}"),
    "evidence": ("Evidence per unseen particle, nats", "{:.2f}"),
    "evidence_of_ball": ("... of balls in place of the maps", "{:.2f}"),
    "n_unused": ("Particles not used", "{}"),
    "class_particles": ("Particles of each class", "{}"),
    "resolution_A": ("Resolution ({criterion})", "{:.2f} A"),
    "resolution_unmasked_A": ("Resolution without mask", "{:.2f} A"),
    "resolution_05_A": ("Resolution at FSC 0.5", "{:.2f} A"),
    "nyquist_A": ("Nyquist limit", "{:.2f} A"),
    "bfactor_A2": ("B-factor", "{:.0f} A\u00b2"),
    "lowpass_A": ("Low-pass", "{:.2f} A"),
    "local_resolution_median_A": ("Local resolution, median", "{:.2f} A"),
    "local_resolution_5_percent_A": ("Local resolution, best 5 % finer than", "{:.2f} A"),
    "local_resolution_95_percent_A": ("Local resolution, worst 5 % coarser than", "{:.2f} A"),
    "unresolved": ("Part of the mask without any resolution", "{:.1%}"),
    "verdict": ("Verdict", "{}"),
    "cfar": ("cFAR: evenness of the resolution over directions", "{:.2f}"),
    "precision_ratio": ("Precision, best over worst Fourier direction", "{:.1f}"),
    "scf": ("SCF*: evenness of the views", "{:.2f}"),
    "unsampled": ("Fourier directions that no view shows", "{:.1%}"),
    "tfar": ("tFAR: least over most signal by viewing direction", "{:.2f}"),
    "contour_level": ("Recommended contour level", "{:.4g}"),
    "symmetry": ("Symmetry", "{}"),
    "threshold": ("Threshold of the mask", "{:.4g}"),
    "centre_of_mass_px": ("Centre of mass x, y, z (voxels from the corner)", "{0[0]:.1f}, {0[1]:.1f}, {0[2]:.1f}"),
    "centre_of_mass_A": ("... in A", "{0[0]:.1f}, {0[1]:.1f}, {0[2]:.1f}"),
    "mask_fraction": ("Fraction of the box in the mask", "{:.3f}"),
    "edge_width_px": ("Width of its soft edge (voxels)", "{:.1f}"),
    "n_particles": ("Particles", "{}"),
    "n_parents": ("Particles before the expansion", "{}"),
    "n_micrographs": ("Micrographs", "{}"),
    "n_templates": ("Templates", "{}"),
    "box_size": ("Box (pixels)", "{}"),
    "pixel_size_A": ("Pixel size (A)", "{}"),
    "n_rejected": ("Particles left out", "{}"),
    "n_junk": ("Particles that hardly count: probably none", "{}"),
    "iterations": ("Iterations", "{}"),
    "accuracy_rotation_deg": ("Estimated accuracy of rotations", "{:.2f} deg"),
    "accuracy_shift_A": ("Estimated accuracy of shifts", "{:.2f} A"),
    "hand": ("Hand, against the reference", "{}"),
    "rotation_error_deg": ("Estimated error of the rotation", "{:.3f} deg"),
    "shift_error_A": ("Estimated error of the shift", "{:.3f} A"),
    "correlation_before": ("Correlation with symmetry mates, before", "{:.3f}"),
    "correlation_after": ("Correlation with symmetry mates, after", "{:.3f}"),
    "voxel_size_A": ("Voxel", "{:.6g} A"),
    "true_rotation_error_deg": ("Median error of rotations against the truth", "{:.2f} deg"),
    "n_regions": ("Regions", "{}"),
    "mask": ("Mask", "{}"),
    "mask_volume_A3": ("Volume of the mask", "{:.3g} A\u00b3"),
    "poses_per_image": ("Poses per particle, effective", "{:.2f}"),
    "seconds_total": ("Time", "{:.1f} s"),
    "peak_memory_GB": ("Peak memory", "{:.2f} GB"),
}


def of(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(label, text) of every headline that a summary has, in the order of the table."""
    criterion = judged_by(summary)
    return [
        (written(label, criterion=criterion), written(text, plainly(summary[key]) if text == "{}" else summary[key]))
        for key, (label, text) in HEADLINES.items()
        if summary.get(key) is not None
    ]


def judged_by(summary: Mapping[str, Any]) -> str:
    """What the resolution of a summary rests on, in words."""
    criterion = written("corrected FSC at {:g}", summary.get("fsc_threshold") or 0.143)
    if summary.get("one_start_A") is None:
        return criterion
    return criterion + written(" of half-sets that began from one map at {:.0f} A", summary["one_start_A"])


def plainly(value: Any) -> Any:
    """Yes or no, and several numbers, as people write them."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    whole = isinstance(value, list) and all(isinstance(one, int) for one in value)
    return ", ".join(map(str, value)) if whole else value


def written(text: str, *values: Any, **named: Any) -> str:
    """A text with its values; where a damaged summary has values of another kind, these as they are."""
    try:
        return text.format(*values, **named)
    except (ValueError, TypeError, LookupError):
        return str([*values, *named.values()])
