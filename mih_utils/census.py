"""Which modes samples are in, and which bridges between modes the hallucinations are on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ._checks import require, require_number, require_points
from .mixture import GaussianMixture

ALIVE = 0.1  # of its true weight keeps a mode alive


@dataclass
class Bridges:
    """What `bridge_census` finds: P pairs of modes, the nearest first, and n points."""

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
        """Return what share of all hallucinations is on segments of shortest ≤ length < longest."""
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

    x: (n, d); weight: (n,) of each point, by default 1. Give the masses of a density's cells, and
        there is no sampling noise.
    k: a point farther than k std from every mode is hallucinated.
    reach: it lies on a segment that is at most `reach` std away. Of several the shortest counts,
        for long segments cross the plane everywhere, and one of them is always near.
    """
    require_number("k", k, above=0)
    require_number("reach", reach, above=0)
    require_points("x", x, mixture.dim)
    if weight is None:
        weight = torch.ones(len(x), dtype=torch.float64)
    ok = isinstance(weight, Tensor) and weight.shape == x.shape[:1]
    found = tuple(getattr(weight, "shape", ()))
    require(ok, "weight.shape", found, f"({len(x)},), one for each point")
    require(len(mixture.means) > 1, "mixture", mixture, "of two modes or more")
    weight, means = weight.to(x.device), mixture.means.to(x)
    pairs, distance = _pairs(means)
    hallucinated = mixture.distance(x) > k
    pair, along = _put_on_segments(x, hallucinated, means[pairs], distance, reach * mixture.std)
    bridged = pair >= 0
    return Bridges(
        pairs=pairs,
        length=distance / distance[0],
        mass=torch.bincount(pair[bridged], weights=weight[bridged], minlength=len(pairs)),
        nowhere=float(weight[hallucinated & ~bridged].sum()),
        hallucinated=hallucinated,
        pair=pair,
        along=along,
    )


def _pairs(means: Tensor) -> tuple[Tensor, Tensor]:
    """List all pairs of modes, (P, 2), and their distances, (P,), the nearest pair first."""
    pairs = torch.combinations(torch.arange(len(means), device=means.device))
    distance, order = (means[pairs[:, 1]] - means[pairs[:, 0]]).norm(dim=1).sort(stable=True)
    return pairs[order], distance


def _put_on_segments(
    x: Tensor, which: Tensor, ends: Tensor, distance: Tensor, reach: float
) -> tuple[Tensor, Tensor]:
    """Put some points, x[which], on the first segment that is at most `reach` away.

    ends: of the segments, (P, 2, d); distance: between them, (P,). Returns the segment of each
    point, (n,), -1 for none, and how far along it lies, (n,), nan for none.
    """
    segment, along = torch.full((len(x),), -1, device=x.device), torch.full_like(x[:, 0], torch.nan)
    todo = which.nonzero()[:, 0]
    for index, (start, end) in enumerate(ends):
        offset = x[todo] - start
        position = (offset @ (end - start) / distance[index] ** 2).clamp(0, 1)
        away = (offset - position[:, None] * (end - start)).norm(dim=1)
        near = away <= reach
        segment[todo[near]], along[todo[near]] = index, position[near]
        todo = todo[~near]
    return segment, along


@dataclass
class Modes:
    """What `mode_census` finds in n points, for each of K modes."""

    hallucinated: float
    """Share of the points farther than k std from every mode."""
    shares: Tensor
    """Share of each mode among the other points: (K,)."""
    alive: int
    """Modes with at least a tenth of their true weight."""
    entropy: float
    """Of the shares, in nats: log K when all are equal, 0 when one mode is left."""
    widths: Tensor
    """Root mean squared distance of its points from each mode, in units of the true one: (K,); nan
    for a mode without points."""


def mode_census(mixture: GaussianMixture, x: Tensor, k: float = 6) -> Modes:
    """Count which modes of the mixture the points x, (n, d), are in, and how wide they are there.

    A point counts for its nearest mode if that is at most k std away. A width is therefore at most
    k / sqrt(d), and means little when a mode is nearly as wide as that.
    """
    require_number("k", k, above=0)
    nearest, distance = mixture.nearest(x)
    require(len(x) > 0, "x.shape", tuple(x.shape), f"of form (n, {mixture.dim}), n ≥ 1")
    near = distance <= k
    nearest, square = nearest[near].cpu(), distance[near].cpu().double().square() / mixture.dim
    count = torch.bincount(nearest, minlength=len(mixture.means))
    second = torch.bincount(nearest, weights=square, minlength=len(mixture.means))
    shares = count.double() / max(1, int(count.sum()))
    return Modes(
        hallucinated=1 - float(near.double().mean()),
        shares=shares,
        alive=int((shares >= ALIVE * mixture.weights.cpu()).sum()) if near.any() else 0,
        entropy=float(torch.special.entr(shares).sum()),
        widths=(second / count).sqrt(),
    )
