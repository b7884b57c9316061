"""Chapter 3: U-Nets on the paper's shapes, and what they draw.

The chain has 250 steps, beta from 4e-4 to 0.08: Ho et al. (2020) have 1000 steps from 1e-4 to 0.02,
and with a quarter of the steps, each four times as large, the noise grows in the same way. At its
end sqrt(alpha_bar) is 0.006. Training goes on from its checkpoint, sampling from the last part.
"""

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

import mih_utils as mih

from .common import CACHE, code_of, kept, key_of, save, weights_of, with_weights

CHAIN = {"steps": 250, "beta_start": 4e-4, "beta_end": 0.08}
TRAINING = {"batch": 32, "lr": 2e-3, "ema": 0.999}
CODE = code_of("training", "sampling", "targets", "images.unet", "images.shapes")
PART = 128  # samples drawn at a time
STEP = 25
WINDOWS = [(a, b) for a in range(0, 250, STEP) for b in range(a + STEP, 251, STEP)]
PATCH = 11  # pixels, about the size of a shape
ALONE = np.zeros((3, 3))  # pixels of different images are not neighbours


def train_unet(size, images, steps, seed):
    """The weights and the loss of a U-Net; a second call goes on where one was stopped."""
    settings = [CHAIN, TRAINING, unet(size).net.config, size, images, steps, seed]
    generator = torch.Generator().manual_seed(seed)
    net = unet(size, generator)
    checkpoint = mih.Checkpoint(CACHE / f"training-{key_of(settings, CODE)}.pt")
    history = mih.train(
        net,
        mih.shapes.dataset(images, size, generator=generator),
        mih.Schedule.linear(**CHAIN),
        steps,
        batch=TRAINING["batch"],
        lr=TRAINING["lr"],
        observe=[mih.EMA(TRAINING["ema"]), checkpoint],
        generator=generator,
    )
    return weights_of(net.net) | {"loss": history.loss.numpy(), "spent": np.array(history.seconds)}


