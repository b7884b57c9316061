"""Sampling: the reverse chain, block by block, with the detector's statistic on the way."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from ._checks import is_whole, require, require_count, require_known_steps
from ._device import block_sizes, compiled, device_and_dtype
from .denoisers import Denoiser
from .schedule import Schedule


@dataclass
class Samples:
    """What `sample` returns, on the device of the net."""

    x: Tensor
    """The samples: (n, *shape)."""
    hal: Tensor | None = None
    """Hal of each sample, (n,): how much x0_hat varied over the window; None without a window."""
    x_t: Tensor | None = None
    """x_t before each kept step, noisiest first: (steps kept, n, *shape); None without `keep`."""
    x0_hat: Tensor | None = None
    """x0_hat predicted at each kept step: shape of x_t."""


def sample(
    net: Denoiser,
    schedule: Schedule,
    n: int,
    shape: tuple[int, ...],
    *,
    window: tuple[int, int] | None = None,
    eta: float = 1.0,
    fixed_large: bool = True,
    keep: Iterable[int] = (),
    x_T: Tensor | None = None,
    compile: bool = False,
    progress: bool = True,
    generator: torch.Generator | None = None,
) -> Samples:
    """Draw n samples of the given shape by the reverse chain of `schedule`.

    net: predicts the noise, net(x_t, t) with t of shape (). The chain runs where its weights lie;
        `generator` must lie there too. One generator state gives the same samples on one machine.
    schedule: of the chain; for fewer steps pass schedule.respaced(k).
    window: (first, last), counted from the end of the chain: (0, 5) are the last five steps. Hal
        is the population variance of x0_hat over these steps, averaged over `shape` (the paper's
        detector). It is streamed, so the memory does not grow with the window.
    eta: 1 is DDPM, 0 the deterministic DDIM; between them there is less noise (Song et al. 2021,
        eq. 16).
    fixed_large: for eta = 1, noise of variance beta ("fixed-large", the paper's choice), or else
        of the posterior variance ("fixed-small").
    keep: steps, counted from the end as well, at which x_t and x0_hat are kept; range(1000) keeps
        a whole chain of 1000 steps, and costs the memory.
    x_T: the starting noise, (n, *shape), if it is not to be drawn.
    """
    require_count("n", n)
    ok = isinstance(shape, tuple | list) and all(is_whole(s) and s > 0 for s in shape) and shape
    require(bool(ok), "shape", shape, "a tuple of positive sizes, such as (1,)")
    require_known_steps(net, schedule)
    if window is not None:
        ok = isinstance(window, tuple | list) and len(window) == 2 and all(map(is_whole, window))
        ok = ok and 0 <= window[0] < window[1] <= len(schedule)
        require(ok, "window", window, f"(first, last) with 0 ≤ first < last ≤ {len(schedule)}")
    keep = frozenset(keep)
    ok = all(is_whole(step) and 0 <= step < len(schedule) for step in keep)
    require(
        ok, "keep", list(keep)[:3], f"whole numbers, steps of the chain: 0 … {len(schedule) - 1}"
    )
    if x_T is not None:
        require(isinstance(x_T, Tensor), "x_T", type(x_T).__name__, "a torch.Tensor")
        require(x_T.shape == (n, *shape), "x_T.shape", tuple(x_T.shape), f"{(n, *shape)}")

    device, dtype = device_and_dtype(net, x_T, generator)
    blocks = block_sizes(n, shape, device)
    starts = [None] * len(blocks) if x_T is None else x_T.to(device, dtype).split(blocks)
    chain = _Chain(compiled(net) if compile else net, schedule, window, keep, eta, fixed_large)
    done = []
    total = len(blocks) * len(schedule)
    with (
        torch.inference_mode(),
        tqdm(total=total, desc="sampling", disable=not progress, leave=False) as bar,
    ):
        for rows, start in zip(blocks, starts, strict=True):
            if start is None:
                start = _noise((rows, *shape), device, dtype, generator)
            done.append(chain(start, generator, bar))
    x = torch.cat([block.x for block in done])
    if device.type != "meta" and not bool(x.isfinite().all()):
        warnings.warn("some samples are not finite: the net's output explodes", stacklevel=2)
    return Samples(
        x=x,
        hal=torch.cat([block.hal for block in done]) if window else None,
        x_t=torch.cat([block.x_t for block in done], dim=1) if keep else None,
        x0_hat=torch.cat([block.x0_hat for block in done], dim=1) if keep else None,
    )


class _Chain:
    """The reverse chain for one block of rows."""

    def __init__(self, net, schedule, window, keep, eta, fixed_large):
        self.net, self.window, self.keep = net, window, keep
        self.timesteps = schedule.timesteps
        self.steps = schedule.reverse_steps(eta, fixed_large)

    def __call__(self, x: Tensor, generator: torch.Generator | None, bar: tqdm) -> Samples:
        steps, timesteps = self.steps, self.timesteps.to(x.device)
        hal = _RunningVariance() if self.window else None
        kept_x, kept_x0 = [], []
        for i in reversed(range(len(timesteps))):
            noise = self.net(x, timesteps[i])
            watched = self.window is not None and self.window[0] <= i < self.window[1]
            if watched or i in self.keep:
                x0_hat = (x - steps.sigma[i] * noise) / steps.signal[i]
            if watched:
                hal.add(x0_hat)
            if i in self.keep:
                kept_x.append(x)
                kept_x0.append(x0_hat)
            x = steps.x[i] * x + steps.noise[i] * noise
            if steps.std[i] > 0:
                x = x + steps.std[i] * _noise(x.shape, x.device, x.dtype, generator)
            bar.update()
        return Samples(
            x,
            hal.variance().flatten(1).mean(dim=1).to(x.dtype) if hal else None,
            torch.stack(kept_x) if kept_x else None,
            torch.stack(kept_x0) if kept_x else None,
        )


class _RunningVariance:
    """Population variance of a stream of tensors, one at a time (Welford 1962)."""

    def __init__(self):
        self.count = 0

    def add(self, value: Tensor) -> None:
        value = value if value.device.type == "mps" else value.double()
        if self.count == 0:
            self.mean, self.squares = torch.zeros_like(value), torch.zeros_like(value)
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)

    def variance(self) -> Tensor:
        return self.squares / self.count


def _noise(shape, device, dtype, generator) -> Tensor:
    """Standard normal noise, drawn in float32 so that every dtype sees the same numbers."""
    return torch.randn(shape, device=device, generator=generator).to(dtype)
