"""The density a 2D sampler generates, computed without sampling.

As in one dimension (`exact`), the density itself is pushed through the reverse chain. The noise of
a step spreads each coordinate alone, and it also says how fine a grid is needed: coarse where the
noise is large, fine near the data. So a thousand steps cost fewer evaluations of the network than
ten thousand samples.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from ._checks import require, require_known_times, require_number
from ._device import block_sizes, evaluating
from .chain import Chain
from .denoisers import Denoiser
from .density import even_grid, interpolated, warn_of_lost_mass, where_with_float64
from .mixture import GaussianMixture

TAIL = 6.5  # x_T is followed to so many standard deviations: beyond lies a mass of 2e-10
RESOLVED = 1.5  # noise of a step, in grid spacings
KERNEL = 0.8  # width of the depositing Gaussian, in grid spacings
KERNEL_REACH = 4  # in grid spacings
NODES = 3  # for the last step: nodes per spacing of the final grid, in each coordinate
CELLS = 3  # and how much finer than the final grid they are counted
LOST = 1e-5  # more lost mass than this is worth a warning
ROWS = 500_000  # nodes that the last step moves at once


@dataclass
class Density2D:
    """A generated density in two dimensions, on a square grid."""

    grid: Tensor
    """Where it is given, in each coordinate: (N,), evenly spaced, float64."""
    p: Tensor
    """Mean density in the cell around each grid point: (N, N), first coordinate first."""
    lost: float
    """Mass that left the grid."""

    @property
    def points(self) -> Tensor:
        """The grid points one by one: (N * N, 2)."""
        return torch.cartesian_prod(self.grid, self.grid)

    @property
    def mass(self) -> Tensor:
        """Mass in the cell around each of `points`: (N * N,)."""
        return self.p.flatten() * (self.grid[1] - self.grid[0]) ** 2

    def mass_outside(self, mixture: GaussianMixture, k: float) -> float:
        """Generated mass farther than k standard deviations from every mode of the mixture.

        Cells count whole, by their centres: near a mode the answer is as exact as the grid is fine.
        """
        require_number("k", k, above=0)
        return float(self.mass[mixture.distance(self.points) > k].sum())

    def widths(self, mixture: GaussianMixture) -> Tensor:
        """Width of each generated mode, in units of the true one, from the mass within 6 std: (K,).

        nan for a mode that is not generated at all.
        """
        mode, distance = mixture.nearest(self.points)
        near = distance <= 6
        mode, mass = mode[near], self.mass[near]
        square = (self.points[near] - mixture.means[mode]).square().mean(dim=1)
        total, second = (
            torch.bincount(mode, weights=weight, minlength=len(mixture.means))
            for weight in (mass, mass * square)
        )
        return (second / total).sqrt() / mixture.std


def exact_density_2d(
    net: Denoiser, chain: Chain, axis: Tensor, *, finer: float = 1.0, progress: bool = True
) -> Density2D:
    """Compute the density in the plane that `sample` draws from, exact up to the grid.

    net, chain: as in `sample`, with shape=(2,); every step but the last adds noise.
    axis: (N,) evenly spaced values of either coordinate that span all the data. They should be no
        farther apart than half the width of a mode. The steps before the last choose their own.
    finer: at least 1; how much finer than usual those are. With a thousand steps masses beyond 6σ
        are right to about 1%; with a few hundred, whose steps bend the plane more, to about 10%
        unless they are finer. Below 1e-7 a mass is rounding.
    """
    require_number("finer", finer)
    require(finer >= 1, "finer", finer, "at least 1, or the noise of a step is not resolved")
    axis = even_grid(axis)
    require_known_times("chain", net, chain.times.tolist())
    require(len(chain) > 1, "chain", chain, "of at least two steps")
    quiet = [step.t for step in chain if step.left and step.std == 0]
    require(not quiet, "chain", f"without noise at t = {quiet[:1]}", "one that adds noise: DDPM")
    push = _Push2D(net, chain, axis, finer)
    with evaluating(net), torch.no_grad():
        x = push.axis_before(0)
        p = torch.exp(-0.5 * (x[:, None] ** 2 + x**2)) / (2 * math.pi)
        numbers = tqdm(range(len(chain) - 1), "exact density", disable=not progress, leave=False)
        for number in numbers:
            mass = p.flatten() * (x[1] - x[0]) ** 2
            means = push.mean(torch.cartesian_prod(x, x), number)
            x = push.axis_before(number + 1)
            p = _spread(means, mass, x, chain[number].std)
        p = _last_step(lambda nodes: push.mean(nodes, -1), p, x, axis.to(push.device))
    spacing = float(axis[1] - axis[0])
    lost = 1 - float(p.sum()) * spacing**2
    warn_of_lost_mass(lost, least=LOST)
    return Density2D(axis, p.cpu(), lost)


class _Push2D:
    """Where each step of a chain puts a point in the plane, and on which grid."""

    def __init__(self, net: Denoiser, chain: Chain, axis: Tensor, finer: float):
        self.net, self.chain, self.axis, self.finer = net, chain, axis, finer
        self.device, self.dtype = where_with_float64(net, axis)
        self.times = chain.times.to(self.device)

    def mean(self, x: Tensor, number: int) -> Tensor:
        """mu(x, t) of a step for points x (n, 2), in float64."""
        blocks = x.to(self.dtype).split(block_sizes(len(x), (2,), self.device))
        eps = torch.cat([self.net(block, self.times[number]) for block in blocks])
        return self.chain[number].mean(x, eps.double())

    def axis_before(self, number: int) -> Tensor:
        """Values of a coordinate of x before a step, fine enough for the noise just added."""
        step, added = self.chain[number], self.chain[max(number - 1, 0)].std
        reach = TAIL * step.sigma
        low = step.signal * float(self.axis[0]) - reach
        high = step.signal * float(self.axis[-1]) + reach
        n = math.ceil((high - low) / (added / (RESOLVED * self.finer))) + 1
        return torch.linspace(low, high, n, dtype=torch.float64, device=self.device)


def _spread(means: Tensor, mass: Tensor, x: Tensor, std: float) -> Tensor:
    """Density on the square grid x, (N, N), of masses at `means` spread by N(0, std^2 I).

    Each mass is deposited as a narrow Gaussian where it is, and a Fourier transform adds the rest
    of the variance.
    """
    n, spacing = len(x), float(x[1] - x[0])
    p = _deposited(means, mass, x) / spacing**2
    rest = -2 * math.pi**2 * (std**2 - (KERNEL * spacing) ** 2)
    frequency = torch.fft.fftfreq(2 * n, spacing, dtype=p.dtype, device=p.device)
    half = torch.fft.rfftfreq(2 * n, spacing, dtype=p.dtype, device=p.device)
    kernel = torch.exp(rest * frequency**2)[:, None] * torch.exp(rest * half**2)
    spread = torch.fft.irfft2(torch.fft.rfft2(p, s=(2 * n, 2 * n)) * kernel, s=(2 * n, 2 * n))
    return spread[:n, :n].clamp(min=0)


def _deposited(means: Tensor, mass: Tensor, x: Tensor) -> Tensor:
    """Mass on each point of the square grid x, (N, N), when every mass becomes a narrow Gaussian
    of KERNEL grid spacings. What falls off the grid is lost."""
    n = len(x)
    position = (means - x[0]) / (x[1] - x[0])
    offsets = torch.arange(1 - KERNEL_REACH, KERNEL_REACH + 1, device=x.device)
    near = position.floor().long()[:, :, None] + offsets  # (sources, 2, offsets)
    share = torch.exp(-0.5 * ((near - position[:, :, None]) / KERNEL).square())
    share /= share.sum(dim=2, keepdim=True)
    share = torch.where((near >= 0) & (near < n), share, 0)
    near = near.clamp(0, n - 1)
    cell = near[:, 0, :, None] * n + near[:, 1, None, :]
    weight = (mass[:, None] * share[:, 0])[:, :, None] * share[:, 1, None, :]
    return mass.new_zeros(n * n).index_add_(0, cell.flatten(), weight.flatten()).reshape(n, n)


def _last_step(mean, p: Tensor, x: Tensor, grid: Tensor) -> Tensor:
    """The density on the final grid, (N, N): the last step adds no noise, it only moves mass.

    The density before it is interpolated on finer nodes (its Fourier series). Where they land,
    their masses are shared among the points of a grid CELLS times finer than the final one.
    """
    spacing = float(grid[1] - grid[0])
    times = math.ceil(NODES * float(x[1] - x[0]) / spacing)
    n = times * (len(x) - 1) + 1
    nodes = torch.linspace(float(x[0]), float(x[-1]), n, dtype=x.dtype, device=x.device)
    fine = interpolated(interpolated(p, times).T, times).T.clamp(min=0)
    mass = fine * (nodes[1] - nodes[0]) ** 2
    cells, width = CELLS * len(grid), spacing / CELLS
    low = grid[0] - spacing / 2 + width / 2
    counted = grid.new_zeros(cells * cells)
    rows = max(1, ROWS // n)
    for some, weight in zip(nodes.split(rows), mass.split(rows), strict=True):
        position = (mean(torch.cartesian_prod(some, nodes)) - low) / width
        corner = position.floor()
        inside = ((corner >= 0) & (corner < cells - 1)).all(dim=1)
        position, corner, weight = position[inside], corner[inside].long(), weight.flatten()[inside]
        part = position - corner
        for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (part[:, 0] if dx else 1 - part[:, 0]) * (part[:, 1] if dy else 1 - part[:, 1])
            cell = (corner[:, 0] + dx) * cells + corner[:, 1] + dy
            counted.index_add_(0, cell, share * weight)
    blocks = counted.reshape(len(grid), CELLS, len(grid), CELLS)
    return blocks.sum(dim=(1, 3)) / spacing**2
