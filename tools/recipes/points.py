"""Chapter 1: the number of training points, at a fixed number of steps and of epochs.

In the released code the number of epochs is fixed, so a network that sees fewer points also trains
for fewer steps. Two arms tell the two apart.

The contract line-points is in mih_utils/claims.yml. Ten seeds from 0 on were looked at before it
was written; these are others. Three of them were undecided, so there are ten.
"""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d
from .common import SCHEDULE, code_of, kept, save, trained

SIZES = [200, 500, 1250, 3200, 8000, 20_000]
STEPS = 5000
BATCH = 256
SEEDS = range(10, 20)
ARMS = {
    "fixed steps": {size: STEPS for size in SIZES},
    "fixed epochs": {size: STEPS * size // SIZES[-1] for size in SIZES},
}
CODE = [*code_of("density", "denoisers"), __file__]


def one_run(points, steps, seed):
    """Train one network; the density that it generates: between modes, and how wide they are."""
    mixture, schedule = gaussian_1d.line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    grid = torch.linspace(0, 4, 1024)
    net = trained(mixture, points, steps, BATCH, seed)[0]
    density = mih.exact_density(net, schedule.ddpm(), grid, progress=False)
    return {
        "p": density.p.float().numpy(),
        "between": np.array(density.bridge_mass(mixture, 6)),
        "outside": np.array(density.mass_outside(mixture, 6)),
        "middle": np.array(gaussian_1d.middle_of_gaps(density.p.numpy(), grid, mixture)),
        "widths": density.widths(mixture).numpy(),
    }


def jobs():
    """(function, settings) of every run, seed by seed; runs of both arms once."""
    for seed in SEEDS:
        some = {(size, steps) for arm in ARMS.values() for size, steps in arm.items()}
        for size, steps in sorted(some, key=lambda pair: (-pair[1], pair[0])):
            yield one_run, {"points": size, "steps": steps, "seed": seed}


def make_points(name="line123-points"):
    """What both arms generate: ARM/WHAT of shape (sizes, seeds, …)."""
    found = {tuple(s.values()): kept(f, s, CODE) for f, s in tqdm(list(jobs()), "points")}
    arrays = {"points": np.array(SIZES)}
    for arm, steps in ARMS.items():
        arrays[f"{arm}/steps"] = np.array(list(steps.values()))
        for what in ("between", "outside", "middle", "widths"):
            rows = [[found[n, k, seed][what] for seed in SEEDS] for n, k in steps.items()]
            arrays[f"{arm}/{what}"] = np.array(rows, dtype=float)
    save(
        name,
        arrays,
        gaussian_1d.line([1, 2, 3]),
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in found.values()),
        training={"points": SIZES, "steps": STEPS, "batch": BATCH, "arms": list(ARMS)},
    )


RECIPES = {"line123-points": (make_points,)}
