"""Chapter 3: three networks for shapes of 32 pixels, beside a large exact control.

The contracts shapes-twice and shapes-kinds are in mih_utils/claims.yml. 512 images of each network
are counted, and 2,048 of the exact denoiser in the same chain; 2,048 new real images show that the
census finds no fault where there is none.
"""

import numpy as np
import torch

import mih_utils as mih

from . import shapes
from .common import code_of, kept, save

SEEDS = (0, 1, 2)
SAMPLES, CONTROL, PART = 512, 2048, 128
KINDS = ["twice", "wrong column", "malformed", "blank"]
CODE = [*code_of("sampling", "targets", "images.unet", "images.shapes.census_of_images"), __file__]
EXACT_CODE = [*code_of("sampling", "images.distributions", "images.shapes.matching"), __file__]


def network(seed):
    """The network of a seed, and the seconds that its training took; that of seed 0 is stored."""
    if seed == 0:
        stored = mih.artifact("shapes32")
        return stored.net, stored.record["seconds"]
    net, _, seconds = shapes.trained({**shapes.SMALL, "seed": seed})
    return net, seconds


def drawn(net, n, seed):
    """n images by the whole chain, and the faults of each: (n, kinds) bool."""
    chain = mih.Schedule.linear(**shapes.CHAIN).ddpm()
    generator = torch.Generator().manual_seed(seed)
    out = mih.sample(net, chain, n, (1, 32, 32), progress=False, generator=generator)
    return {"x": mih.to_shades(out.x.float()), "faults": faults_of(out.x.float())}


def faults_of(images):
    """Which kinds of fault each image has: (n, kinds) bool."""
    found = mih.shapes.census(images)
    kinds = [found.repeated, found.wrong_column, found.malformed, found.blank]
    return torch.stack(kinds, dim=1).numpy()


def by_network(seed, n, part):
    """One part of a network's images."""
    return drawn(network(seed)[0], n, 4000 + 100 * seed + part)


def by_exact(n, part):
    """One part of the control's images."""
    exact = mih.ExactDenoiser(mih.ShapesDistribution(32), mih.Schedule.linear(**shapes.CHAIN))
    return drawn(exact, n, 5000 + part)


def of_seed(seed):
    """All images of one network, part by part."""
    parts = [
        kept(by_network, {"seed": seed, "n": PART, "part": i}, CODE) for i in range(SAMPLES // PART)
    ]
    return {name: np.concatenate([p[name] for p in parts]) for name in ("x", "faults")} | {
        "seconds": sum(float(p["seconds"]) for p in parts)
    }


def make_seeds(name="shapes32-seeds"):
    """faults (seeds, n, kinds), exact/faults (n, kinds), real/faults; a few images of each seed."""
    control = [kept(by_exact, {"n": PART, "part": i}, EXACT_CODE) for i in range(CONTROL // PART)]
    runs = [of_seed(seed) for seed in SEEDS]
    real = mih.shapes.dataset(CONTROL, 32, generator=torch.Generator().manual_seed(6000))
    seconds = sum(run["seconds"] + network(s)[1] for s, run in zip(SEEDS, runs, strict=True))
    save(
        name,
        {
            "faults": np.stack([run["faults"] for run in runs]),
            "exact/faults": np.concatenate([part["faults"] for part in control]),
            "real/faults": faults_of(real),
            "x": np.stack([run["x"][:64] for run in runs]),
        },
        seed=list(SEEDS),
        seconds=seconds + sum(float(part["seconds"]) for part in control),
        schedule=shapes.CHAIN,
        training=shapes.TRAINING | shapes.SMALL,
        kinds=KINDS,
        samples=SAMPLES,
        control=CONTROL,
    )


RECIPES = {"shapes32-seeds": (make_seeds,)}
