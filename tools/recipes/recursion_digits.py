"""Chapter 5: recursion on MNIST, from a first generation that is good.

The contract mnist-filter is in mih_utils/claims.yml. Digits are averaged two by two to 14 pixels. A
generated digit counts as a fault if no real one is near it, in the features of a classifier. Hal's
window is the one that finds such faults best in a seed's first generation, and stays. The filter
drops a tenth; how much ink that has, and which classes, is kept for both policies.
"""

from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

import mih_utils as mih
from mih_utils import recursion as loop

from . import shapes
from .common import code_of, kept, save, weights_of, with_weights
from .digits import train_classifier
from .recursion import (
    DRAWN_STEPS,
    area,
    draw_images,
    from_best_windows,
    generations,
    image_fit,
    seconds_of,
)

SEEDS = (0, 1)
IMAGES, GENERATIONS, JUDGED, SHOWN = 6000, 4, 3000, 100
JUDGE_EPOCHS = 3
TRAINING = {"steps": 3000, "batch": 128, "lr": 2e-3, "ema": 0.999}
EXTRA = 1 / 9  # so that a tenth is dropped
WINDOWS = [(0, 5), (0, 10), (5, 10), (5, 15), (10, 20), (15, 30), (20, 40)]
SETTINGS = {"images": IMAGES, "generations": GENERATIONS, "training": TRAINING, "extra": EXTRA}
CODE = [*code_of("training", "sampling", "targets", "images.unet", "images.classifier"), __file__]
POLICIES = {"random": loop.at_random(EXTRA), "lowest Hal": loop.lowest_hal(EXTRA)}
fit = image_fit(TRAINING)


def small(images):
    """Digits of 28 pixels averaged to 14: (n, 1, 14, 14)."""
    return F.avg_pool2d(images, 2)


def padded(images):
    """14 pixels with a black border: 16, which the U-Net can halve twice."""
    return F.pad(images, (1, 1, 1, 1), value=-1)


def inner(images):
    """The 14 pixels inside the border."""
    return images[..., 1:-1, 1:-1]


def judge_weights(judge_seed):
    """The weights of a classifier of digits of 14 pixels."""
    generator = torch.Generator().manual_seed(judge_seed)
    net = mih.DigitClassifier(generator=generator)
    images, labels = mih.load_mnist()
    train_classifier(net, small(images), labels, JUDGE_EPOCHS, generator=generator)
    return weights_of(net)


class Judge:
    """Compares digits, with their border, to unseen real ones, in the features of a classifier."""

    def __init__(self):
        stored = kept(judge_weights, {"judge_seed": 0}, CODE)
        self.classifier, _ = with_weights(mih.DigitClassifier(), stored)
        unseen, _ = mih.load_mnist(split="test")
        self.real = self.classifier.features(small(unseen)[:JUDGED])
        self.radius = torch.cdist(self.real, self.real).kthvalue(6, dim=1).values

    def far_from_all(self, images):
        """Whether an image is farther from each real digit than its fifth neighbour is."""
        distance = torch.cdist(self.classifier.features(inner(images)), self.real)
        return (distance > self.radius).all(dim=1)

    def measured(self, images):
        """How far images are from the real ones."""
        features = self.classifier.features(inner(images)[:JUDGED])
        density, coverage = mih.density_coverage(self.real, features)
        distance = mih.frechet_distance(self.real, features)
        return {"frechet": distance, "density": density, "coverage": coverage}

    def seen(self, images):
        """Ink, classes and faults of images."""
        counts = torch.bincount(self.classifier.classes(inner(images)), minlength=10)
        return {
            "white": (inner(images) > 0).double().mean(),
            "classes": counts / max(len(images), 1),
            "far": self.far_from_all(images).double().mean(),
        }


def data_of(seed):
    """The real digits that a lineage starts from."""
    generator = torch.Generator().manual_seed(seed)
    images, _ = mih.load_mnist()
    return padded(small(images[torch.randperm(len(images), generator=generator)[:IMAGES]]))


def scan(seed):
    """How well Hal of each window finds faults of the first generation: (windows,); and ink."""
    generator = loop.generator_of(seed, 0)
    out = draw_images(fit(data_of(seed), generator), JUDGED, 16, generator, range(DRAWN_STEPS))
    far, x0_hat = Judge().far_from_all(out.x), out.x0_hat.flip(0)
    white = (out.x > 0).double().mean(dim=(1, 2, 3))
    hal = torch.stack([mih.Hal.of(x0_hat[first:last]) for first, last in WINDOWS])
    return {
        "auc": np.array([area(one, far) for one in hal]),
        "ink": np.array(
            [float(torch.corrcoef(torch.stack([h, white]))[0, 1]) for h in hal.double()]
        ),
        "ink_auc": np.array(area(white, far)),
    }


def one_run(policy, seed, window, judge):
    """All generations of a policy."""

    def draw(net, n, generator):
        out = draw_images(net, n, 16, generator, range(*window))
        return mih.Samples(out.x, hal=mih.Hal.of(out.x0_hat))

    def measure(net, drawn, kept):
        sets = {"": kept.x, "drawn_": drawn.x}
        found = {
            f"{which}{name}": value
            for which, x in sets.items()
            for name, value in {**judge.measured(x), **judge.seen(x)}.items()
        }
        lost = judge.seen(dropped(drawn.x, kept.x))
        return found | {f"dropped_{name}": value for name, value in lost.items()}

    settings = SETTINGS | {"window": window}
    functions = {"fit": fit, "draw": draw, "measure": measure, "shown": SHOWN}
    policy = ("replace", POLICIES[policy])
    return list(generations("digits", policy, seed, data_of(seed), settings, **functions))


def dropped(drawn, kept):
    """The images that were drawn and not kept."""
    rows, n_kept = torch.cat([kept, drawn]).flatten(1), len(kept)
    _, number = rows.unique(dim=0, return_inverse=True)
    return drawn[~torch.isin(number[n_kept:], number[:n_kept])]


def make_digits(name="digits-lineages"):
    """POLICY/WHAT (seeds, generations, …), real/WHAT (seeds,), windows and scan/WHAT (seeds, …)."""
    judge = Judge()
    scans = [kept(scan, {"seed": seed}, CODE) for seed in SEEDS]
    run = partial(one_run, judge=judge)
    runs, arrays = from_best_windows(run, POLICIES, SEEDS, scans, WINDOWS)
    arrays["scan/ink"] = np.stack([one["ink"] for one in scans])
    arrays["scan/ink_auc"] = np.array([one["ink_auc"] for one in scans])
    real = [judge.measured(data) | judge.seen(data) for data in map(data_of, SEEDS)]
    arrays |= {f"real/{what}": np.stack([one[what] for one in real]) for what in real[0]}
    for policy, (first, *_) in runs.items():
        arrays[f"{policy}/x"] = np.stack([mih.to_shades(inner(g.x)) for g in first])
    save(
        name,
        arrays,
        seed=list(SEEDS),
        seconds=seconds_of(runs) + sum(float(one["seconds"]) for one in scans),
        schedule=shapes.CHAIN,
        training=SETTINGS,
        drawn_steps=DRAWN_STEPS,
        judged=JUDGED,
    )


RECIPES = {"digits-lineages": (make_digits,)}
