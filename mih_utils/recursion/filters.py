"""Which of its samples a generation leaves to the next one.

A filter is called as keep(draw_candidates, n, memory, generator) and returns n `Samples`.
draw_candidates(m) draws m candidates from the generation's model. `memory` is a dict of numbers
that lasts from generation 0 on. Whatever observer gave `samples.hal`, the filters rank by it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .._checks import require, require_number
from ..detection import choose_threshold
from ..rejection import draw_below
from ..sampling import Samples


def everything(
    draw_candidates: Callable, n: int, memory: dict, generator: torch.Generator
) -> Samples:
    """Keep all that is drawn: no filter."""
    return draw_candidates(n)


def at_random(extra: float = 0.025) -> Callable:
    """Make a filter that draws a share `extra` more than needed and keeps any of them.

    It is the control for `lowest_hal`.
    """
    require_number("extra", extra, above=0)

    def keep(
        draw_candidates: Callable, n: int, memory: dict, generator: torch.Generator
    ) -> Samples:
        drawn = draw_candidates(_with_extra(n, extra))
        rows = torch.randperm(len(drawn.x), generator=generator, device=generator.device)
        return _rows(drawn, rows[:n])

    return keep


def lowest_hal(extra: float = 0.025) -> Callable:
    """Make a filter that draws a share `extra` more than needed and keeps the lowest Hal.

    The authors do so: they draw 102,500 and keep 100,000.
    """
    require_number("extra", extra, above=0)

    def keep(
        draw_candidates: Callable, n: int, memory: dict, generator: torch.Generator
    ) -> Samples:
        drawn = draw_candidates(_with_extra(n, extra))
        return _rows(drawn, _hal(drawn).argsort(stable=True)[:n])

    return keep


def below_first(
    choose: Callable[[Samples], float] | None = None, removed: float = 0.025
) -> Callable:
    """Make a filter that keeps what has Hal below a threshold, which generation 0 sets for all.

    It draws until there are enough. The threshold removes the share `removed` of generation 0's
    candidates, or is what choose(candidates) returns. Where the truth is known, choose may be
    `lambda s: mih.choose_threshold(s.hal[mixture.distance(s.x) > 6], 0.95)`.
    """
    require_number("removed", removed, above=0, at_most=0.99)

    def keep(
        draw_candidates: Callable, n: int, memory: dict, generator: torch.Generator
    ) -> Samples:
        first = draw_candidates(_with_extra(n, removed))
        hal = _hal(first)
        if "threshold" not in memory:
            chosen = choose(first) if choose else choose_threshold(hal, removed)
            memory["threshold"] = float(chosen)
        return draw_below(draw_candidates, n, memory["threshold"], "hal", first)[0]

    return keep


def joined(parts: list[Samples]) -> Samples:
    """Put samples together, with all that was observed of them."""
    names = parts[0].observed
    observed = {name: torch.cat([part.observed[name] for part in parts]) for name in names}
    return Samples(torch.cat([part.x for part in parts]), **observed)


def _hal(samples: Samples) -> Tensor:
    ok = "hal" in samples.observed
    require(ok, "draw's hal", None, "Hal of each sample: sample(…, observe=[mih.Hal()])")
    return samples.hal


def _rows(samples: Samples, rows: Tensor) -> Samples:
    return Samples(samples.x[rows], **{name: s[rows] for name, s in samples.observed.items()})


def _with_extra(n: int, extra: float) -> int:
    return math.ceil(n * (1 + extra) - 1e-6)  # 102,500 for 100,000, whatever the rounding
