"""Chapters 1 and 4: in which steps the bridges of the line are made, and who could see them coming.

The contracts line-when, line-between, line-chain, line-eta and line-committor are in
mih_utils/claims.yml. Their networks are trained like the stored ones, from seeds that nobody had
looked at. In line-eta, "DDPM (eta = 1)" is
the chain with the posterior's variance, as in DDIM's formula; DDPM with the large variance, the
book's chain, stands beside it and decides nothing.
"""

from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d
from .common import SCHEDULE, code_of, kept, save, trained
from .push import Push, best_detector

SEEDS = range(3, 9)
TRAINING = {"points": 20_000, "steps": 8000, "batch": 1024}
K = 6.0
WINDOWS = [(0, 5), (5, 15), (15, 60), (60, 1000)]  # steps, counted from the end
SHOWN = [0, 1, 2, 4, 5, 10, 15, 20, 30, 50, 80]  # steps left at which the committor is kept
KEPT = 100  # steps, from the end, of which masses and detectors are kept
GOALS = ["between modes beyond 6 std", "middle fifth of the gaps", "beyond 6 std of every mode"]
CHAINS = [50, 100, 250, 500, 1000]
BOTH = [250, 1000]  # the chains that DDIM and DDPM are compared in
ARMS = {0.0: BOTH, 1.0: BOTH, "large": CHAINS}  # eta, or DDPM with the large variance: its chains
CODE = [*code_of("chain", "schedule", "mixture"), __file__, __file__.replace("when.py", "push.py")]
ETA_CODE = [*code_of("density", "schedule", "denoisers"), __file__]


def network(seed):
    """The network of a seed, trained like those that are stored."""
    return trained(gaussian_1d.line([1, 2, 3]), **TRAINING, seed=seed)[0]


def denoisers(seed):
    """Mixture, schedule, and the network and the exact denoiser."""
    mixture, schedule = gaussian_1d.line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    return mixture, schedule, network(seed), mih.ExactDenoiser(mixture, schedule)


def targets(mixture):
    """Where a sample may end: for each of GOALS its intervals."""
    means, reach = mixture.means[:, 0].tolist(), K * mixture.std
    gaps = list(pairwise(means))
    between = [(a + reach, b - reach) for a, b in gaps]
    middle = [((a + b) / 2 - (b - a) / 10, (a + b) / 2 + (b - a) / 10) for a, b in gaps]
    ends = [(-float("inf"), means[0] - reach), (means[-1] + reach, float("inf"))]
    return between, middle, between + ends


def inside(intervals):
    """Whether points (n, 1) lie in one of the intervals."""
    return lambda x: sum((low < x[:, 0]) & (x[:, 0] < high) for low, high in intervals) > 0


def swaps(seed):
    """Mass that ends in each goal when one denoiser takes the first steps and another the rest.

    exact_late, net_late: (KEPT, goals), row k: the exact denoiser, or the network, takes the last
    k + 1 steps; `windows`: the exact one in WINDOWS only. `detector`: AUC and share retained at 95%
    removed of the best possible detector before each step; the committor, and the mass beside it.
    """
    push, f, b = (dict(zip(("net", "exact"), two, strict=True)) for two in both_ways(seed))

    def mass(early, late):
        return torch.stack([f[early][k] @ b[late][k] for k in range(KEPT)]).numpy()

    detector = [[best_detector(f["net"][k], c) for c in b["net"][k].T] for k in range(KEPT)]
    shown = {
        "committor_x": [push["net"].axis(k) for k in SHOWN],
        "committor": [b["net"][k][:, 0] for k in SHOWN],
        "committor_density": [f["net"][k] / push["net"].axis(k).diff()[0] for k in SHOWN],
    }
    return {
        "exact_late": mass("net", "exact"),
        "net_late": mass("exact", "net"),
        "net": mass("net", "net")[-1],
        "exact": mass("exact", "exact")[-1],
        "windows": np.stack([swapped(push["exact"], f["net"], b, *w) for w in WINDOWS]),
        "detector": np.array(detector),
        **{name: np.stack([on_common_axis(a) for a in some]) for name, some in shown.items()},
    }


