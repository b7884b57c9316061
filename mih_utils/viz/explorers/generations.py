"""The other explorers of chapter 5: generations of models, trained on their own samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._checks import require, require_count
from ...mixture import GaussianMixture
from .core import Buttons, Chip, Explorer, Line, Panel, Picture, Said, Slider
from .plane import plane_panel, reach_of, ring
from .shapes import greys
from .words import short

_DASHES = [(), (8, 4), (2, 3), (10, 3, 2, 3)]
_MARKERS = ["circle", "square", "triangle", "diamond"]
_MOST = len(_DASHES) * 2  # policies that can be told apart
_GAP = 102  # a grey between one image and the next


@dataclass
class Generations:
    """What generations left, (policies, generations, n, …), and numbers about them.

    numbers: (metrics, policies, generations), nan where there is none.
    """

    policies: list[str]
    metrics: list[str]
    frames: Tensor
    numbers: np.ndarray

    @property
    def count(self) -> int:
        """How many generations there are."""
        return self.frames.shape[1]


def generations_explorer(
    samples: Mapping[str, Tensor],
    metrics: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    mixture: GaussianMixture | None = None,
    k: float = 6.0,
    shown: int | None = None,
    title: str = "Generation by generation, what is left is less like the data",
) -> Explorer:
    """Step through generations of models trained on their own samples, under several policies.

    samples: for each policy, by name, what its generations left; all of one shape. Points in the
        plane, (generations, n, 2), need the `mixture`: those farther than k std from every mode are
        painted as hallucinations. Images in [-1, 1], (generations, n, 1, height, width), need none;
        those of all policies are shown side by side.
    metrics: by name, for each policy a number per generation; NaN where there is none. Percent
        read better on the axis than small fractions.
    shown: how many of the samples are drawn, the first ones. By default, so that the page stays
        light: 600 points, or as many as make 20,000 in all; 36 images, or 16 beyond 30 frames.
    title: what this shows, as a sentence.
    """
    found = _generations(samples, metrics, mixture, shown)
    if mixture is None:
        return _of_images(found, title)
    return _of_points(found, title, mixture, k)


def _generations(samples, metrics, mixture, shown: int | None) -> Generations:
    frames, policies = _frames(samples, mixture), list(samples)
    _check_metrics(metrics, policies, frames.shape[1])
    if shown is None:
        total = len(policies) * frames.shape[1]
        images, points = 36 if total <= 30 else 16, min(600, 20_000 // total)
        shown = images if mixture is None else max(points, 1)
    require_count("shown", shown)
    frames = frames[:, :, :shown].double().cpu()
    require(bool(frames.isfinite().all()), "samples", "not finite", "finite")
    numbers = np.array([[list(metric[p]) for p in policies] for metric in metrics.values()], float)
    numbers[~np.isfinite(numbers)] = np.nan
    return Generations(policies, list(metrics), frames, numbers)


def _frames(samples: Mapping[str, Tensor], mixture: GaussianMixture | None) -> Tensor:
    """All samples as one tensor, (policies, generations, n, …), once they are what they must be."""
    ok = 0 < len(samples) <= _MOST
    require(ok, "samples", f"{len(samples)} policies", f"1 … {_MOST} of them")
    if mixture is None:
        ending, expected = (5, (1,)), "(generations, n, 1, height, width), or points with a mixture"
    else:
        require(mixture.dim == 2, "mixture", mixture, "one of two dimensions")
        ending, expected = (3, (2,)), "(generations, n, 2)"
    axes, channels = ending
    first = next(iter(samples.values()))
    for policy, x in samples.items():
        name = f"samples[{policy!r}]"
        require(isinstance(x, Tensor), name, type(x).__name__, "a torch.Tensor")
        ok = x.ndim == axes and x.shape[2:3] == channels and x.shape[0] > 1 and x.numel() > 0
        require(ok, f"{name}.shape", tuple(x.shape), f"of form {expected}, generations > 1, n > 0")
        ok = x.shape == first.shape
        require(ok, f"{name}.shape", tuple(x.shape), f"that of the first, {tuple(first.shape)}")
    return torch.stack([x.detach() for x in samples.values()])


def _check_metrics(metrics, policies: list[str], generations: int) -> None:
    require(len(metrics) > 0, "metrics", metrics, "one metric at least")
    for name, metric in metrics.items():
        said = f"metrics[{name!r}]"
        require(set(metric) == set(policies), said, sorted(metric), f"of {sorted(policies)}")
        for policy, values in metric.items():
            found = f"{len(values)} numbers"
            ok = len(values) == generations
            require(ok, f"{said}[{policy!r}]", found, f"{generations}, one for each generation")


def _of_points(found: Generations, title: str, mixture: GaussianMixture, k: float) -> Explorer:
    """Controls: generation, policy, metric. The chosen policy's line stands out."""
    arrays = _metric_arrays(found)
    left, far = _scatter(found, mixture, k, arrays)
    arrays["now"] = found.numbers.transpose(1, 0, 2)
    arrays["now here"] = found.numbers.transpose(1, 2, 0)[..., None]
    chosen = [
        Line("generation", "now", "learned", "the chosen policy", by=[1, 2], width=4),
        Line("dot", "now here", "learned", by=[1, 0, 2], xby=[0], points=True, width=6),
    ]
    lines = [*_policy_lines(found, "grey", metric=2), *chosen]
    painted = {"label": f"farther than {k:g}σ from every mode", "role": "hallucination"}
    return Explorer(
        "generations",
        title,
        [
            _generation_slider(found),
            Buttons("policy", found.policies),
            Buttons("metric", found.metrics),
        ],
        [left, _metric_panel(found, lines, metric=2)],
        arrays,
        [Said([0, 1], _point_sentences(found, far, k))],
        "Explorer: generations of models trained on their own samples. What a generation left, and "
        "a metric against the generation, under the policy that the reader chooses.",
        [painted | {"points": True}, ring(k)],
        _chips(found),
    )


