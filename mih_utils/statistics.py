"""How sure a measured number is: an interval for a share, and a test for a trend."""

import math

import torch
from torch import Tensor

from ._checks import require, require_count, require_number


def share_interval(count: float, n: float) -> tuple[float, float]:
    """95% interval of a share of which `count` in n were seen (Wilson 1927)."""
    require_number("n", n, above=0)
    ok = 0 <= count <= n
    require(ok, "count", count, f"between 0 and n = {n}")
    z = 1.959964
    p, scale = count / n, 1 + z**2 / n
    middle = (p + z**2 / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def trend(
    settings: Tensor, rates: Tensor, *, shuffles: int = 20_000, generator: torch.Generator
) -> tuple[float, float]:
    """Rank correlation of a setting with a rate, and how often chance gives one as large.

    settings: (S,), all different; rates: (S, seeds), ties allowed. The p-value is that of a
    permutation test: the rates of each seed are shuffled among the settings.
    """
    ok = rates.ndim == 2 and settings.shape == rates.shape[:1] and len(settings) > 1
    found = f"{tuple(settings.shape)} and {tuple(rates.shape)}"
    require(ok, "shapes of settings and rates", found, "of form (S,) and (S, seeds), S ≥ 2")
    ok = len(settings.unique()) == len(settings)
    require(ok, "settings", settings.tolist(), "all different")
    require_count("shuffles", shuffles)
    rank = _ranks(rates.flatten()).reshape(rates.shape)
    setting = _ranks(settings)[:, None]
    rank, setting = rank - rank.mean(), setting - setting.mean()
    order = torch.rand(shuffles, *rates.shape, generator=generator).argsort(dim=1)
    shuffled = rank.expand(shuffles, -1, -1).gather(1, order)
    observed, chance = (setting * rank).sum(), (setting * shuffled).sum(dim=(1, 2))
    size = rank.norm() * setting.norm() * math.sqrt(rates.shape[1])
    extreme = int((chance.abs() >= observed.abs() - 1e-9).sum())
    return float(observed / size), (1 + extreme) / (1 + shuffles)


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 1; equal values share the mean of theirs."""
    _, which, counts = values.double().unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2)[which].double()
