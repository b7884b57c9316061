"""What a network predicts: wrappers that turn its answer into the noise.

`train` and `sample` deal in noise alone. A network that predicts something else is put into one of
these, and nothing else changes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .schedule import Schedule


class Target(nn.Module):
    """A network `net` for the steps of a schedule, and a way from its answer to the noise."""

    def __init__(self, net: nn.Module, schedule: Schedule):
        super().__init__()
        self.net = net
        self.known_steps = range(len(schedule))
        mix = torch.stack([schedule.alpha_bar, 1 - schedule.alpha_bar], dim=1).sqrt().float()
        self.register_buffer("signal_and_sigma", mix, persistent=False)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        answer = self.net(x_t, t)
        mix = F.embedding(t.reshape(-1), self.signal_and_sigma).to(x_t.dtype)
        signal, sigma = mix.reshape(-1, 2, *[1] * (x_t.ndim - 1)).unbind(dim=1)
        return self.noise(answer, x_t, signal, sigma)

    def noise(self, answer: Tensor, x_t: Tensor, signal: Tensor, sigma: Tensor) -> Tensor:
        """Return the noise; signal and sigma are the roots of alpha_bar and of 1 - alpha_bar."""
        raise NotImplementedError


class VelocityTarget(Target):
    """The net predicts the velocity v = signal · noise - sigma · x0 (Salimans and Ho 2022).

    If a network of images predicted the noise itself, a small error at high noise would be a large
    one in x0_hat, and images would come out too bright or too dark.
    """

    def noise(self, answer: Tensor, x_t: Tensor, signal: Tensor, sigma: Tensor) -> Tensor:
        return sigma * x_t + signal * answer


class X0Target(Target):
    """The net predicts the clean point x0."""

    def noise(self, answer: Tensor, x_t: Tensor, signal: Tensor, sigma: Tensor) -> Tensor:
        return (x_t - signal * answer) / sigma
