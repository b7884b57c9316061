"""The detector: how well a number told at sampling time separates hallucinations, and its use.

A sample is removed when its Hal is at or above a threshold, and retained when it is below.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ._checks import require, require_count, require_number
from .denoisers import Denoiser
from .sampling import Samples, sample
from .schedule import Schedule

LEAST_RETAINED = 0.01  # rejecting more than 99 of 100 samples is a mistake in the threshold,
ENOUGH_DRAWN = 1000  # which shows after so many


@dataclass
class DetectionReport:
    """How well Hal finds hallucinations. Intervals are 95% percentiles of a bootstrap."""

    false_positive_rate: Tensor
    """Share of the good samples removed, at each threshold of the ROC curve: rising from 0 to 1."""
    true_positive_rate: Tensor
    """Share of the hallucinations removed there."""
    auc: float
    """Area under the ROC curve: the chance that a hallucination has more Hal than another sample
    (0.5 is chance)."""
    auc_interval: tuple[float, float]
    threshold: float
    """Chosen on one half of the samples, to remove the wanted share of its hallucinations."""
    removed: float
    """Share of the hallucinations that it removes in the other half."""
    removed_interval: tuple[float, float]
    retained: float
    """Share of the good samples that it retains in the other half."""
    retained_interval: tuple[float, float]


def detection_report(
    hal: Tensor,
    hallucinated: Tensor,
    *,
    removed: float = 0.95,
    resamples: int = 200,
    generator: torch.Generator | None = None,
) -> DetectionReport:
    """ROC curve, its area, and what a threshold removes and retains on samples it has not seen.

    hal: (n,), larger for samples more suspect; hallucinated: (n,) bool, the truth.
    removed: share of the hallucinations that the threshold is to remove.
    resamples: size of the bootstrap, which repeats everything, the choice of threshold included.
    generator: on the CPU; it splits the samples, hallucinations and others, into halves.
    """
    ok = isinstance(hal, Tensor) and hal.ndim == 1 and bool(hal.isfinite().all())
    require(ok, "hal", getattr(hal, "shape", hal), "finite numbers of form (n,)")
    ok = isinstance(hallucinated, Tensor) and hallucinated.dtype == torch.bool
    require(ok, "hallucinated", getattr(hallucinated, "dtype", hallucinated), "a tensor of bool")
    ok = hallucinated.shape == hal.shape
    require(ok, "hallucinated.shape", tuple(hallucinated.shape), f"that of hal, {(len(hal),)}")
    require_number("removed", removed, above=0, at_most=1)
    require_count("resamples", resamples)
    hal, hallucinated = hal.detach().cpu().double(), hallucinated.cpu()
    bad, good = hal[hallucinated], hal[~hallucinated]
    ok = min(len(bad), len(good)) >= 2
    found = f"{len(bad)} hallucinations and {len(good)} others"
    require(ok, "hallucinated", found, "at least two of each, one for either half")

    bad, good = (h[torch.randperm(len(h), generator=generator)] for h in (bad, good))
    false_positive_rate, true_positive_rate = roc(bad, good)
    bad, good = bad.tensor_split(2), [half.sort().values for half in good.tensor_split(2)]

    def resampled(h: Tensor) -> Tensor:
        return torch.randint(len(h), h.shape, generator=generator)

    again = [
        _held_out(
            [h[resampled(h)] for h in bad],
            good,
            [torch.bincount(resampled(h), minlength=len(h)) for h in good],
            removed,
        )
        for _ in range(resamples)
    ]
    again = torch.tensor(again, dtype=torch.float64)
    low, high = again.quantile(again.new_tensor([0.025, 0.975]), dim=0).tolist()
    once = [torch.ones(len(h), dtype=torch.int64) for h in good]
    threshold, caught, retained, area = _held_out(bad, good, once, removed)
    return DetectionReport(
        false_positive_rate=false_positive_rate,
        true_positive_rate=true_positive_rate,
        auc=area,
        auc_interval=(low[3], high[3]),
        threshold=threshold,
        removed=caught,
        removed_interval=(low[1], high[1]),
        retained=retained,
        retained_interval=(low[2], high[2]),
    )


def _held_out(bad, good, times, removed) -> tuple[float, float, float, float]:
    """Threshold of the first halves; removed and retained in the second; area of both together.

    bad, good: two halves each, `good` sorted; times: how often each of `good` counts.
    """
    threshold = choose_threshold(bad[0], removed)
    below = [torch.cat([t.new_zeros(1), t.cumsum(0)]).double() for t in times]  # good before i
    caught = float((bad[1] >= threshold).double().mean())
    retained = float(below[1][torch.searchsorted(good[1], threshold)] / len(good[1]))
    every = torch.cat(list(bad))
    less, equal = (
        sum(b[torch.searchsorted(g, every, right=right)] for b, g in zip(below, good, strict=True))
        for right in (False, True)
    )
    area = (less + equal).mean() / 2 / sum(map(len, good))
    return threshold, caught, retained, float(area)


def choose_threshold(hal_of_hallucinations: Tensor, removed: float) -> float:
    """The highest threshold at or above which at least this share of hallucinations lies."""
    require_number("removed", removed, above=0, at_most=1)
    rising = hal_of_hallucinations.sort().values
    require(len(rising) > 0, "hal_of_hallucinations", "empty", "at least one number")
    missed = math.floor((1 - removed) * len(rising) + 1e-9)
    return float(rising[min(missed, len(rising) - 1)])


def roc(bad: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
    """False and true positive rate at every threshold, from none removed to all."""
    values = torch.cat([bad, good])
    is_bad = torch.cat([torch.ones_like(bad), torch.zeros_like(good)])
    values, order = values.sort(descending=True)
    last = torch.cat([values.diff() != 0, torch.ones(1, dtype=torch.bool)])  # of equal values
    removed_bad = is_bad[order].cumsum(0)[last]
    removed_all = (last.nonzero()[:, 0] + 1).double()
    start = torch.zeros(1, dtype=torch.float64)
    true_positive_rate = torch.cat([start, removed_bad / len(bad)])
    false_positive_rate = torch.cat([start, (removed_all - removed_bad) / len(good)])
    return false_positive_rate, true_positive_rate


def hal(x0_hat: Tensor) -> Tensor:
    """Hal of stored predictions, (steps, n, *shape): variance over the steps, then the mean: (n,).

    `sample(..., window=…)` gives the same without storing them (Aithal et al. 2024).
    """
    ok = isinstance(x0_hat, Tensor) and x0_hat.ndim >= 3 and len(x0_hat) > 0
    found = tuple(getattr(x0_hat, "shape", ()))
    require(ok, "x0_hat.shape", found, "of form (steps, n, *shape)")
    return x0_hat.double().var(dim=0, unbiased=False).flatten(1).mean(dim=1)


def sample_below(
    net: Denoiser,
    schedule: Schedule,
    n: int,
    shape: tuple[int, ...],
    *,
    threshold: float,
    window: tuple[int, int],
    generator: torch.Generator | None = None,
    **settings,
) -> tuple[Samples, int]:
    """Draw until n samples have Hal below the threshold: these samples, and how many were drawn.

    window, generator and further settings: as in `sample`.
    """
    require_count("n", n)
    require_number("threshold", threshold, above=0)
    require(window is not None, "window", window, "(first, last), such as (0, 5)")
    unused = [name for name in ("keep", "x_T") if name in settings]
    require(not unused, "settings", unused, "without them: rejected samples have no place in them")

    def more(m: int) -> Samples:
        return sample(net, schedule, m, shape, window=window, generator=generator, **settings)

    return draw_below(more, n, threshold, more(n))


def draw_below(
    more: Callable[[int], Samples], n: int, threshold: float, some: Samples
) -> tuple[Samples, int]:
    """n samples with Hal below the threshold, out of some and of what more(m) draws when these are
    too few; and how many were drawn."""
    x, hal, drawn = [], [], 0
    while True:
        below = some.hal < threshold
        x.append(some.x[below])
        hal.append(some.hal[below])
        drawn += len(some.x)
        found = sum(map(len, hal))
        if found >= n:
            return Samples(x=torch.cat(x)[:n], hal=torch.cat(hal)[:n]), drawn
        retains = f"{threshold:.3g}, which retains {found} of {drawn} samples"
        ok = drawn < ENOUGH_DRAWN or found >= LEAST_RETAINED * drawn
        require(ok, "threshold", retains, f"one that retains at least {LEAST_RETAINED:.0%}")
        missing = (n - found) * drawn / found if found else min(n * drawn, ENOUGH_DRAWN)
        some = more(math.ceil(missing))