def _of_images(found: Generations, title: str) -> Explorer:
    """Controls: generation, metric. The images of all policies are side by side."""
    arrays = _metric_arrays(found)
    pictures = _sheets(found, arrays)
    lines = _policy_lines(found, "learned", metric=1)
    return Explorer(
        "images",
        title,
        [_generation_slider(found), Buttons("metric", found.metrics)],
        [*pictures, _metric_panel(found, lines, metric=1, wide=True)],
        arrays,
        [Said([0, 1], _image_sentences(found))],
        "Explorer: generations of models trained on their own images. What a generation left "
        "under each policy, side by side, and a metric against the generation.",
        [],
        _chips(found),
    )


def _generation_slider(found: Generations) -> Slider:
    steps = list(range(found.count))
    return Slider("generation", list(map(str, steps)), steps[-1], list(map(float, steps)), True)


def _chips(found: Generations) -> list[Chip]:
    return [Chip("The first generation", {0: 0}), Chip("The last", {0: found.count - 1})]


def _metric_arrays(found: Generations) -> dict[str, np.ndarray]:
    """What the panel of the metrics draws; a policy's array is (metrics, generations)."""
    when = np.arange(float(found.count))
    arrays = {"generation": when, "dot": when[:, None]}
    return arrays | {f"policy {i}": found.numbers[:, i] for i in range(len(found.policies))}


