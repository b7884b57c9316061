"""Chapter 1: does a network's slope foretell how much it generates between the modes?

Of every network the steepest slope of x0_hat between two neighbours is measured at each step. The
exact denoiser, blurred by a Gaussian just so much that it is as steep there, is put in the
network's place, and its generated density is computed. Only the slope is taken from the network.
"""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d, points
from .common import SCHEDULE, kept, save, trained

STORED = ("line123-net", "line123-net-1", "line123-net-2", "line1245-net")
SEEDS = (0, 1)
LEVELS = [*range(41), *range(45, 201, 5)]  # steps at which slopes are measured
PLACES = 65  # between two neighbours
NODES = torch.linspace(-4.5, 4.5, 121, dtype=torch.float64)  # of a blur, in its widths
WEIGHTS = torch.softmax(-0.5 * NODES**2, dim=0)
K = 6.0
CODE = [__file__]


class Blurred:
    """The exact denoiser's noise, averaged over N(x, width^2), a width for each step and gap."""

    device, dtype = torch.device("cpu"), torch.float64

    def __init__(self, exact, schedule, widths):
        """widths: (steps, gaps)."""
        self.exact, self.widths = exact, widths
        self.known_steps = exact.known_steps
        means = exact.mixture.means[:, 0].sort().values
        self.edges = schedule.alpha_bar.sqrt()[:, None] * means[1:-1]  # between two gaps: a mode

    def __call__(self, x_t, t):
        t = int(t)
        gap = torch.searchsorted(self.edges[t], x_t[:, 0].contiguous())
        return blurred(self.exact, x_t, torch.tensor(t), self.widths[t][gap])


def blurred(exact, x, t, width):
    """Mean of the exact noise around x (n, 1) with standard deviation width (n,) or (): (n, 1)."""
    if not torch.as_tensor(width).any():
        return exact(x, t)
    points = x + torch.as_tensor(width).reshape(-1, 1) * NODES
    noise = exact(points.reshape(-1, 1), t).reshape(points.shape)
    return (noise * WEIGHTS).sum(dim=1, keepdim=True)


def gaps_at(schedule, means, t):
    """Points between the noised neighbours: (gaps, PLACES)."""
    ends = float(schedule.alpha_bar[t].sqrt()) * means
    unit = torch.linspace(0, 1, PLACES, dtype=torch.float64)
    return ends[:-1, None] + ends.diff()[:, None] * unit


def steepest(noise, x, schedule, t):
    """The largest slope of x0_hat over places x with this noise."""
    signal, sigma = float(schedule.alpha_bar[t].sqrt()), float((1 - schedule.alpha_bar[t]).sqrt())
    x0_hat = (x - sigma * noise) / signal
    return float((x0_hat.diff() / x.diff()).max())


@torch.no_grad()
def widths_of(net, exact, schedule, means):
    """Slopes of network and exact denoiser, and the blur that joins them: three of (levels, gaps)."""
    rows = []
    for t in LEVELS:
        for x in gaps_at(schedule, means, t):
            step = torch.tensor(t)
            learned = steepest(net(x.float()[:, None], step)[:, 0].double(), x, schedule, t)
            sharp = steepest(exact(x[:, None], step)[:, 0], x, schedule, t)
            low, high = 0.0, float(x[-1] - x[0])
            for _ in range(12 if learned < sharp else 0):
                width = (low + high) / 2
                slope = steepest(blurred(exact, x[:, None], step, width)[:, 0], x, schedule, t)
                low, high = (width, high) if slope > learned else (low, width)
            rows.append((learned, sharp, (low + high) / 2 if learned < sharp else 0.0))
    return np.array(rows).reshape(len(LEVELS), -1, 3)


def law(net=None, points=None, steps=None, seed=None):
    """Generated mass in each gap, and what the slopes foretell: (gaps,) each; the slopes."""
    if net is not None:
        source = mih.artifact(net)
        net, mixture, schedule = source.net, source.mixture, source.schedule
    else:
        mixture, schedule = gaussian_1d.line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
        net = trained(mixture, points, steps, BATCH, seed)[0]
    means = mixture.means[:, 0].sort().values
    exact = mih.ExactDenoiser(mixture, schedule)
    measured = widths_of(net, exact, schedule, means)
    widths = np.zeros((len(schedule), len(means) - 1))
    for gap in range(len(means) - 1):
        widths[: LEVELS[-1], gap] = np.interp(np.arange(LEVELS[-1]), LEVELS, measured[:, gap, 2])
    grid = torch.linspace(float(means[0]) - 1, float(means[-1]) + 1, 1024)
    masses = []
    for denoiser in (net, Blurred(exact, schedule, torch.from_numpy(widths)), exact):
        density = mih.exact_density(denoiser, schedule, grid, progress=False)
        masses.append(density.gap_masses(mixture, K)[1:-1])
    return {
        "true": np.array(masses[0]),
        "foretold": np.array(masses[1]),
        "exact": np.array(masses[2]),
        "slopes": measured.astype(np.float32),
    }


BATCH = points.BATCH


def settings():
    """Of every network: where it comes from."""
    some = [{"net": net} for net in STORED]
    for arm in points.ARMS.values():
        for size, steps in arm.items():
            some += [{"points": size, "steps": steps, "seed": seed} for seed in SEEDS]
    return [one for i, one in enumerate(some) if one not in some[:i]]


def make_law(name="line123-law"):
    """True and foretold mass of every gap of every network; slopes of the stored ones."""
    every = settings()
    runs = [kept(law, one, CODE) for one in tqdm(every, "law")]
    gaps = [len(run["true"]) for run in runs]
    arrays = {
        what: np.concatenate([run[what] for run in runs]) for what in ("true", "foretold", "exact")
    }
    arrays["network"] = np.repeat(np.arange(len(runs)), gaps)
    arrays["levels"] = np.array(LEVELS)
    for one, run in zip(every, runs, strict=True):
        if "net" in one:
            arrays[f"{one['net']}/slopes"] = run["slopes"]
    save(
        name,
        arrays,
        gaussian_1d.line([1, 2, 3]),
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in runs),
        networks=every,
        batch=BATCH,
        k=K,
    )


RECIPES = {"line123-law": (make_law,)}
