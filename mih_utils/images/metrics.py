"""How far samples or a density are from the data: as a whole, and mode by mode.

A Fréchet distance alone hides a lost mode, so it stands beside density and coverage.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._checks import require, require_count, require_number
from ..density import Density
from ..mixture import GaussianMixture

BLOCK = 1024  # rows whose distances to all others are held at a time
RESOLUTION = 1e-16  # less mass in a cell of a computed density is rounding
ALIVE = 0.1  # of its true weight keeps a mode alive


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of points.

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), in squared units of the points
    (Dowson and Landau 1982); on a classifier's features it is the "FID" (Heusel et al. 2017). With
    few points it is too large even for equal distributions: compare sets of one size.

    a, b: (n, d) and (m, d), at least two points each. The trace of the root is the sum of the
    singular values of R_a R_b^T, where R^T R = C comes from a QR decomposition of the centred
    points. No covariance is formed or inverted, so nearly or wholly singular ones do no harm.
    """
    a, b = _two_sets(a, b, "a", "b")
    roots = []
    for points in (a, b):
        centred = points - points.mean(dim=0)
        roots.append(torch.linalg.qr(centred, mode="r").R / math.sqrt(len(points) - 1))
    shift = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    common = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    spread = roots[0].square().sum() + roots[1].square().sum() - 2 * common
    return max(0.0, float(shift + spread))


def density_coverage(real: Tensor, generated: Tensor, k: int = 5) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020), counted in balls around the real points.

    Each ball reaches to the k-th nearest other real point. Density is the mean number of balls that
    a generated point is in, divided by k: how real it looks; 1 is expected for equal distributions,
    and it can be more. Coverage is the share of balls with a generated point in them: how much of
    the data is drawn at all; for equal distributions and n points each 1 - 1/2^k is expected, up to
    order 1/n.

    real, generated: (n, d) with n > k, and (m, d).
    """
    require_count("k", k)
    real, generated = _two_sets(real, generated, "real", "generated")
    require(len(real) > k, "real.shape", tuple(real.shape), f"of more than k = {k} points")
    inside, covered = 0, 0
    for rows in real.split(BLOCK):
        # the nearest real point of all is the point itself; the last is outside its own ball
        radius = _square_distances(rows, real).topk(k + 1, largest=False).values[:, -1:]
        within = _square_distances(rows, generated) < radius * (1 - 1e-9)
        inside += int(within.sum())
        covered += int(within.any(dim=1).sum())
    return inside / (k * len(generated)), covered / len(real)


@dataclass
class Modes:
    """What `mode_census` finds."""

    hallucinated: float
    """Share of the samples farther than k standard deviations from every mode."""
    share: Tensor
    """Share of each mode among the other samples: (K,)."""
    alive: int
    """Modes with at least a tenth of their true weight."""
    entropy: float
    """Of these shares, in nats: log K when all are equal, 0 when one mode is left."""
    width: Tensor
    """Root mean squared distance of its samples from each mode, in units of the true one: (K,); nan
    for a mode without samples."""


def mode_census(mixture: GaussianMixture, x: Tensor, k: float = 6) -> Modes:
    """Which modes of the mixture samples x (n, d) are in, and how wide they are there.

    A sample counts for its nearest mode if that is at most k standard deviations away. A width is
    therefore at most k / sqrt(d), and means little when a mode is nearly as wide as that.
    """
    require_number("k", k, above=0)
    nearest, distance = mixture.nearest(x)
    require(len(x) > 0, "x.shape", tuple(x.shape), f"of form (n, {mixture.dim}), n ≥ 1")
    near = distance <= k
    nearest, square = nearest[near].cpu(), distance[near].cpu().double().square() / mixture.dim
    count = torch.bincount(nearest, minlength=len(mixture.means))
    second = torch.bincount(nearest, weights=square, minlength=len(mixture.means))
    share = count.double() / max(1, int(count.sum()))
    return Modes(
        hallucinated=1 - float(near.double().mean()),
        share=share,
        alive=int((share >= ALIVE * mixture.weights.cpu()).sum()) if near.any() else 0,
        entropy=float(torch.special.entr(share).sum()),
        width=(second / count).sqrt(),
    )


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
    require(len(grids) > 0, "p and q", "mixtures", "at least one of them a computed Density")
    same = all(grid.equal(grids[0]) for grid in grids)
    require(same, "grids of p and q", "different", "the same")
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
    require(thing.dim == 1, "mixture.dim", thing.dim, "1")
    edges = torch.cat([-ends, edges, ends])[:, None]
    a, b = ((e - thing.means[:, 0].cpu()) / thing.std for e in (edges[:-1], edges[1:]))
    # N(0, 1) between a and b; taken in its lower half, where no digits are lost, even at 1e-1000
    a, b = torch.where(a + b > 0, -b, a), torch.where(a + b > 0, -a, b)
    below = torch.special.log_ndtr(b)
    log_mass = below + torch.log1p(-torch.exp(torch.special.log_ndtr(a) - below))
    return torch.logsumexp(log_mass + thing.weights.cpu().log(), dim=1)


def _two_sets(a: Tensor, b: Tensor, name_a: str, name_b: str) -> tuple[Tensor, Tensor]:
    """Both sets of points as (n, d), finite, in float64, on one device, around the mean of one."""
    for name, points in ((name_a, a), (name_b, b)):
        ok = isinstance(points, Tensor) and points.ndim == 2 and len(points) > 1
        found = tuple(points.shape) if isinstance(points, Tensor) else type(points).__name__
        require(ok, f"{name}.shape", found, "of form (n, d) with n ≥ 2: flatten images, say")
        require(points.is_floating_point(), f"{name}.dtype", points.dtype, "a floating-point dtype")
        require(bool(points.isfinite().all()), name, "not finite", "finite")
    ok = a.shape[1] == b.shape[1]
    require(ok, f"{name_b}.shape", tuple(b.shape), f"(n, {a.shape[1]}), as {name_a} is")
    a, b = a.double(), b.to(a.device).double()
    return a - a.mean(dim=0), b - a.mean(dim=0)


def _square_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances between points: (n, m)."""
    products = torch.addmm(b.square().sum(dim=1), a, b.T, alpha=-2)
    return products.add_(a.square().sum(dim=1, keepdim=True))
