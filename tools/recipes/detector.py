"""Chapter 4: the detector under other conditions, and on modes of low weight."""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_2d
from .common import SCHEDULE, code_of, kept, save, trained

K = 6.0
LAST = 40  # windows reach back so many steps at most
WINDOW = 5  # the window, (0, WINDOW), of the samples that are kept
RARE = [0, 7, 12]  # modes that have a twentieth of the others' weight: corner, inner, centre
DETECTOR_CODE = [*code_of("sampling", "denoisers", "detection"), __file__]
DATA = {
    **gaussian_2d.DATA,
    "rare": mih.GaussianMixture.grid(
        5, spacing=2, std=0.05, weights=[0.05 if mode in RARE else 1 for mode in range(25)]
    ).standardised(),
}
TRAINING = {
    "grid25": gaussian_2d.LONG,
    "rare": {"points": 100_000, "steps": 20_000, "batch": 1024},
    "grid25-short": {"points": 100_000, "steps": 4000, "batch": 512},
}
# data, training, seed, steps of the chain, eta
CASES = {
    "grid25, seed 0": ("grid25", "grid25", 0, 1000, 1.0),
    "grid25, 250 steps": ("grid25", "grid25", 0, 250, 1.0),
    "grid25, 100 steps": ("grid25", "grid25", 0, 100, 1.0),
    "grid25, DDIM of 250 steps": ("grid25", "grid25", 0, 250, 0.0),
    "grid25, DDIM of 50 steps": ("grid25", "grid25", 0, 50, 0.0),
    "grid25, short training": ("grid25", "grid25-short", 0, 1000, 1.0),
    "rare modes": ("rare", "rare", 0, 1000, 1.0),
}
WITH_SAMPLES = ("grid25, seed 0", "rare modes")
NOISE_ONLY = 300  # from this step on x_t is noise (sqrt(alpha_bar) = 0.009): chains start here


def samples(name):
    """How many samples a case draws."""
    few = 60_000 if CASES[name][3] == 1000 else 40_000
    return 100_000 if name == "grid25, seed 0" else few


def retained_at_95(x0_hat, hallucinated):
    """Share retained at 95% removed, by windows of the last 2, 3, … steps: (steps - 1,).

    x0_hat: (steps, n, d), the last step first.
    """
    shares = []
    for last in range(2, len(x0_hat) + 1):
        hal = mih.Hal.of(x0_hat[:last])
        threshold = mih.choose_threshold(hal[hallucinated], 0.95)
        shares.append(float((hal[~hallucinated] < threshold).double().mean()))
    return np.array(shares)


def one_case(data, training, seed, steps, eta, n):
    """Sample from a network, and try the windows that reach the end."""
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
    return {
        "retained": retained_at_95(x0_hat, hallucinated),
        "hallucinated": np.array(int(hallucinated.sum())),
        "x": out.x.numpy(),
        "hal": mih.Hal.of(x0_hat[:WINDOW]).numpy(),
    }


def make_scans():
    """Of every case: what its windows retain, and its count of hallucinations; of two also the
    samples with their Hal over the last WINDOW steps."""
    arrays, seconds = {}, 0.0
    for name, case in tqdm(CASES.items(), "cases"):
        settings = dict(zip(("data", "training", "seed", "steps", "eta"), case, strict=True))
        settings["n"] = samples(name)
        found = kept(one_case, settings, DETECTOR_CODE)
        seconds += float(found["seconds"])
        arrays[f"{name}/retained"] = found["retained"].astype(np.float32)
        arrays[f"{name}/hallucinated"] = found["hallucinated"]
        arrays[f"{name}/samples"] = np.array(len(found["x"]))
        if name in WITH_SAMPLES:
            arrays[f"{name}/x"] = found["x"].astype(np.float16)
            arrays[f"{name}/log10_hal"] = np.log10(found["hal"]).astype(np.float16)
    save(
        "detector-scans",
        arrays,
        DATA["grid25"],
        seed=0,
        seconds=seconds,
        training=TRAINING,
        cases=CASES,
        k=K,
        chains_start_at_step=NOISE_ONLY,
        window=WINDOW,
        rare_modes=RARE,
    )


RECIPES = {"detector-scans": (make_scans,)}
