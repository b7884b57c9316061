"""How sure a measured number is: intervals for shares and for areas under ROC curves, a trend."""

import math
from collections import Counter
from functools import cache

import torch
from torch import Tensor

from ._checks import is_whole, require, require_count, require_generator, require_number


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


def binomial_interval(count: int, n: int) -> tuple[float, float]:
    """Exact 95% interval of a share of which `count` in n were seen (Clopper and Pearson 1934).

    Beyond its ends, what was seen or more of it has a chance of less than 2.5%.
    """
    require_count("n", n)
    ok = is_whole(count) and 0 <= count <= n
    require(ok, "count", count, f"a whole number between 0 and n = {n}")
    low = 0.0 if count == 0 else _beta_quantile(0.025, count, n - count + 1)
    high = 1.0 if count == n else 1 - _beta_quantile(0.025, n - count, count + 1)
    return low, high


def _beta_quantile(p: float, a: float, b: float) -> float:
    """Where the cumulative beta distribution reaches p, by bisection."""
    low, high = 0.0, 1.0
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _beta_cumulative(middle, a, b) < p else (low, middle)
    return (low + high) / 2


def _beta_cumulative(x: float, a: float, b: float) -> float:
    """The cumulative beta distribution, by its continued fraction."""
    if x > (a + 1) / (a + b + 2):  # there the fraction converges slowly
        return 1 - _beta_cumulative(1 - x, b, a)
    gammas = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(gammas + a * math.log(x) + b * math.log1p(-x)) / a
    ratio, below = 1.0, 1 / (1 - (a + b) * x / (a + 1))  # Lentz (1976)
    value = below
    for m in range(1, 100_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            below, ratio = 1 / (1 + term * below), 1 + term / ratio
            value *= below * ratio
        if abs(below * ratio - 1) < 1e-15:
            break
    return front * value


def roc(bad: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
    """Return the false and the true positive rate at every threshold, from none removed to all.

    bad, good: the numbers of hallucinations and of the other samples, (m,) and (n,).
    """
    _require_numbers(bad, good)
    values = torch.cat([bad, good])
    is_bad = torch.cat([torch.ones_like(bad), torch.zeros_like(good)])
    values, order = values.sort(descending=True)
    last = torch.cat([values.diff() != 0, values.new_ones(1, dtype=torch.bool)])  # of equal values
    removed_bad = is_bad[order].double().cumsum(0)[last]
    removed_all = (last.nonzero()[:, 0] + 1).double()
    start = removed_bad.new_zeros(1)
    true_positive_rate = torch.cat([start, removed_bad / len(bad)])
    false_positive_rate = torch.cat([start, (removed_all - removed_bad) / len(good)])
    return false_positive_rate, true_positive_rate


def auc(bad: Tensor, good: Tensor) -> float:
    """Return the area under the ROC curve: P(bad > good), where a tie counts one half."""
    return int(_wins(bad, good).sum()) / (2 * len(bad) * len(good))


def auc_interval(bad: Tensor, good: Tensor) -> tuple[float, float]:
    """Return a 95% interval of the area (DeLong et al. 1988), on the scale of its log odds.

    Where all pairs come out the same (in order, the other way round, or tied) there is no scatter
    to go by: then the interval is that of a share, of as many cases as the smaller group has.
    """
    _require_numbers(bad, good)
    bad, good = bad.sort().values, good.sort().values  # their order changes no last digit
    area, fewest = auc(bad, good), min(len(bad), len(good))
    over_good = _wins(bad, good).double() / (2 * len(good))
    over_bad = 1 - _wins(good, bad).double() / (2 * len(bad))
    variance = float(over_good.var() / len(bad) + over_bad.var() / len(good)) if fewest > 1 else 0.0
    if variance == 0:
        return share_interval(area * fewest, fewest)
    log_odds, half = math.log(area / (1 - area)), 1.959964 * math.sqrt(variance) / (area - area**2)
    low, high = (1 / (1 + math.exp(-(log_odds + side * half))) for side in (-1, 1))
    return low, high


def _wins(values: Tensor, others: Tensor) -> Tensor:
    """For each value, twice the number of the others below it, where a tie counts once."""
    _require_numbers(values, others)
    rising, values = others.double().sort().values, values.double()
    return torch.searchsorted(rising, values) + torch.searchsorted(rising, values, right=True)


def _require_numbers(bad: Tensor, good: Tensor) -> None:
    for name, some in (("bad", bad), ("good", good)):
        ok = isinstance(some, Tensor) and some.ndim == 1 and len(some) > 0
        require(ok, name, getattr(some, "shape", some), "numbers of form (n,), at least one")
        if some.device.type != "meta":
            require(not bool(some.isnan().any()), name, "nan", "numbers")


def trend(
    settings: Tensor, rates: Tensor, *, shuffles: int = 20_000, generator: torch.Generator
) -> tuple[float, float]:
    """Rank correlation of a setting with a rate, and how often chance gives one as large.

    settings: (S,), all different; rates: (S, seeds), ties allowed. The p-value is that of a
    permutation test: the rates of each seed are shuffled among the settings. generator: on the CPU.
    """
    ok = rates.ndim == 2 and settings.shape == rates.shape[:1] and len(settings) > 1
    found = f"{tuple(settings.shape)} and {tuple(rates.shape)}"
    require(ok, "shapes of settings and rates", found, "of form (S,) and (S, seeds), S ≥ 2")
    ok = len(settings.unique()) == len(settings)
    require(ok, "settings", settings.tolist(), "all different")
    require_count("shuffles", shuffles)
    require_generator(generator, torch.device("cpu"))
    settings, rates = settings.cpu(), rates.cpu()
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


def page_trend(rates: Tensor) -> tuple[float, float]:
    """Page's test (1963) that rates rise with the setting, seeds as blocks: (L, exact p).

    rates: (S, seeds), 2 to 10 settings from the first to the last. Rates are ranked within each
    seed, so that a seed that is higher everywhere counts for nothing. L is the sum of number times
    rank; p is the share of all orders of the rates within seeds whose L is as large. To test a
    fall, turn the settings round: `rates.flip(0)`.
    """
    ok = isinstance(rates, Tensor) and rates.ndim == 2 and 2 <= len(rates) <= 10
    found = getattr(rates, "shape", type(rates).__name__)
    require(ok and rates.shape[1] > 0, "rates", found, "of form (S, seeds), S from 2 to 10")
    require(not bool(rates.isnan().any()), "rates", "nan", "numbers")
    seen, blocks = 0, []
    for column in rates.cpu().T:
        doubled = [round(2 * rank) for rank in _ranks(column).tolist()]  # ties have half ranks
        seen += sum(j * rank for j, rank in enumerate(doubled, 1))
        blocks.append(tuple(sorted(doubled)))
    chances = _chances_of_orders(tuple(sorted(blocks)))
    p = math.fsum(chance for total, chance in chances.items() if total >= seen)
    return seen / 2, min(p, 1.0)


@cache
def _chances_of_orders(blocks: tuple[tuple[int, ...], ...]) -> dict[int, float]:
    """The chance of each sum of number times rank where all orders in blocks are equally likely."""
    if len(blocks) > 1:
        together = Counter()
        for total, chance in _chances_of_orders(blocks[:-1]).items():
            for more, other in _chances_of_orders(blocks[-1:]).items():
                together[total + more] += chance * other
        return together
    ranks = blocks[0]
    ways = {0: Counter({0: 1})}  # by the set of ranks that are used, as bits
    for place in range(1, len(ranks) + 1):
        longer: dict[int, Counter] = {}
        for used, sums in ways.items():
            for i, rank in enumerate(ranks):
                if not used >> i & 1:
                    into = longer.setdefault(used | 1 << i, Counter())
                    for total, count in sums.items():
                        into[total + place * rank] += count
        ways = longer
    (sums,) = ways.values()
    every = math.factorial(len(ranks))
    return {total: count / every for total, count in sums.items()}


def mean_interval(values: Tensor) -> tuple[float, float, float]:
    """Return the mean of the values, (n,), and its 95% interval by Student's t: (mean, low, high).

    For a fold over seeds: the exponential of that of the logarithms.
    """
    ok = isinstance(values, Tensor) and values.ndim == 1 and len(values) > 1
    require(ok, "values", getattr(values, "shape", type(values).__name__), "(n,), n at least 2")
    n = len(values)
    # T² = x (n − 1) / (1 − x) for x with a beta distribution of 1/2 and (n − 1) / 2
    x = 1 - _beta_quantile(0.05, (n - 1) / 2, 0.5)
    half = math.sqrt(x * (n - 1) / (1 - x)) * float(values.double().std()) / math.sqrt(n)
    mean = float(values.double().mean())
    return mean, mean - half, mean + half
