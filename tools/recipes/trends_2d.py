"""Chapter 2: what moves the rate on the grid, by six settings a factor and three seeds as blocks.

One factor is moved at a time, the others stay at BASE. The contracts grid-points, grid-std,
grid-imbalance and grid-chain are in mih_utils/claims.yml. Tries with 20,000 steps of training made
modes up to 1.3 times as wide as the data's, so it is 40,000 here. Heavier imbalances than 4 would
need more: they leave rare modes too wide.
"""

import numpy as np
from tqdm import tqdm

import mih_utils as mih

from .common import SCHEDULE, kept, save, trained
from .gaussian_2d import DENSITY_CODE, generated, middle_of_bridges

SEEDS = (10, 11, 12)
BASE = {"points": 100_000, "std": 0.05, "imbalance": 1, "steps": 40_000, "chain": 1000}
BATCH = 512
FACTORS = {
    "points": [300, 1000, 3000, 10_000, 30_000, 100_000],
    "std": [0.05, 0.06, 0.07, 0.08, 0.09, 0.1],
    "imbalance": [1, 1.5, 2, 2.5, 3, 4],
    "chain": [100, 150, 250, 400, 650, 1000],
    "steps": [2500, 5000, 10_000, 40_000],  # of training: shown, of no contract
}
MEASURES = ("middle", "outside", "width")
CODE = [*DENSITY_CODE, __file__]


def sweep_mixture(std, imbalance):
    """The grid, with every other mode `imbalance` times as heavy as its neighbours."""
    weights = [imbalance if (i + j) % 2 else 1 for i in range(5) for j in range(5)]
    return mih.GaussianMixture.grid(5, spacing=2, std=std, weights=weights).standardised()


def one_run(points, std, imbalance, steps, chain, seed):
    """Train a network (seed None: the exact denoiser) and measure what it generates: the mass in
    the middle of the bridges, that beyond 6 std, and the mean width of the modes."""
    mixture, schedule = sweep_mixture(std, imbalance), mih.Schedule.linear(**SCHEDULE)
    if seed is None:
        denoiser = mih.ExactDenoiser(mixture, schedule)
    else:
        denoiser = trained(mixture, points, steps, BATCH, seed)[0]
    density = generated(denoiser, schedule.ddpm(chain), mixture)
    return {
        "middle": np.array(middle_of_bridges(mixture, density)),
        "outside": np.array(density.mass_outside(mixture, 6)),
        "width": np.array(float(density.widths(mixture).mean())),
    }


def cases():
    """(factor, value, seed, settings) of every run, seed by seed; at last the exact denoiser."""
    for seed in (*SEEDS, None):
        for factor, values in FACTORS.items():
            for value in values:
                settings = {**BASE, factor: value, "seed": seed}
                if seed is None:  # it knows no training
                    settings |= {"points": BASE["points"], "steps": BASE["steps"]}
                yield factor, value, seed, settings


def make_trends(name="grid25-trends"):
    """FACTOR (values,), FACTOR/WHAT (values, seeds), FACTOR/exact_WHAT (values,)."""
    found = {
        (factor, value, seed): kept(one_run, settings, CODE)
        for factor, value, seed, settings in tqdm(list(cases()), "trends")
    }
    arrays = {}
    for factor, values in FACTORS.items():
        arrays[factor] = np.array(values)
        for what in MEASURES:
            rows = [[found[factor, v, seed][what] for seed in SEEDS] for v in values]
            arrays[f"{factor}/{what}"] = np.array(rows, dtype=float)
            exact = [found[factor, v, None][what] for v in values]
            arrays[f"{factor}/exact_{what}"] = np.array(exact, dtype=float)
    save(
        name,
        arrays,
        sweep_mixture(BASE["std"], 1),
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in found.values()),
        training={**BASE, "batch": BATCH},
        factors=FACTORS,
    )


RECIPES = {"grid25-trends": (make_trends,)}
