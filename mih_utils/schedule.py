"""The forward process: how much signal and how much noise x_t has at each step."""

import math

import torch
from torch import Tensor

from ._checks import require, require_count, require_generator, require_number
from ._device import moved
from .chain import Chain, ddim, ddpm

MAX_TERMINAL_SIGNAL = 0.05


class Schedule:
    """A forward process x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise, t = 0 … T-1.

    Its tables are float64 tensors of shape (T,): `beta`, the variance that each step adds, and
    `alpha_bar`, the share of the signal's variance that is left.
    """

    def __init__(self, beta: Tensor):
        """beta: (T,), each between 0 and 1, large enough in all that x_T is noise."""
        beta = torch.as_tensor(beta, dtype=torch.float64)
        require(
            beta.ndim == 1 and beta.numel() > 0, "beta.shape", tuple(beta.shape), "of form (T,)"
        )
        wrong = beta[~((beta > 0) & (beta < 1))].tolist()
        require(not wrong, "beta", wrong[:3], "between 0 and 1 everywhere")
        self.beta = beta
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
        """Make beta rise linearly over `steps` steps (Ho et al. 2020; by default the paper's)."""
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

    def add_noise(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return x_t: x0 and noise (n, *shape), t whole numbers of shape (n,) or ()."""
        ok = noise.shape == x0.shape
        require(ok, "noise.shape", tuple(noise.shape), f"that of x0, {tuple(x0.shape)}")
        alpha_bar = self.alpha_bar.to(x0.device)[t].reshape(-1, *(1,) * (x0.ndim - 1))
        return alpha_bar.sqrt().to(x0.dtype) * x0 + (1 - alpha_bar).sqrt().to(x0.dtype) * noise

    def training_batch(
        self, x0: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Noise each row of x0 (n, *shape) to a step of its own, drawn evenly.

        Returns x_t (n, *shape), the t that the network is told (n,), and what it is to predict: the
        noise, (n, *shape). Everything lies where x0 does.
        """
        require_generator(generator, x0.device)
        t = torch.randint(len(self), (len(x0),), device=x0.device, generator=generator)
        noise = torch.randn(x0.shape, dtype=x0.dtype, device=x0.device, generator=generator)
        return self.add_noise(x0, t, noise), t, noise

    def ddpm(self, steps: int | None = None, variance: str = "large") -> Chain:
        """Return the DDPM chain that runs this process backwards.

        steps: fewer than the schedule has, at noise levels spread evenly over it; None for all.
        variance: of the noise that a step adds. "large" is beta (the paper's choice), "small" the
            variance of x_{t-1} given x_t and x0 (Ho et al. 2020, section 3.2).
        """
        return ddpm(self.beta.cpu().double(), steps, variance)

    def ddim(self, steps: int | None = None, eta: float = 0.0) -> Chain:
        """Return the DDIM chain (Song et al. 2021, eq. 16).

        eta: 0 adds no noise; 1 adds as much as DDPM with the small variance.
        """
        return ddim(self.beta.cpu().double(), steps, eta)

    def to(self, device: torch.device | str) -> "Schedule":
        """Return the same schedule with its tables on another device."""
        return moved(self, device)
