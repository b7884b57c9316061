"""Chapter 5: models that train on their own samples: what its recipes share; grid and shapes.

Every run goes on from its last finished generation, every training from its checkpoint. Runs of one
seed share the first model, whatever they keep of its samples.
"""

import hashlib

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih
from mih_utils import recursion

from . import gaussian_2d, shapes
from .common import CACHE, code_of, kept, key_of, save

TRAINING_CODE = code_of("training", "observers", "denoisers", "targets", "images.unet")
CODE = code_of("recursion.loop", "density", "images.shapes", "images.metrics", "images.classifier")
# In a generation a mode of the grid loses 4% of its width by this chain, 40% by that of chapter 2.
CHAIN = {"steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
SEEDS = (0, 1)
K = 6.0
GRID = {"points": 10_000, "generations": 6, "training": {"steps": 15_000, "batch": 256}}
WINDOW = (0, 15)
WINDOWS = [*range(2, 21), *range(25, 101, 5)]  # lengths that are tried on generation 0
SHOWN = 1500
# Images are drawn by every fifth step of the chain, and watched in its middle.
IMAGES = {"batch": 64, "lr": 2e-3, "ema": 0.999}
SHAPES = {"images": 2000, "generations": 3, "training": {"steps": 2200, **IMAGES}}
DRAWN_STEPS, WATCHED = 50, (15, 30)


def policies(extra):
    """Protocol and filter by name; `extra` is the share that filters draw more than they keep."""
    return {
        "random": ("replace", recursion.at_random(extra)),
        "lowest Hal": ("replace", recursion.lowest_hal(extra)),
        "accumulate": ("accumulate", recursion.everything),
    }


def trained(net, data, schedule, generator, **training):
    """The network, trained on the data; a second call with the same goes on, or loads it."""
    settings = [
        training,
        getattr(net, "net", net).config,
        schedule.beta.tolist(),
        generator.initial_seed(),
    ]
    settings.append(hashlib.sha256(data.numpy().tobytes()).hexdigest())
    checkpoint = mih.Checkpoint(CACHE / f"training-{key_of(settings, TRAINING_CODE)}.pt")
    average = [mih.EMA(training.pop("ema"))] if "ema" in training else []
    observe = [*average, checkpoint]
    mih.train(net, data, schedule, **training, observe=observe, generator=generator)
    return net


def generations(what, policy, seed, data, settings, shown=SHOWN, **functions):
    """All generations of a policy, one by one; a second call goes on after the last finished."""
    protocol, keep = policy
    key = key_of([settings, protocol, keep.__qualname__, seed], [*CODE, __file__])
    return recursion.run(
        data,
        generations=settings["generations"],
        protocol=protocol,
        keep=keep,
        shown=shown,
        folder=CACHE / f"{what}-{key}",
        seed=seed,
        **functions,
    )


def stacked(runs):
    """The metrics of runs {policy: [generations of each seed]}: {policy/metric: (seeds, …)}."""
    return {
        f"{policy}/{metric}": np.array(
            [[np.asarray(g.metrics[metric]) for g in run] for run in some], dtype=np.float32
        )
        for policy, some in runs.items()
        for metric in some[0][0].metrics
    }


def from_best_windows(one_run, policies, seeds, scans, windows):
    """Lineages {policy: [of each seed]} with each seed's best window, and their arrays.

    scans: for each seed "auc", how well Hal of each of the windows finds faults at the start.
    """
    best = [windows[int(found["auc"].argmax())] for found in scans]
    runs = {
        policy: [one_run(policy, *both) for both in zip(seeds, best, strict=True)]
        for policy in tqdm(policies, "policies")
    }
    arrays = {"windows": np.array(windows), "window": np.array(best)}
    arrays["scan/auc"] = np.stack([found["auc"] for found in scans])
    return runs, stacked(runs) | arrays


def seconds_of(runs):
    """What all generations took. A first model that was loaded is counted once."""
    return sum(g.seconds for some in runs.values() for run in some for g in run)


# On the grid


def grid_fit(data, generator):
    net = mih.ToyDenoiser(dim=2, generator=generator)
    return trained(net, data, mih.Schedule.linear(**CHAIN), generator, **GRID["training"])


def grid_draw(net, n, generator, observe=()):
    chain = mih.Schedule.linear(**CHAIN).ddpm()
    observe = [mih.Hal(first=WINDOW[0], last=WINDOW[1]), *observe]
    settings = {"observe": observe, "progress": False, "generator": generator}
    return mih.sample(net, chain, n, (2,), **settings)


def area(hal, hallucinated):
    """Area under the ROC curve, nan if there is no hallucination."""
    if not hallucinated.any() or hallucinated.all():
        return float("nan")
    return mih.auc(hal[hallucinated], hal[~hallucinated])


def grid_measure(net, drawn, kept):
    mixture = gaussian_2d.DATA["grid25"]
    census = mih.mode_census(mixture, kept.x, K)
    hallucinated = mixture.distance(drawn.x) > K
    return {
        "drawn_outside": hallucinated.double().mean(),
        "outside": census.hallucinated,
        "middle": gaussian_2d.in_the_middle(mixture, kept.x).double().mean(),
        "alive": census.alive,
        "entropy": census.entropy,
        "widths": census.widths,
        "shares": census.shares,
        "auc": area(drawn.hal, hallucinated),
    }


def grid_data(seed):
    return gaussian_2d.DATA["grid25"].sample(GRID["points"], torch.Generator().manual_seed(seed))


def grid_windows(n=20_000):
    """How well Hal finds the hallucinations of the first model, by the length of its window."""
    generator = recursion.generator_of(SEEDS[0], 0)
    net = grid_fit(grid_data(SEEDS[0]), generator)
    out = grid_draw(net, n, generator, [mih.Keep("x0_hat", last=max(WINDOWS))])
    hallucinated = gaussian_2d.DATA["grid25"].distance(out.x) > K
    x0_hat = out.x0_hat.flip(0)
    return {"auc": np.array([area(mih.Hal.of(x0_hat[:last]), hallucinated) for last in WINDOWS])}


def make_grid(name="recursion-grid"):
    """Three policies, two seeds: metrics, and samples of the first seed."""
    functions = {"fit": grid_fit, "draw": grid_draw, "measure": grid_measure}
    runs = {
        policy: [
            list(generations("grid", settings, seed, grid_data(seed), GRID, **functions))
            for seed in SEEDS
        ]
        for policy, settings in policies(0.025).items()
    }
    scan = kept(grid_windows, {}, [*CODE, __file__])
    arrays = stacked(runs) | {"windows": np.array(WINDOWS), "windows_auc": scan["auc"]}
    for policy, (first, *_) in runs.items():
        arrays[f"{policy}/x"] = np.stack([g.x.numpy() for g in first]).astype(np.float16)
    save(
        name,
        arrays,
        gaussian_2d.DATA["grid25"],
        seed=list(SEEDS),
        seconds=seconds_of(runs) + float(scan["seconds"]),
        schedule=CHAIN,
        training=GRID,
        window=WINDOW,
        k=K,
    )


# On images


def image_fit(training, patch=2):
    """fit for images, of which the network sees patch by patch pixels as one."""

    def fit(data, generator):
        schedule = mih.Schedule.linear(**shapes.CHAIN)
        net = mih.UNet(patch=patch, steps=len(schedule), generator=generator)
        net = mih.VelocityTarget(net, schedule)
        return trained(net, data, schedule, generator, **training)

    return fit


def draw_images(net, n, size, generator, watched):
    """n images by every fifth step of the chain, with x0_hat of the steps watched."""
    chain = mih.Schedule.linear(**shapes.CHAIN).ddpm(DRAWN_STEPS, variance="small")
    watch = mih.Keep("x0_hat", steps=watched)
    out = mih.sample(net, chain, n, (1, size, size), observe=[watch], generator=generator)
    return mih.Samples(out.x.clamp(-1, 1), **out.observed)


def image_draw(statistic):
    """draw for images, with statistic(x0_hat) of the steps watched as Hal."""

    def draw(net, n, generator):
        out = draw_images(net, n, 32, generator, range(*WATCHED))
        return mih.Samples(out.x, hal=statistic(out.x0_hat))

    return draw


def from_the_median(x0_hat):
    """D of chapter 4: how far the column that varies most is from that of a typical sample."""
    column = mih.shapes.largest_column(x0_hat.var(dim=0, unbiased=False))
    return (column - column.median()).abs()


def shapes_run(policy, seed=0):
    data = mih.shapes.dataset(SHAPES["images"], 32, generator=torch.Generator().manual_seed(seed))

    def measure(net, drawn, kept):
        found, of_all = mih.shapes.census(kept.x), mih.shapes.census(drawn.x)
        return {
            "impossible": found.hallucinated.double().mean(),
            "drawn_impossible": of_all.hallucinated.double().mean(),
            "twice": of_all.repeated.double().mean(),
            "blank": of_all.blank.double().mean(),
            "auc": area(drawn.hal, of_all.hallucinated),
        }

    functions = {
        "fit": image_fit(SHAPES["training"]),
        "draw": image_draw(from_the_median),
        "measure": measure,
    }
    return list(generations("shapes", policy, seed, data, SHAPES, **functions))


def make_shapes(name="recursion-shapes", extra=1 / 3):
    """Two policies: share of impossible images, and some of the images."""
    some = {name: policies(extra)[name] for name in ("random", "lowest Hal")}
    runs = {policy: [shapes_run(settings)] for policy, settings in some.items()}
    save_images(name, runs, 64, SHAPES | {"extra": extra})


def save_images(name, runs, shown, settings):
    """Metrics, Hal of all that was drawn, and some of the images, in sixteen shades."""
    arrays = stacked(runs)
    for policy, (run, *_) in runs.items():
        arrays[f"{policy}/x"] = np.stack([mih.to_shades(g.x[:shown]) for g in run])
        hal = [np.log10(g.hal.clamp(min=1e-9).numpy()) for g in run]
        arrays[f"{policy}/log10_hal"] = np.stack(hal).astype(np.float16)
    save(
        name,
        arrays,
        seed=0,
        seconds=seconds_of(runs),
        schedule=shapes.CHAIN,
        training=settings,
        drawn_steps=DRAWN_STEPS,
        window=WATCHED,
    )


RECIPES = {
    "recursion-grid": (make_grid,),
    "recursion-shapes": (make_shapes,),
}