def unet(size, generator=None):
    """A U-Net that computes at 32 pixels: of 64 it sees two by two as one."""
    net = mih.UNet(patch=size // 32, steps=CHAIN["steps"], generator=generator)
    return mih.VelocityTarget(net, mih.Schedule.linear(**CHAIN))


def trained(training):
    """The network, its loss, and the seconds it took."""
    net = unet(training["size"])
    _, curves = with_weights(net.net, kept(train_unet, training, CODE))
    return net.eval(), curves["loss"], float(curves["spent"])


def draw(training, n, seed):
    """n samples in sixteen shades, and how x0_hat varied in each window: (n, windows, 4).

    Of the variance over the steps of the window, pixel by pixel: the mean over the image; over the
    column, over the patch, and over the component of the sample where it is largest.
    """
    net, _, _ = trained(training)
    generator = torch.Generator().manual_seed(seed)
    size, chain = training["size"], mih.Schedule.linear(**CHAIN).ddpm()
    settings = {"observe": [mih.Keep("x0_hat")], "progress": False, "generator": generator}
    out = mih.sample(net, chain, n, (1, size, size), **settings)
    # counted from the end, as windows are, and 25 steps at a time
    x0_hat = out.x0_hat.flip(0).unflatten(0, (-1, STEP))
    sums, squares = x0_hat.sum(dim=1), x0_hat.square().sum(dim=1)
    components, n_components = ndimage.label(out.x[:, 0] > 0, [ALONE, np.ones((3, 3)), ALONE])
    spread = []
    for first, last in WINDOWS:
        some = slice(first // STEP, last // STEP)
        mean = sums[some].sum(dim=0) / (last - first)
        variance = squares[some].sum(dim=0) / (last - first) - mean.square()
        patches = F.avg_pool2d(variance, PATCH, stride=1)
        whole = variance.flatten(1).mean(dim=1)
        largest = [mih.shapes.largest_column(variance), patches.flatten(1).amax(dim=1)]
        of_components = largest_mean(variance[:, 0], components, n_components)
        spread.append(torch.stack([whole, *largest, of_components], dim=1))
    return {"x": mih.to_shades(out.x), "hal": torch.stack(spread, dim=1).numpy()}


def largest_mean(values, components, n_components):
    """The largest mean over a component, image by image, (n,); 0 without one.

    values: (n, size, size); components: numbered from 1 over all images, 0 outside; same shape.
    """
    numbers = np.arange(1, n_components + 1)
    mean = torch.from_numpy(ndimage.mean(values.numpy(), components, numbers)).float()
    image = torch.from_numpy(ndimage.maximum(image_of(components), components, numbers)).long()
    return torch.zeros(len(values)).scatter_reduce(0, image, mean, "amax")


def image_of(components):
    """The number of the image that each pixel is in."""
    return np.broadcast_to(np.arange(len(components))[:, None, None], components.shape)


def samples(training, n, first_seed):
    """As `draw`, n samples part by part; and the seconds they took."""
    parts = [
        kept(draw, {"training": training, "n": PART, "seed": first_seed + i}, [*CODE, __file__])
        for i in range(n // PART)
    ]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in ("x", "hal")}
    return arrays, sum(float(part["seconds"]) for part in parts)


MAIN = {"size": 64, "images": 5000, "steps": 16000, "seed": 0}
OTHERS = [
    {**MAIN, "steps": 1000},
    {**MAIN, "steps": 2500},
    {**MAIN, "steps": 6000},
    {**MAIN, "steps": 6000, "images": 1500},
    {**MAIN, "steps": 6000, "images": 500},
]
SMALL = {**MAIN, "size": 32, "steps": 6000}
COMMON = {"seed": MAIN["seed"], "schedule": CHAIN, "half": True}  # of their artifacts


def make_main(name="shapes64", n=4096):
    """The network trained longest on most images, and its samples."""
    net, loss, seconds = trained(MAIN)
    drawn, more = samples(MAIN, n, first_seed=1000)
    arrays, training = {"loss": loss, "x": drawn["x"]}, TRAINING | MAIN
    save(name, arrays, seconds=seconds + more, net=net, **COMMON, training=training)


def make_others(name="shapes64-others", n=512):
    """Samples of networks trained for a shorter time, or on fewer images."""
    nets = [trained(training) for training in OTHERS]
    drawn = [samples(training, n, first_seed=2000) for training in OTHERS]
    seconds = sum(s for _, _, s in nets) + sum(s for _, s in drawn)
    x = np.stack([arrays["x"] for arrays, _ in drawn])
    save(name, {"x": x}, seconds=seconds, **COMMON, training=TRAINING, runs=OTHERS)


def make_small(name="shapes32"):
    """The same network for 32 pixels."""
    net, loss, seconds = trained(SMALL)
    training = TRAINING | SMALL
    save(name, {"loss": loss}, seconds=seconds, net=net, **COMMON, training=training)


def make_detector(name="shapes64-detector", windows=((0, STEP), (0, 250)), n=4096):
    """The same samples with what chapter 4 reads: how their x0_hat varied.

    log10_hal: in two windows, all four summaries. log10_mean: in all windows, to two digits, the
    first of them.
    """
    drawn, seconds = samples(MAIN, n, first_seed=1000)
    log = np.log10(np.maximum(drawn["hal"], 1e-9)).astype(np.float16)
    some = [WINDOWS.index(window) for window in windows]
    arrays = {"x": drawn["x"], "log10_hal": log[:, some]}
    arrays["log10_mean"] = log[:, :, 0].round(2)
    settings = {"seed": MAIN["seed"], "schedule": CHAIN, "windows": windows}
    training = TRAINING | MAIN
    save(name, arrays, seconds=seconds, training=training, all_windows=WINDOWS, **settings)


RECIPES = {
    "shapes64": (make_main,),
    "shapes64-detector": (make_detector,),
    "shapes64-others": (make_others,),
    "shapes32": (make_small,),
}
