"""Chapter 4: the detector on many samples of many networks, at every window."""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d, gaussian_2d
from .common import SCHEDULE, code_of, kept, save, trained

K = 6.0
WANTED = 0.97  # share of the hallucinations that thresholds aim at: a margin over 95%
LAST = 40  # windows lie within so many steps before the end
WINDOW = 5  # the window, (0, WINDOW), of the samples that are kept
RARE = [0, 7, 12]  # modes that have a twentieth of the others' weight: corner, inner, centre
DETECTOR_CODE = [*code_of("sampling", "denoisers", "detection"), __file__]
DATA = {
    "line123": gaussian_1d.line([1, 2, 3]),
    **gaussian_2d.DATA,
    "rare": mih.GaussianMixture.grid(
        5, spacing=2, std=0.05, weights=[0.05 if mode in RARE else 1 for mode in range(25)]
    ).standardised(),
}
TRAINING = {
    "line123": {"points": 20_000, "steps": 8000, "batch": 1024},
    "grid25": gaussian_2d.LONG,
    "diamond25": gaussian_2d.LONG,
    "rare": {"points": 100_000, "steps": 20_000, "batch": 1024},
    "grid25-short": {"points": 100_000, "steps": 4000, "batch": 512},
}
# data, training, seed, steps of the chain, eta
CASES = {
    **{
        f"{data}, seed {s}": (data, data, s, 1000, 1.0)
        for data in ("line123", "grid25", "diamond25")
        for s in (0, 1, 2)
    },
    "grid25, 250 steps": ("grid25", "grid25", 0, 250, 1.0),
    "grid25, 100 steps": ("grid25", "grid25", 0, 100, 1.0),
    "grid25, DDIM of 250 steps": ("grid25", "grid25", 0, 250, 0.0),
    "grid25, DDIM of 50 steps": ("grid25", "grid25", 0, 50, 0.0),
    "grid25, short training": ("grid25", "grid25-short", 0, 1000, 1.0),
    "rare modes": ("rare", "rare", 0, 1000, 1.0),
}
WITH_SAMPLES = ("grid25, seed 0", "rare modes")
SAMPLES = {"line123": 150_000}  # hallucinations are rarer on the line
NOISE_ONLY = 300  # from this step on x_t is noise (sqrt(alpha_bar) = 0.009): chains start here


def samples(name):
    """How many samples a case draws."""
    few = 60_000 if CASES[name][3] == 1000 else 40_000
    return 100_000 if name == "grid25, seed 0" else SAMPLES.get(CASES[name][0], few)


def scan(x0_hat, hallucinated):
    """Area under the ROC curve, and share retained at 95% removed, of every window.

    x0_hat: (steps, n, d), the last step first. Both results: (first, last - 1), zero where empty.
    """
    steps = len(x0_hat)
    area, retained = np.zeros((steps, steps)), np.zeros((steps, steps))
    for first in range(steps):
        total, squares = 0.0, 0.0  # of x0_hat, seen from where the window stops
        for last in range(first + 1, steps + 1):
            offset = (x0_hat[last - 1] - x0_hat[first]).double()
            total, squares = total + offset, squares + offset.square()
            if last == first + 1:  # one step has no variance
                continue
            length = last - first
            hal = (squares / length - (total / length).square()).mean(dim=1)
            bad, good = hal[hallucinated], hal[~hallucinated].sort().values
            below = torch.searchsorted(good, bad) + torch.searchsorted(good, bad, right=True)
            area[first, last - 1] = float(below.double().mean()) / 2 / len(good)
            threshold = mih.choose_threshold(bad, 0.95)
            retained[first, last - 1] = float((good < threshold).double().mean())
    return area, retained


def reports(x0_hat, hallucinated, seed):
    """What `detection_report` says for the windows (0, 2) … (0, LAST / 2): (windows, 9)."""
    rows = []
    for last in range(2, min(LAST // 2, len(x0_hat)) + 1):
        generator = torch.Generator().manual_seed(seed)
        hal = mih.Hal.of(x0_hat[:last])
        r = mih.detection_report(hal, hallucinated, removed=WANTED, generator=generator)
        auc, removed, retained = r.auc_interval, r.removed_interval, r.retained_interval
        rows.append([r.auc, *auc, r.removed, *removed, r.retained, *retained])
    return np.array(rows)


def one_case(data, training, seed, steps, eta, n):
    """Sample from a network; scan the windows and report on those that reach the end."""
    mixture, schedule = DATA[data], mih.Schedule.linear(**SCHEDULE)
    net = trained(mixture, **TRAINING[training], seed=seed)[0]
    chain = schedule.ddpm(steps) if eta == 1 else schedule.ddim(steps, eta)
    chain = chain.last(NOISE_ONLY) if steps == 1000 else chain
    out = mih.sample(
        net,
        chain,
        n,
        (mixture.dim,),
        observe=[mih.Keep("x0_hat", last=min(LAST, steps))],
        progress=False,
        generator=torch.Generator().manual_seed(100 + seed),
    )
    hallucinated = mixture.distance(out.x) > K
    x0_hat = out.x0_hat.flip(0)
    area, retained = scan(x0_hat, hallucinated)
    return {
        "area": area,
        "retained": retained,
        "reports": reports(x0_hat, hallucinated, seed),
        "hallucinated": np.array(int(hallucinated.sum())),
        "x": out.x.numpy(),
        "hal": mih.Hal.of(x0_hat[:WINDOW]).numpy(),
    }


def make_scans():
    """Of every case: its windows, its reports and its count of hallucinations; of two of them also
    the samples with their Hal over the last WINDOW steps."""
    arrays, seconds = {}, 0.0
    for name, case in tqdm(CASES.items(), "cases"):
        settings = dict(zip(("data", "training", "seed", "steps", "eta"), case, strict=True))
        settings["n"] = samples(name)
        found = kept(one_case, settings, DETECTOR_CODE)
        seconds += float(found["seconds"])
        for what in ("area", "retained", "reports"):
            arrays[f"{name}/{what}"] = found[what].astype(np.float32)
        arrays[f"{name}/hallucinated"] = found["hallucinated"]
        arrays[f"{name}/samples"] = np.array(len(found["x"]))
        if name in WITH_SAMPLES:
            arrays[f"{name}/x"] = found["x"].astype(np.float16)
            arrays[f"{name}/log10_hal"] = np.log10(found["hal"]).astype(np.float16)
    save(
        "detector-scans",
        arrays,
        DATA["grid25"],
        seed=list(gaussian_2d.SEEDS),
        seconds=seconds,
        training=TRAINING,
        cases=CASES,
        k=K,
        wanted=WANTED,
        chains_start_at_step=NOISE_ONLY,
        window=WINDOW,
        rare_modes=RARE,
    )


RECIPES = {"detector-scans": (make_scans,)}
