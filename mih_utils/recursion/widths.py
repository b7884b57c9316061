"""What the sampler alone does to a mode's width, generation by generation, with perfect scores."""

from .._checks import require_count, require_number
from ..chain import Chain


def width_by_exact_chain(std: float, chain: Chain) -> float:
    """Return the width of a lone Gaussian mode after a chain with the exact score, in units of std.

    In every step x_{t-1} is linear in x_t, plus noise, so the variances follow by hand. Below 1 the
    chain is too coarse and shrinks the mode; no training can cure that.
    """
    require_number("std", std, above=0)
    variance = 1.0
    for step in chain:
        # E[noise | x_t] = this times x_t, around the mode
        noise = step.sigma / (step.signal**2 * std**2 + step.sigma**2)
        variance = (step.x + step.noise * noise) ** 2 * variance + step.std**2
    return variance**0.5 / std


def exact_widths(std: float, chain: Chain, generations: int) -> list[float]:
    """Return the widths, in units of std, when each generation draws from the last by the chain.

    The first is 1, that of the data; so there are generations + 1. It is the control for `replace`.
    """
    require_count("generations", generations)
    widths = [1.0]
    for _ in range(generations):
        widths.append(widths[-1] * width_by_exact_chain(widths[-1] * std, chain))
    return widths
