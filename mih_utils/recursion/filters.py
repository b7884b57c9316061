"""Which of its samples a generation leaves to the next one.

Each is called as keep(more, n, memory, generator) and gives n `Samples`: more(m) draws m candidates
from the generation's model, and `memory` is a dict of numbers that lasts from generation 0 on.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .._checks import require, require_number
from ..detection import choose_threshold
from ..rejection import draw_below
from ..sampling import Samples


def everything(more: Callable, n: int, memory: dict, generator: torch.Generator) -> Samples:
    """Keep all that is drawn: no filter."""
    return more(n)


def at_random(extra: float = 0.025) -> Callable:
    """Draw a share `extra` more than needed and keep any: the control for `lowest_hal`."""
    require_number("extra", extra, above=0)

    def keep(more: Callable, n: int, memory: dict, generator: torch.Generator) -> Samples:
        drawn = more(_with_extra(n, extra))
        rows = torch.randperm(len(drawn.x), generator=generator, device=generator.device)
        return _rows(drawn, rows[:n])

    return _named(keep, f"at_random({extra})")


def lowest_hal(extra: float = 0.025) -> Callable:
    """Draw a share `extra` more than needed and keep those with the lowest Hal, as the authors do.

    (They draw 102,500 and keep 100,000.)
    """
    require_number("extra", extra, above=0)

    def keep(more: Callable, n: int, memory: dict, generator: torch.Generator) -> Samples:
        drawn = more(_with_extra(n, extra))
        return _rows(drawn, _hal(drawn).argsort(stable=True)[:n])

    return _named(keep, f"lowest_hal({extra})")


def below_first(choose: Callable[[Samples], float] | None = None, removed: float = 0.025):
    """Draw until enough samples have Hal below a threshold that generation 0 sets for all.

    It removes this share of generation 0's candidates, or is what choose(candidates) gives; where
    the truth is known, `lambda s: mih.choose_threshold(s.hal[mixture.distance(s.x) > 6], 0.95)`.
    """
    require_number("removed", removed, above=0, at_most=0.99)

    def keep(more: Callable, n: int, memory: dict, generator: torch.Generator) -> Samples:
        some = more(_with_extra(n, removed))
        hal = _hal(some)
        if "threshold" not in memory:
            memory["threshold"] = float(choose(some) if choose else choose_threshold(hal, removed))
        return draw_below(more, n, memory["threshold"], "hal", some)[0]

    return _named(keep, f"below_first({getattr(choose, '__name__', None)}, {removed})")


def _hal(samples: Samples) -> Tensor:
    ok = "hal" in samples.observed
    require(ok, "draw's hal", None, "Hal of each sample: sample(…, observe=[mih.Hal()])")
    return samples.hal


def _rows(samples: Samples, rows: Tensor) -> Samples:
    return Samples(samples.x[rows], **{k: v[rows] for k, v in samples.observed.items()})


def joined(parts: list[Samples]) -> Samples:
    names = parts[0].observed
    observed = {name: torch.cat([part.observed[name] for part in parts]) for name in names}
    return Samples(torch.cat([part.x for part in parts]), **observed)


def _named(keep: Callable, name: str) -> Callable:
    keep.__name__ = name
    return keep


def _with_extra(n: int, extra: float) -> int:
    return math.ceil(n * (1 + extra) - 1e-6)  # 102,500 for 100,000, whatever the rounding
