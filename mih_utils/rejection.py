"""Rejection: draw until enough samples have passed a threshold."""

import math
from collections.abc import Callable

import torch

from ._checks import require, require_number
from .chain import Chain
from .denoisers import Denoiser
from .detection import Hal
from .sampling import Samples, sample

LEAST_RETAINED = 0.01  # rejecting more than 99 of 100 samples is a mistake in the threshold,
ENOUGH_DRAWN = 1000  # which shows after so many


def sample_below(
    net: Denoiser,
    chain: Chain,
    n: int,
    shape: tuple[int, ...],
    *,
    threshold: float,
    by: Callable | None = None,
    generator: torch.Generator | None = None,
    **settings,
) -> tuple[Samples, int]:
    """Draw until n samples have a number below the threshold: these samples, and how many it took.

    by: the observer that gives the number, by default Hal(last=5); generator and settings: as in
    `sample`.
    """
    by = by or Hal()
    require_number("threshold", threshold, above=0)
    require("x_T" not in settings, "settings", "x_T", "without it: rejected samples have no place")

    def draw(m: int) -> Samples:
        return sample(net, chain, m, shape, observe=[by], generator=generator, **settings)

    first = draw(n)  # refuses what is no observer
    return draw_below(draw, n, threshold, by.name, first)


def draw_below(
    draw: Callable[[int], Samples], n: int, threshold: float, name: str, first: Samples
) -> tuple[Samples, int]:
    """Choose n samples whose `name` is below the threshold, from `first` and what draw(m) adds.

    Returns them and how many were drawn. A threshold that nearly nothing passes is a ValueError.
    """
    require_number("threshold", threshold, above=0)
    x, numbers, drawn, some = [], [], 0, first
    while True:
        below = getattr(some, name) < threshold
        x.append(some.x[below])
        numbers.append(getattr(some, name)[below])
        drawn += len(some.x)
        found = sum(map(len, x))
        if found >= n:
            return Samples(torch.cat(x)[:n], **{name: torch.cat(numbers)[:n]}), drawn
        retains = f"{threshold:.3g}, which retains {found} of {drawn} samples"
        ok = drawn < ENOUGH_DRAWN or found >= LEAST_RETAINED * drawn
        require(ok, "threshold", retains, f"one that retains at least {LEAST_RETAINED:.0%}")
        missing = (n - found) * drawn / found if found else min(n * drawn, ENOUGH_DRAWN)
        some = draw(math.ceil(missing))
