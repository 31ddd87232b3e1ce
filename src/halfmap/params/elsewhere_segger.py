"""Where the choices of Segger, ChimeraX's "Segment Map", are found in halfmap."""

from __future__ import annotations

from halfmap.params.equivalent import P

SEGGER = (
    P("Segment map", "the map that is cut", ("volume",)),
    P("volume gaussian sDev", "smoothing before it", ("gaussian_sdev",), "In voxels; there in A."),
    P("Threshold", "density above which voxels belong to regions", ("threshold",), "There the contour level on show."),
    P("Minimum region size, minimum contacts", "what is left out", (), "All regions stay, the smallest have the last "
      "numbers; choose the others."),
    P("Group by smoothing: number of steps", "smoothings that join regions", ("smoothing_steps",)),
    P("Group by smoothing: step size", "standard deviation that a step adds, voxels", ("step_size",)),
    P("Group by smoothing: stop at", "number of regions", ("regions",)),
    P("Group by connectivity", "another way to join regions", (), "By smoothing only; several regions can be chosen."),
    P("Group", "join selected regions", ("choose",), "Name all of them."),
    P("Ungroup", "split a region into what it was made of", ("ungroup",)),
    P("Select, Hide, Delete", "which regions stay", ("choose", "at", "exclude"), "The map file is never changed."),
    P("Save selected regions to .mrc, volume resample onGrid", "the mask base", (), "mask_base.mrc lies on the grid of "
      "the map."),
    P("Dilation radius, Soft padding width", "cryoSPARC Volume Tools", ("dilation", "soft_edge", "resolution_A"),
      "mask.mrc is made of the regions at once, no threshold between."),
)  # fmt: skip
