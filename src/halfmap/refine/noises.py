"""What is assumed of the noise: parts of a recipe. Each learns the models of the optics groups as the map grows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfmap.physics import noise

GREY_STEP = (0.5, 2.0)  # largest change of a group's grey scale in one iteration


@dataclass(frozen=True)
class Symmetric:
    """One standard deviation per shell, the same in all directions."""

    prior_images: float = 50.0  # weight of the mean spectrum of all groups in that of one, as so many images
    initial_scale: float = 1.0  # factor of the first estimate of the sd: above 1 the first poses count less

    def first(self, power: np.ndarray) -> noise.GroupModel:
        """Model of a group before anything is aligned: nearly all power (2K+1, K+1) of its images is noise."""
        return noise.from_power(noise.shell_means(power) * self.initial_scale**2)

    def updated(self, models: tuple[noise.GroupModel, ...], shells: dict[int, np.ndarray]):
        """Models from the residual power of each group, drawn towards the mean of all where a group is small.

        ``shells``: per group (4, K+1) sums |x|^2, Re(conj(m) x), |m|^2, pixels. The grey scales move relative to each
        other only: their common factor is in the maps.
        """
        residual = {g: s[0] - 2 * s[1] + s[2] for g, s in shells.items()}
        mean = sum(residual.values()) / np.maximum(sum(s[3] for s in shells.values()), 1)
        slope = {g: s[1].sum() / max(s[2].sum(), 1e-30) for g, s in shells.items()}
        overall = sum(s[1].sum() for s in shells.values()) / max(sum(s[2].sum() for s in shells.values()), 1e-30)
        out = list(models)
        for g, s in shells.items():
            if not s[3].any():
                continue  # none of its particles was in the sample
            prior = self.prior_images * s[3] / max(_images(s[3]), 1)
            power = self._smoothed((residual[g] + mean * prior) / np.maximum(s[3] + prior, 1), s[3])
            ratio = np.clip(slope[g] / overall, *GREY_STEP) if overall > 0 else 1.0
            out[g] = replace(models[g].with_power(power, s[3] > 0), grey=models[g].grey * float(ratio))
        return tuple(out)

    def _smoothed(self, power: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        return power


@dataclass(frozen=True)
class White(Symmetric):
    """One standard deviation for all shells."""

    def first(self, power: np.ndarray) -> noise.GroupModel:
        means = noise.shell_means(power)
        return noise.from_power(self._smoothed(means, np.arange(len(means))) * self.initial_scale**2)

    def updated(self, models: tuple[noise.GroupModel, ...], shells: dict[int, np.ndarray]):
        models = super().updated(models, shells)
        return tuple(replace(m, noise_sd=np.full_like(m.noise_sd, m.noise_sd[1])) for m in models)

    def _smoothed(self, power: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        weight = pixels * (np.arange(len(pixels)) > 0)
        return np.full(len(power), (power * weight).sum() / max(weight.sum(), 1))


@dataclass(frozen=True)
class Coloured(Symmetric):
    """A standard deviation per shell and direction; directions from the images themselves, once."""

    def first(self, power: np.ndarray) -> noise.GroupModel:
        return replace(super().first(power), angular=noise.by_direction(power))


@dataclass(frozen=True)
class OfEachHalf:
    """The same for the optics groups of one half-set, and again for those of the other: they learn nothing together.

    The table has its optics groups twice, see data.halves.
    """

    inner: Symmetric
    groups: int  # of each half

    def first(self, power: np.ndarray) -> noise.GroupModel:
        return self.inner.first(power)

    def updated(self, models: tuple[noise.GroupModel, ...], shells: dict[int, np.ndarray]):
        for half in (0, 1):
            models = self.inner.updated(models, {g: s for g, s in shells.items() if g // self.groups == half})
        return models


MODELS = {"white": White, "symmetric": Symmetric, "coloured": Coloured}


def _images(pixels: np.ndarray) -> float:
    """Images behind the pixel counts: shell 1 of a half plane holds four pixels."""
    return pixels[1] / 4
