"""Gaussian mixtures, exact at every noise level: density, score and posterior mean."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ._checks import require, require_count, require_number, require_points
from ._device import moved


class GaussianMixture:
    """A mixture of K isotropic Gaussians of one width in d dimensions.

    q(x) = sum_k weights_k N(x; means_k, std^2 I)

    The forward process keeps it a mixture: x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise
    has the means sqrt(alpha_bar) means_k and the variance alpha_bar std^2 + 1 - alpha_bar. So the
    density, score and posterior mean of x_t are known exactly, which makes the mixture the control
    for every claim about a trained network.

    Every method takes points of shape (n, d) and computes in their dtype, on their device.
    """

    def __init__(
        self,
        means: Tensor | Sequence[Sequence[float]],
        std: float,
        weights: Tensor | Sequence[float] | None = None,
    ):
        """means: (K, d); std: width of every mode, > 0; weights: (K,), all > 0 (default: equal)."""
        means = torch.as_tensor(means, dtype=torch.float64)
        ok = means.ndim == 2 and means.numel() > 0
        require(ok, "means.shape", tuple(means.shape), "of form (K, d)")
        require(bool(means.isfinite().all()), "means", means.tolist(), "finite")
        require_number("std", std, above=0)
        weights = torch.ones(len(means)) if weights is None else weights
        weights = torch.as_tensor(weights, dtype=torch.float64, device=means.device)
        ok = weights.shape == means.shape[:1]
        require(ok, "weights.shape", tuple(weights.shape), f"({len(means)},), one for each mean")
        ok = bool((weights.isfinite() & (weights > 0)).all())
        require(ok, "weights", weights.tolist(), "finite and above 0")
        self.means = means
        self.std = float(std)
        self.weights = weights / weights.sum()

    @classmethod
    def line(
        cls, means: Sequence[float], std: float, weights: Sequence[float] | None = None
    ) -> "GaussianMixture":
        """One-dimensional modes at the given means: `GaussianMixture.line([1, 2, 3], std=0.05)`."""
        return cls(torch.as_tensor(means, dtype=torch.float64).reshape(-1, 1), std, weights)

    @classmethod
    def grid(
        cls, side: int, spacing: float, std: float, weights: Sequence[float] | None = None
    ) -> "GaussianMixture":
        """side × side modes in two dimensions, `spacing` apart along the axes, around the origin.

        `GaussianMixture.grid(5, spacing=2, std=0.05).standardised()` is the paper's. Modes are
        numbered column by column, from the bottom of the leftmost.
        """
        require_count("side", side)
        require_number("spacing", spacing, above=0)
        line = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
        return cls(torch.cartesian_prod(line, line), std, weights)

    @classmethod
    def diamond(
        cls, side: int, spacing: float, std: float, weights: Sequence[float] | None = None
    ) -> "GaussianMixture":
        """The grid turned by 45°: nearest neighbours are still `spacing` apart, along diagonals.

        The paper's: `GaussianMixture.diamond(5, spacing=2**0.5, std=0.05).standardised()`.
        """
        grid = cls.grid(side, spacing, std, weights)
        x, y = grid.means.unbind(dim=1)
        return cls(torch.stack([x - y, x + y], dim=1) / math.sqrt(2), std, weights)

    def standardised(self) -> "GaussianMixture":
        """The mixture moved and scaled as a whole: mean zero, variance one over all coordinates."""
        centred = self.means - self.weights @ self.means
        variance = self.std**2 + (self.weights @ centred.square()).mean()
        scale = float(variance.sqrt())
        return GaussianMixture(centred / scale, self.std / scale, self.weights)

    @property
    def dim(self) -> int:
        """Number of dimensions d."""
        return self.means.shape[1]

    def __repr__(self) -> str:
        return f"GaussianMixture({len(self.means)} modes in {self.dim}D, std={self.std:g})"

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n points, (n, d), float32, on the generator's device (default: the CPU)."""
        require_count("n", n)
        device = generator.device if generator is not None else torch.device("cpu")
        here = self.to(device)
        modes = torch.multinomial(here.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.dim, device=device, generator=generator)
        return here.means.float()[modes] + self.std * noise

    def distance(self, x: Tensor) -> Tensor:
        """Distance from each point to its nearest mode, in units of std: (n,)."""
        return self.nearest(x)[1]

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mode nearest to each point, (n,), and its distance in units of std, (n,)."""
        require_points("x", x, self.dim)
        distance, mode = (x[:, None, :] - self.means.to(x)).norm(dim=-1).min(dim=1)
        return mode, distance / self.std

    def log_prob(self, x: Tensor, alpha_bar: float | Tensor = 1.0) -> Tensor:
        """Log density of the noised mixture at x, (n,), in nats; alpha_bar = 1 is the data."""
        _, variance, logits = self._noised(x, alpha_bar)
        log_normaliser = 0.5 * self.dim * torch.log(2 * math.pi * variance)
        return torch.logsumexp(logits, dim=1) - log_normaliser.reshape(-1)

    def score(self, x_t: Tensor, alpha_bar: float | Tensor) -> Tensor:
        """Gradient of the log density of the noised mixture at x_t: (n, d)."""
        offsets, variance, logits = self._noised(x_t, alpha_bar)
        responsibilities = torch.softmax(logits, dim=1)
        return -(responsibilities[:, :, None] * offsets).sum(dim=1) / variance

    def posterior_mean(self, x_t: Tensor, alpha_bar: float | Tensor) -> Tensor:
        """E[x0 | x_t], the optimal denoiser: (n, d).

        A mean over modes, weighted by how probable each is given x_t. At low noise the weights jump
        from one mode to the next: the staircase of chapter 1.
        """
        offsets, variance, logits = self._noised(x_t, alpha_bar)
        signal = alpha_bar_column(alpha_bar, x_t).sqrt().to(x_t)
        responsibilities = torch.softmax(logits, dim=1)[:, :, None]
        shrink = (signal * self.std**2 / variance)[:, :, None]
        return (responsibilities * (self.means.to(x_t) + shrink * offsets)).sum(dim=1)

    def to(self, device: torch.device | str) -> "GaussianMixture":
        """The same mixture with its tensors on another device."""
        return moved(self, device)

    def _noised(self, x: Tensor, alpha_bar: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Offsets to the noised means (n, K, d), variance (n or 1, 1), mode log weights (n, K)."""
        require_points("x", x, self.dim)
        alpha_bar = alpha_bar_column(alpha_bar, x)
        offsets = x[:, None, :] - alpha_bar.sqrt().to(x)[:, :, None] * self.means.to(x)
        variance = (alpha_bar * self.std**2 + (1 - alpha_bar)).to(x)
        logits = self.weights.to(x).log() - offsets.square().sum(dim=-1) / (2 * variance)
        return offsets, variance, logits


def alpha_bar_column(alpha_bar: float | Tensor, x: Tensor) -> Tensor:
    """alpha_bar as a column, (1, 1) or (n, 1), on the device of x.

    In float64 whatever x is: in float32, 1 - alpha_bar would lose the digits that matter.
    """
    if not isinstance(alpha_bar, Tensor):
        require_number("alpha_bar", alpha_bar, above=0, at_most=1)
    dtype = torch.float32 if x.device.type == "mps" else torch.float64
    column = torch.as_tensor(alpha_bar, dtype=dtype, device=x.device).reshape(-1, 1)
    ok, expected = len(column) in (1, len(x)), f"one number, or one for each of {len(x)} x"
    require(ok, "alpha_bar.shape", tuple(column.shape), expected)
    return column
