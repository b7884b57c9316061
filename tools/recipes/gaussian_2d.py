"""Chapter 2: networks on the grid and the diamond, what they generate, and what moves the rate."""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from .common import SCHEDULE, code_of, kept, net_name, save, save_net, trained

SEEDS = (0, 1, 2)
LONG = {"points": 100_000, "steps": 40_000, "batch": 2048}
DATA = {
    "grid25": mih.GaussianMixture.grid(5, spacing=2, std=0.05).standardised(),
    "diamond25": mih.GaussianMixture.diamond(5, spacing=2**0.5, std=0.05).standardised(),
}
DENSITY_CODE = [*code_of("density_2d", "census", "denoisers"), __file__]

# What moves the rate: one factor is moved at a time, the others stay at BASE.
BASE = {"points": 100_000, "std": 0.05, "imbalance": 1, "steps": 20_000}
BATCH = 512
FACTORS = {
    "points": [300, 3000, 100_000],
    "std": [0.05, 0.07, 0.1],
    "imbalance": [1, 5, 25],
    "steps": [2500, 5000, 10_000, 20_000],
}
SAMPLING_STEPS = [50, 100, 250, 1000]
MEASURES = ("middle", "outside", "width")


def make_net(data, seed):
    """Train one network for long and keep it with its curves."""
    save_net(net_name(data, seed), DATA[data], **LONG, seed=seed)


def plane(mixture):
    """Values of a coordinate that span the modes, half a mode's width apart."""
    reach = float(mixture.means.abs().max()) + 0.35
    return torch.arange(-reach, reach, mixture.std / 2, dtype=torch.float64)


def generated(denoiser, chain, mixture):
    """The density that a chain generates in the plane."""
    return mih.exact_density_2d(denoiser, chain, plane(mixture), progress=False)


def in_the_middle(mixture, points):
    """Whether points lie in the middle fifth of a segment between nearest modes, at most 3 std off.

    That far from all modes there is no blur, only interpolation.
    """
    found = mih.bridge_census(mixture, points)
    on_neighbours = (found.pair >= 0) & (found.length[found.pair] < 1.01)
    return on_neighbours & ((found.along - 0.5).abs() <= 0.1)


def middle_of_bridges(mixture, density):
    """Generated mass there."""
    return float(density.mass[in_the_middle(mixture, density.points)].sum())


def measured_density(name, seed):
    """The generated density of a long-trained network, or of the exact score (seed None)."""
    mixture, schedule = DATA[name], mih.Schedule.linear(**SCHEDULE)
    if seed is None:
        denoiser = mih.ExactDenoiser(mixture, schedule)
    else:
        denoiser = trained(mixture, **LONG, seed=seed)[0]
    density = generated(denoiser, schedule.ddpm(), mixture)
    return {"p": density.p.float().numpy(), "lost": np.array(density.lost)}


def make_densities(data):
    """What the networks of all seeds generate, and the exact score, on a grid of the plane."""
    runs = [kept(measured_density, {"name": data, "seed": s}, DENSITY_CODE) for s in (*SEEDS, None)]
    mixture = DATA[data]
    save(
        f"{data}-densities",
        {  # the logarithm keeps masses of 1e-9 in 16 bits
            "log10_p": np.stack([np.log10(run["p"] + 1e-12) for run in runs]).astype(np.float16),
            "grid": plane(mixture).numpy(),
        },
        mixture,
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in runs),
        training=LONG,
        order=[*(f"seed {seed}" for seed in SEEDS), "exact score"],
    )


def sweep_mixture(std, imbalance):
    """The grid, with every other mode `imbalance` times as heavy as its neighbours."""
    weights = [imbalance if (i + j) % 2 else 1 for i in range(5) for j in range(5)]
    return mih.GaussianMixture.grid(5, spacing=2, std=std, weights=weights).standardised()


def measure(denoiser, chain, mixture):
    """What the sweeps keep of a generated density."""
    density = generated(denoiser, chain, mixture)
    return {
        "middle": np.array(middle_of_bridges(mixture, density)),
        "outside": np.array(density.mass_outside(mixture, 6)),
        "width": np.array(float(density.widths(mixture).mean())),
    }


def one_run(points, std, imbalance, steps, seed, chain):
    """Train a network of the sweep (seed None: the exact score) and measure what it generates."""
    mixture, schedule = sweep_mixture(std, imbalance), mih.Schedule.linear(**SCHEDULE)
    if seed is None:
        denoiser = mih.ExactDenoiser(mixture, schedule)
    else:
        denoiser = trained(mixture, points, steps, BATCH, seed)[0]
    return measure(denoiser, schedule.ddpm(chain), mixture)


def runs_of_sweep():
    """(factor, value, seed, settings) of every run; the exact score's seed is None."""
    for seed in (*SEEDS, None):
        for factor, values in FACTORS.items():
            for value in values:
                settings = {**BASE, factor: value}
                if seed is None:  # the exact score knows no training
                    settings |= {"points": BASE["points"], "steps": BASE["steps"]}
                yield factor, value, seed, settings | {"seed": seed, "chain": SCHEDULE["steps"]}
        for steps in SAMPLING_STEPS:
            yield "chain", steps, seed, {**BASE, "seed": seed, "chain": steps}


def by_factor(found, factors, seeds, sign):
    """The runs of a sweep, by (factor, value, seed), as arrays: FACTOR, FACTOR WHAT and FACTOR
    exact_WHAT, with a sign between."""
    arrays = {}
    for factor, values in factors.items():
        arrays[factor] = np.array(values)
        for what in MEASURES:
            rows = [[found[factor, v, seed][what] for seed in seeds] for v in values]
            arrays[f"{factor}{sign}{what}"] = np.array(rows, dtype=float)
            exact = [found[factor, v, None][what] for v in values]
            arrays[f"{factor}{sign}exact_{what}"] = np.array(exact, dtype=float)
    return arrays


def make_sweeps():
    """Four factors and the number of sampling steps: NAME_middle, NAME_outside and NAME_width of
    shape (values, seeds), and NAME_exact_… of shape (values,) for the exact score."""
    found = {}
    for factor, value, seed, settings in tqdm(list(runs_of_sweep()), "sweep"):
        found[factor, value, seed] = kept(one_run, settings, DENSITY_CODE)
    save(
        "grid25-sweeps",
        by_factor(found, {**FACTORS, "chain": SAMPLING_STEPS}, SEEDS, "_"),
        sweep_mixture(BASE["std"], 1),
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in found.values()),
        training={**BASE, "batch": BATCH},
        factors=FACTORS,
    )


RECIPES = {
    **{net_name(data, seed): (make_net, data, seed) for data in DATA for seed in SEEDS},
    **{f"{data}-densities": (make_densities, data) for data in DATA},
    "grid25-sweeps": (make_sweeps,),
}
