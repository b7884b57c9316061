"""Chapter 1: networks on a line of modes, and their staircases."""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from .common import ROOT, SCHEDULE, net_name, save, save_net, trained

HERO = ROOT / "book" / "_static" / "hero.png"
SEEDS = (0, 1, 2)
STAIRCASES = {"points": 20_000, "batch": 512, "seed": 0}
LENGTHS = [1000, 2000, 4000, 8000, 16_000]  # of training
NETS = {  # means, points, steps, batch
    "line123": ([1, 2, 3], 20_000, 8000, 1024),
    "line1245": ([1, 2, 4, 5], 50_000, 20_000, 1024),
}
LEVELS = [0, 2, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250]
GRID_POINTS = 192


def line(means, std=0.05):
    return mih.GaussianMixture.line(means, std)


def line_of_three(distance, std):
    """Three modes around 2, and the grid on which what a run generates is computed."""
    means = [2 - distance, 2.0, 2 + distance]
    return mih.GaussianMixture.line(means, std), torch.linspace(means[0] - 1, means[2] + 1, 1024)


def middle_of_gaps(p, grid, mixture):
    """Mass in the middle fifth of each gap between neighbours, of a density p on a grid."""
    spacing = float(grid[1] - grid[0])
    edges = np.append(grid.numpy() - spacing / 2, float(grid[-1]) + spacing / 2)
    below = np.append(0, np.cumsum(p.astype(np.float64))) * spacing
    means = mixture.means[:, 0].numpy()
    middles, reach = (means[1:] + means[:-1]) / 2, np.diff(means) / 10
    low, high = (np.interp(middles + side, edges, below) for side in (-reach, reach))
    return float((high - low).sum())


def staircase_grid(schedule):
    """Where the staircase is drawn: x_t around the noised modes 1, 2, 3 (levels, points)."""
    signal = schedule.alpha_bar[LEVELS].sqrt()
    sigma = (1 - schedule.alpha_bar[LEVELS]).sqrt()
    unit = torch.linspace(0, 1, GRID_POINTS, dtype=torch.float64)
    low, high = 0.5 * signal - 1.5 * sigma, 3.5 * signal + 1.5 * sigma
    return low[:, None] + (high - low)[:, None] * unit


@torch.inference_mode()
def staircase(net, schedule):
    """x0_hat of a network on `staircase_grid`: (levels, points)."""
    rows = zip(LEVELS, staircase_grid(schedule).float(), strict=True)
    return np.stack([mih.predict_x0(net, x[:, None], t, schedule)[:, 0].numpy() for t, x in rows])


def make_staircases(name="line123-staircases"):
    """x0_hat after trainings of these lengths: (lengths, levels, places), and where."""
    mixture, schedule = line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    runs = [trained(mixture, steps=n, **STAIRCASES) for n in tqdm(LENGTHS, "lengths")]
    arrays = {
        "steps": np.array(LENGTHS),
        "levels": np.array(LEVELS),
        "x_t": staircase_grid(schedule).float().numpy(),
        "x0_hat": np.stack([staircase(net, schedule) for net, _, _ in runs]),
    }
    seconds = sum(seconds for _, _, seconds in runs)
    save(name, arrays, mixture, seed=STAIRCASES["seed"], seconds=seconds, training=STAIRCASES)


def make_hero():
    """The picture of the README: the first explorer's starting position."""
    mih.use_style()
    mixture, schedule = line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    net = trained(mixture, 20_000, 2000, 1024, seed=0)[0]
    explorer = mih.reverse_chains_explorer(mixture, schedule, net, torch.linspace(-1.5, 1.5, 301))
    explorer.figure().savefig(HERO, metadata={"Software": None})


def make_net(name, means, points, steps, batch, seed):
    """Train one network on a line of modes and keep it with its curves."""
    save_net(name, line(means), points, steps, batch, seed)


RECIPES = {
    **{
        net_name(line, seed): (make_net, net_name(line, seed), *settings, seed)
        for line, settings in NETS.items()
        for seed in SEEDS
    },
    "line123-staircases": (make_staircases,),
    "hero": (make_hero,),
}
