"""Training: predict the noise, mean squared error, Adam with a cosine learning rate."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from ._checks import require, require_count, require_known_steps, require_number
from ._device import compiled, device_and_dtype
from .denoisers import Denoiser
from .schedule import Schedule


@dataclass
class History:
    """What happened in training."""

    loss: Tensor
    """Mean squared error of the predicted noise at each step: (steps done,)."""
    interrupted: bool
    """Whether it was stopped by hand; the net keeps the weights it had then."""
    excess_steps: list[int] = field(default_factory=list)
    """Steps after which the excess loss was measured."""
    excess: Tensor | None = None
    """Mean squared distance to the exact denoiser's noise there: (len(excess_steps),)."""
    seconds: float = 0.0
    """How long it took, with what came before a checkpoint."""


def train(
    net: nn.Module,
    data: Tensor,
    schedule: Schedule,
    steps: int,
    *,
    batch: int = 2048,
    lr: float = 2e-3,
    ema: float | None = None,
    checkpoint: str | Path | None = None,
    exact: Denoiser | None = None,
    compile: bool = False,
    progress: bool = True,
    generator: torch.Generator | None = None,
) -> History:
    """Train `net` in place to predict the noise in noised data (Ho et al. 2020, algorithm 1).

    net: called as net(x_t, t); it trains where its weights lie, and `generator` must lie there too.
    data: (N, *shape), moved to the net's device once.
    ema: give the net, in the end, the exponential moving average of its weights with this decay
        (0.999, say; less in the first steps, so that it forgets where it began).
    checkpoint: a file to keep the state in every few minutes. Called again with the same arguments,
        and a generator, it goes on from there.
    exact: the exact denoiser, if the data's density is known; then the excess loss over it is
        measured about fifty times. The loss itself cannot reach zero; its excess can.
    compile: use torch.compile.

    Interrupting (Ctrl-C, or the notebook's stop button) ends training early and keeps the net.
    """
    require(isinstance(net, nn.Module), "net", type(net).__name__, "a torch.nn.Module, to train it")
    _check_data(data)
    device, dtype = device_and_dtype(net)
    require_count("steps", steps)
    require_count("batch", batch)
    require_number("lr", lr, above=0)
    if ema is not None:
        require_number("ema", ema, above=0)
        require(ema < 1, "ema", ema, "below 1")
    require_known_steps(net, schedule)
    data, schedule = data.to(device, dtype), schedule.to(device)
    exact = exact.to(device) if hasattr(exact, "to") else exact
    fused = device.type in ("cpu", "cuda")
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, fused=fused)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    model = compiled(net) if compile else net

    losses = torch.zeros(steps, device=device)
    measured_at, excess = [], []
    weights = list(net.parameters())
    average = [weight.detach().clone() for weight in weights] if ema is not None else []
    keeper = _Keeper(checkpoint, generator, net=net, optimiser=optimiser, annealing=annealing)
    done, interrupted = keeper.restore(losses, average, measured_at, excess), False
    net.train()
    bar = tqdm(total=steps, initial=done, desc="training", disable=not progress, leave=False)
    try:
        for step in range(done, steps):
            x_t, t, noise = _noised_batch(data, schedule, batch, generator)
            loss = F.mse_loss(model(x_t, t), noise)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            annealing.step()
            losses[step] = loss.detach()
            done = step + 1
            bar.update()
            if ema is not None:
                decay = min(ema, done / (done + 9))
                with torch.no_grad():
                    for mean, weight in zip(average, weights, strict=True):
                        mean.lerp_(weight, 1 - decay)
            if exact is not None and (done % max(1, steps // 50) == 0 or done == steps):
                with torch.no_grad():
                    excess.append(F.mse_loss(net(x_t, t), exact(x_t, t)))
                measured_at.append(done)
            if progress and done % 200 == 0:
                bar.set_postfix(loss=f"{losses[done - 200 : done].mean().item():.4f}")
            keeper.keep(done, losses, average, measured_at, excess, last=done == steps)
    except KeyboardInterrupt:
        interrupted = True
    bar.close()
    with torch.no_grad():
        for mean, weight in zip(average, weights, strict=bool(average)):
            weight.copy_(mean)
    net.eval()
    excess = torch.stack(excess[: len(measured_at)]).cpu() if measured_at else None
    return History(losses[:done].cpu(), interrupted, measured_at, excess, keeper.spent())


class _Keeper:
    """Keeps the state of a training in a file, every few minutes and at its end."""

    every = 180  # seconds

    def __init__(self, path: str | Path | None, generator: torch.Generator | None, **parts):
        self.path, self.generator, self.parts = path and Path(path), generator, parts
        self.start = self.kept = time.monotonic()
        self.before = 0.0

    def spent(self) -> float:
        """Seconds of training, this time and before."""
        return self.before + time.monotonic() - self.start

    def restore(self, losses: Tensor, average: list, measured_at: list, excess: list) -> int:
        """The number of steps that are done; everything is set to what it was then."""
        if self.path is None or not self.path.is_file():
            return 0
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        same = len(state["losses"]) == len(losses) and len(state["average"]) == len(average)
        require(same, "checkpoint", str(self.path), "of a training with the same arguments")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        if self.generator is not None:
            self.generator.set_state(state["generator"])
        for tensor, stored in zip(
            [losses, *average], [state["losses"], *state["average"]], strict=True
        ):
            tensor.copy_(stored)
        measured_at += state["measured_at"]
        excess += [value.to(losses.device) for value in state["excess"]]
        self.before = state["seconds"]
        return state["done"]

    def keep(self, done: int, losses, average, measured_at, excess, last: bool) -> None:
        if self.path is None or not (last or time.monotonic() - self.kept > self.every):
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        state |= {"done": done, "losses": losses, "average": average}
        state |= {"measured_at": measured_at, "excess": excess, "seconds": self.spent()}
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        torch.save(state, partial)
        partial.replace(self.path)
        self.kept = time.monotonic()


def _noised_batch(
    data: Tensor, schedule: Schedule, batch: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """A random batch at random steps: x_t (batch, *shape), the t for the network, the noise."""
    device = data.device
    rows = torch.randint(len(data), (batch,), device=device, generator=generator)
    step = torch.randint(len(schedule), (batch,), device=device, generator=generator)
    noise = torch.randn(
        batch, *data.shape[1:], dtype=data.dtype, device=device, generator=generator
    )
    return schedule.add_noise(data[rows], step, noise), schedule.timesteps[step], noise


def _check_data(data: Tensor) -> None:
    require(isinstance(data, Tensor), "data", type(data).__name__, "a torch.Tensor")
    ok = data.ndim >= 2 and data.numel() > 0 and data.is_floating_point()
    require(ok, "data", f"{tuple(data.shape)} of {data.dtype}", "floats of form (N, *shape), N ≥ 1")
    bad = int((~data.isfinite()).sum()) if data.device.type != "meta" else 0
    require(bad == 0, "data", f"a tensor with {bad} values that are not finite", "finite")
