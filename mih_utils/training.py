"""Training: predict the noise, mean squared error, Adam with a cosine learning rate."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from ._checks import require, require_count, require_known_steps, require_number
from ._device import compiled, home
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


def train(
    net: nn.Module,
    data: Tensor,
    schedule: Schedule,
    steps: int,
    *,
    batch: int = 2048,
    lr: float = 2e-3,
    exact: Denoiser | None = None,
    compile: bool = False,
    progress: bool = True,
    generator: torch.Generator | None = None,
) -> History:
    """Train `net` in place to predict the noise in noised data (Ho et al. 2020, algorithm 1).

    net: called as net(x_t, t); it trains where its weights lie, and `generator` must lie there too.
    data: (N, *shape), moved to the net's device once.
    exact: the exact denoiser, if the data's density is known; then the excess loss over it is
        measured about fifty times. The loss itself cannot reach zero; its excess can.
    compile: use torch.compile.

    Interrupting (Ctrl-C, or the notebook's stop button) ends training early and keeps the net.
    """
    require(isinstance(net, nn.Module), "net", type(net).__name__, "a torch.nn.Module, to train it")
    _check_data(data)
    device, dtype = home(net)
    require_count("steps", steps)
    require_count("batch", batch)
    require_number("lr", lr, above=0)
    require_known_steps(net, schedule)
    data, schedule = data.to(device, dtype), schedule.to(device)
    exact = exact.to(device) if hasattr(exact, "to") else exact
    fused = device.type in ("cpu", "cuda")
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, fused=fused)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    model = compiled(net) if compile else net

    losses = torch.zeros(steps, device=device)
    measured_at, excess = [], []
    done, interrupted = 0, False
    net.train()
    bar = tqdm(range(steps), "training", disable=not progress, leave=False)
    try:
        for step in bar:
            x_t, t, noise = _noised_batch(data, schedule, batch, generator)
            loss = F.mse_loss(model(x_t, t), noise)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            annealing.step()
            losses[step] = loss.detach()
            done = step + 1
            if exact is not None and (done % max(1, steps // 50) == 0 or done == steps):
                with torch.no_grad():
                    excess.append(F.mse_loss(net(x_t, t), exact(x_t, t)))
                measured_at.append(done)
            if progress and done % 200 == 0:
                bar.set_postfix(loss=f"{losses[done - 200 : done].mean().item():.4f}")
    except KeyboardInterrupt:
        interrupted = True
    net.eval()
    excess = torch.stack(excess[: len(measured_at)]).cpu() if measured_at else None
    return History(losses[:done].cpu(), interrupted, measured_at, excess)


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
