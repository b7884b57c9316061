"""How far generated points, such as features of images, are from real ones.

A Fréchet distance alone hides a lost mode, so it stands beside density and coverage.
"""

import math

import torch
from torch import Tensor

from .._checks import require, require_count

BLOCK = 1024  # rows whose distances to all others are held at a time


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Compute the squared Fréchet distance between Gaussians fitted to two sets of points.

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
    """Compute density and coverage (Naeem et al. 2020), counted in balls around the real points.

    Each ball reaches to the k-th nearest other real point. Density says how real the points look:
    it is the mean number of balls that a generated point is in, divided by k. For equal
    distributions 1 is expected, and it can be more. Coverage says how much of the data is drawn at
    all: it is the share of balls with a generated point in them. For equal distributions and n
    points each 1 - 1/2^k is expected, up to order 1/n.

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


def _two_sets(a: Tensor, b: Tensor, name_a: str, name_b: str) -> tuple[Tensor, Tensor]:
    """Return both sets of points, (n, d), finite, in float64, on one device, around one mean."""
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
    """Return the squared distances between points: (n, m)."""
    products = torch.addmm(b.square().sum(dim=1), a, b.T, alpha=-2)
    return products.add_(a.square().sum(dim=1, keepdim=True))
