"""Chapter 5: recursion on the line, with exact densities: who hands bridges on, and who stops it.

The contracts line-compound, line-filter-hal, line-filter-oracle and line-ledger are in
mih_utils/claims.yml. What a generation generates is computed, and it draws from that density. Where
Hal is needed, it draws from the density before the last steps and samples these steps alone.

Arms; but for the endless and the exact ones, those of a seed share their first generation:
random, lowest Hal: a share of 2.5% more is drawn, and so much is dropped;
oracle: what lies between the modes is dropped, and any of the rest;
accumulate: every generation learns from the data and all that was drawn before it;
endless: every generation, from the first on, learns from a million samples, as many as its batches
    hold, and no filter: n is switched off;
sharp: samples near a mode are replaced by new ones of the true mode: blur is switched off, and what
    the chain does to a width, but bridges are handed on;
exact, …: instead of a network, the exact denoiser of three modes refitted to what was left.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from tqdm import tqdm

import mih_utils as mih
from mih_utils import recursion as loop

from . import gaussian_1d
from .common import save
from .recursion import CHAIN, K, generations, seconds_of, stacked, trained

SEEDS = range(10, 20)
GENERATIONS, POINTS, ENDLESS = 5, 10_000, 1_000_000
TRAINING = {"steps": 4000, "batch": 256}
EXTRA = 0.025
WINDOW = 15  # steps at the end that Hal sees; of 2 to 100 the best on the grid was 17
SETTINGS = {"points": POINTS, "generations": GENERATIONS, "training": TRAINING, "window": WINDOW}
MIXTURE = gaussian_1d.line([1, 2, 3])


class Model(NamedTuple):
    """A denoiser, and the density that it generates."""

    net: object
    density: mih.Density


def chains():
    """The chain, all but its last steps (to be ended with noise), and its last steps."""
    chain = mih.Schedule.linear(**CHAIN).ddpm()
    early = [replace(step, left=step.left - WINDOW) for step in chain][:-WINDOW]
    return chain, mih.Chain(tuple(early)), chain.last(WINDOW)


def modelled(net):
    """Compute the density of a denoiser."""
    return Model(net, computed(net, chains()[0]))


def computed(net, chain):
    """The density that a chain generates, on a grid around the modes."""
    return mih.exact_density(net, chain, torch.linspace(0, 4, 1024), progress=False)


def fit_network(data, generator):
    net = mih.ToyDenoiser(dim=1, generator=generator)
    return modelled(trained(net, data, mih.Schedule.linear(**CHAIN), generator, **TRAINING))


def fit_exact(data, generator):
    """The exact denoiser of three modes with the means and the width that the data has."""
    mode, _ = MIXTURE.nearest(data)
    means = torch.stack([data[mode == k].mean(dim=0) for k in range(len(MIXTURE.means))])
    std = float((data - means[mode]).square().mean().sqrt())
    refitted = mih.GaussianMixture(means.double(), std)
    return modelled(mih.ExactDenoiser(refitted, mih.Schedule.linear(**CHAIN)))


def draw(model, n, generator):
    """n samples of the computed density."""
    return model.density.sample(n, generator)


def draw_with_hal(model, n, generator):
    """n samples with their Hal: the last steps alone, from the density before them."""
    _, early, late = chains()
    x = computed(model.net, early).sample(n, generator)
    x = x + early[-1].std * torch.randn(x.shape, generator=generator)
    settings = {"observe": [mih.Hal(last=WINDOW)], "progress": False, "generator": generator}
    return mih.sample(model.net, late, n, (1,), x_T=x, **settings)


def measure(model, drawn, kept):
    density = model.density
    return {
        "p": density.p.float(),
        "between": density.bridge_mass(MIXTURE, K),
        "outside": density.mass_outside(MIXTURE, K),
        "widths": density.widths(MIXTURE),
        "between_kept": between(kept.x).double().mean(),
    }


def between(x):
    """Whether points lie between the modes, beyond K std of all."""
    return (MIXTURE.distance(x) > K) & (x[:, 0] > 1) & (x[:, 0] < 3)


def oracle(draw_candidates, n, memory, generator):
    """Drop what lies between the modes, and then any, as many as the other filters."""
    drawn = draw_candidates(round(n * (1 + EXTRA)))
    rows = torch.randperm(len(drawn.x), generator=generator)
    rows = rows[between(drawn.x[rows]).sort(stable=True).indices]
    return mih.Samples(drawn.x[rows[:n]])


def sharp(draw_candidates, n, memory, generator):
    """Replace what is near a mode by new samples of the true mode; keep the rest."""
    drawn = draw_candidates(n)
    mode, distance = MIXTURE.nearest(drawn.x)
    anew = MIXTURE.means[mode].float() + MIXTURE.std * torch.randn(n, 1, generator=generator)
    return mih.Samples(torch.where((distance <= K)[:, None], anew, drawn.x))


ARMS = {  # protocol, filter, fit, draw, points
    "random": ("replace", loop.at_random(EXTRA), fit_network, draw, POINTS),
    "lowest Hal": ("replace", loop.lowest_hal(EXTRA), fit_network, draw_with_hal, POINTS),
    "oracle": ("replace", oracle, fit_network, draw, POINTS),
    "accumulate": ("accumulate", loop.everything, fit_network, draw, POINTS),
    "endless": ("replace", loop.everything, fit_network, draw, ENDLESS),
    "sharp": ("replace", sharp, fit_network, draw, POINTS),
    "exact, random": ("replace", loop.at_random(EXTRA), fit_exact, draw, POINTS),
    "exact, lowest Hal": ("replace", loop.lowest_hal(EXTRA), fit_exact, draw_with_hal, POINTS),
}


def one_run(arm, seed):
    """All generations of an arm; a second call goes on after the last finished one."""
    protocol, keep, fit, draw, points = ARMS[arm]
    data = MIXTURE.sample(points, torch.Generator().manual_seed(seed))
    settings = SETTINGS | {"points": points, "arm": arm}
    functions = {"fit": fit, "draw": draw, "measure": measure}
    return list(generations("line-arms", (protocol, keep), seed, data, settings, **functions))


def make_line(name="recursion-line-arms"):
    """ARM/WHAT (seeds, generations, …): densities of the first seed, masses and widths of all."""
    runs = {arm: [one_run(arm, seed) for seed in SEEDS] for arm in tqdm(ARMS, "arms")}
    arrays = stacked(runs)
    for arm in ARMS:
        arrays[f"{arm}/p"] = arrays[f"{arm}/p"][0]
    save(
        name,
        arrays,
        MIXTURE,
        seed=list(SEEDS),
        seconds=seconds_of(runs),
        schedule=CHAIN,
        training=SETTINGS,
        endless=ENDLESS,
        extra=EXTRA,
        k=K,
    )


RECIPES = {"recursion-line-arms": (make_line,)}
