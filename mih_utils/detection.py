"""The detector: a number told at sampling time, and how well it finds hallucinations.

A sample is removed when its number is at or above a threshold, and retained when it is below.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ._checks import is_whole, require, require_generator, require_number
from .sampling import Moment
from .statistics import auc, auc_interval, roc, share_interval


class Hal:
    """The paper's detector: how much x0_hat varies over the last steps of the chain, (n,).

    It is the population variance over the steps with first ≤ steps left < last, averaged over the
    coordinates of a sample (Aithal et al. 2024). It is streamed (Welford 1962), so the memory does
    not grow with the window.
    """

    name = "hal"

    def __init__(self, last: int = 5, first: int = 0):
        ok = is_whole(first) and is_whole(last) and 0 <= first < last
        require(ok, "first and last", (first, last), "whole numbers with 0 ≤ first < last")
        self.first, self.last, self.needs_steps = first, last, last

    def __call__(self, moment: Moment, seen: tuple | None) -> tuple | Tensor | None:
        if self.first <= moment.left < self.last:
            x0_hat = moment.x0_hat
            value = x0_hat if x0_hat.device.type == "mps" else x0_hat.double()
            count, mean, squares = seen or (0, torch.zeros_like(value), torch.zeros_like(value))
            step = value - mean
            mean = mean + step / (count + 1)
            seen = count + 1, mean, squares + step * (value - mean)
        if moment.left:
            return seen
        count, _, squares = seen
        return (squares / count).flatten(1).mean(dim=1).to(moment.x_t.dtype)

    @staticmethod
    def of(x0_hat: Tensor) -> Tensor:
        """Return Hal of stored predictions x0_hat, (steps, n, *shape), over all the steps: (n,)."""
        ok = isinstance(x0_hat, Tensor) and x0_hat.ndim >= 3 and len(x0_hat) > 0
        found = tuple(getattr(x0_hat, "shape", ()))
        require(ok, "x0_hat.shape", found, "of form (steps, n, *shape)")
        return x0_hat.double().var(dim=0, unbiased=False).flatten(1).mean(dim=1)


@dataclass
class DetectionReport:
    """How well a number finds hallucinations. Intervals hold with 95% confidence."""

    false_positive_rate: Tensor
    """Share of the good samples removed, at each threshold of the ROC curve: rising from 0 to 1."""
    true_positive_rate: Tensor
    """Share of the hallucinations removed there."""
    auc: float
    """Area under the ROC curve: the chance that a hallucination has the larger number."""
    auc_interval: tuple[float, float]
    threshold: float
    """Chosen on one half of the samples, to remove the wanted share of its hallucinations."""
    removed: float
    """Share of the hallucinations that this threshold removes in the other half."""
    removed_interval: tuple[float, float]
    retained: float
    """Share of the good samples that this threshold retains in the other half."""
    retained_interval: tuple[float, float]


def detection_report(
    suspicion: Tensor,
    hallucinated: Tensor,
    *,
    removed: float = 0.95,
    generator: torch.Generator | None = None,
) -> DetectionReport:
    """Report the ROC curve, and what a threshold does to samples that it was not chosen on.

    suspicion: (n,), such as Hal, larger for samples more suspect; hallucinated: (n,) bool, the
        truth.
    removed: share of the hallucinations that the threshold is to remove.
    generator: on the CPU; it splits the samples, hallucinations and others, into halves.
    """
    bad, good = _bad_and_good(suspicion, hallucinated)
    require_number("removed", removed, above=0, at_most=1)
    require_generator(generator, torch.device("cpu"))
    bad, good = (some[torch.randperm(len(some), generator=generator)] for some in (bad, good))
    (bad_1, bad_2), good_2 = bad.tensor_split(2), good.tensor_split(2)[1]
    threshold = choose_threshold(bad_1, removed)
    caught, kept = int((bad_2 >= threshold).sum()), int((good_2 < threshold).sum())
    false_positive_rate, true_positive_rate = roc(bad, good)
    return DetectionReport(
        false_positive_rate=false_positive_rate,
        true_positive_rate=true_positive_rate,
        auc=auc(bad, good),
        auc_interval=auc_interval(bad, good),
        threshold=threshold,
        removed=caught / len(bad_2),
        removed_interval=share_interval(caught, len(bad_2)),
        retained=kept / len(good_2),
        retained_interval=share_interval(kept, len(good_2)),
    )


def choose_threshold(of_hallucinations: Tensor, removed: float) -> float:
    """Return the highest threshold at or above which at least this share of hallucinations lies."""
    require_number("removed", removed, above=0, at_most=1)
    rising = of_hallucinations.sort().values
    require(len(rising) > 0, "of_hallucinations", "empty", "at least one number")
    missed = math.floor((1 - removed) * len(rising) + 1e-9)
    return float(rising[min(missed, len(rising) - 1)])


def _bad_and_good(suspicion: Tensor, hallucinated: Tensor) -> tuple[Tensor, Tensor]:
    ok = isinstance(suspicion, Tensor) and suspicion.ndim == 1 and bool(suspicion.isfinite().all())
    found = getattr(suspicion, "shape", suspicion)
    require(ok, "suspicion", found, "finite numbers of form (n,)")
    ok = isinstance(hallucinated, Tensor) and hallucinated.dtype == torch.bool
    require(ok, "hallucinated", getattr(hallucinated, "dtype", hallucinated), "a tensor of bool")
    ok = hallucinated.shape == suspicion.shape
    expected = f"that of suspicion, {tuple(suspicion.shape)}"
    require(ok, "hallucinated.shape", tuple(hallucinated.shape), expected)
    suspicion, hallucinated = suspicion.detach().cpu().double(), hallucinated.cpu()
    bad, good = suspicion[hallucinated], suspicion[~hallucinated]
    found = f"{len(bad)} hallucinations and {len(good)} others"
    ok = min(len(bad), len(good)) >= 2
    require(ok, "hallucinated", found, "at least two of each, one for either half")
    return bad, good
