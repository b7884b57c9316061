"""What a training costs, from shapes alone: nothing is computed, and no GPU is needed.

The network runs once forwards and once backwards on torch's meta device, which has shapes and no
numbers. Operations are counted exactly. Memory is that of weights, gradients, Adam's two averages,
and what is kept for the way back; what libraries need for themselves comes on top. Time is an
estimate, operations over a rate that has to be assumed.
"""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from . import gaussians, images
from .work import Work

RATE = 5e12  # operations a second that a card of 16 GB really does, of a peak of some 20 to 60e12
LAUNCHES = 3e-3  # seconds that a step takes at least: it is some hundred small operations


@dataclass(frozen=True)
class Estimate:
    """One training."""

    steps: int
    operations: float
    """Of a step."""
    memory: float
    """Bytes."""

    @property
    def seconds(self) -> float:
        return self.steps * max(LAUNCHES, self.operations / RATE)


def of_step(net: torch.nn.Module, batch: int, shape: tuple[int, ...]) -> tuple[float, float]:
    """Operations of one training step, and the bytes that it holds."""
    net, kept = net.to("meta"), {}
    x = torch.empty(batch, *shape, device="meta")
    t = torch.empty(batch, dtype=torch.long, device="meta")

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        net(x, t).square().mean().backward()
    weights = sum(w.numel() * w.element_size() for w in net.parameters())
    return counter.get_total_flops(), 4 * weights + sum(kept.values())


def trainings(work: Work) -> dict[str, Estimate]:
    """An estimate for each part that trains, in all its generations."""
    scale, found = work.scale, {}
    for data in gaussians.DATA:
        net = gaussians.network(work, data)
        cost = of_step(net, scale.batch, (gaussians.DATA[data].dim,))
        for seed in scale.seeds:
            found[f"{data}-net-{seed}"] = Estimate(gaussians.steps_of(work, data), *cost)
    net = images.unet(Work(work.folder, scale=scale), torch.Generator()).net
    cost = of_step(net, scale.image_batch, (1, scale.pixels, scale.pixels))
    found["shapes-net"] = Estimate(scale.image_steps, *cost)
    cost = of_step(net, scale.digit_batch, (1, 32, 32))
    for policy in images.POLICIES:
        steps = scale.generations * scale.digit_steps
        found[f"mnist-{policy.replace(' ', '-')}"] = Estimate(steps, *cost)
    return found
