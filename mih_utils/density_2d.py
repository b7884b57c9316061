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

from ._checks import require, require_known_steps, require_number
from ._device import block_sizes
from .denoisers import Denoiser
from .density import even_grid, home_with_float64, interpolated, warn_of_lost_mass
from .mixture import GaussianMixture
from .schedule import Schedule

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
    net: Denoiser,
    schedule: Schedule,
    grid: Tensor,
    *,
    fixed_large: bool = True,
    finer: float = 1.0,
    progress: bool = True,
) -> Density2D:
    """The density in the plane that `sample` draws from with eta = 1, exact up to the grid.

    net, schedule, fixed_large: as in `sample`, with shape=(2,).
    grid: (N,) evenly spaced values of either coordinate that span all the data. They should be no
        farther apart than half the width of a mode. The steps before the last choose their own.
    finer: how much finer than usual those are. With a thousand steps masses beyond 6σ are right to
        about 1%; with a few hundred, whose steps bend the plane more, to about 10% unless they are
        finer. Below 1e-7 a mass is rounding.
    """
    require_number("finer", finer, above=0)
    grid = even_grid(grid)
    require_known_steps(net, schedule)
    device, dtype = home_with_float64(net)
    steps, timesteps = schedule.reverse_steps(1.0, fixed_large), schedule.timesteps.to(device)
    require(len(schedule) > 1, "schedule", schedule, "a chain of at least two steps")

    def mean(x: Tensor, i: int) -> Tensor:
        """mu(x, t) of step i for points x (n, 2), in float64."""
        blocks = x.to(dtype).split(block_sizes(len(x), (2,), device))
        noise = torch.cat([net(block, timesteps[i]) for block in blocks])
        return steps.x[i] * x + steps.noise[i] * noise.double()

    def axis(i: int) -> Tensor:
        """Values of a coordinate of x before step i, fine enough for the noise just added."""
        reach = TAIL * steps.sigma[i]
        low = steps.signal[i] * float(grid[0]) - reach
        high = steps.signal[i] * float(grid[-1]) + reach
        spacing = steps.std[min(i + 1, len(schedule) - 1)] / (RESOLVED * finer)
        n = math.ceil((high - low) / spacing) + 1
        return torch.linspace(low, high, n, dtype=torch.float64, device=device)

    with torch.no_grad():
        x = axis(len(schedule) - 1)
        p = torch.exp(-0.5 * (x[:, None] ** 2 + x**2)) / (2 * math.pi)
        chain = range(len(schedule) - 1, 0, -1)
        for i in tqdm(chain, "exact density", disable=not progress, leave=False):
            mass = p.flatten() * (x[1] - x[0]) ** 2
            means = mean(torch.cartesian_prod(x, x), i)
            x = axis(i - 1)
            p = _spread(means, mass, x, steps.std[i])
        p = _last_step(lambda nodes: mean(nodes, 0), p, x, grid.to(device))
    spacing = float(grid[1] - grid[0])
    lost = 1 - float(p.sum()) * spacing**2
    warn_of_lost_mass(lost, least=LOST)
    return Density2D(grid, p.cpu(), lost)


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
