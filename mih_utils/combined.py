"""Denoisers made of others: one that is smoothed, and two that take turns."""

import math

import torch
from torch import Tensor

from ._checks import require, require_count, require_number
from .denoisers import Denoiser


class SmoothedDenoiser:
    """A denoiser averaged over a Gaussian of some width around x_t, along each coordinate.

    It errs as a network that is too smooth does, without any training. Put an ExactDenoiser in, and
    what the chain then generates between the modes comes from smoothness alone. It is for points of
    one to three coordinates.
    """

    REACH = 3.0  # in widths: there the Gaussian is cut off

    def __init__(self, denoiser: Denoiser, width: float | Tensor, nodes: int = 41):
        """width: in units of x_t, one number or one a t, (T,); nodes: points along a line."""
        require_count("nodes", nodes)
        require(nodes > 2 * self.REACH, "nodes", nodes, "at least one for each width in reach, 7")
        self.width = torch.as_tensor(width, dtype=torch.float64)
        ok = self.width.ndim < 2 and bool((self.width.isfinite() & (self.width >= 0)).all())
        require(ok, "width", width, "a number of at least 0, or one for each t")
        self.denoiser = denoiser
        self.nodes = torch.linspace(-self.REACH, self.REACH, nodes, dtype=torch.float64)

    @property
    def parts(self) -> list[Denoiser]:
        """Whose device, dtype and known steps it has."""
        return [self.denoiser]

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        width = self.width.to(x_t)
        if width.ndim:
            width = width[t].reshape(-1, 1, *[1] * (x_t.ndim - 1))
        nodes, dims = self.nodes.to(x_t), math.prod(x_t.shape[1:])
        require(dims <= 3, "x_t.shape", tuple(x_t.shape), "points of at most three coordinates")
        weights = torch.softmax(-(nodes**2) / 2, dim=0)
        # K offsets in all coordinates, and the weight of each
        offsets = torch.cartesian_prod(*[nodes] * dims).reshape(-1, *x_t.shape[1:])
        weights = torch.cartesian_prod(*[weights] * dims).reshape(len(offsets), -1).prod(dim=1)
        around = x_t[:, None] + width * offsets  # (n, K, *shape)
        times = t.expand(len(x_t)).repeat_interleave(len(offsets)) if t.ndim else t
        answers = self.denoiser(around.flatten(0, 1), times).reshape(around.shape)
        return torch.einsum("nk...,k->n...", answers, weights)


class SwitchedDenoiser:
    """Two denoisers taking turns: `late` answers where t < below, `early` before that.

    With the exact denoiser as one of them it tells *when* in a chain a fault is made.
    """

    def __init__(self, early: Denoiser, late: Denoiser, below: int):
        require_number("below", below)
        self.early, self.late, self.below = early, late, below

    @property
    def parts(self) -> list[Denoiser]:
        """Whose device, dtype and known steps it has: those of a network, if one of them is one."""
        return [self.early, self.late]

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        if t.ndim == 0 and t.device.type == "cpu":  # one answer is enough, and costs no wait
            return (self.late if t < self.below else self.early)(x_t, t)
        is_late = (t < self.below).reshape(-1, *[1] * (x_t.ndim - 1))
        return torch.where(is_late, self.late(x_t, t), self.early(x_t, t))
