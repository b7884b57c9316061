"""Chapter 3: a U-Net on the paper's shapes, at 64 pixels, and what it draws.

The chain has 250 steps, beta from 4e-4 to 0.08: Ho et al. (2020) have 1000 steps from 1e-4 to 0.02,
and with a quarter of the steps, each four times as large, the noise grows in the same way. At its
end sqrt(alpha_bar) is 0.006. Training goes on from its checkpoint, sampling from the last part.
"""

import hashlib
import json
import time

import numpy as np
import torch

import mih_utils as mih

from .common import CACHE, PACKAGE, kept

CHAIN = {"steps": 250, "beta_start": 4e-4, "beta_end": 0.08}
CODE = [
    *(
        PACKAGE / f"{name}.py"
        for name in ("schedule", "denoisers", "unet", "training", "sampling", "shapes")
    ),
    __file__,
]
SETTINGS = {"size": 64, "images": 5000, "steps": 10_000, "batch": 32, "lr": 1e-3, "ema": 0.999}
SAMPLES, PART = 4096, 128  # drawn, and as many at a time
WINDOWS = [(first, first + 25) for first in range(0, CHAIN["steps"], 25)]


def train_unet(size, images, steps, batch, lr, ema, seed):
    """The weights and the loss curve of a U-Net; a second call goes on where one was stopped."""
    generator = torch.Generator().manual_seed(seed)
    net = mih.UNet(steps=CHAIN["steps"], generator=generator)
    data = mih.shapes.dataset(images, size, generator=generator)
    arguments = json.dumps([size, images, steps, batch, lr, ema, seed, net.config, CHAIN])
    name = hashlib.sha256(arguments.encode()).hexdigest()[:16]
    checkpoint = CACHE / f"training-{name}.pt"
    spent = CACHE / f"training-{name}.seconds"  # of the runs that were stopped
    before, start = float(spent.read_text()) if spent.is_file() else 0.0, time.perf_counter()
    try:
        history = mih.train(
            net,
            data,
            mih.Schedule.linear(**CHAIN),
            steps,
            batch=batch,
            lr=lr,
            ema=ema,
            checkpoint=checkpoint,
            generator=generator,
        )
    finally:
        spent.parent.mkdir(parents=True, exist_ok=True)
        spent.write_text(str(before + time.perf_counter() - start))
    if history.interrupted:
        raise KeyboardInterrupt
    weights = {f"net.{key}": weight.numpy() for key, weight in net.state_dict().items()}
    return weights | {"loss": history.loss.numpy(), "spent": np.array(float(spent.read_text()))}


def draw(weights_of, n, size, seed):
    """n samples in 8 bits, and how x0_hat varied in each window: for each column, (n, windows, 3).

    A column's value is the mean over its pixels of the variance over the steps of the window. The
    last third of a column is what is left of the image's width.
    """
    net = rebuilt(kept(train_unet, weights_of, CODE))
    steps, width = CHAIN["steps"], size // 3
    out = mih.sample(
        net,
        mih.Schedule.linear(**CHAIN),
        n,
        (1, size, size),
        keep=range(steps),
        progress=False,
        generator=torch.Generator().manual_seed(seed),
    )
    x0_hat = out.x0_hat[:, :, 0].flip(0)  # counted from the end, as windows are: (steps, n, ...)
    columns = []
    for first, last in WINDOWS:
        varied = x0_hat[first:last].var(dim=0, unbiased=False)
        columns.append(varied[..., : 3 * width].reshape(n, size, 3, width).mean(dim=(1, 3)))
    return {
        "x": ((out.x.clamp(-1, 1) + 1) * 127.5).round().byte().numpy(),
        "hal": torch.stack(columns, dim=1).numpy(),
    }


def rebuilt(arrays):
    """The network whose weights are among the arrays."""
    net = mih.UNet(steps=CHAIN["steps"])
    weights = {key[4:]: torch.from_numpy(w) for key, w in arrays.items() if key[:4] == "net."}
    net.load_state_dict(weights)
    return net.eval()


def make_shapes(name, settings=None, samples=SAMPLES, part=PART, seed=0):
    """Train, draw samples part by part, and keep it all as an artifact."""
    training = {**SETTINGS, **(settings or {}), "seed": seed}
    trained = kept(train_unet, training, CODE)
    drawn = [
        kept(
            draw,
            {"weights_of": training, "n": part, "size": training["size"], "seed": 1000 + i},
            CODE,
        )
        for i in range(samples // part)
    ]
    seconds = float(trained["spent"]) + sum(float(some["seconds"]) for some in drawn)
    mih.save_artifact(
        name,
        {
            "loss": trained["loss"],
            "x": np.concatenate([some["x"] for some in drawn]),
            "hal": np.concatenate([some["hal"] for some in drawn]),
            "windows": np.array(WINDOWS),
        },
        recipe=f"python tools/artifacts.py {name}",
        config={"schedule": CHAIN, "training": training, "samples": samples},
        seed=seed,
        seconds=seconds,
        net=rebuilt(trained),
        half=True,
    )


RECIPES = {"shapes64": (make_shapes, "shapes64")}
