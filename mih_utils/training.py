"""Training: noise a batch, predict, compare, step; observers watch, average and keep."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from ._checks import (
    require,
    require_count,
    require_generator,
    require_known_times,
    require_number,
)
from ._device import compiled, device_and_dtype
from .interrupts import uninterrupted
from .schedule import Schedule


@dataclass
class Training:
    """A training as its observers see it."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    annealing: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator | None
    observers: Sequence
    settings: dict
    """What it was called with."""
    loss: Tensor
    """Mean squared error at each step: (steps,)."""
    done: int = 0
    """Steps taken."""
    batch: tuple[Tensor, Tensor, Tensor] | None = None
    """x_t, t and what was to be predicted, of the last step."""
    seconds: float = 0.0
    """Spent before the last checkpoint."""

    @property
    def steps(self) -> int:
        """How many steps it is to have."""
        return len(self.loss)


@dataclass
class History:
    """What happened in training."""

    loss: Tensor
    """Mean squared error of the prediction at each step: (steps done,)."""
    interrupted: bool
    """Whether it was stopped by hand."""
    seconds: float
    """How long it took, with what came before a checkpoint."""


def train(
    net: nn.Module,
    data: Tensor,
    schedule: Schedule,
    steps: int,
    *,
    batch: int = 2048,
    lr: float = 2e-3,
    observe: Sequence = (),
    stoppable: bool = False,
    compile: bool = False,
    progress: bool = True,
    generator: torch.Generator | None = None,
) -> History:
    """Train `net` in place to predict the noise in noised data (Ho et al. 2020, algorithm 1).

    Adam, with a learning rate that falls from `lr` to zero along a cosine.

    net: called as net(x_t, t); it trains where its weights lie, and `generator` must lie there too.
    data: (N, *shape), moved to the net's device once.
    schedule: a Schedule, or whatever has `training_batch(x0, generator)` and `to(device)`.
    observe: what watches it, such as [ExcessLoss(exact), EMA(0.999), Checkpoint(path)].
    stoppable: an interrupt (Ctrl-C, or the notebook's stop button) ends the training early and
        keeps the net, and the history says so. Without it an interrupt is raised as usual, so that
        no half-trained net passes for a trained one. A Checkpoint has kept the state either way.
    """
    _check(net, data, schedule, steps, batch, lr, observe)
    device, dtype = device_and_dtype(net)
    require_generator(generator, device)
    data, schedule = data.to(device, dtype), schedule.to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, fused=device.type in ("cpu", "cuda"))
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    settings = {"data": data, "schedule": schedule, "batch": batch, "lr": lr, "steps": steps}
    loss = torch.zeros(steps, device=device)
    training = Training(net, optimiser, annealing, generator, observe, settings, loss)
    model, began, interrupted = compiled(net) if compile else net, time.monotonic(), False
    for observer in observe:
        observer.start(training)
    before = training.seconds
    bar = tqdm(range(steps), "training", initial=training.done, disable=not progress, leave=False)
    net.train()
    try:
        while training.done < steps:
            mean_squared_error = _gradients(training, model, data, schedule, batch)
            with uninterrupted():  # weights, averages and a checkpoint belong to one step
                _step(training, mean_squared_error)
                training.seconds = before + time.monotonic() - began
                for observer in observe:
                    observer(training)
            bar.update()
            if progress and training.done % 200 == 0:
                recent = loss[training.done - 200 : training.done].mean()
                bar.set_postfix(loss=f"{recent.item():.4f}")
    except KeyboardInterrupt:
        interrupted = True
    _finish(training, bar)
    if interrupted and not stoppable:
        raise KeyboardInterrupt(f"training stopped after {training.done} of {steps} steps")
    return History(loss[: training.done].cpu(), interrupted, training.seconds)


def _finish(training: Training, bar: tqdm) -> None:
    """Let the observers tidy up, the last first; leave the net ready to be used."""
    bar.close()
    for observer in reversed(training.observers):
        observer.finish(training)
    training.net.eval()


def _gradients(training: Training, model, data: Tensor, schedule: Schedule, batch: int) -> Tensor:
    """Draw a batch and compute its loss, (), and the gradients."""
    generator = training.generator
    rows = torch.randint(len(data), (batch,), device=data.device, generator=generator)
    x_t, t, target = training.batch = schedule.training_batch(data[rows], generator)
    loss = F.mse_loss(model(x_t, t), target)
    training.optimiser.zero_grad()
    loss.backward()
    return loss.detach()


def _step(training: Training, loss: Tensor) -> None:
    """Take one step of gradient descent."""
    training.optimiser.step()
    training.annealing.step()
    training.loss[training.done] = loss
    training.done += 1


def _check(net, data, schedule, steps, batch, lr, observe) -> None:
    require(isinstance(net, nn.Module), "net", type(net).__name__, "a torch.nn.Module, to train it")
    require(isinstance(data, Tensor), "data", type(data).__name__, "a torch.Tensor")
    ok = data.ndim >= 2 and data.numel() > 0 and data.is_floating_point()
    require(ok, "data", f"{tuple(data.shape)} of {data.dtype}", "floats of form (N, *shape), N ≥ 1")
    bad = int((~data.isfinite()).sum()) if data.device.type != "meta" else 0
    require(bad == 0, "data", f"a tensor with {bad} values that are not finite", "finite")
    require_count("steps", steps)
    require_count("batch", batch)
    require_number("lr", lr, above=0)
    if hasattr(schedule, "__len__"):  # one that is continuous has no length
        require_known_times("schedule", net, range(len(schedule)))
    ok = isinstance(observe, Sequence)
    require(ok, "observe", observe, "a list of observers, such as [EMA(0.999)]")
