"""Runs `halfmap volume filter`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.volume import masking, volumes
from halfmap.maps import filters
from halfmap.params.volume_tools import FilterVolume
from halfmap.types import Map

ROLLOFFS = {"rectangular": filters.rectangular, "cosine": filters.raised_cosine, "gaussian": filters.gaussian_rolloff}


def run(params: FilterVolume, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Write every density filtered, every mask as it is."""
    group = volumes.read(params).each(partial(filtered, params=params), of_masks=lambda mask: mask)
    volumes.write(folder, group)
    return {**masking.statistics(group.map), "volumes": list(group.volumes)}


def check(params: FilterVolume, watch: Passing) -> dict:
    """Read the volumes."""
    group = volumes.read(params)
    return {"resolved": {"volumes": ", ".join(group.volumes), **masking.statistics(group.map)}}


def filtered(map: Map, params: FilterVolume) -> Map:
    """The map through every filter asked for; their order does not matter."""
    rolloff = ROLLOFFS.get(params.filter_type, partial(filters.butterworth, order=params.filter_order))
    if params.gaussian_sdev is not None:
        map = filters.gaussian(map, params.gaussian_sdev)
    if params.lowpass is not None:
        map = filters.coarser(map, params.lowpass, rolloff)
    if params.highpass is not None:
        map = filters.finer(map, params.highpass, rolloff)
    return map
