"""Chapter 5: is there a first generation of MNIST good enough for recursion to say anything?

The gate of the contract mnist-filter in mih_utils/claims.yml. Digits are averaged two by two to 14
pixels. Not run yet with two seeds: half an hour each on a quiet core; a first try, not kept, came
to a Fréchet distance of 2.7 (real digits 4.3) and a coverage of 0.89 (0.94). Training goes on from
its checkpoint. Only if the gate is passed, `recursion` can start from these networks.
"""

import numpy as np
import torch
from torch.nn import functional as F

import mih_utils as mih

from . import recursion, shapes
from .common import code_of, kept, save, weights_of, with_weights
from .digits import train_classifier

SEEDS = (0, 1)
IMAGES, JUDGED, EPOCHS = 12_000, 3000, 3
TRAINING = {"steps": 4000, "batch": 128, "lr": 2e-3, "ema": 0.999}
DRAWN_STEPS = 50
CODE = [*code_of("training", "sampling", "targets", "images.unet", "images.classifier"), __file__]


def small(images):
    """Digits of 28 pixels averaged to 14: (n, 1, 14, 14)."""
    return F.avg_pool2d(images, 2)


def padded(images):
    """14 pixels with a black border: 16, which the U-Net can halve twice."""
    return F.pad(images, (1, 1, 1, 1), value=-1)


def judge_weights(judge_seed):
    """A classifier of digits of 14 pixels, and its accuracy on unseen ones."""
    generator = torch.Generator().manual_seed(judge_seed)
    net = mih.DigitClassifier(generator=generator)
    images, labels = mih.load_mnist()
    train_classifier(net, small(images), labels, EPOCHS, generator=generator)
    unseen, truth = mih.load_mnist(split="test")
    return weights_of(net) | {"accuracy": np.array(net.accuracy(small(unseen), truth))}


def measured(images, judge, real):
    """How far images of 14 pixels are from the features of real, unseen ones."""
    features = judge.features(images)
    density, coverage = mih.density_coverage(real, features)
    classes = torch.bincount(judge.classes(images), minlength=10)
    return {
        "frechet": np.array(mih.frechet_distance(real, features)),
        "density": np.array(density),
        "coverage": np.array(coverage),
        "white": np.array(float((images > 0).double().mean())),
        "classes": (classes / len(images)).numpy(),
    }


def generation_0(seed):
    """Train on digits, draw, and measure what was drawn and as many of the training digits."""
    judge, _ = with_weights(mih.DigitClassifier(), kept(judge_weights, {"judge_seed": 0}, CODE))
    unseen, _ = mih.load_mnist(split="test")
    real = judge.features(small(unseen)[:JUDGED])
    generator = torch.Generator().manual_seed(seed)
    images, _ = mih.load_mnist()
    data = small(images[torch.randperm(len(images), generator=generator)[:IMAGES]])
    schedule = mih.Schedule.linear(**shapes.CHAIN)
    net = mih.UNet(patch=1, steps=len(schedule), generator=generator)
    net = mih.VelocityTarget(net, schedule)
    recursion.trained(net, padded(data), schedule, generator, **TRAINING)
    chain = schedule.ddpm(DRAWN_STEPS, variance="small")
    out = mih.sample(net, chain, JUDGED, (1, 16, 16), generator=generator)
    drawn = out.x.clamp(-1, 1)[..., 1:-1, 1:-1]
    of_real = measured(data[:JUDGED], judge, real)
    return {
        **measured(drawn, judge, real),
        **{f"real/{what}": value for what, value in of_real.items()},
        "x": mih.to_shades(drawn[:100]),
    }


def make_gate(name="mnist-gate"):
    """frechet, density, coverage, white (seeds,), classes (seeds, 10), real/…, x (seeds, …)."""
    runs = [kept(generation_0, {"seed": seed}, CODE) for seed in SEEDS]
    save(
        name,
        {what: np.stack([run[what] for run in runs]) for what in runs[0] if what != "seconds"},
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in runs),
        schedule=shapes.CHAIN,
        training=TRAINING | {"images": IMAGES},
        drawn_steps=DRAWN_STEPS,
        judged=JUDGED,
    )


RECIPES = {"mnist-gate": (make_gate,)}
