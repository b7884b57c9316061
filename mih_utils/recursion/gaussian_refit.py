"""One Gaussian, fitted to n of its own samples again and again: in closed form, and simulated.

Fit number 1 sees n real points from N(0, 1); fit k + 1 sees points drawn from fit k, alone
("replace") or with all before it ("accumulate"), or n drawn at random from all of these
("accumulate-subsample"). Means are in units of the true standard deviation, variances in units of
the true variance. Each function gives float64 values for fit 0 (the truth), 1, …, `fits`.
"""

import math

import torch
from torch import Tensor

from .._checks import require, require_count
from .loop import PROTOCOLS


def simulate(
    n: int,
    fits: int,
    *,
    repeats: int = 2000,
    protocol: str = "replace",
    unbiased: bool = False,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Simulate independent repeats: means and variances of all fits, two (fits + 1, repeats).

    unbiased: divide the sum of squares by its number of points less one; else by that number
        (maximum likelihood). generator: everything lies on its device (default: the CPU).
    """
    _check(n, fits, protocol)
    require_count("repeats", repeats)
    device = generator.device if generator is not None else torch.device("cpu")
    means = torch.zeros(fits + 1, repeats, dtype=torch.float64, device=device)
    variances = torch.ones_like(means)
    seen = means.new_zeros(0, repeats)
    for k in range(fits):
        noise = torch.randn(n, repeats, dtype=means.dtype, device=device, generator=generator)
        drawn = means[k] + variances[k].sqrt() * noise
        seen = drawn if protocol == "replace" else torch.cat([seen, drawn])
        points = seen
        if protocol == "accumulate-subsample" and k > 0:  # n rows, others in each repeat
            order = torch.rand(seen.shape, device=device, generator=generator)
            points = seen.gather(0, order.topk(n, dim=0).indices)
        means[k + 1] = points.mean(dim=0)
        variances[k + 1] = points.var(dim=0, correction=int(unbiased))
    return means, variances


def expected_variance(
    n: int, fits: int, *, protocol: str = "replace", unbiased: bool = False
) -> Tensor:
    """Compute E[variance] of each fit: (fits + 1,).

    replace: (1 - 1/n)^k after k fits, or 1 if unbiased. accumulate: the product of 1 - 1/(n j^2)
    over j = 1 … k, which stops at sin(pi/sqrt(n)) / (pi/sqrt(n)); if unbiased, of
    1 - 1/(j (n j - 1)) over j = 2 … k. accumulate-subsample: see `_subsampled`.
    """
    return _moments(n, fits, protocol, unbiased)[0]


def variance_of_mean(
    n: int, fits: int, *, protocol: str = "replace", unbiased: bool = False
) -> Tensor:
    """Compute the variance of the mean of each fit, (fits + 1,): how far it drifted, squared.

    Each fit moves the mean of replace by a variance/n, that of accumulate by variance/(n j^2). With
    maximum likelihood the sum is what the variance has lost: 1 - E[variance].
    """
    return _moments(n, fits, protocol, unbiased)[1]


def expected_log_variance(n: int, fits: int, *, unbiased: bool = False) -> Tensor:
    """Compute E[log variance] of each fit under replace: (fits + 1,), in nats.

    k (digamma((n - 1)/2) - log((n - 1)/2)), and k log(1 - 1/n) more with maximum likelihood: it
    falls for ever. With the unbiased variance too, whose mean stays 1.
    """
    _check(n, fits, "replace")
    half = torch.tensor((n - 1) / 2, dtype=torch.float64)
    each = torch.special.digamma(half) - half.log() + (0 if unbiased else math.log1p(-1 / n))
    return torch.arange(fits + 1) * each


def _moments(n: int, fits: int, protocol: str, unbiased: bool) -> tuple[Tensor, Tensor]:
    _check(n, fits, protocol)
    if protocol == "accumulate-subsample":
        return _subsampled(n, fits, unbiased)
    j = torch.arange(1, fits + 1, dtype=torch.float64)
    if protocol == "replace":
        j = torch.ones_like(j)
    if not unbiased:
        factor = 1 - 1 / (n * j**2)
    elif protocol == "replace":
        factor = j
    else:
        factor = torch.where(j > 1, 1 - 1 / (j * (n * j - 1)), 1.0)
    start = j.new_ones(1)
    variance = torch.cat([start, factor.cumprod(0)])
    return variance, torch.cat([start - 1, (variance[:-1] / (n * j**2)).cumsum(0)])


def _subsampled(n: int, fits: int, unbiased: bool) -> tuple[Tensor, Tensor]:
    """Compute both for accumulate-subsample, from the second moments of the points seen so far.

    second[i] = E[x^2] of a point of batch i; product[i, l] = E[x y] of different points of batches
    i and l. A random n of the pool have, on average over the choice, the pool's moments.
    """
    second = torch.zeros(fits, dtype=torch.float64)
    product = torch.zeros(fits, fits, dtype=torch.float64)
    variance = torch.ones(fits + 1, dtype=torch.float64)
    drift = torch.zeros(fits + 1, dtype=torch.float64)
    for k in range(fits):
        # a new point is the mean of fit k, plus its noise
        second[k] = drift[k] + variance[k]
        product[k, k] = drift[k]
        if k > 0:  # an old point times the mean of the fit: of n of the k n points before
            old = product[:k, :k]
            own = (second[:k] - old.diagonal()) / n
            product[k, :k] = product[:k, k] = (old.sum(dim=1) + own) / k
        seen = product[: k + 1, : k + 1]
        pool = (k + 1) * n
        same = second[: k + 1].mean()  # E[x^2], and E[x y] of two different points of the pool
        other = (n * n * seen.sum() - n * seen.trace()) / (pool * (pool - 1))
        drift[k + 1] = same / n + (1 - 1 / n) * other
        variance[k + 1] = (same - other) * (1 if unbiased else 1 - 1 / n)
    return variance, drift


def _check(n: int, fits: int, protocol: str) -> None:
    require_count("n", n)
    require(n > 1, "n", n, "at least 2")
    require_count("fits", fits)
    require(protocol in PROTOCOLS, "protocol", protocol, f"one of {', '.join(PROTOCOLS)}")
