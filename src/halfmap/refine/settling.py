"""When a phase of a growth has no more to gain: judged by what its steps tell, never by the map that is wanted.

A growth has three phases: steps at the first resolution, steps that each raise the Fourier radius, steps at the last
one. A phase ends with its steps, or before where two windows of them, one after the other, tell that the maps neither
explain the images better, nor hold their poses more closely, nor come to rest any further; each by less than the
scatter of the steps lets one see. Where the images do not even tell a ball from nothing, there is nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PHASES = ("first resolution", "finer from step to step", "last resolution")
FIRST, FINER, LAST = range(3)
WINDOW = 15  # steps of about 200 images: their mean evidence is known to 0.04 nats of EMPIAR-10204
# Of pure noise 99.7 % of all poses carry weight and the evidence is 0.00 +/- 0.01 nats. A ball, which needs no pose but
# a centre, already tells 2.5 of EMPIAR-10204 and 4.2 of a ribosome, with 4 % of the poses
ALL_POSES, NO_EVIDENCE = 0.9, 0.1


@dataclass(frozen=True)
class Verdict:
    """Why a phase ends."""

    words: str
    nothing: bool = False  # the images show nothing at all


def verdict(rows: Sequence[dict]) -> Verdict | None:
    """Of the steps of one phase so far, each as in a history; None where it has to go on."""
    phase = rows[-1]["phase"]
    if phase != FIRST and len(rows) >= WINDOW and shows_nothing(rows[-WINDOW:]):
        mean = np.mean([row["evidence"] for row in rows[-WINDOW:]])
        return Verdict(f"the images show nothing: {mean:z.2f} nats each, and all poses are alike", nothing=True)
    if len(rows) >= 2 * WINDOW and settled(rows[-2 * WINDOW:]):
        return Verdict("nothing more is gained: " + moved(rows[-2 * WINDOW:]))
    return None


def shows_nothing(rows: Sequence[dict]) -> bool:
    """Whether the images of these steps were as likely without any particle, in any pose."""
    evidence, poses = (np.mean([row[name] for row in rows]) for name in ("evidence", "effective_fraction"))
    return bool(poses > ALL_POSES and evidence < NO_EVIDENCE)


def settled(rows: Sequence[dict]) -> bool:
    """Whether the second half of these steps is no better than the first in anything."""
    return all(gain <= error for gain, error in (gained(values) for values in _better(rows).values()))


def gained(values: np.ndarray) -> tuple[float, float]:
    """By how much the mean of the second half is larger than that of the first, and the standard error of that."""
    first, second = np.array_split(values, 2)
    return float(second.mean() - first.mean()), float(np.sqrt(first.var() / len(first) + second.var() / len(second)))


def moved(rows: Sequence[dict]) -> str:
    """In words: what the second half of the steps changed."""
    (evidence, error), (poses, _), _ = (gained(values) for values in _better(rows).values())
    change = np.nanmean([row["change"] for row in rows[len(rows) // 2 :]])
    return (f"in {len(rows) // 2} steps evidence changed by {evidence:+.2f} +/- {error:.2f} nats and the poses with "
            f"weight by {np.expm1(-poses):+.0%}; a step changes the maps by {change:.1%}")


def _better(rows: Sequence[dict]) -> dict[str, np.ndarray]:
    """What rises while something is gained. A step of rate r moves maps at rest by r times the noise of its batch,
    which falls with the root of its images.
    """
    columns = {name: np.array([row[name] for row in rows], float)
               for name in ("evidence", "effective_fraction", "change", "rate", "images")}
    rest = columns["change"] / columns["rate"] * np.sqrt(columns["images"])
    rest = np.where(np.isfinite(rest), rest, np.nanmean(rest) if np.isfinite(rest).any() else 1.0)
    return {"evidence": columns["evidence"], "poses": -np.log(np.maximum(columns["effective_fraction"], 1e-30)),
            "rest": -np.log(np.maximum(rest, 1e-30))}
