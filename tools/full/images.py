"""Shapes of 64 pixels, and MNIST models that train on their own samples."""

import torch
from torch.nn import functional as F

import mih_utils as mih
from mih_utils import recursion

from .work import Work

PATCH = 2  # pixels of a side that the U-Net sees as one: a quarter of the work
POLICIES = {"random": recursion.at_random(0.025), "lowest Hal": recursion.lowest_hal(0.025)}


def schedule(work: Work) -> mih.Schedule:
    """Ho et al.'s noise in fewer, larger steps: 250 of them from 4e-4 to 0.08."""
    steps = work.scale.image_chain
    return mih.Schedule.linear(steps, beta_start=0.1 / steps, beta_end=min(0.9, 20 / steps))


def unet(work: Work, generator: torch.Generator) -> mih.VelocityTarget:
    """A U-Net; its blocks compute in bfloat16 where the device has that."""
    size = {"channels": work.scale.channels, "patch": PATCH, "steps": work.scale.image_chain}
    net = mih.VelocityTarget(mih.UNet(**size, generator=generator), schedule(work))
    return net.to(work.device)


def shapes_trained(work: Work) -> dict:
    scale, generator = work.scale, work.generator(0)
    net = unet(work, torch.Generator().manual_seed(0))
    history = mih.train(
        net,
        mih.shapes.dataset(scale.images, scale.pixels, generator=generator),
        schedule(work),
        scale.image_steps,
        batch=scale.image_batch,
        observe=[mih.EMA(0.999), work.checkpoint("shapes-net")],
        progress=work.progress,
        generator=generator,
    )
    work.keep_net("shapes-net", net)
    return {"steps": scale.image_steps, "loss": float(history.loss[-100:].mean())}


def shapes_drawn(work: Work) -> dict:
    return faults(work, work.stored_net("shapes-net", unet(work, torch.Generator())))


def shapes_exact(work: Work) -> dict:
    distribution = mih.ShapesDistribution(work.scale.pixels)
    return faults(work, mih.ExactDenoiser(distribution, schedule(work)).to(work.device))


def faults(work: Work, denoiser) -> dict:
    """How many images that a denoiser draws have which fault."""
    shape, n = (1, work.scale.pixels, work.scale.pixels), work.scale.drawn
    out = mih.sample(
        denoiser,
        schedule(work).ddpm(),
        n,
        shape,
        progress=work.progress,
        generator=work.generator(1),
    )
    found = mih.shapes.census(out.x.float().cpu())
    kinds = {"twice": found.repeated, "blank": found.blank, "any": found.hallucinated}
    return {kind: int(has.sum()) for kind, has in kinds.items()} | {"images": n}


def digits_refitted(policy: str):
    """The part that trains generation after generation on what the last one left."""

    def part(work: Work) -> dict:
        scale = work.scale
        images, _ = mih.load_mnist()
        unseen, _ = mih.load_mnist(split="test")
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        data = padded(images[order[: scale.digits]]).to(work.device)
        measure = judge(work, unseen[: scale.unseen])
        run = recursion.run(
            data,
            fit=fit(work),
            draw=draw(work),
            generations=scale.generations,
            keep=POLICIES[policy],
            measure=lambda net, drawn, kept: measure(kept.x),
            folder=work.folder / f"mnist-{policy.replace(' ', '-')}",
            progress=work.progress,
        )
        found = [g.metrics for g in run]
        real = measure(data)
        return {name: [float(m[name]) for m in found] for name in real} | {"real": real}

    return part


def padded(images: torch.Tensor) -> torch.Tensor:
    """MNIST's 28 pixels with a black border: 32."""
    return F.pad(images, (2, 2, 2, 2), value=-1)


def fit(work: Work):
    scale = work.scale

    def fitted(data, generator):
        net = unet(work, generator)
        settings = {"batch": scale.digit_batch, "observe": [mih.EMA(0.999)]}
        settings |= {"progress": work.progress, "generator": generator}
        mih.train(net, data, schedule(work), scale.digit_steps, **settings)
        return net

    return fitted


def draw(work: Work):
    """Images, and the variance of the predicted clean image in the middle of the chain as Hal."""
    steps = work.scale.digit_chain
    window = {"first": steps * 3 // 10, "last": max(2, steps * 6 // 10)}

    def drawn(net, n, generator):
        chain = schedule(work).ddpm(steps, variance="small")
        settings = {"progress": work.progress, "generator": generator}
        out = mih.sample(net, chain, n, (1, 32, 32), observe=[mih.Hal(**window)], **settings)
        return mih.Samples(out.x.clamp(-1, 1), hal=out.hal)

    return drawn


def judge(work: Work, unseen: torch.Tensor):
    """A function of images: Fréchet distance, density and coverage against real, unseen digits."""
    classifier = mih.artifact("mnist-classifier").net.to(work.device)
    real = classifier.features(unseen.to(work.device)).cpu()

    def measure(images):
        features = classifier.features(images[: len(real), :, 2:-2, 2:-2]).cpu()
        density, coverage = mih.density_coverage(real, features)
        distance = mih.frechet_distance(real, features)
        return {"frechet": distance, "density": density, "coverage": coverage}

    return measure


def parts(work: Work) -> dict:
    """All parts by name, in an order in which each finds what it needs."""
    found = {"shapes-net": shapes_trained, "shapes-drawn": shapes_drawn}
    found |= {"shapes-exact": shapes_exact}
    return found | {
        f"mnist-{policy.replace(' ', '-')}": digits_refitted(policy) for policy in POLICIES
    }


def figures(work: Work) -> dict[str, dict]:
    """The figures of the claims, as their contracts ask for them, from the parts that are done."""
    found = {}
    drawn, exact = (work.record(f"shapes-{what}") for what in ("drawn", "exact"))
    if drawn and exact:
        ours, control = (
            list(mih.binomial_interval(r["numbers"]["twice"], r["numbers"]["images"]))
            for r in (drawn, exact)
        )
        found["shapes-twice"] = {"each": [ours], "all": ours, "control": control}
    runs = [work.record(f"mnist-{policy.replace(' ', '-')}") for policy in POLICIES]
    if all(runs):
        random, lowest = (run["numbers"] for run in runs)
        found["mnist-filter"] = {
            "distance": random["frechet"][0] / random["real"]["frechet"],
            "coverage": random["coverage"][0] / random["real"]["coverage"],
            "fold": lowest["frechet"][-1] / random["frechet"][-1],
        }
    return found
