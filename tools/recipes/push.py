"""A chain as matrices, on a line or in the plane: forwards it moves densities, backwards chances.

A point x before step i moves to mu(x) and is spread by N(0, std^2). Read forwards, this takes the
density before the step to the one after it. Read backwards, it takes the chance that a point after
the step ends somewhere to that of a point before the step. The sum of density times chance is the
same at every step: the mass that ends there. So one density and one chance for each step tell what
any change of denoiser between two steps would do.
"""

import math

import torch

TAIL = {1: 8.0, 2: 6.5}  # x_T is followed to so many standard deviations
RESOLVED = 1.5  # noise of a step, in grid spacings
STEEP = 60  # steps, from the end, in which a line's denoiser is steep: there
RESOLVED_STEEP = 8  # grid spacings; 1.5 would misjudge the exact chain's 2e-8 by a factor of three
PARTS = 16  # nodes in a cell (and coordinate), to tell where the last step takes it
FINER = {1: 4, 2: 2}  # how much finer the points before the last step are


class Push:
    """The reverse chain of one denoiser on an interval, or on its square, between low and high.

    A step has the number `left` of its chain: 0 is the last. points: of an axis before a step; by
    default as many as its noise needs. first: the step that starts from N(0, 1), by default the
    first of the chain.
    """

    def __init__(self, net, chain, low, high, dim=1, points=None, first=None):
        self.net, self.dim, self.points = net, dim, points
        self.low, self.high = low, high
        self.steps = list(chain)[::-1]
        self.first = len(chain) - 1 if first is None else first
        weight = next(getattr(net, "parameters", lambda: iter(()))(), None)
        self.dtype = torch.float64 if weight is None else weight.dtype

    def axis(self, i, finer=None):
        """Points that span x before step i: (n,)."""
        signal, reach = self.steps[i].signal, TAIL[self.dim] * self.steps[i].sigma
        low, high = signal * self.low - reach, signal * self.high + reach
        finer = finer or (FINER[self.dim] if i == 0 and self.points is None else 1)
        noise = self.steps[min(i + 1, self.first)].std
        resolved = RESOLVED_STEEP if self.dim == 1 and i < STEEP else RESOLVED
        n = self.points or math.ceil((high - low) / noise * resolved) + 1
        return torch.linspace(low, high, finer * (n - 1) + 1, dtype=torch.float64)

    def grid(self, x):
        """The points of the line, or of the square, with coordinates x: (n^dim, dim)."""
        return torch.cartesian_prod(*[x] * self.dim).reshape(-1, self.dim)

    def mean(self, x, i):
        """Where step i puts points x, before its noise: (n, dim)."""
        blocks = x.to(self.dtype).split(4096)
        noise = torch.cat([self.net(rows, torch.tensor(self.steps[i].t)) for rows in blocks])
        return self.steps[i].mean(x, noise.double())

    def kernels(self, i, after):
        """Chance to get to the cells of `after`, coordinate by coordinate: dim of (n^dim, m)."""
        means, std = self.mean(self.grid(self.axis(i)), i), self.steps[i].std
        scale = float(after[1] - after[0]) / std / math.sqrt(2 * math.pi)
        return [(-0.5 * ((after - m[:, None]) / std).square()).exp_().mul_(scale) for m in means.T]

    def start(self):
        """Mass in the cell of each point before the first step: (n^dim,)."""
        x = self.axis(self.first)
        one = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi) * float(x[1] - x[0])
        return one if self.dim == 1 else torch.outer(one, one).flatten()

    @torch.no_grad()
    def after(self, mass, i, finer=None):
        """Mass of each point before step i - 1 from that before step i."""
        across = self.kernels(i, self.axis(i - 1, finer))
        if self.dim == 1:
            return mass @ across[0]
        return (across[0].mul_(mass[:, None]).T @ across[1]).flatten()

    @torch.no_grad()
    def before(self, chance, i):
        """Chances of each point before step i, (n^dim, targets), from those before step i - 1."""
        across = self.kernels(i, self.axis(i - 1))
        if self.dim == 1:
            return across[0] @ chance
        n = len(self.axis(i - 1))
        squares = [(across[0] @ c.reshape(n, n)).mul_(across[1]).sum(dim=1) for c in chance.T]
        return torch.stack(squares, dim=1)

    def forwards(self, mass=None, first=None, last=0):
        """Masses before the steps `first` … `last`, by step; mass: before step `first`."""
        first = self.first if first is None else first
        found = {first: self.start() if mass is None else mass}
        for i in range(first, last, -1):
            found[i - 1] = self.after(found[i], i)
        return found

    @torch.no_grad()
    def ends(self, *targets):
        """Share of each cell before the last step that it takes into the targets, functions of
        points that give bools: (n^dim, targets)."""
        x = self.axis(0)
        half = float(x[1] - x[0]) / 2
        parts = PARTS if self.dim == 1 else 3
        offsets = self.grid((torch.arange(parts, dtype=x.dtype) + 0.5) / parts * 2 - 1) * half
        shares = []
        for rows in self.grid(x).split(20_000):
            nodes = (rows[:, None] + offsets).reshape(-1, self.dim)
            landed = self.mean(nodes, 0)
            inside = [
                target(landed).double().reshape(len(rows), -1).mean(dim=1) for target in targets
            ]
            shares.append(torch.stack(inside, dim=1))
        return torch.cat(shares)

    def backwards(self, *targets):
        """Chances to end in each of the targets, before each step: {step: (n^dim, targets)}."""
        found = {0: self.ends(*targets)}
        for i in range(1, self.first + 1):
            found[i] = self.before(found[i - 1], i)
        return found

    def sample(self, mass, i, n, generator, finer=4):
        """n points of the density before step i, from the masses before step i + 1: (n, dim)."""
        x = self.axis(i, finer)
        cells = torch.multinomial(
            self.after(mass, i + 1, finer), n, replacement=True, generator=generator
        )
        within = torch.rand(n, self.dim, dtype=x.dtype, generator=generator) - 0.5
        return (self.grid(x)[cells] + within * float(x[1] - x[0])).float()


def best_detector(mass, chance):
    """Area under the ROC curve, and share of the good retained at 95% removed, of the detector that
    knows every point's chance to end badly: no other can do better on what is known there."""
    order = chance.argsort(descending=True)
    bad, good = (mass * chance)[order], (mass * (1 - chance))[order]
    caught, lost = bad.cumsum(0) / bad.sum(), good.cumsum(0) / good.sum()
    before = torch.cat([caught.new_zeros(1), caught[:-1]])
    area = float((good / good.sum() * (before + caught) / 2).sum())
    at = int(torch.searchsorted(caught, caught.new_tensor(0.95)).clamp(max=len(caught) - 1))
    return area, 1 - float(lost[at])
