"""How far a computed density is from the data: total variation and KL divergence."""

import math

import torch
from torch import Tensor

from mih_utils import Density, GaussianMixture

RESOLUTION = 1e-16  # less mass in a cell of a computed density is rounding


def total_variation(p: Density | GaussianMixture, q: Density | GaussianMixture) -> float:
    """Total variation between a computed density and a mixture, or another density on its grid.

    0 … 1: the mass that would have to move. Between their masses in the cells around the grid's
    points, and beyond its ends: exact up to what differs within one cell.
    """
    p, q = _cells(p, q)
    return float((p.exp() - q.exp()).abs().sum() / 2)


def kl_divergence(p: Density | GaussianMixture, q: Density | GaussianMixture) -> float:
    """KL(p || q) = E_p[log p - log q] in nats, between a computed density and a mixture.

    KL(density || mixture) grows with what is hallucinated, KL(mixture || density) with what is
    lost. In cells, as in `total_variation`. A computed density knows no mass below 1e-16 in a cell:
    where it is q, no cell has less, so a mode lost altogether gives a large number, not infinity.
    """
    lost = isinstance(q, Density)
    p, q = _cells(p, q)
    if lost:
        q = q.clamp(min=math.log(RESOLUTION))
    # a cell without mass adds nothing, whatever q is there
    return float((p.exp() * torch.where(p > -math.inf, p - q, 0.0)).sum())


def _cells(*two: Density | GaussianMixture) -> list[Tensor]:
    """Log masses of both in the cells of a grid and beyond its ends: (N + 2,) each."""
    grids = [thing.grid for thing in two if isinstance(thing, Density)]
    if not grids:
        raise ValueError("p and q are mixtures, but one must be a computed Density")
    if not all(grid.equal(grids[0]) for grid in grids):
        raise ValueError("grids of p and q are different, but they must be the same")
    half = (grids[0][1] - grids[0][0]) / 2
    edges = torch.cat([grids[0] - half, grids[0][-1:] + half])
    return [_log_masses(thing, edges) for thing in two]


def _log_masses(thing: Density | GaussianMixture, edges: Tensor) -> Tensor:
    ends = torch.tensor([math.inf], dtype=edges.dtype)
    if isinstance(thing, Density):
        left = thing.mass_between(-math.inf, float(edges[0]))
        right = thing.mass_between(float(edges[-1]), math.inf)
        inside = thing.p * (edges[1] - edges[0])
        return torch.cat([edges.new_tensor([left]), inside, edges.new_tensor([right])]).log()
    if thing.dim != 1:
        raise ValueError(f"mixture.dim is {thing.dim}, but it must be 1")
    edges = torch.cat([-ends, edges, ends])[:, None]
    a, b = ((e - thing.means[:, 0].cpu()) / thing.std for e in (edges[:-1], edges[1:]))
    # N(0, 1) between a and b; taken in its lower half, where no digits are lost, even at 1e-1000
    a, b = torch.where(a + b > 0, -b, a), torch.where(a + b > 0, -a, b)
    below = torch.special.log_ndtr(b)
    log_mass = below + torch.log1p(-torch.exp(torch.special.log_ndtr(a) - below))
    return torch.logsumexp(log_mass + thing.weights.cpu().log(), dim=1)
