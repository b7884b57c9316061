"""Chapter 3: U-Nets on the paper's shapes, at 64 pixels, and what they draw.

The chain has 250 steps, beta from 4e-4 to 0.08: Ho et al. (2020) have 1000 steps from 1e-4 to 0.02,
and with a quarter of the steps, each four times as large, the noise grows in the same way. At its
end sqrt(alpha_bar) is 0.006. Training goes on from its checkpoint, sampling from the last part.
"""

import hashlib
import json

import numpy as np
import torch
from torch.nn import functional as F

import mih_utils as mih

from .common import CACHE, PACKAGE, kept

CHAIN = {"steps": 250, "beta_start": 4e-4, "beta_end": 0.08}
SIZE = 64
TRAINING = {"batch": 32, "lr": 2e-3, "ema": 0.999}
CODE = [PACKAGE / f"{name}.py" for name in ("schedule", "unet", "training", "sampling", "shapes")]
PART = 128  # samples drawn at a time
WINDOWS = [(first, last) for first in range(0, 250, 25) for last in range(first + 25, 251, 25)]
PATCH = 11  # pixels, about the size of a shape


def train_unet(images, steps, seed):
    """The weights and the loss of a U-Net; a second call goes on where one was stopped."""
    name = hashlib.sha256(json.dumps([CHAIN, TRAINING, images, steps, seed]).encode())
    generator, schedule = torch.Generator().manual_seed(seed), mih.Schedule.linear(**CHAIN)
    net = mih.UNet(patch=2, schedule=schedule, generator=generator)
    history = mih.train(
        net,
        mih.shapes.dataset(images, SIZE, generator=generator),
        schedule,
        steps,
        **TRAINING,
        checkpoint=CACHE / f"training-{name.hexdigest()[:16]}.pt",
        generator=generator,
    )
    if history.interrupted:
        raise KeyboardInterrupt
    weights = {f"net.{key}": weight.numpy() for key, weight in net.state_dict().items()}
    return weights | {"loss": history.loss.numpy(), "spent": np.array(history.seconds)}


def trained(training):
    """The network, its loss, and the seconds it took."""
    arrays = kept(train_unet, training, CODE)
    net = mih.UNet(patch=2, schedule=mih.Schedule.linear(**CHAIN))
    weights = {key[4:]: torch.from_numpy(w) for key, w in arrays.items() if key[:4] == "net."}
    net.load_state_dict(weights)
    return net.eval(), arrays["loss"], float(arrays["spent"])


def draw(training, n, seed):
    """n samples in sixteen shades, and how x0_hat varied in each window: (n, windows, 3).

    Of the variance over the steps of the window, pixel by pixel: the mean over the image, over the
    column where it is largest, and over the patch where it is largest.
    """
    net, _, _ = trained(training)
    generator = torch.Generator().manual_seed(seed)
    shape, steps = (1, SIZE, SIZE), range(CHAIN["steps"])
    chain = mih.Schedule.linear(**CHAIN)
    out = mih.sample(net, chain, n, shape, keep=steps, progress=False, generator=generator)
    x0_hat = out.x0_hat.flip(0)  # counted from the end, as windows are: (steps, n, ...)
    return {
        "x": shades(out.x),
        "hal": torch.stack([spread(x0_hat[a:b]) for a, b in WINDOWS], dim=1).numpy(),
    }


def spread(x0_hat):
    """Mean, largest column and largest patch of the variance over the steps: (n, 3)."""
    variance = x0_hat.var(dim=0, unbiased=False)
    columns = F.avg_pool2d(variance[..., : SIZE // 3 * 3], (SIZE, SIZE // 3)).amax(dim=(1, 2, 3))
    patches = F.avg_pool2d(variance, PATCH, stride=1).amax(dim=(1, 2, 3))
    return torch.stack([variance.mean(dim=(1, 2, 3)), columns, patches], dim=1)


def shades(images):
    """Images in [-1, 1] as numbers from 0 to 15."""
    return ((images.clamp(-1, 1) + 1) * 7.5).round().byte().numpy()


def samples(training, n, first_seed):
    """As `draw`, n samples part by part; and the seconds they took."""
    parts = [
        kept(draw, {"training": training, "n": PART, "seed": first_seed + i}, [*CODE, __file__])
        for i in range(n // PART)
    ]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in ("x", "hal")}
    return arrays, sum(float(part["seconds"]) for part in parts)


MAIN = {"images": 5000, "steps": 10_000, "seed": 0}
OTHERS = [
    {"images": 5000, "steps": 1000, "seed": 0},
    {"images": 5000, "steps": 4000, "seed": 0},
    {"images": 1500, "steps": 4000, "seed": 0},
    {"images": 500, "steps": 4000, "seed": 0},
]


def make_main(n=4096):
    """The network trained longest on most images, its samples and how their x0_hat varied."""
    net, loss, seconds = trained(MAIN)
    drawn, more = samples(MAIN, n, first_seed=1000)
    mih.save_artifact(
        "shapes64",
        {"loss": loss, "windows": np.array(WINDOWS), **drawn},
        recipe="python tools/artifacts.py shapes64",
        config={"schedule": CHAIN, "training": {**TRAINING, **MAIN}, "samples": n},
        seed=MAIN["seed"],
        seconds=seconds + more,
        net=net,
        half=True,
    )


def make_others(n=512):
    """Samples of networks trained for a shorter time, or on fewer images."""
    x, losses, seconds = [], [], 0.0
    for training in OTHERS:
        _, loss, spent = trained(training)
        drawn, more = samples(training, n, first_seed=2000)
        x.append(drawn["x"])
        losses.append(loss[-500:].mean())
        seconds += spent + more
    mih.save_artifact(
        "shapes64-others",
        {"x": np.stack(x), "loss": np.array(losses)},
        recipe="python tools/artifacts.py shapes64-others",
        config={"schedule": CHAIN, "training": TRAINING, "runs": OTHERS, "samples": n},
        seed=0,
        seconds=seconds,
    )


RECIPES = {"shapes64": (make_main,), "shapes64-others": (make_others,)}
