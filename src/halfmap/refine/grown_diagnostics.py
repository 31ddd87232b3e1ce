"""What maps that grow from nothing show: their steps, and how particles part into classes. Numbers only.

Owns the choice and the names of the arrays (docs/JOB_FOLDER.md lists them). Pure: nothing here changes a growth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from halfmap.physics.noise import GroupModel
from halfmap.refine.batches import Frame
from halfmap.refine.diagnostics import Diagnostics, noise_sd
from halfmap.types import Map

if TYPE_CHECKING:
    from halfmap.refine.stochastic import Course

EDGES = np.linspace(0, 1, 21)  # of the histogram of the probabilities of a class
CLASSES = "classes"  # what the names begin with of those that show how particles part


def of_step(frame: Frame, course: Course, models: Sequence[GroupModel], facts: dict) -> Diagnostics:
    """What the last step of a growth shows; ``facts``: what else is to be told."""
    grown, number = course.grown, course.iteration
    columns = {name: np.array([row[name] for row in course.history], float)
               for name in ("evidence", "effective_fraction", "change", "band_A", "start", "phase", "rate", "spread_A",
                            "noise_scale", "images")}
    arrays = {
        "class_slices": slices(grown.maps),
        "class_occupancy": np.array([row["occupancy"] for row in course.history]),
        "class_views": grown.views.astype(np.float32),
        "class_view_weights": grown.directions.astype(np.float32),
        "noise_sd": noise_sd(models),
        **{f"course_{name}": values for name, values in columns.items()},
        **_probabilities(grown.probabilities),
    }
    return Diagnostics(f"iteration_{number:03d}", arrays, {
        "iteration": number, "box": frame.box, "voxel_size_A": frame.voxel_size_A, **facts,
        **grown.facts,
    })


def of_sharing(name: str, frame: Frame, rounds: Sequence[dict], shares: np.ndarray, maps: Sequence[Map] = ()
               ) -> Diagnostics:
    """What the rounds of a trial to part particles show; ``shares``: (n, classes) after the last of them."""
    arrays = {
        "sharing_occupancy": np.array([row["occupancy"] for row in rounds]),
        **{f"sharing_{column}": np.array([row[column] for row in rounds], float) for column in ("moved", "gain")},
        **_probabilities(counted(shares)),
        **({"class_slices": slices(maps)} if maps else {}),
    }
    return Diagnostics(f"{CLASSES}_{name}", arrays, {
        "box": frame.box, "voxel_size_A": frame.voxel_size_A, "occupancy": shares.mean(0).tolist()})


def counted(shares: np.ndarray) -> np.ndarray:
    """(classes, bins): how many particles (n, classes) belong to each with which probability."""
    return np.stack([np.histogram(np.clip(mine, 0, 1), EDGES)[0] for mine in shares.T])


def slices(maps: Sequence[Map]) -> np.ndarray:
    """(maps, 3, N, N) float32: central slices along x, y, z."""
    return np.stack([[np.take(one.data, one.box // 2, axis=axis) for axis in (2, 1, 0)] for one in maps]).astype(
        np.float32)


def _probabilities(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Their histogram, where there is more than one class."""
    return {"class_probabilities": counts} if len(counts) > 1 else {}
