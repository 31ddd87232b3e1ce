"""Runs `halfmap mask segment`: regions of a map, their table, and the mask of those chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfmap.io import mrc
from halfmap.jobs.pictures import region_views
from halfmap.jobs.running import diagnostics, record
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import volumes
from halfmap.maps import masks, segment
from halfmap.maps.segment import Part, Segmentation
from halfmap.params import points
from halfmap.params import segment as written
from halfmap.params.segment import SegmentMask
from halfmap.refine.diagnostics import Diagnostics
from halfmap.types import Map

EDGE_RESOLUTIONS = 5.0  # narrowest soft edge, in resolutions: reference rule of cryoSPARC's guide for mask creation
USUAL_EDGE_PX = 12.0  # without a resolution: the default of cryoSPARC's Volume Tools
MANY = 40  # regions: more than can be told apart in a picture
TOLD = 20  # regions in the terminal
AT_EDGE = 1e-3  # of the mask at the faces of the box: more is a mask that the box cuts


def run(params: SegmentMask, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write regions.mrc, regions.json and, where regions are chosen, mask_base.mrc and mask.mrc."""
    found = segmented(params, read(params), watch)
    numbers = choice(params, found)
    mask = None
    mrc.write(folder / "regions.mrc", Map(found.labels.astype(np.float32), found.map.voxel_size_A))
    record.write_json(folder / "regions.json", table(params, found, numbers))
    summary = described(found)
    if numbers:
        base = segment.base(found, numbers)
        mask, words = mask_of(params, found, numbers)
        mrc.write(folder / "mask_base.mrc", base)
        mrc.write(folder / "mask.mrc", mask)
        _warn_of_mask(mask, watch)
        summary |= _described_mask(found, numbers, mask, words)
    facts = {**told(found, numbers), "mask": summary.get("mask")}
    arrays = region_views.arrays(found, None if mask is None else mask.data)
    watch("diagnostics", made=Diagnostics(diagnostics.FINAL, arrays, facts))
    watch("note", text=lines(found, numbers))
    return summary


def check(params: SegmentMask, watch: Passing) -> dict:
    """Read the map, segment it and see whether the regions chosen exist: it takes no longer than the job."""
    found = segmented(params, read(params), watch)
    numbers = choice(params, found)
    size = found.map.voxel_size_A
    resolved = {"box_size": found.map.box, "voxel_size_A": size, "threshold": found.threshold,
                "regions": len(found.numbers), "chosen": numbers, "soft_edge_px": soft_edge_px(params, size)}
    return {"resolved": resolved}


def read(params: SegmentMask) -> Map:
    """The map, with the voxel size that the settings give it. Raises InputError."""
    paths = volumes.files(params.volume)
    if "map" in paths:
        return mrc.read(paths["map"], params.pixel_size_A)
    map = volumes.read_files(paths).map  # a folder of half-maps: their mean
    return Map(map.data, params.pixel_size_A or map.voxel_size_A)


def segmented(params: SegmentMask, map: Map, watch: Watch | Passing) -> Segmentation:
    """Smoothed, cut and grouped as the settings say, and ungrouped again where they ask for it."""
    smooth = segment.smoothed(map, params.gaussian_sdev)
    found = segment.segment(smooth, params.threshold, params.smoothing_steps, params.step_size, params.regions)
    for number in written.numbers(params.ungroup):
        found = segment.ungroup(found, number)
    for sentence in advice(params, found):
        watch("warning", message=sentence)
    return found


def advice(params: SegmentMask, found: Segmentation) -> list[str]:
    """What a user may want to do otherwise, in sentences."""
    sentences = []
    filled = float((found.basins.labels > 0).mean())
    if filled > masks.LARGEST_REGION:
        sentences.append(f"{100 * filled:.0f} % of the box is above the threshold {found.threshold:.4g}, solvent too: "
                         "give a higher --threshold")
    grouped = found.levels[-1].count
    if params.regions is not None and grouped != params.regions:
        sentences.append(f"--regions {params.regions}: there are {grouped}; {_why_not(params.regions, found)}")
    if params.regions is None and grouped > MANY:
        sentences.append(f"{grouped} regions are many to choose from; --regions 20 groups them further")
    return sentences


def _why_not(wanted: int, found: Segmentation) -> str:
    """Why the regions are not as many as asked for."""
    if found.levels[-1].count > wanted:
        return "the others lie too far apart to become one; a higher --threshold loses specks"
    if len(found.levels) == 1:
        return "the watershed finds no more; a smaller --gaussian-sdev or a lower --threshold may"
    return "several met at once, as in a symmetric map"


