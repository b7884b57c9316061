"""Chapter 1: has a smooth network a floor? Mass between the modes against width and training.

For the contract line-floor in mih_utils/claims.yml. Every network goes on from its checkpoint.
"""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d
from .common import CACHE, SCHEDULE, TRAINING_CODE, code_of, kept, key_of, save

WIDTHS = [32, 64, 128]
STEPS = [4000, 16_000, 64_000]
SEEDS = (10, 11, 12, 13)
POINTS, BATCH = 20_000, 512
GRID = torch.linspace(0, 4, 2048)
MEASURES = ("between", "middle", "slope", "widest")
CODE = [*TRAINING_CODE, *code_of("density"), __file__]


def one_run(width, steps, seed):
    """Mass between the modes, in the middle fifths of the gaps, steepest slope, widest mode."""
    generator = torch.Generator().manual_seed(seed)
    mixture, schedule = gaussian_1d.line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    net = mih.ToyDenoiser(dim=1, width=width, generator=generator)
    key = key_of({"width": width, "steps": steps, "seed": seed}, CODE)
    mih.train(
        net,
        mixture.sample(POINTS, generator),
        schedule,
        steps,
        batch=BATCH,
        observe=[mih.Checkpoint(CACHE / f"floor-{key}.pt")],
        generator=generator,
    )
    density = mih.exact_density(net, schedule.ddpm(), GRID, progress=False)
    x0_hat = gaussian_1d.staircase(net, schedule)
    slope = np.diff(x0_hat) / np.diff(gaussian_1d.staircase_grid(schedule).numpy())
    return {
        "between": np.array(density.bridge_mass(mixture, 6)),
        "middle": np.array(gaussian_1d.middle_of_gaps(density.p.numpy(), GRID, mixture)),
        "slope": np.array(slope.max()),
        "widest": np.array(float(density.widths(mixture).max())),
    }


def make_floor(name="line123-floor"):
    """between, middle, slope and widest: (widths, steps, seeds); exact_between."""
    shape = (len(WIDTHS), len(STEPS), len(SEEDS))
    arrays, seconds = {what: np.zeros(shape) for what in MEASURES}, 0.0
    for k, j, i in tqdm(list(np.ndindex(shape[::-1])), "floor"):
        settings = {"width": WIDTHS[i], "steps": STEPS[j], "seed": SEEDS[k]}
        found = kept(one_run, settings, CODE)
        seconds += float(found["seconds"])
        for what in MEASURES:
            arrays[what][i, j, k] = found[what]
    mixture, schedule = gaussian_1d.line([1, 2, 3]), mih.Schedule.linear(**SCHEDULE)
    exact = mih.exact_density(mih.ExactDenoiser(mixture, schedule), schedule.ddpm(), GRID)
    arrays["exact_between"] = np.array(exact.bridge_mass(mixture, 6))
    save(
        name,
        arrays | {"widths": np.array(WIDTHS), "steps": np.array(STEPS)},
        mixture,
        seed=list(SEEDS),
        seconds=seconds,
        training={"points": POINTS, "batch": BATCH},
        k=6,
    )


RECIPES = {"line123-floor": (make_floor,)}
