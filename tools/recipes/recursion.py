"""What the recipes of chapter 5 share, in which models train on their own samples.

Every run goes on from its last finished generation, every training from its checkpoint. Runs of one
seed share the first model, whatever they keep of its samples.
"""

import hashlib

import numpy as np
from tqdm import tqdm

import mih_utils as mih
from mih_utils import recursion

from . import shapes
from .common import CACHE, code_of, key_of

TRAINING_CODE = code_of("training", "observers", "denoisers", "targets", "images.unet")
CODE = code_of("recursion.loop", "density", "images.shapes", "images.metrics", "images.classifier")
# In a generation a mode of the grid loses 4% of its width by this chain, 40% by that of chapter 2.
CHAIN = {"steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
K = 6.0
DRAWN_STEPS = 50  # images are drawn by every fifth step of the chain


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


def generations(what, policy, seed, data, settings, **functions):
    """All generations of a policy, one by one; a second call goes on after the last finished."""
    protocol, keep = policy
    key = key_of([settings, protocol, keep.__qualname__, seed], [*CODE, __file__])
    return recursion.run(
        data,
        generations=settings["generations"],
        protocol=protocol,
        keep=keep,
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


def area(hal, hallucinated):
    """Area under the ROC curve, nan if there is no hallucination."""
    if not hallucinated.any() or hallucinated.all():
        return float("nan")
    return mih.auc(hal[hallucinated], hal[~hallucinated])


def image_fit(training):
    """fit for images."""

    def fit(data, generator):
        schedule = mih.Schedule.linear(**shapes.CHAIN)
        net = mih.UNet(steps=len(schedule), generator=generator)
        net = mih.VelocityTarget(net, schedule)
        return trained(net, data, schedule, generator, **training)

    return fit


def draw_images(net, n, size, generator, watched):
    """n images by every fifth step of the chain, with x0_hat of the steps watched."""
    chain = mih.Schedule.linear(**shapes.CHAIN).ddpm(DRAWN_STEPS, variance="small")
    watch = mih.Keep("x0_hat", steps=watched)
    out = mih.sample(net, chain, n, (1, size, size), observe=[watch], generator=generator)
    return mih.Samples(out.x.clamp(-1, 1), **out.observed)
