"""Chapter 2: networks on the grid and the diamond, and what they generate."""

import numpy as np
import torch

import mih_utils as mih

from .common import SCHEDULE, code_of, kept, net_name, save, save_net, trained

SEEDS = (0, 1, 2)
LONG = {"points": 100_000, "steps": 40_000, "batch": 2048}
DATA = {
    "grid25": mih.GaussianMixture.grid(5, spacing=2, std=0.05).standardised(),
    "diamond25": mih.GaussianMixture.diamond(5, spacing=2**0.5, std=0.05).standardised(),
}
DENSITY_CODE = [*code_of("density_2d", "census", "denoisers"), __file__]


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


RECIPES = {
    **{net_name(data, seed): (make_net, data, seed) for data in DATA for seed in SEEDS},
    **{f"{data}-densities": (make_densities, data) for data in DATA},
}
