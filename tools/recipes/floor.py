"""Chapter 1: has a smooth network a floor? Mass between the modes against width and training.

For the contract line-floor in mih_utils/claims.yml. Not run yet: the longest trainings of the
widest networks take half an hour each on a quiet core, all of them a night. Every network goes on
from its checkpoint.
"""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d
from .common import CACHE, SCHEDULE, TRAINING_CODE, code_of, kept, key_of, save

WIDTHS = [32, 64, 128, 256]
STEPS = [2000, 4000, 8000, 16_000, 32_000, 64_000]
SEEDS = (10, 11, 12)
POINTS, BATCH = 20_000, 1024
MEASURES = ("between", "middle", "slope")
CODE = [*TRAINING_CODE, *code_of("density"), __file__]


def one_run(width, steps, seed):
    """Mass between the modes beyond 6 std, in the middle fifths of the gaps, and steepest slope."""
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
    grid = torch.linspace(0, 4, 2048)
    density = mih.exact_density(net, schedule.ddpm(), grid, progress=False)
    x0_hat = gaussian_1d.staircase(net, schedule)
    slope = np.diff(x0_hat) / np.diff(gaussian_1d.staircase_grid(schedule).numpy())
    return {
        "between": np.array(sum(density.gap_masses(mixture, 6)[1:-1])),
        "middle": np.array(gaussian_1d.middle_of_gaps(density.p.numpy(), grid, mixture)),
        "slope": np.array(slope.max()),
    }


def make_floor(name="line123-floor"):
    """between, middle and slope: (widths, steps, seeds)."""
    shape = (len(WIDTHS), len(STEPS), len(SEEDS))
    arrays, seconds = {what: np.zeros(shape) for what in MEASURES}, 0.0
    for k, j, i in tqdm(list(np.ndindex(shape[::-1])), "floor"):
        settings = {"width": WIDTHS[i], "steps": STEPS[j], "seed": SEEDS[k]}
        found = kept(one_run, settings, CODE)
        seconds += float(found["seconds"])
        for what in MEASURES:
            arrays[what][i, j, k] = found[what]
    save(
        name,
        arrays | {"widths": np.array(WIDTHS), "steps": np.array(STEPS)},
        gaussian_1d.line([1, 2, 3]),
        seed=list(SEEDS),
        seconds=seconds,
        training={"points": POINTS, "batch": BATCH},
        k=6,
    )


RECIPES = {"line123-floor": (make_floor,)}
