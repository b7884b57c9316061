"""Noise schedules: how much signal is left at each step, and how a reverse step is weighted."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ._checks import require, require_count, require_number
from ._device import moved

MAX_TERMINAL_SIGNAL = 0.05


@dataclass(frozen=True)
class ReverseSteps:
    """Coefficients of the reverse chain, lists of T numbers, index 0 being the last step.

    One rule covers DDPM and DDIM (Ho et al. 2020, eq. 11; Song et al. 2021, eq. 12):
    x_{t-1} = x[t] * x_t + noise[t] * eps(x_t, t) + std[t] * z,  z ~ N(0, I)
    x0_hat  = (x_t - sigma[t] * eps(x_t, t)) / signal[t]
    """

    x: list[float]
    noise: list[float]
    std: list[float]
    signal: list[float]
    sigma: list[float]


class Schedule:
    """A forward process x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise, t = 0 … T-1.

    Attributes, tensors of shape (T,): `beta`, the variance added by each step; `alpha_bar`, the
    share of the signal's variance that is left; `timesteps`, the t that a network is told, which
    differs from 0 … T-1 only on a respaced chain.
    """

    def __init__(self, beta: Tensor, timesteps: Tensor | None = None):
        """beta: (T,), each between 0 and 1, large enough in all that x_T is noise."""
        beta = torch.as_tensor(beta, dtype=torch.float64)
        ok = beta.ndim == 1 and beta.numel() > 0
        require(ok, "beta.shape", tuple(beta.shape), "of form (T,)")
        wrong = beta[~((beta > 0) & (beta < 1))].tolist()
        require(not wrong, "beta", wrong[:3], "between 0 and 1 everywhere")
        timesteps = torch.arange(len(beta)) if timesteps is None else torch.as_tensor(timesteps)
        ok = timesteps.shape == beta.shape and not timesteps.is_floating_point()
        found = f"{tuple(timesteps.shape)} of {timesteps.dtype}"
        require(ok, "timesteps", found, f"whole numbers of form ({len(beta)},)")
        self.beta = beta
        self.timesteps = timesteps.to(beta.device)
        self.alpha_bar = torch.cumprod(1 - beta, dim=0)
        terminal = math.sqrt(float(self.alpha_bar[-1]))
        require(
            terminal <= MAX_TERMINAL_SIGNAL,
            "sqrt(alpha_bar) at the last step",
            round(terminal, 4),
            f"at most {MAX_TERMINAL_SIGNAL}, or x_T is no noise yet: use more steps or larger beta",
        )

    @classmethod
    def linear(cls, steps: int, beta_start: float = 1e-3, beta_end: float = 0.2) -> "Schedule":
        """Beta rises linearly over `steps` steps (Ho et al. 2020; by default the paper's)."""
        require_count("steps", steps)
        require_number("beta_start", beta_start, above=0)
        require_number("beta_end", beta_end)
        ok = beta_start <= beta_end < 1
        require(ok, "beta_end", beta_end, f"at least beta_start = {beta_start:g} and below 1")
        return cls(torch.linspace(beta_start, beta_end, steps, dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.beta)

    def __repr__(self) -> str:
        low, high = float(self.beta.min()), float(self.beta.max())
        return f"Schedule({len(self)} steps, beta {low:.2g} … {high:.2g})"

    @property
    def posterior_variance(self) -> Tensor:
        """Variance of x_{t-1} given x_t and x0, "fixed-small" (Ho et al. 2020, eq. 7): (T,).

        The other usual choice, "fixed-large", is `beta` itself.
        """
        return self.beta * (1 - _shifted(self.alpha_bar)) / (1 - self.alpha_bar)

    def add_noise(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Noise clean data to step t: x0 and noise (n, *shape), t (n,) whole numbers or ()."""
        ok = noise.shape == x0.shape
        require(ok, "noise.shape", tuple(noise.shape), f"that of x0, {tuple(x0.shape)}")
        alpha_bar = self.alpha_bar.to(x0.device)[t].reshape(-1, *(1,) * (x0.ndim - 1))
        return alpha_bar.sqrt().to(x0.dtype) * x0 + (1 - alpha_bar).sqrt().to(x0.dtype) * noise

    def respaced(self, steps: int) -> "Schedule":
        """A chain of fewer steps through the same noise levels, first and last included.

        (Nichol & Dhariwal 2021, section 4.) The network is still told the original t.
        """
        require_count("steps", steps)
        require(
            steps <= len(self), "steps", steps, f"at most the {len(self)} steps of the schedule"
        )
        kept = torch.linspace(len(self) - 1, 0, steps, dtype=torch.float64).round().long().flip(0)
        kept = kept.to(self.beta.device)
        alpha_bar = self.alpha_bar[kept]
        beta = 1 - alpha_bar / _shifted(alpha_bar)
        require(bool((beta < 1).all()), "steps", steps, "more: one step would have to remove all")
        return Schedule(beta, self.timesteps[kept])

    def reverse_steps(self, eta: float = 1.0, fixed_large: bool = True) -> ReverseSteps:
        """Coefficients of the reverse chain; see `sample` for eta and fixed_large."""
        require_number("eta", eta)
        require(0 <= eta <= 1, "eta", eta, "between 0 (DDIM) and 1 (DDPM)")
        beta, alpha_bar, before, small = (
            table.cpu().double()
            for table in (
                self.beta,
                self.alpha_bar,
                _shifted(self.alpha_bar),
                self.posterior_variance,
            )
        )
        small = eta**2 * small
        x = torch.sqrt(before / alpha_bar)
        noise = torch.sqrt((1 - before - small).clamp(min=0)) - x * torch.sqrt(1 - alpha_bar)
        std = torch.sqrt(beta if fixed_large and eta == 1 else small)
        std[0] = 0.0  # the last step returns its mean
        signal, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        return ReverseSteps(*(c.tolist() for c in (x, noise, std, signal, sigma)))

    def to(self, device: torch.device | str) -> "Schedule":
        """The same schedule with its tensors on another device."""
        return moved(self, device)


def _shifted(alpha_bar: Tensor) -> Tensor:
    """alpha_bar one step nearer to the data; before the first step nothing is lost: 1."""
    return torch.cat([torch.ones_like(alpha_bar[:1]), alpha_bar[:-1]])