def both_ways(seed):
    """Of the network and of the exact denoiser: the chain as matrices, masses, and chances."""
    mixture, schedule, *two = denoisers(seed)
    low, high = float(mixture.means.min()) - 1, float(mixture.means.max()) + 1
    goals = [inside(intervals) for intervals in targets(mixture)]
    push = [Push(denoiser, schedule.ddpm(), low, high) for denoiser in two]
    return push, [one.forwards() for one in push], [one.backwards(*goals) for one in push]


def swapped(exact, before, after, first, last):
    """Mass in the goals when the exact denoiser takes the steps first … last - 1 from the end."""
    start, stop = min(last, exact.first + 1) - 1, max(first - 1, 0)
    masses = exact.forwards(before[start], start, stop)
    return (masses[stop] @ after["exact" if first == 0 else "net"][stop]).numpy()


def on_common_axis(values, n=256):
    """Values on an even axis, read off at n even places: (n,)."""
    old, new = np.linspace(0, 1, len(values)), np.linspace(0, 1, n)
    return np.interp(new, old, values.numpy())


def of_chain(seed, arm, steps):
    """Mass in each goal of a network, or (seed None) of the exact denoiser: (goals,)."""
    mixture, schedule = gaussian_1d.line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    denoiser = mih.ExactDenoiser(mixture, schedule) if seed is None else network(seed)
    chain = schedule.ddpm(steps) if arm == "large" else schedule.ddim(steps, arm)
    density = mih.exact_density(denoiser, chain, torch.linspace(0, 4, 1024), progress=False)
    goals = targets(mixture)
    return {"mass": np.array([sum(density.mass_between(*i) for i in goal) for goal in goals])}


def make_when(name="line123-when"):
    """Of six networks: every swap, the best detector, the committor; eta against steps."""
    runs = [kept(swaps, {"seed": seed}, CODE) for seed in tqdm(SEEDS, "swaps")]
    arrays = {what: np.stack([run[what] for run in runs]) for what in ("net", "exact", "windows")}
    for what in ("exact_late", "net_late", "detector"):
        arrays[what] = np.stack([run[what] for run in runs]).astype(np.float32)
    for what in ("committor_x", "committor", "committor_density"):
        arrays[what] = runs[0][what].astype(np.float32)
    seconds = sum(float(run["seconds"]) for run in runs)
    every = (None, *SEEDS)
    cases = [(s, arm, n) for s in every for arm, chains in ARMS.items() for n in chains]
    found = {
        case: kept(of_chain, dict(zip(("seed", "arm", "steps"), case, strict=True)), ETA_CODE)
        for case in tqdm(cases, "eta and steps")
    }
    for arm, chains in ARMS.items():
        rows = [[found[s, arm, n]["mass"] for n in chains] for s in every]
        arrays[f"ddpm {arm}" if arm == "large" else f"eta {arm:g}"] = np.array(rows)
    seconds += sum(float(one["seconds"]) for one in found.values())
    save(
        name,
        arrays | {"chains": np.array(CHAINS), "shown": np.array(SHOWN)},
        gaussian_1d.line([1, 2, 3]),
        seed=list(SEEDS),
        seconds=seconds + sum(trained_seconds(seed) for seed in SEEDS),
        training=TRAINING,
        windows=WINDOWS,
        arms={str(arm): chains for arm, chains in ARMS.items()},
        k=K,
        goals=GOALS,
        order={"eta and ddpm": ["exact denoiser, then seeds", "chain", "goal"]},
    )


def trained_seconds(seed):
    """How long the training of a seed took."""
    return trained(gaussian_1d.line([1, 2, 3]), **TRAINING, seed=seed)[2]


RECIPES = {"line123-when": (make_when,)}
