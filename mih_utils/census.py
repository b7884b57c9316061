"""Which modes are bridged: every hallucination is put on the segment between two modes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ._checks import require, require_number, require_points
from .mixture import GaussianMixture


@dataclass
class Bridges:
    """What `bridge_census` found. P pairs of modes, the shortest first; n points."""

    pairs: Tensor
    """The two modes of each pair: (P, 2)."""
    length: Tensor
    """Their distance, in distances between nearest modes: (P,); 1 is a pair of neighbours."""
    mass: Tensor
    """Weight of the hallucinations between them: (P,)."""
    nowhere: float
    """Weight of the hallucinations on no segment."""
    hallucinated: Tensor
    """Which points are farther than k std from every mode: (n,)."""
    pair: Tensor
    """The pair that each point is put on: (n,); -1 for no pair, and where not hallucinated."""
    along: Tensor
    """How far along its segment each point lies, from 0 to 1: (n,); nan where it is on none."""

    @property
    def total(self) -> float:
        """Weight of all hallucinations."""
        return float(self.mass.sum()) + self.nowhere

    def between(self, shortest: float, longest: float = float("inf")) -> float:
        """Weight on segments of shortest ≤ length < longest, as a share of all hallucinations."""
        chosen = (self.length >= shortest) & (self.length < longest)
        return float(self.mass[chosen].sum()) / self.total if self.total else 0.0


def bridge_census(
    mixture: GaussianMixture,
    x: Tensor,
    *,
    k: float = 6.0,
    reach: float = 3.0,
    weight: Tensor | None = None,
) -> Bridges:
    """Put every hallucination on the segment between two modes that it lies on.

    x: (n, d); weight: (n,) of each point, by default 1 (give the masses of a density's cells to
        have no sampling noise).
    k: a point farther than k std from every mode is hallucinated.
    reach: it lies on a segment that is at most `reach` std away. Of several, the shortest counts:
        long segments cross the plane everywhere, and one of them is always near.
    """
    require_number("k", k, above=0)
    require_number("reach", reach, above=0)
    require_points("x", x, mixture.dim)
    if weight is None:
        weight = torch.ones(len(x), dtype=torch.float64, device=x.device)
    ok = isinstance(weight, Tensor) and weight.shape == x.shape[:1]
    found = tuple(getattr(weight, "shape", ()))
    require(ok, "weight.shape", found, f"({len(x)},), one for each point")
    means = mixture.means.to(x)
    pairs = torch.combinations(torch.arange(len(means), device=x.device))
    require(len(pairs) > 0, "mixture", mixture, "of two modes or more")
    length = (means[pairs[:, 1]] - means[pairs[:, 0]]).norm(dim=1)
    length, order = length.sort(stable=True)
    pairs = pairs[order]

    hallucinated = mixture.distance(x) > k
    pair, place = torch.full((len(x),), -1, device=x.device), torch.full_like(x[:, 0], torch.nan)
    left = hallucinated.nonzero()[:, 0]  # those not yet on a segment
    for index, (a, b) in enumerate(means[pairs]):
        offset = x[left] - a
        along = (offset @ (b - a) / length[index] ** 2).clamp(0, 1)
        away = (offset - along[:, None] * (b - a)).norm(dim=1)
        on = away <= reach * mixture.std
        pair[left[on]], place[left[on]] = index, along[on]
        left = left[~on]
    on_one = pair >= 0
    mass = torch.bincount(pair[on_one], weights=weight[on_one], minlength=len(pairs))
    nowhere = float(weight[hallucinated & ~on_one].sum())
    return Bridges(pairs, length / length[0], mass, nowhere, hallucinated, pair, place)
