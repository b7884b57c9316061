"""Models trained on their own samples: one loop for any data and any model.

Each generation fits a model, draws from it, keeps some of what it drew, and leaves that to the
later ones. A protocol says what they learn from (names: Kazdan et al. 2024):

replace: only what the last generation left;
accumulate: the real data and all that was ever left, so the training set grows;
accumulate-subsample: as many points as there were at first, drawn from all of that.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .._checks import is_whole, require, require_count
from ..sampling import Samples
from .filters import everything, joined
from .store import Generation, GenerationStore, plain

PROTOCOLS = ("replace", "accumulate", "accumulate-subsample")


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
    """Fit a model to the data, then one to what it drew, and so on; yield every generation.

    data: the real data, (n, *shape), floats. Every generation leaves n samples.
    fit(data, generator) returns a model, which only `draw` and `measure` look at. The generator
        lies where the data does.
    draw(model, n, generator) returns n samples: a tensor, or `Samples` with Hal to filter by.
    keep(draw_candidates, n, memory, generator) chooses n samples. draw_candidates(m) draws m more
        of them to choose from. What later generations need to know is a number in the dict
        `memory`. The filters are `everything` (the default), `at_random`, `lowest_hal` and
        `below_first`.
    measure(model, drawn, kept) returns numbers or tensors by name; drawn and kept are `Samples`.
    folder: keeps each generation once it is finished. Called again with the same arguments, `run`
        yields what is there and goes on with the next generation. A folder of other data, another
        protocol or seed, or another fit, draw, keep or measure is a ValueError.
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
    recipe = Recipe(data, fit, draw, keep or everything, measure, protocol, shown, seed)
    numbers = tqdm(range(generations), "generations", disable=not progress, leave=False)
    return _generations(recipe, numbers, GenerationStore(folder, vars(recipe)))


def _generations(
    recipe: "Recipe", numbers: Iterable[int], store: GenerationStore
) -> Iterator[Generation]:
    """Make the generations that the store does not have, and yield them all."""
    pool, memory = [recipe.data], {}
    for number in numbers:
        if number not in store:
            store.save(*recipe.make(number, pool, memory))
        generation, kept = store.load(number, recipe.data.device)
        pool = [kept] if recipe.protocol == "replace" else [*pool, kept]
        memory = dict(generation.memory)
        yield generation


def generator_of(seed: int, number: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make the generator of one generation, on the device.

    Its initial_seed() differs for every seed and number, so it can name a training's checkpoint.
    """
    state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]) >> 1)


@dataclass
class Recipe:
    """What is done in every generation: the arguments of `run` that a result depends on."""

    data: Tensor
    fit: Callable
    draw: Callable
    keep: Callable
    measure: Callable | None
    protocol: str
    shown: int
    seed: int

    def make(
        self, number: int, pool: list[Tensor], memory: dict[str, float]
    ) -> tuple[Generation, Tensor]:
        """Make one generation from the points that there are, and the n samples that it leaves."""
        start, n, device = time.perf_counter(), len(self.data), self.data.device
        generator = generator_of(self.seed, number, device)
        model = self.fit(self.training_set(pool, generator), generator)
        candidates = Candidates(self.draw, model, generator, self.data)
        kept = self.keep(candidates.draw, n, memory, generator)
        shape = tuple(kept.x.shape)
        require(shape == self.data.shape, "shape of what keep gives", shape, tuple(self.data.shape))
        # a filter may leave them in some order, so any of them are shown
        any_order = generator_of(self.seed, number, device)
        rows = torch.randperm(n, generator=any_order, device=device)[: self.shown]
        drawn = joined(candidates.parts)
        found = self.measure(model, drawn, kept) if self.measure else {}
        generation = Generation(
            number=number,
            metrics={name: plain(value) for name, value in found.items()},
            x=plain(kept.x[rows]),
            hal=plain(drawn.hal) if "hal" in drawn.observed else None,
            memory=dict(memory),
            seconds=time.perf_counter() - start,
        )
        return generation, kept.x

    def training_set(self, pool: list[Tensor], generator: torch.Generator) -> Tensor:
        """Choose what a generation learns from."""
        points = torch.cat(pool)
        if self.protocol != "accumulate-subsample" or len(pool) == 1:
            return points
        order = torch.randperm(len(points), generator=generator, device=points.device)
        return points[order[: len(self.data)]]


class Candidates:
    """All that a generation draws, in `parts`, one for each time that it draws."""

    def __init__(self, draw: Callable, model, generator: torch.Generator, data: Tensor):
        """draw, model, generator: as in `run`; data: what the candidates must be like."""
        self.draw_from_model, self.model, self.generator, self.data = draw, model, generator, data
        self.parts = []

    def draw(self, n: int) -> Samples:
        """Draw n candidates, and check that they are n, finite, and of the shape of the data."""
        drawn = self.draw_from_model(self.model, n, self.generator)
        drawn = drawn if isinstance(drawn, Samples) else Samples(drawn)
        shape, found = (n, *self.data.shape[1:]), tuple(drawn.x.shape)
        require(found == shape, "shape of what draw gives", found, f"{shape}")
        require(bool(drawn.x.isfinite().all()), "what draw gives", "not finite", "finite")
        observed = {name: seen.to(self.data.device) for name, seen in drawn.observed.items()}
        self.parts.append(Samples(drawn.x.to(self.data), **observed))
        return self.parts[-1]
