"""Denoisers predict the noise in x_t: the paper's toy network, and the exact one."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._checks import require, require_count
from ._device import initial_weights, moved
from .mixture import GaussianMixture
from .schedule import Schedule


class Denoiser(Protocol):
    """Any callable that predicts the noise in x_t: (n, *shape), t of shape (n,) or ()."""

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor: ...


class ToyDenoiser(nn.Module):
    """The small network of the paper's Gaussian experiments: 66,817 parameters in one dimension.

    The time embedding is added inside a residual block; the `blocks` residual blocks share one set
    of weights (the authors' released code). Calling it predicts the noise: net(x_t, t), with x_t of
    shape (n, dim) and t, whole numbers below `steps`, of shape (n,) or ().
    """

    def __init__(
        self,
        dim: int = 1,
        width: int = 128,
        blocks: int = 3,
        steps: int = 1000,
        generator: torch.Generator | None = None,
    ):
        """steps: length of the schedule it will see; generator: for the initial weights."""
        super().__init__()
        for name, value in (("dim", dim), ("width", width), ("blocks", blocks), ("steps", steps)):
            require_count(name, value)
        require(width % 2 == 0, "width", width, "even (the embedding has sine and cosine halves)")
        self.config = {"dim": dim, "width": width, "blocks": blocks, "steps": steps}
        self.blocks = blocks
        self.known_steps = range(steps)
        self.register_buffer("sinusoids", sinusoidal_table(steps, width), persistent=False)
        with initial_weights(self, generator, from_one_number=False):
            self.time_in = nn.Linear(width, width)
            self.time_out = nn.Linear(width, width)
            self.x_in = nn.Linear(dim, width)
            self.norm_in = nn.LayerNorm(width)
            self.linear_in = nn.Linear(width, width, bias=False)  # time_out, added next, has a bias
            self.norm_out = nn.LayerNorm(width)
            self.linear_out = nn.Linear(width, width)
            self.x_out = nn.Linear(width, dim)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        dim = self.config["dim"]
        ok = x_t.ndim == 2 and x_t.shape[1] == dim
        require(ok, "x_t.shape", tuple(x_t.shape), f"of form (n, {dim})")
        time = self.embed_time(t)
        h = self.x_in(x_t)
        for _ in range(self.blocks):
            # in place where nothing before needs the old values: a third less time on a CPU
            inner = self.linear_in(F.leaky_relu(self.norm_in(h), 0.02, inplace=True))
            inner = self.norm_out(inner.add_(time))
            h = self.linear_out(F.leaky_relu(inner, 0.02, inplace=True)).add_(h)
        return self.x_out(h)

    def embed_time(self, t: Tensor) -> Tensor:
        """Embedding of t, (n or 1, width), computed once for each step that can differ.

        When all rows share one t it is one row; when there are more rows than steps, it is computed
        for every step and looked up.
        """
        t, steps = t.reshape(-1), len(self.sinusoids)
        rows = self.sinusoids if len(t) > steps else F.embedding(t, self.sinusoids)
        rows = self.time_out(F.leaky_relu(self.time_in(rows), 0.02))
        return F.embedding(t, rows) if len(t) > steps else rows


class VelocityTarget(nn.Module):
    """Turn a network that predicts the velocity into a denoiser: a call gives the noise in x_t.

    v = signal noise - sigma x0 (Salimans and Ho 2022), with signal = sqrt(alpha_bar) and sigma =
    sqrt(1 - alpha_bar), so noise = sigma x_t + signal v. A network that computed the noise itself
    would turn a small error at high noise into a large one in x0_hat: images come out too bright
    or dark.
    """

    def __init__(self, net: nn.Module, schedule: Schedule):
        """net: net(x_t, t) is the velocity, shape of x_t. schedule: that it learns on."""
        super().__init__()
        self.net, self.known_steps = net, range(len(schedule))
        mix = torch.stack([schedule.alpha_bar, 1 - schedule.alpha_bar], dim=1).sqrt().float()
        self.register_buffer("signal_and_sigma", mix, persistent=False)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        mix = F.embedding(t.reshape(-1), self.signal_and_sigma).to(x_t.dtype)
        signal, sigma = mix.reshape(-1, 2, *[1] * (x_t.ndim - 1)).unbind(dim=1)
        return sigma * x_t + signal * self.net(x_t, t)


class ExactDenoiser:
    """The optimal denoiser of a known distribution, with the call of a network.

    E[noise | x_t] = -sqrt(1 - alpha_bar_t) * score(x_t): the control for every claim. `mixture` is
    a GaussianMixture, or what else has a score at every noise level: all of the shapes, a finite
    set. `schedule` is the one the chain was trained on; a respaced chain passes the same t.
    """

    def __init__(self, mixture: GaussianMixture, schedule: Schedule):
        self.known_steps = frozenset(schedule.timesteps.tolist())
        self.mixture = mixture.to(schedule.alpha_bar.device)
        self._alpha_bar = schedule.alpha_bar.new_full((max(self.known_steps) + 1, 1), math.nan)
        self._alpha_bar[schedule.timesteps] = schedule.alpha_bar[:, None]

    @property
    def device(self) -> torch.device:
        """Where it computes: where the schedule lies."""
        return self._alpha_bar.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in when it may choose: float64."""
        return self._alpha_bar.dtype

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha_bar = F.embedding(t.reshape(-1), self._alpha_bar)
        sigma = (1 - alpha_bar).sqrt().to(x_t.dtype).reshape(-1, *[1] * (x_t.ndim - 1))
        return -sigma * self.mixture.score(x_t, alpha_bar)

    def to(self, device: torch.device | str) -> "ExactDenoiser":
        """The same denoiser on another device."""
        return moved(self, device)


def x0_hat(denoiser: Denoiser, x_t: Tensor, t: int, schedule: Schedule) -> Tensor:
    """The clean point a denoiser sees behind x_t at step t of the schedule: shape of x_t.

    (x_t - sqrt(1 - alpha_bar_t) * noise) / sqrt(alpha_bar_t); for the exact denoiser it is the
    posterior mean E[x0 | x_t].
    """
    require(0 <= t < len(schedule), "t", t, f"a step of the schedule, 0 … {len(schedule) - 1}")
    alpha_bar = float(schedule.alpha_bar[t])
    noise = denoiser(x_t, schedule.timesteps[t].to(x_t.device))
    return (x_t - math.sqrt(1 - alpha_bar) * noise) / math.sqrt(alpha_bar)


def sinusoidal_table(steps: int, width: int) -> Tensor:
    """Sine and cosine of each step at width/2 geometric frequencies: (steps, width).

    (Vaswani et al. 2017, section 3.5.)
    """
    frequency = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
    angle = torch.arange(steps)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)