def choice(params: SegmentMask, found: Segmentation) -> list[int]:
    """Numbers of the regions that the mask is made of; none where the settings choose none. Raises UsageError."""
    if not params.makes_mask:
        return []
    at = [points.in_voxels(text, found.map.voxel_size_A) for text in params.at]
    return segment.chosen(found, written.numbers(params.choose), at, written.numbers(params.exclude))


def soft_edge_px(params: SegmentMask, voxel_size_A: float) -> float:
    """Width of the soft edge: as given, else of EDGE_RESOLUTIONS rounded up, else USUAL_EDGE_PX."""
    if params.soft_edge is not None:
        return params.soft_edge
    if params.resolution_A is None:
        return USUAL_EDGE_PX
    return float(np.ceil(EDGE_RESOLUTIONS * params.resolution_A / voxel_size_A))


def mask_of(params: SegmentMask, found: Segmentation, numbers: list[int]) -> tuple[Map, str]:
    """The soft mask of regions, and what it is in words."""
    edge = soft_edge_px(params, found.map.voxel_size_A)
    data = masks.soft(segment.within(found, numbers), params.dilation, params.dilation + edge)
    named = "region" if len(numbers) == 1 else "regions"
    words = f"{named} {', '.join(map(str, numbers))}; dilated by {params.dilation:g} px, soft edge {edge:g} px"
    return Map(data, found.map.voxel_size_A), words


def table(params: SegmentMask, found: Segmentation, numbers: list[int]) -> dict:
    """regions.json."""
    touching = found.neighbours()
    levels = [{"sdev_px": level.sdev_px, "regions": level.count} for level in found.levels]
    return {
        "box": found.map.box,
        "voxel_size_A": found.map.voxel_size_A,
        "gaussian_sdev_px": params.gaussian_sdev,
        "threshold": found.threshold,
        "levels": levels,
        "chosen": numbers,
        "ungrouped": {str(number): list(parts) for number, parts in found.ungrouped.items()},
        "regions": [_row(found, number, touching[number]) for number in found.numbers],
    }


def _row(found: Segmentation, number: int, touching: dict[int, float]) -> dict:
    parts = found.subregions(number)
    size = found.map.voxel_size_A
    return {
        "number": number,
        **_described_part(found.region(number), size),
        "neighbours": [{"number": other, "contact_A2": area} for other, area in sorted(touching.items())],
        "ungroups_into": [_described_part(found.part(part), size) for part in parts] if len(parts) > 1 else [],
    }


def _described_part(part: Part, size: float) -> dict:
    return {**vars(part), "centre_A": tuple(value * size for value in part.centre_px)}


def described(found: Segmentation) -> dict:
    """What the summary says of the regions."""
    parts = [found.region(number) for number in found.numbers]
    return {
        "n_regions": len(parts),
        "threshold": found.threshold,
        "map_maximum": float(found.map.data.max()),
        "regions_volume_A3": sum(part.volume_A3 for part in parts),
    }


def _described_mask(found: Segmentation, numbers: list[int], mask: Map, words: str) -> dict:
    return {
        "chosen": numbers,
        "chosen_volume_A3": sum(found.region(number).volume_A3 for number in numbers),
        "mask": words,
        "mask_volume_A3": float(mask.data.sum(dtype=np.float64)) * mask.voxel_size_A**3,
        "border_px": segment.border(found, numbers),
        # what makes this very mask of mask_base.mrc again: all of it is above this
        "base_threshold": found.threshold,
    }


def told(found: Segmentation, numbers: list[int]) -> dict:
    """Facts of the pictures."""
    regions = [{"number": number, "volume_A3": found.region(number).volume_A3} for number in found.numbers]
    return {"box": found.map.box, "voxel_size_A": found.map.voxel_size_A, "threshold": found.threshold,
            "regions": regions, "chosen": numbers}  # fmt: skip


def lines(found: Segmentation, numbers: list[int]) -> str:
    """The largest regions, a line each: to be read in a terminal."""
    rows = ["  region   volume (A^3)   centre x,y,z (px)"]
    for number in found.numbers[:TOLD]:
        part = found.region(number)
        centre = ", ".join(f"{value:.0f}" for value in part.centre_px)
        rows.append(f"  {number:6d}   {part.volume_A3:12,.0f}   {centre}{'   chosen' if number in numbers else ''}")
    more = len(found.numbers) - TOLD
    return "\n".join([*rows, f"  and {more} smaller ones: see regions.json"] if more > 0 else rows)


def _warn_of_mask(mask: Map, watch: Watch) -> None:
    faces = (np.take(mask.data, end, axis) for axis in range(3) for end in (0, -1))
    if max(float(face.max()) for face in faces) > AT_EDGE:
        watch("warning", message="the mask reaches the faces of the box and is cut off there: use a smaller --dilation "
              "or --soft-edge, or a larger box")
