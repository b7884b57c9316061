"""Chapter 1: networks on a line of modes, and what moves the rate."""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from .common import ROOT, SCHEDULE, code_of, kept, net_name, save, save_net, trained

HERO = ROOT / "book" / "_static" / "hero.png"
DENSITY_CODE = [*code_of("density", "denoisers"), __file__]
SEEDS = (0, 1, 2)
BASE = {"distance": 1.0, "std": 0.05, "points": 20_000, "steps": 8000}
FACTORS = {  # one is moved at a time, the others stay at BASE
    "points": [100, 300, 1000, 5000, 20_000],
    "distance": [0.7, 1.0, 1.4, 2.0, 3.0],
    "std": [0.02, 0.03, 0.05, 0.07, 0.09],
    "steps": [1000, 2000, 4000, 8000, 16_000],
}
SAMPLING_STEPS = [20, 50, 100, 200, 500, 1000]
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


def one_run(distance, std, points, steps, seed):
    """Train one network of the sweep; the densities that it generates, and its staircase."""
    settings = {"distance": distance, "std": std, "points": points, "steps": steps}
    mixture, grid = line_of_three(distance, std)
    schedule = mih.Schedule.linear(**SCHEDULE)
    net = trained(mixture, points, steps, 512, seed)[0]
    result = {"p": generated(net, schedule.ddpm(), grid)}
    if {**BASE, "steps": steps} == settings:  # what the staircase explorer shows
        result["x0_hat"] = staircase(net, schedule)
    if settings == BASE:
        chains = [schedule.ddpm(k) for k in SAMPLING_STEPS]
        result["chain_p"] = np.stack([generated(net, chain, grid) for chain in chains])
    return result


def generated(denoiser, chain, grid):
    """The density that a chain generates, on the grid: (points,)."""
    return mih.exact_density(denoiser, chain, grid, progress=False).p.float().numpy()


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


def exact_rate(mixture, grid, schedule, chain=None):
    """The rate of the exact denoiser in a chain (default: all steps)."""
    p = generated(mih.ExactDenoiser(mixture, schedule), chain or schedule.ddpm(), grid)
    return middle_of_gaps(p, grid, mixture)


def make_sweeps():
    """What moves the rate: four factors and the number of sampling steps, several seeds.

    The rate is the mass in the middle fifth of the gaps: NAME_learned (values, seeds) and, for the
    exact denoiser in the same chain, NAME_exact (values,).
    """
    settings = [
        (factor, value, seed)
        for seed in SEEDS
        for factor, values in FACTORS.items()
        for value in values
    ]
    runs = {
        (factor, value, seed): kept(one_run, {**BASE, factor: value, "seed": seed}, DENSITY_CODE)
        for factor, value, seed in tqdm(settings, "sweep")
    }
    schedule = mih.Schedule.linear(**SCHEDULE)
    arrays = {}
    for factor, values in FACTORS.items():
        settings = [{**BASE, factor: value} for value in values]
        lines = [line_of_three(s["distance"], s["std"]) for s in settings]
        arrays[factor] = np.array(values)
        arrays[f"{factor}_learned"] = np.array(
            [
                [middle_of_gaps(runs[factor, value, seed]["p"], grid, mixture) for seed in SEEDS]
                for value, (mixture, grid) in zip(values, lines, strict=True)
            ]
        )
        arrays[f"{factor}_exact"] = np.array([exact_rate(*line, schedule) for line in lines])
    mixture, grid = line_of_three(BASE["distance"], BASE["std"])
    base = [runs["steps", BASE["steps"], seed]["chain_p"] for seed in SEEDS]
    arrays["chain"] = np.array(SAMPLING_STEPS)
    arrays["chain_learned"] = np.array(
        [[middle_of_gaps(p, grid, mixture) for p in row] for row in zip(*base, strict=True)]
    )
    arrays["chain_exact"] = np.array(
        [exact_rate(mixture, grid, schedule, schedule.ddpm(k)) for k in SAMPLING_STEPS]
    )
    arrays["levels"] = np.array(LEVELS)
    arrays["x_t"] = staircase_grid(mih.Schedule.linear(**SCHEDULE)).float().numpy()
    lengths = [runs["steps", steps, SEEDS[0]] for steps in FACTORS["steps"]]
    arrays["steps_x0_hat"] = np.stack([run["x0_hat"] for run in lengths])
    save(
        "line123-sweeps",
        arrays,
        mixture,
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in runs.values()),
        training={**BASE, "batch": 512},
        factors=FACTORS,
    )


def make_hero():
    """The picture of the README: the first explorer's starting position."""
    mih.use_style()
    mixture, schedule = line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    net = trained(mixture, 20_000, 2000, 1024, seed=0)[0]
    explorer = mih.reverse_chains_explorer(mixture, schedule, net, torch.linspace(-1.5, 1.5, 301))
    explorer.figure().savefig(HERO, metadata={"Software": None})


def make_net(name, means, points, steps, batch, seed=0):
    """Train one network on a line of modes and keep it with its curves."""
    save_net(name, line(means), points, steps, batch, seed)


RECIPES = {
    **{
        net_name("line123", seed): (
            *(make_net, net_name("line123", seed), [1, 2, 3]),
            *(20_000, 8000, 1024, seed),
        )
        for seed in SEEDS
    },
    "line1245-net": (make_net, "line1245-net", [1, 2, 4, 5], 50_000, 20_000, 1024),
    "line123-sweeps": (make_sweeps,),
    "hero": (make_hero,),
}
