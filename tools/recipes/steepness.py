"""Chapter 1: modes farther apart, or narrower, have a steeper staircase, and fewer bridges.

The contracts line-distance, line-std and line-steepness are in mih_utils/claims.yml: six distances,
six widths, new seeds. A first try with 5,000 steps of 256 made modes up to 2.5 times as wide as the
data's; with 8,000 of 512, which is enough for all distances, and with 12,000, single networks on
the narrowest widths failed the contracts' gate. So all six widths train for 24,000.
"""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import law
from .common import SCHEDULE, code_of, kept, save, trained
from .gaussian_1d import line_of_three, middle_of_gaps

SEEDS = (10, 11, 12)
BASE = {"distance": 1.0, "std": 0.05}
FACTORS = {
    "distance": [0.7, 0.85, 1.0, 1.25, 1.6, 2.0],
    "std": [0.02, 0.03, 0.04, 0.05, 0.06, 0.07],
}
TRAINING = {"points": 20_000, "batch": 512}
STEPS = {"distance": 8000, "std": 24_000}  # of training, the same for all values of a factor
BLUR = 0.1  # of the exact denoiser, in units of x_t
LEVELS = [0, 2, 5, 10, 15, 20, 30, 40]  # steps at which slopes are measured
CODE = [*code_of("density", "denoisers", "combined"), __file__]


def one_run(distance, std, steps, who):
    """What a seed's network generates, or the "exact" or the "blurred" denoiser; its slopes."""
    mixture, grid = line_of_three(distance, std)
    schedule = mih.Schedule.linear(**SCHEDULE)
    denoiser = mih.ExactDenoiser(mixture, schedule)
    if who == "blurred":
        denoiser = mih.SmoothedDenoiser(denoiser, BLUR, nodes=25)
    elif who != "exact":
        denoiser = trained(mixture, **TRAINING, steps=steps, seed=who)[0]
    density = mih.exact_density(denoiser, schedule.ddpm(), grid, progress=False)
    return {
        "middle": np.array(middle_of_gaps(density.p.numpy(), grid, mixture)),
        "between": np.array(density.bridge_mass(mixture, 6)),
        "widths": density.widths(mixture).numpy(),
        "slopes": slopes(denoiser, mixture, schedule),
    }


@torch.no_grad()
def slopes(denoiser, mixture, schedule):
    """The steepest slope of x0_hat between neighbours at each of LEVELS: (levels,)."""
    means = mixture.means[:, 0].sort().values
    weight = next(getattr(denoiser, "parameters", lambda: iter(()))(), means)
    found = []
    for t in LEVELS:
        places = law.gaps_at(schedule, means, t)
        noise = [denoiser(x.to(weight.dtype)[:, None], torch.tensor(t))[:, 0] for x in places]
        pairs = zip(noise, places, strict=True)
        found.append(max(law.steepest(n.double(), x, schedule, t) for n, x in pairs))
    return np.array(found)


def make_steepness(name="line123-steepness"):
    """Of each factor: FACTOR, FACTOR/WHAT (values, seeds, …), FACTOR/exact_WHAT and
    FACTOR/blurred_WHAT (values, …), WHAT being middle, between, widths, slopes."""
    arrays, seconds, found = {"levels": np.array(LEVELS)}, 0.0, {}
    cases = [
        (factor, value, who)
        for who in (*SEEDS, "exact", "blurred")
        for factor, values in FACTORS.items()
        for value in values
    ]
    for factor, value, who in tqdm(cases, "steepness"):
        settings = {**BASE, factor: value, "steps": STEPS[factor], "who": who}
        run = kept(one_run, settings, CODE)
        found[factor, value, who] = run
        seconds += float(run["seconds"])
    for factor, values in FACTORS.items():
        arrays[factor] = np.array(values)
        for what in ("middle", "between", "widths", "slopes"):
            rows = [[found[factor, value, seed][what] for seed in SEEDS] for value in values]
            arrays[f"{factor}/{what}"] = np.array(rows)
            for who in ("exact", "blurred"):
                some = [found[factor, value, who][what] for value in values]
                arrays[f"{factor}/{who}_{what}"] = np.array(some)
    save(
        name,
        arrays,
        line_of_three(**BASE)[0],
        seed=list(SEEDS),
        seconds=seconds,
        training={**TRAINING, "steps": STEPS},
        base=BASE,
        factors=FACTORS,
        blur=BLUR,
    )


RECIPES = {"line123-steepness": (make_steepness,)}
