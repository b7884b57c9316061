"""Chapter 5: recursion on the grid, from first generations that are good, with exact densities.

The contracts grid-compound and grid-filter are in mih_utils/claims.yml. Seeds are taken in turn;
one whose first generation has half a percent or more of its mass in mid-gap is passed over. What a
network generates is computed, so that no figure has the noise of samples.
"""

import itertools

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih
from mih_utils import recursion as loop

from . import gaussian_2d
from .common import SCHEDULE, save
from .recursion import CHAIN, K, area, generations, seconds_of, stacked, trained

FIRST_SEED, LINEAGES = 10, 5
GOOD = 0.005
POINTS, GENERATIONS = 10_000, 5
TRAINING = {"steps": 20_000, "batch": 512}
EXTRA = 0.025
SCHEDULES = {"finer": CHAIN, "paper's": SCHEDULE}
WINDOWS = {"finer": 15, "paper's": 5}  # last steps that Hal sees
MIXTURE = gaussian_2d.DATA["grid25"]
SHOWN = 600
POLICIES = {
    "random": ("replace", loop.at_random(EXTRA)),
    "lowest Hal": ("replace", loop.lowest_hal(EXTRA)),
    "accumulate": ("accumulate", loop.everything),
}
# Policy and schedule of every arm; those after the first two run for one seed.
ARMS = {
    "random": ("random", "finer"),
    "lowest Hal": ("lowest Hal", "finer"),
    "accumulate": ("accumulate", "finer"),
    "paper's, random": ("random", "paper's"),
}
DECIDING = list(ARMS)[:2]


def one_run(arm, seed):
    """All generations of an arm, one by one; a second call goes on after the last finished one."""
    policy, name = ARMS[arm]
    schedule = mih.Schedule.linear(**SCHEDULES[name])

    def fit(data, generator):
        net = mih.ToyDenoiser(dim=2, generator=generator)
        return trained(net, data, schedule, generator, **TRAINING)

    def draw(net, n, generator):
        settings = {"observe": [mih.Hal(last=WINDOWS[name])], "progress": False}
        return mih.sample(net, schedule.ddpm(), n, (2,), generator=generator, **settings)

    def measure(net, drawn, kept):
        density = gaussian_2d.generated(net, schedule.ddpm(), MIXTURE)
        far = MIXTURE.distance(drawn.x) > K
        return {
            "middle": gaussian_2d.middle_of_bridges(MIXTURE, density),
            "outside": density.mass_outside(MIXTURE, K),
            "widths": density.widths(MIXTURE),
            "outside_drawn": far.double().mean(),
            "outside_kept": (MIXTURE.distance(kept.x) > K).double().mean(),
            "auc": area(drawn.hal, far),
        }

    data = MIXTURE.sample(POINTS, torch.Generator().manual_seed(seed))
    settings = {"points": POINTS, "generations": GENERATIONS, "training": TRAINING}
    settings |= {"schedule": SCHEDULES[name], "window": WINDOWS[name]}
    functions = {"fit": fit, "draw": draw, "measure": measure, "shown": SHOWN}
    return generations("grid", POLICIES[policy], seed, data, settings, **functions)


def first_middle(seed):
    """Mass in mid-gap of a seed's first generation, which all policies share."""
    return float(next(one_run("random", seed)).metrics["middle"])


def good_seeds():
    """The first seeds whose first generation passes, and what every tried one has in mid-gap."""
    tried = {}
    for seed in itertools.count(FIRST_SEED):
        tried[seed] = first_middle(seed)
        good = [one for one, middle in tried.items() if middle < GOOD]
        if len(good) == LINEAGES:
            return good, tried


def make_grid(name="grid25-lineages"):
    """ARM/WHAT (seeds, generations, …), ARM/x of the first seed; `tried`: seed and mid-gap."""
    seeds, tried = good_seeds()
    jobs = [(arm, seed) for seed in seeds for arm in ARMS if arm in DECIDING or seed == seeds[0]]
    runs = {arm: [] for arm in ARMS}
    for arm, seed in tqdm(jobs, "lineages"):
        runs[arm].append(list(one_run(arm, seed)))
    arrays = stacked(runs) | {"tried": np.array(list(tried.items()))}
    for arm, (first, *_) in runs.items():
        arrays[f"{arm}/x"] = np.stack([g.x.numpy() for g in first]).astype(np.float16)
    save(
        name,
        arrays,
        MIXTURE,
        seed=seeds,
        seconds=seconds_of(runs),
        schedule=CHAIN,
        training={"points": POINTS, "generations": GENERATIONS, "training": TRAINING},
        windows=WINDOWS,
        schedules=SCHEDULES,
        extra=EXTRA,
        k=K,
    )


RECIPES = {"grid25-lineages": (make_grid,)}
