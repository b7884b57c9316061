"""Distributions of images whose optimal denoiser is known: a finite set, and all of the shapes.

Either can stand where a GaussianMixture does in `ExactDenoiser`: the exact controls for images.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .._checks import require
from .._device import moved
from ..mixture import alpha_bar_column
from .shapes import templates

WAYS = torch.tensor([[way >> k & 1 for k in range(3)] for way in range(1, 8)])  # which are there


class _Distribution:
    """A distribution whose posterior mean is known: everything else follows from that.

    They compute in float64: at low noise, log probabilities of images run into the thousands.
    """

    shape: tuple[int, ...]

    def posterior_mean(self, x_t: Tensor, alpha_bar: float | Tensor) -> Tensor:
        """Compute E[x0 | x_t], the optimal denoiser: shape of x_t, (n, *shape).

        alpha_bar: one number below 1, or one for each x_t.
        """
        return self._mean(*self._checked(x_t, alpha_bar)).to(x_t.dtype)

    def score(self, x_t: Tensor, alpha_bar: float | Tensor) -> Tensor:
        """Compute the gradient of the log density of the noised distribution at x_t: shape of x_t.

        (sqrt(alpha_bar) E[x0 | x_t] - x_t) / (1 - alpha_bar), Tweedie's formula.
        """
        images, alpha_bar = self._checked(x_t, alpha_bar)
        mean = self._mean(images, alpha_bar)
        return ((alpha_bar.sqrt() * mean - images) / (1 - alpha_bar)).to(x_t.dtype)

    def to(self, device: torch.device | str) -> "_Distribution":
        """Return the same distribution with its tensors on another device."""
        return moved(self, device)

    def _checked(self, x_t: Tensor, alpha_bar: float | Tensor) -> tuple[Tensor, Tensor]:
        """Return x_t and, to multiply it with, alpha_bar, (n or 1, 1, …), in float64."""
        ok = isinstance(x_t, Tensor) and x_t.ndim > 1 and x_t.shape[1:] == self.shape
        found = tuple(getattr(x_t, "shape", ()))
        require(ok, "x_t.shape", found, f"(n, {', '.join(map(str, self.shape))})")
        column = alpha_bar_column(alpha_bar, x_t)
        if not isinstance(alpha_bar, Tensor):
            require(alpha_bar < 1, "alpha_bar", alpha_bar, "below 1, for there must be noise")
        return x_t.to(column.dtype), column.reshape(-1, *[1] * len(self.shape))


class EmpiricalDistribution(_Distribution):
    """Each of a finite set of images, equally likely: what a perfect memory would know."""

    def __init__(self, images: Tensor):
        """images: (N, *shape)."""
        ok = isinstance(images, Tensor) and images.ndim > 1 and images.numel() > 0
        found = tuple(getattr(images, "shape", ()))
        require(ok, "images.shape", found, "of form (N, *shape), N ≥ 1")
        self.shape, self.images = tuple(images.shape[1:]), images.double()

    def posterior(self, x_t: Tensor, alpha_bar: float | Tensor) -> Tensor:
        """Compute the probability of each image given x_t: (n, N)."""
        x_t, alpha_bar = (a.flatten(1) for a in self._checked(x_t, alpha_bar))
        images = self.images.flatten(1)
        # -||x_t - signal x0||² / 2, but for what is the same for each x0
        fit = alpha_bar.sqrt() * (x_t @ images.T) - alpha_bar / 2 * images.square().sum(dim=1)
        return torch.softmax(fit / (1 - alpha_bar), dim=1)

    def _mean(self, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        return torch.tensordot(self.posterior(x_t, alpha_bar), self.images, dims=1)


class ShapesDistribution(_Distribution):
    """Every image that `shapes.dataset` can draw, with its probability.

    There are seven equally likely ways to have at least one shape; given the way, each shape is at
    one of the K places of its column.
    """

    def __init__(self, size: int = 64):
        """size: 64, 32 or 16."""
        self.shape, self.width = (1, size, size), size // 3
        # each column's shape at each place: (rows, columns, height, width), 1 on it and 0 elsewhere
        self.pictures = [_at_every_place(shape, size) for shape in templates(size)]

    def places(self, x_t: Tensor, alpha_bar: float | Tensor) -> list[Tensor]:
        """Compute the probability of each place of each column's shape given x_t.

        Returns three tensors (n, rows, columns), one for each column. Place (i, j) has the shape's
        upper left corner i rows down and j pixels into its column. What is missing to 1 is the
        probability that the shape is absent.
        """
        # x0 is 1 on a shape and -1 elsewhere: the log odds of a place against the empty column are
        # 2 signal / (1 - alpha_bar) times the sum of x_t over the shape there, less log K
        x_t, alpha_bar = self._checked(x_t, alpha_bar)
        scale = (2 * alpha_bar.sqrt() / (1 - alpha_bar))[:, 0]
        odds = []
        for column, pictures in zip(self._columns(x_t), self.pictures, strict=True):
            fit = torch.tensordot(column, pictures, dims=([1, 2], [2, 3]))
            odds.append((scale * fit - math.log(fit[0].numel())).flatten(1))
        present = torch.stack([o.logsumexp(dim=1) for o in odds], dim=1)
        ways = WAYS.to(present)
        presence = torch.softmax(present @ ways.T, dim=1) @ ways  # (n, 3)
        return [
            (presence[:, k, None] * o.softmax(dim=1)).unflatten(1, pictures.shape[:2])
            for k, (o, pictures) in enumerate(zip(odds, self.pictures, strict=True))
        ]

    def _mean(self, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        mean = torch.full_like(x_t, -1)
        for column, places, pictures in zip(
            self._columns(mean), self.places(x_t, alpha_bar), self.pictures, strict=True
        ):
            column += 2 * torch.tensordot(places, pictures, dims=2)
        return mean

    def _columns(self, images: Tensor) -> list[Tensor]:
        """Cut images into their three columns, as views: (n, size, width)."""
        return images[:, 0, :, : 3 * self.width].split(self.width, dim=2)


def _at_every_place(shape: Tensor, size: int) -> Tensor:
    """Put a shape at each place of its column: (rows, columns, size, size // 3)."""
    (height, width), room = shape.shape, size // 3
    tops, lefts = range(size - height + 1), range(room - width + 1)
    pictures = [
        F.pad(shape, (left, room - width - left, top, size - height - top))
        for top in tops
        for left in lefts
    ]
    return torch.stack(pictures).unflatten(0, (len(tops), len(lefts))).double()
