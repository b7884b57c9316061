"""Denoisers predict the noise in x_t: the paper's toy network, and the exact one."""

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._checks import require, require_count
from ._device import moved
from .mixture import GaussianMixture
from .schedule import Schedule


class Denoiser(Protocol):
    """Any callable that predicts the noise in x_t: (n, *shape), with t of shape (n,) or ()."""

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor: ...


class ToyDenoiser(nn.Module):
    """The small network of the paper's Gaussian experiments: 66,817 parameters in one dimension.

    The time embedding is added inside a residual block; the `blocks` residual blocks share one set
    of weights (the authors' released code). Calling it predicts the noise: net(x_t, t), with x_t of
    shape (n, dim) and t of shape (n,) or (): whole numbers below `steps`, or any floats.
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
        self.register_buffer("table", sinusoids(torch.arange(steps), width), persistent=False)
        # torch draws initial weights from its global generator: keep that as it was
        with torch.random.fork_rng(devices=[], enabled=generator is not None):
            self.time_in = nn.Linear(width, width)
            self.time_out = nn.Linear(width, width)
            self.x_in = nn.Linear(dim, width)
            self.norm_in = nn.LayerNorm(width)
            self.linear_in = nn.Linear(width, width, bias=False)  # time_out, added next, has a bias
            self.norm_out = nn.LayerNorm(width)
            self.linear_out = nn.Linear(width, width)
            self.x_out = nn.Linear(width, dim)
        if generator is not None:  # torch's own distribution, from this generator
            for layer in self.children():
                if isinstance(layer, nn.Linear):
                    bound = layer.in_features**-0.5
                    for weight in layer.parameters():
                        nn.init.uniform_(weight, -bound, bound, generator=generator)

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
        """Return the embedding of t, (n or 1, width), computed once for each step that can differ.

        When all rows share one t it is one row. When there are more rows than steps, it is computed
        for every step and looked up.
        """
        t, steps = t.reshape(-1), len(self.table)
        if t.is_floating_point():
            rows, looked_up = sinusoids(t, self.config["width"]).to(self.table), False
        else:
            looked_up = len(t) > steps
            rows = self.table if looked_up else F.embedding(t, self.table)
        rows = self.time_out(F.leaky_relu(self.time_in(rows), 0.02))
        return F.embedding(t, rows) if looked_up else rows


class ExactDenoiser:
    """The optimal denoiser of a known distribution, with the call of a network.

    E[noise | x_t] = -sqrt(1 - alpha_bar_t) * score(x_t): the control for every claim. `mixture` is
    a GaussianMixture, or what else has a score at every noise level: all of the shapes, a finite
    set. It computes where the schedule lies.
    """

    def __init__(self, mixture: GaussianMixture, schedule: Schedule):
        self.known_steps = range(len(schedule))
        self.mixture = mixture.to(schedule.alpha_bar.device)
        self.alpha_bar = schedule.alpha_bar[:, None]  # (T, 1), to be looked up by t

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.alpha_bar.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in when it may choose: float64."""
        return self.alpha_bar.dtype

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha_bar = F.embedding(t.reshape(-1), self.alpha_bar)  # (n or 1, 1)
        sigma = (1 - alpha_bar).sqrt().to(x_t.dtype).reshape(-1, *[1] * (x_t.ndim - 1))
        return -sigma * self.mixture.score(x_t, alpha_bar)

    def to(self, device: torch.device | str) -> "ExactDenoiser":
        """Return the same denoiser on another device."""
        return moved(self, device)


def predict_x0(denoiser: Denoiser, x_t: Tensor, t: int, schedule: Schedule) -> Tensor:
    """Return the clean point that a denoiser sees behind x_t at step t: shape of x_t.

    (x_t - sqrt(1 - alpha_bar_t) * noise) / sqrt(alpha_bar_t); for the exact denoiser it is the
    posterior mean E[x0 | x_t].
    """
    require(0 <= t < len(schedule), "t", t, f"a step of the schedule, 0 … {len(schedule) - 1}")
    alpha_bar = float(schedule.alpha_bar[t])
    noise = denoiser(x_t, torch.tensor(t, device=x_t.device))
    return (x_t - math.sqrt(1 - alpha_bar) * noise) / math.sqrt(alpha_bar)


def sinusoids(t: Tensor, width: int) -> Tensor:
    """Return sine and cosine of each t (n,) at width/2 geometric frequencies: (n, width).

    (Vaswani et al. 2017, section 3.5.)
    """
    frequency = torch.exp(
        -math.log(10_000) * torch.arange(width // 2, device=t.device) / (width // 2)
    )
    angle = t[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)
