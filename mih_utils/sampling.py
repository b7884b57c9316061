"""Sampling: run a reverse chain from noise to data, while observers watch it."""

import warnings
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from ._checks import is_whole, require, require_count, require_generator, require_known_times
from ._device import block_sizes, compiled, device_and_dtype, evaluating, keep_freed_memory
from .chain import Chain, Step
from .denoisers import Denoiser


class Moment:
    """What an observer sees of a block of rows at one step, before the step is taken.

    `x_t` and `noise`, which the net predicts in it, have the shape (rows, *shape); `left` steps are
    still to come, 0 in the last one; `t` is what the net is told.
    """

    def __init__(self, step: Step, x_t: Tensor, noise: Tensor):
        self.step, self.x_t, self.noise = step, x_t, noise
        self.left, self.t = step.left, step.t

    @property
    def x0_hat(self) -> Tensor:
        """The clean point that the net sees behind x_t: (rows, *shape)."""
        return self.step.x0_hat(self.x_t, self.noise)


class Samples:
    """Samples `x`, (n, *shape), and what each observer saw of them, under the observer's name.

    `Samples(x, hal=hal)` has the attribute `hal`, with a row for each sample.
    """

    def __init__(self, x: Tensor, **observed: Tensor):
        self.x, self.observed = x, observed
        vars(self).update(observed)

    def __getattr__(self, name: str) -> Tensor:
        known = ", ".join(vars(self).get("observed", {})) or "nothing but x"
        raise AttributeError(f"these samples have no {name!r} (observed: {known})")

    def __repr__(self) -> str:
        return f"Samples({', '.join(['x', *self.observed])}; x of shape {tuple(self.x.shape)})"


class Keep:
    """Keep x_t or x0_hat of some steps, the noisiest first: (steps kept, n, *shape).

    `Keep("x0_hat", last=40)` keeps those of the last 40 steps; without `last`, of all steps, which
    costs the memory; `steps` names some, counted from the end, 0 being the last one.
    """

    rows_along = 1  # the dimension of its result that has a row for each sample

    def __init__(self, name: str, last: int | None = None, steps: Iterable[int] | None = None):
        require(name in ("x_t", "x0_hat", "noise"), "name", name, "'x_t', 'x0_hat' or 'noise'")
        if last is not None:
            require_count("last", last)
            steps = range(last)
        steps = None if steps is None else frozenset(steps)
        ok = steps is None or (steps and all(is_whole(step) and step >= 0 for step in steps))
        require(ok, "steps", sorted(steps or ()), "whole numbers of at least 0, one or more")
        self.name, self.steps = name, steps
        self.needs_steps = 1 + max(steps) if steps else 0

    def __call__(self, moment: Moment, kept: list[Tensor] | None) -> list[Tensor] | Tensor:
        kept = kept or []
        if self.steps is None or moment.left in self.steps:
            kept.append(getattr(moment, self.name))
        return kept if moment.left else torch.stack(kept)


def sample(
    net: Denoiser,
    chain: Chain,
    n: int,
    shape: tuple[int, ...],
    *,
    observe: Sequence[Callable] = (),
    x_T: Tensor | None = None,
    compile: bool = False,
    progress: bool = True,
    generator: torch.Generator | None = None,
) -> Samples:
    """Draw n samples of the given shape by a reverse chain.

    net: predicts the noise, net(x_t, t) with t of shape (). The chain runs where its weights lie;
        `generator` must lie there too. One generator state gives the same samples on one machine.
    chain: `schedule.ddpm()`, `schedule.ddim(steps=50)`, …
    observe: statistics of the chain, such as [Hal(last=5)]. Each has a name and is called at every
        step as observer(moment, before): `moment` is what there is to see, `before` is what it
        returned at the step before, None at first. What it returns in the last step, with one row
        for each sample, becomes an attribute of the samples.
    x_T: the starting noise, (n, *shape), if it is not to be drawn.
    """
    _check(net, chain, n, shape, observe, x_T)
    device, dtype = device_and_dtype(net, x_T, generator)
    require_generator(generator, device)
    model = compiled(net) if compile else net
    blocks = block_sizes(n, shape, device)
    keep_freed_memory()
    starts = [None] * len(blocks) if x_T is None else x_T.to(device, dtype).split(blocks)
    parts, total = [], len(blocks) * len(chain)
    with (
        evaluating(net),
        torch.inference_mode(),
        tqdm(total=total, desc="sampling", disable=not progress, leave=False) as bar,
    ):
        for rows, start in zip(blocks, starts, strict=True):
            if start is None:
                start = noise((rows, *shape), device, dtype, generator)
            parts.append(_reverse(model, chain, start, observe, generator, bar))
    x, *results = (
        torch.cat(part, dim=getattr(look, "rows_along", 0))
        for part, look in zip(zip(*parts, strict=True), (None, *observe), strict=True)
    )
    if device.type != "meta" and not bool(x.isfinite().all()):
        warnings.warn("some samples are not finite: the net's output explodes", stacklevel=2)
    return Samples(x, **{look.name: result for look, result in zip(observe, results, strict=True)})


def _reverse(model, chain: Chain, x: Tensor, observe, generator, bar) -> tuple[Tensor, ...]:
    """Take one block of rows from noise to data: the samples, and the result of each observer."""
    results = [None] * len(observe)
    for step, t in zip(chain, chain.times.to(x.device), strict=True):
        moment = Moment(step, x, model(x, t))
        results = [look(moment, before) for look, before in zip(observe, results, strict=True)]
        x = step.mean(x, moment.noise)
        if step.std > 0:
            x = x + step.std * noise(x.shape, x.device, x.dtype, generator)
        bar.update()
    return x, *results


def noise(shape, device, dtype, generator) -> Tensor:
    """Draw standard normal noise, in float32 first, so that every dtype sees the same numbers."""
    return torch.randn(shape, device=device, generator=generator).to(dtype)


def _check(net, chain, n, shape, observe, x_T) -> None:
    require(isinstance(chain, Chain), "chain", chain, "a Chain, such as schedule.ddpm()")
    require_count("n", n)
    ok = isinstance(shape, tuple | list) and all(is_whole(s) and s > 0 for s in shape) and shape
    require(bool(ok), "shape", shape, "a tuple of positive sizes, such as (1,)")
    require_known_times("chain", net, chain.times.tolist())
    ok = isinstance(observe, Sequence)
    require(ok, "observe", observe, "a list of observers, such as [Hal(last=5)]")
    names = [getattr(look, "name", None) for look in observe]
    ok = all(isinstance(name, str) and name not in ("x", "observed") for name in names)
    ok = ok and len(set(names)) == len(names) and all(map(callable, observe))
    require(ok, "observe", names, "observers, each callable, with a name of its own")
    for look in observe:
        steps = getattr(look, "needs_steps", 0)
        expected = f"of at least {steps} steps, for {look.name} to watch"
        require(len(chain) >= steps, "chain", chain, expected)
    if x_T is not None:
        require(isinstance(x_T, Tensor), "x_T", type(x_T).__name__, "a torch.Tensor")
        require(x_T.shape == (n, *shape), "x_T.shape", tuple(x_T.shape), f"{(n, *shape)}")
