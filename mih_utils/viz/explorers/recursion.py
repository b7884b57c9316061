"""The explorers of models trained on their own samples."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..._checks import require, require_count
from ...mixture import GaussianMixture
from ...recursion.gaussian_refit import expected_log_variance, expected_variance, simulate
from ...recursion.loop import PROTOCOLS
from ..style import scientific, share
from .chapters import _plane, _reach, _ring
from .core import Explorer, Line, Panel, Picture, Slider


def refit_explorer(
    sizes: Sequence[int] = (5, 10, 30, 100, 300),
    *,
    fits: int = 100,
    lineages: int = 5,
    generator: torch.Generator,
) -> Explorer:
    """Fit one Gaussian to n of its own samples, again and again (maximum likelihood).

    sizes: the n that a slider offers, others the fit and the protocol. Left the fitted densities of
    a few lineages beside the true one, right the variance against the fit, and what theory expects
    of it. The generator decides the lineages, and begins anew for each protocol. The slider of the
    fits stops at each of the first 20, then at every second one.
    """
    require(len(sizes) > 0, "sizes", sizes, "one number of samples at least")
    require_count("lineages", lineages)
    means, variances, expected, typical = [], [], [], []
    for n in sizes:
        luck = generator.get_state()
        for protocol in PROTOCOLS:
            generator.set_state(luck)
            found = simulate(n, fits, repeats=lineages, protocol=protocol, generator=generator)
            means.append(found[0])
            variances.append(found[1])
            expected.append(expected_variance(n, fits, protocol=protocol))
            known = protocol == "replace"  # what is typical under the others has no closed form
            typical.append(expected_log_variance(n, fits) * (1.0 if known else math.nan))

    def by_setting(values: list[Tensor]) -> np.ndarray:
        """(sizes, protocols, fits + 1, …)."""
        return torch.stack(values).unflatten(0, (len(sizes), len(PROTOCOLS))).cpu().numpy()

    mean, variance, expectation = map(by_setting, (means, variances, expected))
    least, most = variance.min(axis=-1), variance.max(axis=-1)
    logs = np.log10(variance)
    gap = np.full_like(logs[..., :1, :], np.nan)  # between one lineage and the next
    paths = np.concatenate([logs, gap], axis=2).swapaxes(2, 3)
    number = np.arange(fits + 1.0)
    stops = [k for k in range(fits + 1) if k <= 20 or k % 2 == 0]
    stop = number[stops, None]
    arrays = {
        "true mean": np.zeros(1),
        "true std": np.ones(1),
        # narrower than the line that draws it, a density would only cost the others precision
        "mean": np.moveaxis(mean, 2, 0)[stops],
        "std": np.moveaxis(np.sqrt(variance), 2, 0)[stops].clip(min=2e-3),
        "fit": np.tile(np.append(number, np.nan), lineages),
        "log variance": paths.reshape(len(sizes), len(PROTOCOLS), -1),
        "number": number,
        "expected": np.log10(expectation),
        "typical": by_setting(typical) / math.log(10),
        "here": stop * [1, 1],
        "height": np.array([-6.0, 0.7]),
        "dots": stop * np.ones(lineages),
        "log variance here": np.moveaxis(logs, 2, 0)[stops],
    }
    some, settings = f"{lineages} lineages", list(np.ndindex(len(sizes), len(PROTOCOLS)))
    every, lasting = [0, 1, 2], [1, 2]  # the sliders that the lines follow
    bells = [
        Line("true mean", "true std", "data", "the truth", by=[], bells=True, width=4),
        Line("mean", "std", "learned", some, by=every, xby=every, bells=True, width=1.5),
    ]
    dots = {"by": every, "xby": [0], "points": True, "width": 4}
    lines = [
        Line("here", "height", "data", by=[], xby=[0], dash=True, width=1.5),
        Line("fit", "log variance", "learned", by=lasting, width=1.5),
        Line("number", "expected", "exact", "E[variance]", lasting, width=3),
        Line("number", "typical", "other", "E[log variance] (replace only)", lasting, dash=True),
        Line("dots", "log variance here", "learned", **dots),
    ]

    def sentence(k: int, i: int, j: int) -> str:
        if k == 0:
            return f"No fit yet: all {lineages} lineages start from the true Gaussian."
        fit = "1 fit" if k == 1 else f"{k} fits"
        span = f"{share(least[i, j, k])} to {share(most[i, j, k])}"
        return (
            f"After {fit} with n = {sizes[i]} ({PROTOCOLS[j]}), {share(expectation[i, j, k])} of "
            f"the variance is left on average; in the {lineages} lineages {span}."
        )

    return Explorer(
        [
            Slider("fits so far", list(map(str, stops)), min(20, fits), stop[:, 0].tolist(), True),
            Slider("samples a fit", [f"n = {n}" for n in sizes], start=min(1, len(sizes) - 1)),
            Slider("protocol", list(PROTOCOLS)),
        ],
        [
            Panel(
                "The fitted Gaussians",
                "x",
                "density",
                (-3.8, 3.8),
                (0, 1.6),
                bells,
                "Normal densities of the lineages at this fit beside the true one: fit by fit they "
                "move and become narrower, under replace until nothing but spikes is left.",
            ),
            Panel(
                "Variance",
                "fits so far",
                "log₁₀ variance",
                (0, fits),
                (-6, 0.7),
                lines,
                "Logarithm of the variance against the number of fits: under replace the lineages "
                "fall without end, with few samples soon far below the expectation; under "
                "accumulate they level off.",
                drag="x",
            ),
        ],
        arrays,
        [sentence(k, i, j) for k in stops for i, j in settings],
        "Explorer: one Gaussian fitted to its own samples again and again. Its variance is lost "
        "fit by fit, with few samples sooner; where all earlier samples are kept, the loss stops.",
    )


def generations_explorer(
    samples: Mapping[str, Tensor],
    metrics: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    mixture: GaussianMixture | None = None,
    k: float = 6.0,
    shown: int | None = None,
) -> Explorer:
    """Step through generations of models trained on their own samples, under several policies.

    samples: for each policy, by name, what its generations left; all of one shape. Points in the
        plane, (generations, n, 2), need the `mixture`: those farther than k std from every mode are
        painted as hallucinations. Images in [-1, 1], (generations, n, 1, height, width), need none.
    metrics: by name, for each policy a number per generation; NaN where there is none. Percent
        read better on the axis than small fractions.
    shown: how many of the samples are drawn, the first ones. By default, so that the page stays
        light: 600 points, or as many as make 20,000 in all; 36 images, or 25 beyond 30 frames.
    """
    frames, policies = _frames(samples, mixture), list(samples)
    generations = frames.shape[1]
    steps = range(generations)
    _check_metrics(metrics, policies, generations)
    if shown is None:
        total = len(policies) * generations
        images, points = 36 if total <= 30 else 25, min(600, 20_000 // total)
        shown = images if mixture is None else max(points, 1)
    require_count("shown", shown)
    frames = frames[:, :, :shown].double().cpu()
    require(bool(frames.isfinite().all()), "samples", "not finite", "finite")

    # (metrics, policies, generations), gaps where one is missing
    numbers = np.array([[list(metric[p]) for p in policies] for metric in metrics.values()], float)
    numbers[~np.isfinite(numbers)] = np.nan
    ranges = [_range(values) for values in numbers]
    count, when = len(policies), np.array(steps)
    arrays = {
        "generation": when,
        "here": when[:, None] * [1, 1],
        "height": np.array(ranges),
        "dot": when[:, None],
        "now": numbers.transpose(1, 0, 2),
        "now here": numbers.transpose(1, 2, 0)[..., None],
    }
    lines = [Line("here", "height", "data", by=[2], xby=[0], dash=True, width=1.5)]
    roles = [_ROLES[i % len(_ROLES)] for i in range(count)]
    for i, policy in enumerate(policies):
        arrays[f"policy {i}"], dash = numbers[:, i], i >= len(_ROLES)
        lines.append(Line("generation", f"policy {i}", roles[i], policy, [2], dash=dash, width=1.2))
    lines.append(Line("generation", "now", roles, by=[1, 2], width=4))
    lines.append(Line("dot", "now here", roles, by=[1, 0, 2], xby=[0], points=True, width=6))

    if mixture is None:
        left, far, legend = _sheets(frames, arrays), None, []
    else:
        left, far, legend = _scatter(frames, mixture, k, roles, arrays)

    def sentence(generation: int, i: int) -> str:
        found = zip(metrics, numbers[:, i, generation].tolist(), strict=True)
        said = f"Generation {generation}, {policies[i]}: "
        said += ", ".join(f"{name} {_short(value)}" for name, value in found) + "."
        if far is not None:
            lost, drawn = int(far[i, generation].sum()), far.shape[-1]
            said += f" Farther than {k:g}σ from every mode: {lost} of the {drawn} points drawn."
        return said

    return Explorer(
        [
            Slider("generation", list(map(str, steps)), steps[-1], list(steps), play=True),
            Slider("policy", policies),
            Slider("metric", list(metrics)),
        ],
        [
            left,
            Panel(
                "The metric under all policies",
                "generation",
                list(metrics),
                (-0.03 * (generations - 1), 1.03 * (generations - 1)),
                ranges,
                lines,
                "The chosen metric against the generation, a line for each policy; the chosen "
                "policy's is thick, and a dot marks the generation.",
                drag="x",
                yby=2,
            ),
        ],
        arrays,
        [sentence(g, i) for g in steps for i in range(count) for _ in metrics],
        "Explorer: generations of models trained on their own samples. What a generation left, and "
        "a metric against the generation, under the policies that a slider chooses from.",
        legend,
    )


_ROLES = ["data", "learned", "other", "exact"]  # the colours of the policies; then again, dashed


def _frames(samples: Mapping[str, Tensor], mixture: GaussianMixture | None) -> Tensor:
    """All samples as one tensor, (policies, generations, n, …), once they are what they must be."""
    most = 2 * len(_ROLES)
    require(0 < len(samples) <= most, "samples", f"{len(samples)} policies", f"1 … {most} of them")
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


def _range(values: np.ndarray) -> tuple[float, float]:
    """A little more than the values take up; something around them if they are all the same."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = 0.07 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _short(value: float) -> str:
    """Three digits, "4.7 × 10⁻⁴" where that would be long, or a dash where there is no number."""
    if math.isnan(value):
        return "–"
    said = f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e3 else scientific(value)
    return said.replace("-", "−")


