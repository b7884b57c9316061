"""The reverse chain, from noise to data: one row of coefficients a step, in the order taken."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ._checks import require, require_count, require_number


@dataclass(frozen=True)
class Step:
    """One reverse step. DDPM, DDIM and all between them follow the same rule:

    x_{t-1} = x * x_t + noise * eps(x_t, t) + std * z,   z ~ N(0, I)
    x0_hat  = (x_t - sigma * eps(x_t, t)) / signal

    (Ho et al. 2020, eq. 11; Song et al. 2021, eq. 12.) `t` is what the network is told, and `left`
    says how many steps are still to come: 0 in the last one.
    """

    t: int | float
    left: int
    x: float
    noise: float
    std: float
    signal: float
    sigma: float

    def mean(self, x_t: Tensor, eps: Tensor) -> Tensor:
        """Return where the step puts x_t on average: shape of x_t."""
        return self.x * x_t + self.noise * eps

    def x0_hat(self, x_t: Tensor, eps: Tensor) -> Tensor:
        """Return the clean point behind x_t if eps is its noise: shape of x_t."""
        return (x_t - self.sigma * eps) / self.signal


@dataclass(frozen=True)
class Chain:
    """A reverse chain as a value: its steps, the noisiest first (`Schedule.ddpm`, `.ddim`)."""

    steps: tuple[Step, ...]

    def __post_init__(self):
        left = [step.left for step in self.steps]
        ok = left and left == list(range(len(left)))[::-1]
        require(
            bool(ok), "left of the steps", left[-3:], "counted down to 0, over one step or more"
        )

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, index: int) -> Step:
        return self.steps[index]

    def __repr__(self) -> str:
        return f"Chain({len(self)} steps, t = {self[0].t} … {self[-1].t})"

    @property
    def times(self) -> Tensor:
        """The t that a network is told at each step: (steps,)."""
        return torch.tensor([step.t for step in self.steps])

    def last(self, steps: int) -> "Chain":
        """Return the chain of the last steps alone.

        It starts from N(0, I), so it samples as the whole chain does only where x_t is still noise.
        """
        require_count("steps", steps)
        require(steps <= len(self), "steps", steps, f"at most the chain's {len(self)}")
        return Chain(self.steps[-steps:])


def ddpm(beta: Tensor, steps: int | None, variance: str) -> Chain:
    """Build the DDPM chain (Ho et al. 2020, algorithm 2): see `Schedule.ddpm`."""
    require(variance in ("large", "small"), "variance", variance, "'large' or 'small'")
    beta, times = respaced(beta, steps)
    chain = reverse_chain(beta, times, eta=1.0)
    if variance == "small":
        return chain
    large = beta.flip(0).sqrt().tolist()
    noisy = [replace(step, std=std) for step, std in zip(chain, large, strict=True)]
    return Chain((*noisy[:-1], chain[-1]))


def ddim(beta: Tensor, steps: int | None, eta: float) -> Chain:
    """Build the DDIM chain (Song et al. 2021): see `Schedule.ddim`."""
    require_number("eta", eta)
    require(0 <= eta <= 1, "eta", eta, "between 0 (no noise) and 1 (as much as DDPM)")
    return reverse_chain(*respaced(beta, steps), eta)


def respaced(beta: Tensor, steps: int | None) -> tuple[Tensor, Tensor]:
    """Return beta (steps,) and t (steps,) of fewer steps through the same noise levels.

    The first and the last level stay (Nichol & Dhariwal 2021, section 4). None: all steps.
    """
    if steps is None:
        return beta, torch.arange(len(beta))
    require_count("steps", steps)
    require(steps <= len(beta), "steps", steps, f"at most the {len(beta)} steps of the schedule")
    times = torch.linspace(len(beta) - 1, 0, steps, dtype=torch.float64).round().long().flip(0)
    alpha_bar = torch.cumprod(1 - beta, dim=0)[times]
    wider = 1 - alpha_bar / one_step_cleaner(alpha_bar)
    require(bool((wider < 1).all()), "steps", steps, "more: one step would have to remove all")
    return wider, times


def reverse_chain(beta: Tensor, times: Tensor, eta: float) -> Chain:
    """Build the chain whose noise has eta times the posterior's standard deviation.

    beta, times: (T,), the cleanest step first; eta = 1 is DDPM with the small variance.
    """
    alpha_bar = torch.cumprod(1 - beta, dim=0)
    before = one_step_cleaner(alpha_bar)
    variance = eta**2 * (beta * (1 - before) / (1 - alpha_bar))  # of x_{t-1} given x_t and x0
    x = (before / alpha_bar).sqrt()
    noise = (1 - before - variance).clamp(min=0).sqrt() - x * (1 - alpha_bar).sqrt()
    std = variance.sqrt()
    std[0] = 0.0  # the last step returns its mean
    columns = (times, torch.arange(len(beta)), x, noise, std, alpha_bar.sqrt())
    rows = zip(*(c.tolist() for c in (*columns, (1 - alpha_bar).sqrt())), strict=True)
    return Chain(tuple(Step(*row) for row in rows)[::-1])


def one_step_cleaner(alpha_bar: Tensor) -> Tensor:
    """Return alpha_bar one step nearer to the data, (T,); before the first nothing is lost: 1."""
    return torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar[:-1]])
