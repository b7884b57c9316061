"""Chapter 5: recursion on shapes of 32 pixels, from a first generation that is good.

The contract shapes-filter is in mih_utils/claims.yml. Networks are trained like chapter 3's small
one. The detector is D of chapter 4: how far the column whose x0_hat varies most is from a typical
one. Its window is the one that finds impossible images best in a seed's first generation; window
and typical value, a median, stay as they were there. The filter drops a tenth.
"""

import numpy as np
import torch

import mih_utils as mih
from mih_utils import recursion as loop

from . import shapes
from .common import code_of, kept, save
from .recursion import (
    DRAWN_STEPS,
    area,
    draw_images,
    from_best_windows,
    generations,
    image_fit,
    seconds_of,
)

SEEDS = (10, 11)
IMAGES, GENERATIONS, SCANNED, SHOWN = 5000, 3, 1000, 64
TRAINING = {"steps": shapes.SMALL["steps"], **shapes.TRAINING}
EXTRA = 1 / 9  # so that a tenth is dropped
WINDOWS = [(0, 10), (5, 15), (10, 20), (10, 25), (15, 30), (20, 35), (25, 45)]  # of 50 steps
SETTINGS = {"images": IMAGES, "generations": GENERATIONS, "training": TRAINING, "extra": EXTRA}
CODE = [*code_of("training", "sampling", "targets", "images.unet", "images.shapes"), __file__]


def typical(draw_candidates, n, memory, generator):
    """Keep what is nearest to the first generation's median of Hal."""

    def draw_away(m):
        drawn = draw_candidates(m)
        memory.setdefault("median", float(drawn.hal.median()))
        return mih.Samples(drawn.x, hal=(drawn.hal - memory["median"]).abs())

    return loop.lowest_hal(EXTRA)(draw_away, n, memory, generator)


POLICIES = {"random": loop.at_random(EXTRA), "lowest Hal": typical}
fit = image_fit(TRAINING)


def column_hal(x0_hat):
    """Hal of the column that varies most."""
    return mih.shapes.largest_column(x0_hat.var(dim=0, unbiased=False))


def data_of(seed):
    return mih.shapes.dataset(IMAGES, 32, generator=torch.Generator().manual_seed(seed))


def scan(seed):
    """How well D of each window finds impossible images of the first generation: (windows,)."""
    generator = loop.generator_of(seed, 0)
    out = draw_images(fit(data_of(seed), generator), SCANNED, 32, generator, range(DRAWN_STEPS))
    faults, x0_hat = mih.shapes.census(out.x).hallucinated, out.x0_hat.flip(0)
    hal = torch.stack([column_hal(x0_hat[first:last]) for first, last in WINDOWS])
    away = (hal - hal.median(dim=1, keepdim=True).values).abs()
    return {"auc": np.array([area(one, faults) for one in away])}


def one_run(policy, seed, window):
    """All generations of a policy."""

    def draw(net, n, generator):
        out = draw_images(net, n, 32, generator, range(*window))
        return mih.Samples(out.x, hal=column_hal(out.x0_hat))

    def measure(net, drawn, kept):
        found, of_all = mih.shapes.census(kept.x), mih.shapes.census(drawn.x)
        kinds = ("repeated", "wrong_column", "malformed", "blank")
        return {
            "impossible": found.hallucinated.double().mean(),
            "drawn_impossible": of_all.hallucinated.double().mean(),
            **{f"drawn_{kind}": getattr(of_all, kind).double().mean() for kind in kinds},
            "white": (kept.x > 0).double().mean(),
            "drawn_white": (drawn.x > 0).double().mean(),
        }

    settings = SETTINGS | {"window": window}
    functions = {"fit": fit, "draw": draw, "measure": measure, "shown": SHOWN}
    policy = ("replace", POLICIES[policy])
    return list(generations("shapes", policy, seed, data_of(seed), settings, **functions))


def make_shapes(name="shapes32-lineages"):
    """POLICY/WHAT (seeds, generations), some images of the first seed; windows, scan/auc."""
    scans = [kept(scan, {"seed": seed}, CODE) for seed in SEEDS]
    runs, arrays = from_best_windows(one_run, POLICIES, SEEDS, scans, WINDOWS)
    for policy, (first, *_) in runs.items():
        arrays[f"{policy}/x"] = np.stack([mih.to_shades(g.x) for g in first])
    save(
        name,
        arrays,
        seed=list(SEEDS),
        seconds=seconds_of(runs) + sum(float(one["seconds"]) for one in scans),
        schedule=shapes.CHAIN,
        training=SETTINGS,
        drawn_steps=DRAWN_STEPS,
    )


RECIPES = {"shapes32-lineages": (make_shapes,)}
