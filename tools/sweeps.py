"""Which long parts of a recipe are independent of each other, so that many machines can share them.

A part is what the recipe asks `kept` for later: (function, settings, files of its code).
"""

from collections.abc import Iterator

from recipes import points, trends_2d, when
from recipes.common import CACHE, kept, key_of

Part = tuple  # (function, settings, files)


def grid() -> Iterator[Part]:
    for _, _, _, settings in trends_2d.cases():
        yield trends_2d.one_run, settings, trends_2d.CODE


def training_points() -> Iterator[Part]:
    for function, settings in points.jobs():
        yield function, settings, points.CODE


def swaps() -> Iterator[Part]:
    for seed in when.SEEDS:
        yield when.swaps, {"seed": seed}, when.CODE


PARTS = {
    "grid25-trends": grid,
    "line123-points": training_points,
    "line123-when": swaps,
}


def parts_to_do(name: str) -> list[Part]:
    """Parts of the artifact's recipe that nobody has computed yet, each once."""
    keyed = {key_of(part[1], part[2]): part for part in PARTS.get(name, tuple)()}
    return [part for key, part in keyed.items() if not (CACHE / f"{key}.npz").is_file()]


def compute(part: Part) -> None:
    """Compute a part and leave it where the recipe finds it."""
    function, settings, files = part
    kept(function, settings, files)