def _scatter(points: Tensor, mixture: GaussianMixture, k: float, roles: list[str], arrays: dict):
    """The panel of the points, (policies, generations, n, 2), which of them are far, its legend."""
    far = mixture.distance(points.flatten(0, 2)).reshape(points.shape[:3]) > k
    lines = []
    for name, chosen, role, width in (
        ("near", ~far, roles, 2.0),
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
    reach = max(_reach(mixture), float(np.quantile(away.numpy(), 0.995)))
    alt = (
        "What this generation left, in the plane: points in the colour of the policy; those far "
        "from every mode are painted as hallucinations."
    )
    painted = {"label": f"farther than {k:g}σ from every mode", "role": "hallucination"}
    panel = _plane(mixture, k, "What this generation left", reach, lines, alt)
    return panel, far, [painted | {"points": True}, _ring(k)]


def _sheets(images: Tensor, arrays: dict) -> Picture:
    """All images of a frame, (policies, generations, n, 1, height, width), as one grey picture."""
    n, _, height, width = images.shape[2:]
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    greys = (15 * (images[:, :, :, 0].clamp(-1, 1) + 1) / 2).round().mul(17).byte()
    sheet = torch.full(
        (*images.shape[:2], down * (height + 1), across * (width + 1)), 102, dtype=torch.uint8
    )  # a grey that leaves a line between one image and the next
    for i in range(n):
        top, left = i // across * (height + 1), i % across * (width + 1)
        sheet[:, :, top : top + height, left : left + width] = greys[:, :, i]
    arrays["sheet"] = sheet[..., :-1, :-1].transpose(0, 1).contiguous().numpy()
    alt = "A sheet of images: the first of those that this generation left under the policy."
    return Picture("What this generation left", "sheet", [0, 1], alt, [])
