"""The explorer and the game of chapter 3: images of shapes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._checks import require
from ...images.shapes import FAINTEST, ROWS, SHAPES, templates
from ...sampling import Samples
from .core import Chip, Explorer, Line, Panel, Picture, Said, Slider, Thumbnails
from .words import listed

NAMES = SHAPES[:3]
"""The shapes, which are also the markers of their columns."""
DASHES = {"triangle": (), "square": (8, 4), "pentagon": (2, 3)}


@dataclass
class Decisions:
    """How many shapes each column of x0_hat has on the way, and when that is decided.

    count: in shapes, (n, steps, 3); first: the first step from which on a column stays as it ends,
    (n, 3), `len(steps)` if none; when: that step's t, nan if none; there: the count then.
    """

    steps: list[int]
    count: Tensor
    first: Tensor
    when: Tensor
    there: Tensor


def strip_explorer(out: Samples, steps: Iterable[int], verdicts: list[str]) -> Explorer:
    """Step through the reverse chains of images of shapes: x0_hat, and what becomes of it.

    out: what `sample` gave with `Keep("x0_hat", steps=steps)`, or a selection of its chains: ten
    of 64 px at some thirty steps make a page of about 600 KB. verdicts: what each shows, in words
    such as "two squares in the middle column".

    A panel sums the brightness, 0 … 1, in each column of x0_hat, in shapes of that column: 0 is
    none, 1 is one. Pixels that are too faint for the census do not count: a haze over the whole
    column would. A column is decided at the first of the steps from which on its sum stays within
    0.25 shapes of that of the final image.
    """
    steps = _checked(out, steps, verdicts)
    x0_hat, x = brightness(out.x0_hat.transpose(0, 1)), brightness(out.x)
    found = _decisions(x0_hat, x, steps)
    n, last = len(x), found.first.amax(dim=1)  # the step at which the last column is decided
    start = [max(int(step) - 1, 0) for step in last]
    arrays = {"x0_hat": greys(x0_hat), "x": greys(x), "t": np.array(steps)}
    arrays["here"] = np.array(steps, dtype=float)[:, None]
    lines = _column_lines(found, arrays)
    marks = [sorted({int(i) for i in row if i < len(steps)}) for row in found.first]
    return Explorer(
        "strip",
        _strip_title(found),
        [
            Thumbnails("image", [f"{i + 1}: {verdicts[i]}" for i in range(n)], array="x"),
            Slider(
                "reverse step",
                [f"t = {t}" for t in steps],
                start[0],
                play=True,
                marks=marks,
                marks_by=0,
                marked="a column is decided",
                marks_role="ink",
            ),
        ],
        [*_PICTURES, _column_panel(steps, _top(found), lines)],
        arrays,
        _strip_said(found, verdicts),
        "Explorer: the image that a network predicts at each step of a reverse chain, the image "
        "it ends with, and how many shapes are in each column on the way.",
        [
            {
                "label": "decided: within 0.25 of its end",
                "role": "ink",
                "points": True,
                "hollow": True,
            }
        ],
        _strip_chips(last.tolist(), start),
    )


def _checked(out: Samples, steps: Iterable[int], verdicts: list[str]) -> list[int]:
    """The steps from noise to data, once everything is what it must be."""
    ok = "x0_hat" in out.observed
    require(ok, "out.x0_hat", None, "kept: sample with Keep('x0_hat', steps=steps)")
    size, n = out.x.shape[-1], len(out.x)
    ok = out.x.shape[1:] == (1, size, size) and size in ROWS
    require(ok, "out.x.shape", tuple(out.x.shape), "of form (n, 1, size, size), size 16, 32 or 64")
    shape = out.x0_hat.shape
    require(shape[1:] == out.x.shape, "out.x0_hat.shape", tuple(shape), "(steps, *out.x.shape)")
    steps = sorted(set(steps), reverse=True)
    ok = len(steps) == len(out.x0_hat) > 1
    kept = f"the {len(out.x0_hat)} that were kept, two or more"
    require(ok, "steps", f"{len(steps)} steps", kept)
    ok = len(verdicts) == n > 0
    require(ok, "verdicts", f"{len(verdicts)} sentences", f"{n}, one for each of the images")
    return steps


def brightness(images: Tensor) -> Tensor:
    """Return the brightness of each pixel as a page shows it, 0 … 1: (…, height, width)."""
    return ((images[..., 0, :, :].double().cpu() + 1) / 2).clamp(0, 1)


def greys(white: Tensor) -> np.ndarray:
    """Return brightness as bytes of 16 greys: no eye needs more, and a page is half as heavy."""
    return (15 * white).round().mul(17).byte().numpy()


def shapes_in(white: Tensor) -> Tensor:
    """Count how much white is in each column, in shapes of that column: (…, 3)."""
    size = white.shape[-1]
    areas = torch.stack([template.sum() for template in templates(size)])
    seen = white * (white > FAINTEST)
    columns = seen.sum(dim=-2).tensor_split((size // 3, 2 * (size // 3)), dim=-1)
    return torch.stack([column.sum(dim=-1) for column in columns], dim=-1) / areas


def _decisions(x0_hat: Tensor, x: Tensor, steps: list[int]) -> Decisions:
    count, end = shapes_in(x0_hat), shapes_in(x)  # (n, steps, 3), (n, 3)
    off = (count - end[:, None]).abs() > 0.25
    # the first of the steps after all that are off; one too many where the last is still off
    first = (off * torch.arange(1, len(steps) + 1)[:, None]).amax(dim=1)
    when = torch.tensor([*steps, math.nan], dtype=torch.float64)[first]
    there = count.gather(1, first.clamp(max=len(steps) - 1)[:, None])[:, 0]
    return Decisions(steps, count, first, when, there)


def _top(found: Decisions) -> float:
    """How high the panel of the columns goes: a little above the highest end."""
    return max(2.3, float(found.count[:, -1].max()) + 0.3)


def _column_lines(found: Decisions, arrays: dict) -> list[Line]:
    lines = []
    for c, name in enumerate(NAMES):
        arrays[name] = found.count[..., c].numpy()
        arrays[f"{name} when"] = found.when[:, c, None].numpy()
        arrays[f"{name} there"] = found.there[:, c, None].numpy()
        lines.append(Line("t", name, "ink", f"{name}s", dash=DASHES[name], ends=True, marker=name))
        ring = {"points": True, "hollow": True, "width": 7, "xby": [0]}
        lines.append(Line(f"{name} when", f"{name} there", "ink", **ring))
    return lines


def _column_panel(steps: list[int], high: float, lines: list[Line]) -> Panel:
    edge = 0.02 * (steps[0] - steps[-1])
    return Panel(
        "White in each column of x̂0",
        "t",
        "shapes",
        (steps[0] + edge, steps[-1] - edge),
        (-0.15, high),
        lines,
        "White in each column of the prediction, in shapes, against the step: three lines that "
        "fall as the noise clears and settle at none, one or, in some hallucinations, two shapes; "
        "a ring marks where each is decided.",
        wide=True,
        cursor="here",
        cursor_by=[1],
    )


_PICTURES = [
    Picture(
        "The prediction x̂0",
        "x0_hat",
        [0, 1],
        "The image that the network predicts at this step: at first noise, then grey clouds, in "
        "the end the shapes of the final image.",
        list(NAMES),
    ),
    Picture("The final image", "x", [0], "The image that the chain ends with.", list(NAMES)),
]


def _strip_title(found: Decisions) -> str:
    decided = found.when[~found.when.isnan()]
    if not len(decided):
        return "What will be in a column is not decided before the very end"
    return f"By t = {decided.quantile(0.5):g}, half of the columns have what they will end with"


def _strip_said(found: Decisions, verdicts: list[str]) -> list[Said]:
    """Two sentences; what does not depend on both controls is stored once."""
    equals = "t\u00a0=\u00a0"  # no line breaks there
    since = [
        listed(["the very end" if math.isnan(t) else f"{equals}{t:g}" for t in when])
        for when in found.when.tolist()
    ]
    white = [
        listed([f"{c:.1f} {name}s" for c, name in zip(row, NAMES, strict=True)])
        for row in found.count.flatten(0, 1).tolist()
    ]
    return [
        Said([0], [f"Image {i}: {verdict}." for i, verdict in enumerate(verdicts, 1)]),
        Said([1], [f"At {equals}{t}, x̂0 has as much white as" for t in found.steps]),
        Said([0, 1], [f"{has}." for has in white]),
        Said([0], [f"The columns are decided at {when}." for when in since]),
    ]


def _strip_chips(last: list[int], start: list[int]) -> list[Chip]:
    late, early = (f(range(len(last)), key=last.__getitem__) for f in (max, min))
    chips = [Chip("The latest decision", {0: late, 1: start[late]})]
    if late != early:
        chips.append(Chip("The earliest decision", {0: early, 1: start[early]}))
    return chips
