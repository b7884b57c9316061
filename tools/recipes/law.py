"""Chapter 1: does a network's slope foretell how much it generates between the modes?

Of every network the steepest slope of x0_hat between two neighbours is measured at each step. The
exact denoiser, blurred by a Gaussian just so much that it is as steep there, is put in the
network's place, and its generated density is computed. Only the slope is taken from the network.

The contract line-law is in mih_utils/claims.yml. Its networks are those of the sweep over training
points, from seeds that were new when it was written; the law was found on others. Their trainings
are short. Those that the book stores, trained for longer, stand beside them.
"""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d, points
from .common import SCHEDULE, code_of, kept, net_name, save, trained

SEEDS, BATCH = points.SEEDS[:3], points.BATCH
STORED = {  # the networks of gaussian_1d
    kind: [net_name(line, seed) for seed in gaussian_1d.SEEDS]
    for kind, line in (("long", "line123"), ("near", "line1245"))
}
LEVELS = [*range(21), *range(25, 61, 5), *range(80, 201, 20)]  # steps at which slopes are measured
PLACES = 65  # between two neighbours
NODES = torch.linspace(-4.5, 4.5, 61, dtype=torch.float64)  # of a blur, in its widths
WEIGHTS = torch.softmax(-0.5 * NODES**2, dim=0)
K = 6.0
CODE = [*code_of("density", "denoisers"), __file__]


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
    """Slopes of network and exact denoiser, and the blur that joins them: (levels, gaps, 3)."""
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


def law(points, steps, seed):
    """What law_of finds for a network of the sweep."""
    mixture, schedule = gaussian_1d.line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    return law_of(trained(mixture, points, steps, BATCH, seed)[0], mixture, schedule)


def law_of_stored(name):
    """What law_of finds for a network that is stored."""
    stored = mih.artifact(name)
    return law_of(stored.net, stored.mixture, stored.schedule)


def law_of(net, mixture, schedule):
    """Generated mass in each gap, and what the slopes foretell: (gaps,) each; the slopes."""
    means = mixture.means[:, 0].sort().values
    exact = mih.ExactDenoiser(mixture, schedule)
    measured = widths_of(net, exact, schedule, means)
    widths = np.zeros((len(schedule), len(means) - 1))
    for gap in range(len(means) - 1):
        widths[: LEVELS[-1], gap] = np.interp(np.arange(LEVELS[-1]), LEVELS, measured[:, gap, 2])
    foretold = Blurred(exact, schedule, torch.from_numpy(widths))
    return {
        "true": gaps_of(net, mixture, schedule),
        "foretold": gaps_of(foretold, mixture, schedule),
        "slopes": measured.astype(np.float32),
    }


def gaps_of(denoiser, mixture, schedule):
    """Mass that a denoiser generates in each gap between neighbours, beyond K std: (gaps,)."""
    means = mixture.means[:, 0]
    grid = torch.linspace(float(means.min()) - 1, float(means.max()) + 1, 1024)
    density = mih.exact_density(denoiser, schedule.ddpm(), grid, progress=False)
    return np.array(density.gap_masses(mixture, K)[1:-1])


def settings():
    """Of every network of the sweep: its points, its steps, its seed."""
    pairs = {pair for arm in points.ARMS.values() for pair in arm.items()}
    return [
        {"points": size, "steps": steps, "seed": seed}
        for seed in SEEDS
        for size, steps in sorted(pairs)
    ]


def make_law(name="line123-law"):
    """true, foretold (networks, gaps); slopes (networks, levels, gaps, 3): of the network, of the
    exact denoiser, and the width of the blur that joins them; long/WHAT and near/WHAT the same of
    the networks that are stored; exact (gaps,)."""
    every = settings()
    groups = {"": [kept(law, one, CODE) for one in tqdm(every, "law")]}
    for kind, names in STORED.items():
        groups[f"{kind}/"] = [kept(law_of_stored, {"name": name}, CODE) for name in names]
    arrays = {
        f"{kind}{what}": np.stack([run[what] for run in runs])
        for kind, runs in groups.items()
        for what in ("true", "foretold", "slopes")
    }
    mixture, schedule = gaussian_1d.line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    arrays["exact"] = gaps_of(mih.ExactDenoiser(mixture, schedule), mixture, schedule)
    save(
        name,
        arrays | {"levels": np.array(LEVELS)},
        mixture,
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for runs in groups.values() for run in runs),
        networks=every,
        batch=BATCH,
        stored=STORED,
        k=K,
    )


RECIPES = {"line123-law": (make_law,)}
