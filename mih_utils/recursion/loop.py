"""Models trained on their own samples: one loop for any data and any model.

Each generation fits a model, draws from it, keeps some of what it drew, and leaves that to the
later ones. A protocol says what they learn from (names: Kazdan et al. 2024):

replace: only what the last generation left;
accumulate: the real data and all that was ever left, so the training set grows;
accumulate-subsample: as many points as there were at first, drawn from all of that.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .._checks import is_whole, require, require_count
from ..sampling import Samples
from .filters import at_random, below_first, everything, joined, lowest_hal

__all__ = ["Generation", "at_random", "below_first", "everything", "lowest_hal", "run"]
PROTOCOLS = ("replace", "accumulate", "accumulate-subsample")


@dataclass
class Generation:
    """What one generation was like."""

    number: int
    """0 is the first model, which was fitted to the real data."""
    metrics: dict[str, float | Tensor]
    """What `measure` gave."""
    x: Tensor
    """Some of the samples that it left to later ones: (shown, *shape), on the CPU."""
    hal: Tensor | None
    """Hal of all candidates that it drew, kept or not, on the CPU: (drawn,)."""
    memory: dict[str, float]
    """What `keep` remembers, such as its threshold."""
    seconds: float
    """To fit, draw and measure."""


def run(
    data: Tensor,
    fit: Callable,
    draw: Callable,
    generations: int,
    *,
    protocol: str = "replace",
    keep: Callable | None = None,
    measure: Callable | None = None,
    shown: int = 64,
    folder: str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Iterator[Generation]:
    """Fit a model to the data, then to what was drawn, and so on; yields generation by generation.

    data: the real data, (n, *shape), floats. Every generation leaves n samples.
    fit(data, generator) gives a model, which only `draw` and `measure` look at. A training stopped
        by hand must not return one: `if history.interrupted: raise KeyboardInterrupt`. The
        generator lies where the data does; networks draw their first weights on the CPU.
    draw(model, n, generator) gives n samples: a tensor, or `Samples` with Hal to filter by.
    keep(more, n, memory, generator) chooses n samples out of candidates: more(m) draws m of them.
        What later generations need to know is a number in the dict `memory`. See `lowest_hal`.
    measure(model, drawn, kept) gives numbers or tensors by name; drawn and kept are `Samples`.
    folder: keeps each generation once it is finished. Called again with the same arguments, `run`
        yields what is there and goes on with the next generation.
    seed: each generation has its own generator, on the data's device, made from the seed and its
        number. So stopping changes nothing, and runs of one seed share the model of generation 0.
    """
    ok = isinstance(data, Tensor) and data.ndim > 0 and len(data) > 0 and data.is_floating_point()
    found = f"{tuple(data.shape)} of {data.dtype}" if isinstance(data, Tensor) else data
    require(ok, "data", found, "floats of form (n, *shape), n ≥ 1")
    require_count("generations", generations)
    require(protocol in PROTOCOLS, "protocol", protocol, f"one of {', '.join(PROTOCOLS)}")
    require_count("shown", shown)
    require(is_whole(seed) and seed >= 0, "seed", seed, "a whole number of at least 0")
    keep = keep or everything
    name = f"protocol {protocol}, seed {seed}, {getattr(keep, '__name__', type(keep).__name__)}"
    shelf = _Shelf(folder, data, name)

    def steps() -> Iterator[Generation]:
        pool, memory = [data], {}
        for number in tqdm(range(generations), "generations", disable=not progress, leave=False):
            if number not in shelf:
                start, generator = time.perf_counter(), generator_of(seed, number, data.device)
                model = fit(_training_set(pool, len(data), protocol, generator), generator)
                more = _Candidates(draw, model, generator, data)
                kept = keep(more, len(data), memory, generator)
                shape = tuple(kept.x.shape)
                require(shape == data.shape, "shape of what keep gives", shape, tuple(data.shape))
                # a filter may leave them in some order, so any of them are shown
                any_order = generator_of(seed, number, data.device)
                rows = torch.randperm(len(data), generator=any_order, device=data.device)
                drawn, x = joined(more.parts), _plain(kept.x[rows[:shown]])
                hal = _plain(drawn.hal) if "hal" in drawn.observed else None
                found = measure(model, drawn, kept) if measure else {}
                metrics = {name: _plain(value) for name, value in found.items()}
                seconds = time.perf_counter() - start
                shelf.save(Generation(number, metrics, x, hal, dict(memory), seconds), kept.x)
            generation, left = shelf.load(number)
            pool = [left] if protocol == "replace" else [*pool, left]
            memory = dict(generation.memory)
            yield generation

    return steps()


# What the loop is made of


def generator_of(seed: int, number: int, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of one generation. Its initial_seed() is a name for a training's checkpoint."""
    state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]) >> 1)


def _training_set(pool: list[Tensor], n: int, protocol: str, generator) -> Tensor:
    points = torch.cat(pool)
    if protocol != "accumulate-subsample" or len(pool) == 1:
        return points
    return points[torch.randperm(len(points), generator=generator, device=points.device)[:n]]


def _plain(value) -> float | Tensor:
    """A number, or a tensor on the CPU with a memory of its own: of a view, all would be kept."""
    return value.detach().cpu().clone() if isinstance(value, Tensor) else float(value)


class _Candidates:
    """more(n) draws n candidates from a model, checks them, and notes them in `parts`."""

    def __init__(self, draw, model, generator, data: Tensor):
        self.draw, self.model, self.generator, self.data = draw, model, generator, data
        self.parts = []

    def __call__(self, n: int) -> Samples:
        out = self.draw(self.model, n, self.generator)
        out = out if isinstance(out, Samples) else Samples(out)
        shape = (n, *self.data.shape[1:])
        require(out.x.shape == shape, "shape of what draw gives", tuple(out.x.shape), f"{shape}")
        require(bool(out.x.isfinite().all()), "what draw gives", "not finite", "finite")
        observed = {name: value.to(self.data.device) for name, value in out.observed.items()}
        self.parts.append(Samples(out.x.to(self.data), **observed))
        return self.parts[-1]


class _Shelf:
    """Finished generations, with what each left; in a folder, if there is one, a file for each."""

    def __init__(self, folder: str | Path | None, data: Tensor, name: str):
        self.folder, self.device, self.last = folder and Path(folder), data.device, None
        content = data.detach().cpu().contiguous().view(torch.uint8).numpy() if folder else b""
        self.name = f"{name}, data {hashlib.sha256(content).hexdigest()[:12]}"

    def __contains__(self, number: int) -> bool:
        return self.folder is not None and self._path(number).is_file()

    def save(self, generation: Generation, left: Tensor) -> None:
        self.last = generation, left
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._path(generation.number)
            partial = path.with_suffix(".partial")
            torch.save({"run": self.name, "left": _plain(left), **vars(generation)}, partial)
            partial.replace(path)

    def load(self, number: int) -> tuple[Generation, Tensor]:
        if self.last and self.last[0].number == number:
            return self.last
        stored = torch.load(self._path(number), map_location="cpu", weights_only=True)
        name, left = stored.pop("run"), stored.pop("left")
        require(name == self.name, "folder", f"of a run with {name}", f"of one with {self.name}")
        return Generation(**stored), left.to(self.device)

    def _path(self, number: int) -> Path:
        return self.folder / f"generation-{number:03d}.pt"
