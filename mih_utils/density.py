"""The density a 1D sampler generates, computed without sampling.

The reverse chain is Markov: a point at x moves to a mean mu(x, t) and is spread by N(0, std_t^2).
So a density can be pushed through it whole. That shows masses of 1e-9, for which sampling would
need 1e11 draws.
"""

import math
import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ._checks import require, require_count, require_known_times, require_number
from ._device import device_and_dtype, evaluating
from .chain import Chain, Step
from .denoisers import Denoiser
from .mixture import GaussianMixture

TAIL = 8.0  # x_T is followed to 8 standard deviations: beyond lies a mass of 1e-15
KERNEL = 1.2  # width of the depositing Gaussian, in grid spacings (aliasing below 1e-12)
RESOLVED = 1.5  # least noise of a step, in grid spacings
KERNEL_REACH = 10  # in grid spacings: 8.3 of its standard deviations
FINER = 8  # nodes per grid spacing in the last step, which adds no noise
LOST = 1e-6  # more lost mass than this is worth a warning
NEGLIGIBLE = 1e-11  # a stretch of x_T with less mass than this is not refined further
MOST_NODES = 64  # for eta = 0, refinement stops at so many nodes for each grid point


@dataclass
class Density:
    """A generated density: its values on a grid, and all its mass as short stretches."""

    grid: Tensor
    """Where the density is given: (N,), evenly spaced, float64."""
    p: Tensor
    """Mean density over the cell around each grid point: (N,)."""
    nodes: Tensor
    """Where the last step puts a fine sequence of points: (M,). Mass lies between neighbours."""
    mass: Tensor
    """Mass between neighbouring nodes: (M - 1,)."""
    lost: float
    """Mass that the computation could not follow because it left the grid on the way."""
    monotone: bool
    """Whether the last map (for eta = 0: the whole chain) keeps the order of points. If not, the
    density has folds; masses stay right, and within a stretch they are spread evenly."""

    def mass_between(self, low: float, high: float) -> float:
        """Generated mass in the interval [low, high]."""
        require(low <= high, "low", low, f"at most high = {high}")
        start = torch.minimum(self.nodes[:-1], self.nodes[1:])
        stop = torch.maximum(self.nodes[:-1], self.nodes[1:])
        share = (stop.clamp(low, high) - start.clamp(low, high)) / (stop - start)
        point = ((low <= start) & (start < high)).double()  # a stretch that the map made a point
        return float((self.mass * torch.where(stop > start, share, point)).sum())

    def mass_outside(self, mixture: GaussianMixture, k: float) -> float:
        """Generated mass farther than k standard deviations from every mode of the mixture."""
        return sum(self.gap_masses(mixture, k))

    def gap_masses(self, mixture: GaussianMixture, k: float) -> list[float]:
        """The same mass, gap by gap: left of all modes, between neighbours, right of all modes.

        Neighbours nearer than 2 k standard deviations leave no gap between them.
        """
        return [self.mass_between(low, high) for low, high in _gaps(mixture, k)]

    def bridge_mass(self, mixture: GaussianMixture, k: float) -> float:
        """Generated mass between neighbouring modes, farther than k std from both."""
        return sum(self.gap_masses(mixture, k)[1:-1])

    def widths(self, mixture: GaussianMixture) -> Tensor:
        """Width of each generated mode, in units of the true one, from the mass within 6 std: (K,).

        nan for a mode that is not generated at all.
        """
        middle, mass = (self.nodes[1:] + self.nodes[:-1]) / 2, self.mass
        mode, distance = mixture.nearest(middle[:, None])
        near = distance <= 6
        count = len(mixture.means)
        total = torch.bincount(mode[near], weights=mass[near], minlength=count)
        square = distance[near].square() * mass[near]
        return (torch.bincount(mode[near], weights=square, minlength=count) / total).sqrt()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n points from the density, (n, 1), float32, where the generator lies."""
        require_count("n", n)
        device = generator.device if generator is not None else torch.device("cpu")
        mass, nodes = self.mass.to(device), self.nodes.to(device)
        stretch = torch.multinomial(mass, n, replacement=True, generator=generator)
        along = torch.rand(n, dtype=torch.float64, device=device, generator=generator)
        return nodes[stretch].lerp(nodes[stretch + 1], along)[:, None].float()


def exact_density(net: Denoiser, chain: Chain, grid: Tensor, *, progress: bool = True) -> Density:
    """Compute the density on the real line that `sample` draws from, exact up to the grid.

    net, chain: as in `sample`, with shape=(1,).
    grid: (N,) evenly spaced points that span all the data; 2,048 of them are plenty. At step t the
        window is wider, so that it holds the noised data and 8 standard deviations of noise; it
        always has N points. Mass that leaves it is reported as `lost`.

    A chain without noise (DDIM) is one map: the starting density is pushed through it at once, with
    more points where neighbours are torn apart.
    """
    grid = even_grid(grid)
    require_known_times("chain", net, chain.times.tolist())
    quiet = [step.t for step in chain if step.left and step.std == 0]
    noisy = len(quiet) < len(chain) - 1 or len(chain) == 1
    ok = not (noisy and quiet)
    require(
        ok, "chain", f"without noise at t = {quiet[:1]}", "one with noise everywhere, or nowhere"
    )
    push = _Push(net, chain, grid)
    if noisy:
        need, found = push.points_needed(), f"of {len(grid)} points"
        require(
            len(grid) >= need, "grid", found, f"of {need} or more, to resolve the chain's noise"
        )
    with evaluating(net), torch.no_grad():
        return _push_density(push, progress) if noisy else _push_points(push, progress)


def even_grid(grid: Tensor) -> Tensor:
    """The grid in float64 on the CPU, if it is evenly spaced and rising."""
    ok = isinstance(grid, Tensor) and grid.ndim == 1 and len(grid) >= 16
    found = tuple(grid.shape) if isinstance(grid, Tensor) else type(grid).__name__
    require(ok, "grid", found, "a tensor of form (N,) with N at least 16")
    grid = grid.double().cpu()
    spacing = grid.diff()
    even = bool(((spacing - spacing.mean()).abs() <= 1e-3 * spacing.mean()).all())
    require(even and bool(spacing[0] > 0), "grid", "uneven or not rising", "evenly spaced, rising")
    return grid


def where_with_float64(net: Denoiser, grid: Tensor) -> tuple[torch.device, torch.dtype]:
    """Return the device and dtype that the net computes in, if densities can be computed there."""
    device, dtype = device_and_dtype(net, grid)
    ok = device.type != "mps"
    require(ok, "net's device", str(device), "cpu or cuda: Apple's GPU has no float64")
    return device, dtype


def warn_of_lost_mass(lost: float, least: float = LOST, stacklevel: int = 3) -> None:
    """Warn if a notable share of the mass left the grid."""
    if not abs(lost) <= least:
        message = f"{lost:.1e} of the mass left the grid on the way: use a wider grid"
        warnings.warn(message, stacklevel=stacklevel)


class _Push:
    """Where each step of a chain puts a point in one dimension, and on which window."""

    def __init__(self, net: Denoiser, chain: Chain, grid: Tensor):
        self.net, self.chain, self.grid = net, chain, grid
        self.low, self.high = float(grid[0]), float(grid[-1])
        self.device, self.dtype = where_with_float64(net, grid)
        self.times = chain.times.to(self.device)

    def mean(self, x: Tensor, number: int) -> Tensor:
        """mu(x, t) of a step for points x (n,), in float64."""
        eps = self.net(x.to(self.dtype)[:, None], self.times[number])[:, 0].double()
        return self.chain[number].mean(x, eps)

    def window(self, step: Step) -> tuple[float, float]:
        """Range of x before a step: the noised range of the data with its noise around it."""
        reach = TAIL * step.sigma
        return step.signal * self.low - reach, step.signal * self.high + reach

    def points_needed(self) -> int:
        """How many grid points resolve the noise of every step."""
        spacings = []
        for step, after in pairwise(self.chain):
            low, high = self.window(after)
            spacings.append((high - low) / step.std)
        return math.ceil(RESOLVED * max(spacings, default=0)) + 1

    def points(self, low: float, high: float, n: int) -> Tensor:
        """n evenly spaced points, float64, where the net computes."""
        return torch.linspace(low, high, n, dtype=torch.float64, device=self.device)


def _push_density(push: _Push, progress: bool) -> Density:
    """Push the density through a chain with noise: move, deposit, spread; the last step moves."""
    chain, n = push.chain, len(push.grid)
    low, high = push.window(chain[0])
    x = push.points(low, high, n)
    p = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    numbers = tqdm(range(len(chain) - 1), "exact density", disable=not progress, leave=False)
    for number in numbers:
        mass = p * ((high - low) / (n - 1))
        low, high = push.window(chain[number + 1])
        p = _spread(push.mean(x, number), mass, low, high, chain[number].std)
        x = push.points(low, high, n)
    p = interpolated(p, FINER).clamp(min=0)
    x = push.points(low, high, len(p))
    mass = (p[1:] + p[:-1]) / 2 * ((high - low) / (len(p) - 1))
    return _density(push.mean(x, len(chain) - 1), mass, push.grid)


def _spread(means: Tensor, mass: Tensor, low: float, high: float, std: float) -> Tensor:
    """Density on len(mass) points from low to high, of masses at `means` spread by N(0, std^2).

    Each mass is deposited as a narrow Gaussian, exactly where it is, and the rest of the variance
    is added by a Fourier transform. Both are exact for a density that the grid resolves: nothing
    is rounded to grid points, so a thousand steps add no width of their own.
    """
    n = len(mass)
    spacing = (high - low) / (n - 1)
    narrow = KERNEL * spacing
    position = (means - low) / spacing
    # (offsets, sources): the grid points near each source, and what each of them gets
    offsets = torch.arange(1 - KERNEL_REACH, KERNEL_REACH + 1, device=mass.device)
    near = position.floor().long() + offsets[:, None]
    share = torch.exp(-0.5 * ((near - position) / KERNEL).square()) * mass
    share = torch.where((near >= 0) & (near < n), share, 0)
    p = mass.new_zeros(2 * n)
    p.index_add_(0, near.clamp(0, n - 1).flatten(), share.flatten())
    p /= narrow * math.sqrt(2 * math.pi)
    frequency = torch.fft.rfftfreq(2 * n, spacing, dtype=p.dtype, device=p.device)
    kernel = torch.exp(-2 * (math.pi * frequency) ** 2 * (std**2 - narrow**2))
    return torch.fft.irfft(torch.fft.rfft(p) * kernel, n=2 * n)[:n].clamp(min=0)


def interpolated(p: Tensor, times: int) -> Tensor:
    """A smooth density `times` as fine along its first axis (trigonometric interpolation)."""
    fine = torch.fft.irfft(torch.fft.rfft(p, dim=0), n=times * len(p), dim=0) * times
    return fine[: times * (len(p) - 1) + 1]


def _push_points(push: _Push, progress: bool) -> Density:
    """Push the starting density through a chain without noise: its points move, mass between them
    stays. Where the chain tears neighbours apart, more points are put between them."""
    x = push.points(-TAIL, TAIL, len(push.grid))
    landed = _through(push, x, progress)
    spacing = (push.high - push.low) / (len(push.grid) - 1)
    parts = torch.arange(1, FINER, dtype=x.dtype, device=x.device) / FINER
    while len(x) < MOST_NODES * len(push.grid):
        inside = landed.clamp(push.low, push.high)
        torn = (inside.diff().abs() > spacing) & (_normal_mass(x) > NEGLIGIBLE)
        if not torn.any():
            break
        new = (x[:-1][torn, None] + x.diff()[torn, None] * parts).flatten()
        x, order = torch.cat([x, new]).sort()
        landed = torch.cat([landed, _through(push, new, progress=False)])[order]
    return _density(landed, _normal_mass(x), push.grid)


def _through(push: _Push, x: Tensor, progress: bool) -> Tensor:
    """Where a chain without noise takes the points x."""
    numbers = tqdm(range(len(push.chain)), "exact density", disable=not progress, leave=False)
    for number in numbers:
        x = push.mean(x, number)
    return x


def _normal_mass(x: Tensor) -> Tensor:
    """Mass of N(0, 1) between neighbouring points, exact in both tails."""
    below, above = torch.special.ndtr(x), torch.special.ndtr(-x)
    return torch.where(x[1:] < 0, below.diff(), -above.diff())


def _density(nodes: Tensor, mass: Tensor, grid: Tensor) -> Density:
    """Collect the mass between nodes into cells around the grid points."""
    nodes, mass = nodes.cpu(), mass.cpu()
    spacing = grid[1] - grid[0]
    edges = torch.cat([grid - spacing / 2, grid[-1:] + spacing / 2]).numpy()
    below = np.zeros(len(edges))
    # a run of nodes in one direction has a cumulative mass to interpolate; folds are summed
    direction = torch.sign(nodes.diff())
    moves = torch.nonzero(direction)[:, 0]  # stretches that became points do not turn
    turns = moves[1:][direction[moves].diff() != 0].tolist()
    for start, stop in zip([0, *turns], [*turns, len(mass)], strict=True):
        run, weights = nodes[start : stop + 1], mass[start:stop]
        if run[-1] < run[0]:
            run, weights = run.flip(0), weights.flip(0)
        cumulative = torch.cat([torch.zeros(1, dtype=torch.float64), weights.cumsum(0)])
        below += np.interp(edges, run.numpy(), cumulative.numpy())
    p = torch.from_numpy(np.diff(below)).clamp(min=0) / spacing
    lost = 1 - float(mass.sum())
    warn_of_lost_mass(lost, stacklevel=5)
    return Density(grid, p, nodes, mass, lost, monotone=not turns and bool((direction >= 0).all()))


def _gaps(mixture: GaussianMixture, k: float) -> list[tuple[float, float]]:
    """The intervals farther than k std from every mode, from left to right."""
    require(mixture.dim == 1, "mixture.dim", mixture.dim, "1")
    require_number("k", k, above=0)
    gaps, low = [], -math.inf
    for mean in sorted(mixture.means[:, 0].tolist()):
        if mean - k * mixture.std > low:
            gaps.append((low, mean - k * mixture.std))
        low = mean + k * mixture.std
    return [*gaps, (low, math.inf)]
