"""Chapter 4: the detector on many samples of a network, beside what it must be compared with.

Hal looks at the last steps only, and what a point does there depends on where it is when they
begin. So the density there is computed, starts are drawn from it, and only the last steps are
sampled: fifty times as many samples in the same time.

The contracts hal-line, hal-grid, hal-diamond, hal-nearest and line-hal-best are in
mih_utils/claims.yml. The networks on the line are those of `when`, new when the contracts were
written; those in the plane had been looked at, on other samples (generators 500 + seed).
"""

import numpy as np
import torch
from scipy.spatial import cKDTree
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d, gaussian_2d, when
from .common import SCHEDULE, code_of, kept, net_name, save
from .push import Push

K = 6.0
START = 20  # steps that are sampled
WINDOWS = [(0, last) for last in range(2, START + 1)] + [(f, f + 5) for f in range(1, 16)]
FIXED = (0, 5)  # the window, and
WANTED = 0.97  # the share that the threshold aims at on one half
SAMPLES = {"line123": 2_000_000, "grid25": 250_000, "diamond25": 250_000}
SEEDS = {"line123": (3, 4, 5), "grid25": (0, 1, 2), "diamond25": (0, 1, 2)}
DRAWN = 700  # and the seed: the generator that draws the samples
BLOCK = 50_000
NOISE_ONLY = 300
DATA = {"line123": gaussian_1d.line([1, 2, 3]), **gaussian_2d.DATA}
TRAINING = {
    "line123": when.TRAINING,
    "grid25": gaussian_2d.LONG,
    "diamond25": gaussian_2d.LONG,
}
CODE = [
    *code_of("chain", "schedule", "mixture", "detection"),
    __file__,
    __file__.replace("detector_large.py", "push.py"),
]


def network(data, seed):
    """The network of a seed: a stored one, or on the line also a new one."""
    new = data == "line123" and seed in when.SEEDS
    return when.network(seed) if new else mih.artifact(net_name(data, seed)).net


def training_points(data, seed):
    """The points that the network of a seed was trained on: (points, dim)."""
    generator = torch.Generator().manual_seed(seed)
    mixture = DATA[data]
    mih.ToyDenoiser(dim=mixture.dim, generator=generator)  # drew its weights first
    return mixture.sample(TRAINING[data]["points"], generator)


def starts(net, chain, mixture, n, generator):
    """n points before the last START steps: (n, dim)."""
    reach = 1.0 if mixture.dim == 1 else 0.35
    low, high = float(mixture.means.min()) - reach, float(mixture.means.max()) + reach
    push = Push(net, chain, low, high, mixture.dim, first=NOISE_ONLY - 1)
    return push.sample(push.forwards(last=START)[START], START - 1, n, generator)


def last_steps(net, chain, x, generator):
    """The samples that the last START steps make of x, and Hal in every window: (n, windows)."""
    settings = {"x_T": x, "progress": False, "generator": generator}
    keep = [mih.Keep("x0_hat")]
    out = mih.sample(net, chain.last(START), len(x), x.shape[1:], observe=keep, **settings)
    x0_hat = out.x0_hat.flip(0).double()
    hal = [x0_hat[a:b].var(dim=0, unbiased=False).mean(dim=1) for a, b in WINDOWS]
    return out.x, torch.stack(hal, dim=1).float()


def scored(value, bad, first):
    """AUC; share retained at 95% removed; and of a threshold set on the `first` half, on the other:
    bad seen, bad removed, good seen, good retained; bad in the first half."""
    of_bad, of_good = value[bad], value[~bad].sort().values
    below = torch.searchsorted(of_good, of_bad) + torch.searchsorted(of_good, of_bad, right=True)
    area = float(below.double().mean()) / 2 / len(of_good)
    retained = float((of_good < mih.choose_threshold(of_bad, 0.95)).double().mean())
    threshold = mih.choose_threshold(value[first & bad], WANTED)
    held_bad, held_good = value[~first & bad], value[~first & ~bad]
    counts = [len(held_bad), int((held_bad >= threshold).sum())]
    counts += [len(held_good), int((held_good < threshold).sum()), int((first & bad).sum())]
    return [area, retained, *counts]


def one_network(data, seed, n, drawn):
    """All windows and the nearest training point as detectors on n samples of one network."""
    net, mixture = network(data, seed), DATA[data]
    chain = mih.Schedule.linear(**SCHEDULE).ddpm()
    generator = torch.Generator().manual_seed(drawn + seed)
    x = starts(net, chain, mixture, n, generator)
    parts = [
        last_steps(net, chain, rows, generator)
        for rows in tqdm(x.split(BLOCK), "last steps", leave=False)
    ]
    x, hal = (torch.cat(some) for some in zip(*parts, strict=True))
    bad = mixture.distance(x) > K
    tree = cKDTree(training_points(data, seed).numpy())
    nearest = torch.from_numpy(tree.query(x.numpy())[0]).float()
    first = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5
    rows = [scored(column, bad, first) for column in (*hal.T, nearest)]
    fixed = WINDOWS.index(FIXED)
    edges = np.linspace(-14, 2, 161)
    log = np.log10(hal[:, fixed].clamp(min=1e-14).numpy())
    histogram = [np.histogram(log[some.numpy()], edges)[0] for some in (bad, ~bad)]
    away = mixture.distance(x[bad])
    return {
        "rows": np.array(rows),
        "bad": np.array(int(bad.sum())),
        "histogram": np.array(histogram),
        "edges": edges,
        "bad_distance": away.numpy(),
        "bad_log10_hal": log[bad.numpy()],
        "x": x[bad].numpy()[:2000],
        "good_x": x[~bad].numpy()[:2000],
        "good_log10_hal": log[~bad.numpy()][:2000],
    }


def make_large(data):
    """New samples of the networks of a contract. Of each seed: seed S/rows (windows + 1, 7),
    the last row the distance to a training point; counts, histograms, hallucinations; samples of
    the first seed."""
    arrays, seconds = {}, 0.0
    seeds, n = SEEDS[data], SAMPLES[data]
    for seed in tqdm(seeds, data):
        settings = {"data": data, "seed": seed, "n": n, "drawn": DRAWN}
        found = kept(one_network, settings, CODE)
        seconds += float(found["seconds"])
        for what in ("rows", "bad", "histogram"):
            arrays[f"seed {seed}/{what}"] = found[what]
        for what in ("bad_distance", "bad_log10_hal"):
            arrays[f"seed {seed}/{what}"] = found[what].astype(np.float16)
        if seed == seeds[0]:
            for what in ("x", "good_x", "good_log10_hal"):
                arrays[f"seed {seed}/{what}"] = found[what].astype(np.float32)
    save(
        f"{data}-detector",
        arrays | {"edges": found["edges"]},
        DATA[data],
        seed=list(seeds),
        seconds=seconds,
        training=TRAINING[data],
        samples=n,
        windows=WINDOWS,
        wanted=WANTED,
        k=K,
        sampled_steps=START,
    )


RECIPES = {f"{data}-detector": (make_large, data) for data in SAMPLES}