def _policy_lines(found: Generations, role: str, metric: int) -> list[Line]:
    """A line for each policy, told apart by dash and marker."""
    return [
        Line(
            "generation", f"policy {i}", role, policy, [metric],
            dash=_DASHES[i % 4], marker=_MARKERS[(i + i // 4) % 4], ends=True, width=1.8,
        )
        for i, policy in enumerate(found.policies)
    ]  # fmt: skip


def _metric_panel(found: Generations, lines: list[Line], metric: int, wide: bool = False) -> Panel:
    last = found.count - 1
    return Panel(
        "The metric under all policies",
        "generation",
        found.metrics,
        (-0.03 * last, 1.03 * last),
        [range_of(values) for values in found.numbers],
        lines,
        "The chosen metric against the generation, a line for each policy, told apart by dashes "
        "and the mark at its end.",
        drag="x",
        wide=wide,
        y_by=[metric],
        ylabel_by=[metric],
        xwhole=True,
        cursor="dot",
    )


def range_of(values: np.ndarray) -> tuple[float, float]:
    """A little more than the values take up; something around them if they are all the same."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = 0.07 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _point_sentences(found: Generations, far: Tensor, k: float) -> list[str]:
    words = []
    for g in range(found.count):
        for i, policy in enumerate(found.policies):
            pairs = zip(found.metrics, found.numbers[:, i, g].tolist(), strict=True)
            said = ", ".join(f"{name} {short(value)}" for name, value in pairs)
            lost, drawn = int(far[i, g].sum()), far.shape[-1]
            words.append(
                f"Generation {g}, {policy}: {said}. Farther than {k:g}σ from every mode: {lost} of "
                f"the {drawn} points drawn."
            )
    return words


def _image_sentences(found: Generations) -> list[str]:
    words = []
    for g in range(found.count):
        for m, metric in enumerate(found.metrics):
            pairs = zip(found.policies, found.numbers[m, :, g].tolist(), strict=True)
            said = ", ".join(f"{policy} {short(value)}" for policy, value in pairs)
            words.append(f"Generation {g}, {metric}: {said}.")
    return words


def _scatter(found: Generations, mixture, k: float, arrays: dict) -> tuple[Panel, Tensor]:
    """The panel of the points, and which of them, (policies, generations, n), are far."""
    points = found.frames
    far = mixture.distance(points.flatten(0, 2)).reshape(points.shape[:3]) > k
    lines = []
    for name, chosen, role, width in (
        ("near", ~far, "learned", 2.0),
        ("far", far, "hallucination", 3.0),
    ):
        # those that are chosen come first in each frame; gaps take the place of the others
        order = chosen.double().argsort(dim=-1, descending=True, stable=True)
        order = order[..., : max(int(chosen.sum(dim=-1).max()), 1)]
        some = points.gather(2, order[..., None].expand(*order.shape, 2))
        some[~chosen.gather(2, order)] = math.nan
        arrays[f"{name} x"], arrays[f"{name} y"] = some.permute(3, 0, 1, 2).numpy()
        names, by = (f"{name} x", f"{name} y"), [1, 0]
        lines.append(Line(*names, role, by=by, xby=by, points=True, width=width))
    away = (points - mixture.means.mean(dim=0).cpu()).abs().flatten()
    reach = max(reach_of(mixture), float(np.quantile(away.numpy(), 0.995)))
    alt = (
        "What this generation left, in the plane: points of the networks; those far from every "
        "mode are painted as hallucinations."
    )
    return plane_panel(mixture, k, "What this generation left", reach, lines, alt), far


def _sheets(found: Generations, arrays: dict) -> list[Picture]:
    """A picture for each policy that has all its images, (generations, height, width) bytes."""
    images = found.frames  # (policies, generations, n, 1, height, width)
    n, _, height, width = images.shape[2:]
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    white = greys((images[:, :, :, 0].clamp(-1, 1) + 1) / 2)
    shape = (*images.shape[:2], down * (height + 1), across * (width + 1))
    sheet = np.full(shape, _GAP, dtype=np.uint8)
    for i in range(n):
        top, left = i // across * (height + 1), i % across * (width + 1)
        sheet[:, :, top : top + height, left : left + width] = white[:, :, i]
    pictures = []
    for i, policy in enumerate(found.policies):
        arrays[f"sheet {i}"] = sheet[i, :, :-1, :-1].copy()
        alt = f"A sheet of images: the first of those that this generation left under {policy}."
        pictures.append(Picture(policy, f"sheet {i}", [0], alt))
    return pictures
