"""The book's explorers: what a reader can drag, chapter by chapter."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ..._checks import require, require_count
from ...denoisers import Denoiser, ExactDenoiser
from ...detection import choose_threshold, roc
from ...images.shapes import FAINTEST, ROWS, SHAPES, templates
from ...mixture import GaussianMixture
from ...sampling import Keep, Samples, sample
from ...schedule import Schedule
from ..style import scientific
from .core import Explorer, Line, Panel, Picture, Slider


def reverse_chains_explorer(
    mixture: GaussianMixture,
    schedule: Schedule,
    net: Denoiser,
    starts: torch.Tensor,
    *,
    bundle: int = 9,
    apart: int = 3,
    frames: int = 40,
    k: float = 6.0,
) -> Explorer:
    """Drag the starting noise of a bundle of deterministic reverse chains (DDIM, all steps).

    Left the exact denoiser of the mixture, right the network, from the same starts. starts: (n,)
    noises that the slider steps through; a bundle has `bundle` chains, `apart` positions from each
    other, drawn at `frames` noise levels. A chain that ends farther than k std from every mode is
    painted as a hallucination.
    """
    reach = apart * (bundle - 1)
    require(len(starts) > reach, "starts", f"{len(starts)} points", f"more than {reach} points")
    sigma = (1 - schedule.alpha_bar).sqrt()
    wanted = torch.linspace(0.998 * float(sigma[-1]), 0, frames, dtype=torch.float64)
    shown = sorted({int((sigma - level).abs().argmin()) for level in wanted})
    arrays = {"noise_left": np.array([*sigma[shown].flip(0).tolist(), 0.0])}
    ends, lost = {}, {}
    for name, denoiser in (("exact", ExactDenoiser(mixture, schedule)), ("learned", net)):
        kept = Keep("x_t", steps=shown)
        out = sample(
            denoiser,
            schedule.ddim(),
            len(starts),
            (1,),
            x_T=starts[:, None],
            observe=[kept],
            progress=False,
        )
        ends[name] = out.x.double().cpu()
        lost[name] = mixture.distance(ends[name]) > k
        arrays[name] = torch.cat([out.x_t.double().cpu(), ends[name][None]])[..., 0].T.numpy()
        arrays[f"{name}_lost"] = lost[name].double().numpy()[:, None]

    rows = [apart * (i - bundle // 2) for i in range(bundle)]
    means = mixture.means[:, 0].tolist()
    y = (min(float(starts.min()), min(means) - 1), max(means) + 0.5)
    marks = [{"axis": "y", "low": m - 3 * mixture.std, "high": m + 3 * mixture.std} for m in means]

    def panel(name: str, title: str, alt: str) -> Panel:
        line = Line("noise_left", name, name, rows=rows, flag=f"{name}_lost", ends=True, width=1.6)
        return Panel(
            title, "noise left, √(1 − ᾱ_t)", "x_t", (1, -0.02), y, [line], alt, marks, drag="y"
        )

    def sentence(i: int) -> str:
        at = [min(max(i + row, 0), len(starts) - 1) for row in rows]
        between = ends["learned"][at][lost["learned"][at]]
        where = ""
        if len(between):
            where = f" (at {_number(between.min())} to {_number(between.max())})"
        return (
            f"{bundle} chains start from {_number(starts[at[0]])} to {_number(starts[at[-1]])}. "
            f"Of these, {int(lost['exact'][at].sum())} end farther than {k:g}σ from every mode "
            f"under the exact score, and {len(between)} under the network{where}."
        )

    return Explorer(
        [
            Slider(
                "starting noise",
                [_number(start) for start in starts.tolist()],
                start=_at_a_border(mixture, ends["exact"], lost["learned"], rows),
                values=starts.tolist(),
            )
        ],
        [
            panel(
                "exact",
                "The exact score",
                "Reverse chains under the exact score: from noise on the left they split and all "
                "end on one of the modes.",
            ),
            panel(
                "learned",
                "The network",
                "Reverse chains under the trained network from the same noise: between the chains "
                "that reach a mode, some end in the empty space between two modes.",
            ),
        ],
        arrays,
        [sentence(i) for i in range(len(starts))],
        "Explorer: a bundle of reverse chains from nearly the same noise. With the exact score "
        "each ends on a mode; with the network some end between two modes.",
        [
            {"label": "exact score", "role": "exact"},
            {"label": "network", "role": "learned"},
            {"label": f"ends farther than {k:g}σ from every mode", "role": "hallucination"},
            {"label": "the modes, ± 3σ", "role": "data"},
        ],
    )


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _at_a_border(mixture, exact_ends, lost, rows) -> int:
    """Where the exact bundle splits most evenly, and of these where most of the network is lost."""
    nearest = (exact_ends - mixture.means[:, 0]).abs().argmin(dim=1)

    def rank(i: int) -> tuple[int, int]:
        landed = torch.bincount(nearest[[i + row for row in rows]])
        return int(landed.max()), -int(lost[[i + row for row in rows]].sum())

    return min(range(-rows[0], len(nearest) - rows[-1]), key=rank)


def staircase_explorer(
    mixture: GaussianMixture,
    schedule: Schedule,
    levels: list[int],
    x_t: np.ndarray,
    learned: np.ndarray,
    label: str,
    settings: list[str],
) -> Explorer:
    """Exact and learned x0_hat against x_t, with a slider for the noise level and one for the net.

    levels: the steps t shown; x_t: (levels, points); learned: x0_hat of the networks, (networks,
    levels, points); label and settings: what the second slider changes, and its positions in words.
    """
    points, where = torch.from_numpy(x_t).double(), schedule.alpha_bar[levels].tolist()
    exact = np.stack(
        [
            mixture.posterior_mean(row[:, None], a)[:, 0].numpy()
            for row, a in zip(points, where, strict=True)
        ]
    )
    density = np.stack(
        [
            mixture.log_prob(row[:, None], a).exp().numpy()
            for row, a in zip(points, where, strict=True)
        ]
    )
    # a position in x_t is told as x_t / sqrt(alpha_bar), so that the modes stay where they are
    position = x_t / np.sqrt(np.array(where))[:, None]
    gap = learned - exact
    likely = density > 1e-3 * density.max(axis=1, keepdims=True)
    worst = np.abs(gap * likely).max(axis=2)
    readout = [
        f"t = {t}, noise of {np.sqrt(1 - a) / np.sqrt(a) / mixture.std:.1f}σ: where x_t can lie, "
        f"the network ({setting}) is off the exact answer by at most {worst[s, i]:.2f}."
        for i, (t, a) in enumerate(zip(levels, where, strict=True))
        for s, setting in enumerate(settings)
    ]
    means = mixture.means[:, 0].tolist()
    low, high = min(means) - 1, max(means) + 1
    band = 3 * mixture.std
    modes = [{"axis": "y", "low": m - band, "high": m + band} for m in means]
    top = min(1.0, 1.1 * float(worst.max()))
    density *= 0.9 * top / density.max(axis=1, keepdims=True)
    return Explorer(
        [
            Slider("noise level", [f"t = {t}" for t in levels], start=len(levels) // 8),
            Slider(label, settings, start=len(settings) // 3),
        ],
        [
            Panel(
                "The staircase",
                "x_t, divided by the signal left",
                "x̂0",
                (low, high),
                (low, high),
                [
                    Line("position", "exact", "exact", "exact E[x0 | x_t]", xby=[0], width=3),
                    Line("position", "learned", "learned", "network", by=[1, 0], xby=[0]),
                ],
                "Predicted clean point against noised point: the exact curve climbs in steps from "
                "mode to mode, the network's is a smoothed version of it.",
                modes,
            ),
            Panel(
                "The difference",
                "x_t, divided by the signal left",
                "network − exact",
                (low, high),
                (-top, top),
                [
                    Line("position", "density", "data", "density of x_t", xby=[0], fill=True),
                    Line("position", "gap", "hallucination", "network − exact", [1, 0], [0]),
                ],
                "Difference between network and exact denoiser, largest at the steps, which lie "
                "where the density of x_t is lowest.",
            ),
        ],
        {"position": position, "exact": exact, "learned": learned, "density": density, "gap": gap},
        readout,
        "Explorer: the exact denoiser's staircase and the network's smooth version of it, "
        "at a noise level and a training that sliders choose.",
    )


def plane_chains_explorer(
    mixture: GaussianMixture,
    schedule: Schedule,
    out: Samples,
    steps: Iterable[int],
    *,
    k: float = 6.0,
) -> Explorer:
    """Step through reverse chains in the plane: left x_t, right the x0_hat predicted from it.

    out: what `sample(…, keep=steps)` gave, or a selection of its chains: a few hundred, at some
    fifty steps, are enough for the eye and light enough for a page. The last position shows the
    samples. Chains that end farther than k std from every mode are painted as hallucinations from
    the first step on.
    """
    require(mixture.dim == 2, "mixture", mixture, "one of two dimensions")
    require(out.x_t is not None, "out.x_t", None, "kept: sample with keep=steps")
    steps = sorted(set(steps), reverse=True)
    ok = len(steps) == len(out.x_t)
    require(ok, "steps", f"{len(steps)} steps", f"the {len(out.x_t)} that were kept")
    x, x_t, x0_hat = (points.double().cpu() for points in (out.x, out.x_t, out.x0_hat))
    lost = mixture.distance(x) > k
    far = (mixture.distance(x0_hat.flatten(0, 1)) > k).reshape(len(steps), -1)
    # at the highest noise x0_hat is astronomical: off the panel, as good as at its double edge
    edge = 4 * float(mixture.means.abs().max())
    x0_hat = x0_hat.clamp(-edge, edge)
    far_lost, far_others = far[:, lost].sum(dim=1).tolist(), far[:, ~lost].sum(dim=1).tolist()
    total, others = int(lost.sum()), int((~lost).sum())
    alpha_bar = schedule.alpha_bar[steps].cpu()
    noise = ((1 - alpha_bar) / alpha_bar).sqrt() / mixture.std
    readout = [
        f"t = {t}, noise of {noise[i]:.1f}σ: x̂0 is farther than {k:g}σ from every mode in "
        f"{far_lost[i]} of the {total} chains that will hallucinate, and in {far_others[i]} of "
        f"the {others} others."
        for i, t in enumerate(steps)
    ]
    readout.append(
        f"The samples: {total} chains have ended farther than {k:g}σ from every mode, the "
        f"{others} others have not."
    )
    # starts where x0_hat first tells the chains apart
    apart = far[:, lost].double().mean(dim=1) - far[:, ~lost].double().mean(dim=1) > 0.5
    arrays = {}

    def panel(name: str, points: Tensor, title: str, reach: float, alt: str) -> Panel:
        points, lines = torch.cat([points, x[None]]).permute(2, 0, 1).numpy(), []
        for kind, role, chosen, width in (
            ("others", "learned", ~lost, 2.0),
            ("lost", "hallucination", lost, 4.0),
        ):
            names = [f"{name} {kind} {axis}" for axis in "xy"]
            arrays.update(zip(names, points[:, :, chosen], strict=True))
            lines.append(Line(*names, role, xby=[0], points=True, width=width))
        return _plane(mixture, k, title, reach, lines, alt)

    reach = _reach(mixture)
    spread = float((x_t - mixture.means.mean(dim=0)).abs().quantile(0.995))
    return Explorer(
        [
            Slider(
                "reverse step",
                [*(f"t = {t}" for t in steps), "samples"],
                start=[*apart.tolist(), True].index(True),
                play=True,
            )
        ],
        [
            panel(
                "x_t",
                x_t,
                "The noised points x_t",
                max(reach, spread),
                "Noised points in the plane: a cloud gathers, step by step, on the modes of the "
                "mixture; a few stay between two of them.",
            ),
            panel(
                "x0_hat",
                x0_hat,
                "The prediction x̂0",
                reach,
                "Clean points that the network predicts from the noised ones: most are on a mode "
                "long before the noised points are; a few stay between two modes.",
            ),
        ],
        arrays,
        readout,
        "Explorer: reverse chains in the plane, step by step. Nearly all settle on a mode; those "
        "that hallucinate stay between two modes.",
        [
            {"label": "chains that end on a mode", "role": "learned", "points": True},
            {"label": "chains that hallucinate", "role": "hallucination", "points": True},
            _ring(k),
        ],
    )


def threshold_explorer(
    mixture: GaussianMixture,
    x: Tensor,
    hal: Tensor,
    hallucinated: Tensor,
    *,
    thresholds: int = 60,
    k: float = 6.0,
) -> Explorer:
    """Drag a threshold on Hal: samples with Hal at or above it are removed, the others retained.

    x: (n, 2) samples; hal: (n,); hallucinated: (n,) bool, the truth. Starts at the threshold that
    removes 95% of the hallucinations. At most 1,500 samples of a kind are drawn; the numbers count
    all. k: radius of the circles around the modes, in std.
    """
    require(mixture.dim == 2, "mixture", mixture, "one of two dimensions")
    require_count("thresholds", thresholds)
    ok = hallucinated.dtype == torch.bool and len(x) == len(hal) == len(hallucinated)
    found = f"{len(hallucinated)} of {hallucinated.dtype}"
    require(ok, "hallucinated", found, f"{len(x)} of torch.bool, with as many of Hal")
    x, hal, hallucinated = x.double().cpu(), hal.double().cpu(), hallucinated.cpu()
    bad, good = hal[hallucinated], hal[~hallucinated]
    ok = min(len(bad), len(good)) > 0
    found = f"{len(bad)} hallucinations and {len(good)} others"
    require(ok, "hallucinated", found, "at least one of each")
    require(bool(hal.isfinite().all()), "hal", hal[~hal.isfinite()].tolist()[:3], "finite")
    require(bool((bad > 0).all()), "hal", float(bad.min()), "above 0 where hallucinated")

    # from a threshold that removes all hallucinations to one that removes none
    low = min(float(h) for h in (bad.min(), good.median()) if h > 0)
    chosen = choose_threshold(bad, 0.95)
    cuts = np.geomspace(low, 1.02 * float(bad.max()), thresholds)
    cuts = torch.from_numpy(np.union1d(cuts, chosen))

    def below(values: Tensor) -> Tensor:
        return torch.searchsorted(values.sort().values, cuts)

    removed, retained = len(bad) - below(bad), below(good)
    readout = [
        f"Threshold {scientific(cut)}: removes {caught / len(bad):.1%} of the hallucinations "
        f"({caught:,} of {len(bad):,}) and retains {kept / len(good):.2%} of the good samples "
        f"({kept:,} of {len(good):,})."
        for cut, caught, kept in zip(
            cuts.tolist(), removed.tolist(), retained.tolist(), strict=True
        )
    ]

    # histograms as outlines, on a logarithmic scale; the first bin takes in what lies below it
    log_cuts = cuts.log10().numpy()
    lowest = min(low, max(float(good.quantile(0.01)), low / 1000))
    ends = math.log10(lowest) - 0.1, math.log10(max(float(hal.max()), float(cuts[-1]))) + 0.1
    edges = np.linspace(*ends, 41)
    arrays = {"bins": np.repeat(edges, 2), "cut": log_cuts[:, None] * [1, 1], "height": [0, 1.1]}
    for name, h in (("good", good), ("bad", bad)):
        counts, _ = np.histogram(h.log10().clamp(*ends).numpy(), edges)
        arrays[f"{name} outline"] = np.concatenate([[0], np.repeat(counts / counts.max(), 2), [0]])

    # some samples of each kind, sorted by Hal: the first of them are retained, the rest removed
    generator = torch.Generator().manual_seed(0)
    for name, which in (("good", ~hallucinated), ("bad", hallucinated)):
        some = which.nonzero()[:, 0]
        some = some[torch.randperm(len(some), generator=generator)[:_DRAWN]]
        some = some[hal[some].argsort()]
        arrays[f"{name} x"], arrays[f"{name} y"] = x[some].T.numpy()
        kept = below(hal[some]).numpy()
        arrays[f"{name} retained"] = np.stack([0 * kept, kept], axis=1)
        arrays[f"{name} removed"] = np.stack([kept, 0 * kept + len(some)], axis=1)

    def dots(name: str, fate: str, role: str, label: str, width: float, **look) -> Line:
        looks = {"by": [], "span": f"{name} {fate}", "points": True, "width": width} | look
        return Line(f"{name} x", f"{name} y", role, f"{label}, {fate}", **looks)

    # the ROC curve at points equally far from each other along it, a staircase
    curve = torch.stack(roc(bad, good)).numpy()
    along = np.abs(np.diff(curve, axis=1, prepend=0)).sum(axis=0).cumsum()
    places = np.linspace(0, 2, 500)
    arrays["false"], arrays["true"] = (np.interp(places, along, rate) for rate in curve)
    arrays["false here"] = 1 - retained[:, None].numpy() / len(good)
    arrays["true here"] = removed[:, None].numpy() / len(bad)

    here = {"xby": [0], "points": True, "width": 6}
    return Explorer(
        [
            Slider(
                "threshold",
                [f"Hal = {scientific(cut)}" for cut in cuts.tolist()],
                start=cuts.tolist().index(chosen),
                values=log_cuts.tolist(),
            )
        ],
        [
            Panel(
                "Hal of the good and the hallucinated",
                "log₁₀ Hal",
                "of its own peak",
                ends,
                (0, 1.08),
                [
                    Line("bins", "good outline", "learned", by=[], fill=True),
                    Line("bins", "bad outline", "hallucination", by=[], fill=True),
                    Line("cut", "height", "data", "threshold", by=[], xby=[0], dash=True),
                ],
                "Two histograms of Hal on a logarithmic scale: that of the hallucinations lies "
                "farther right; a line marks the threshold.",
                drag="x",
                wide=True,
            ),
            _plane(
                mixture,
                k,
                "The samples",
                _reach(mixture),
                [
                    dots("good", "retained", "learned", "good", 1.5),
                    dots("good", "removed", "other", "good", 2.5),
                    dots("bad", "retained", "hallucination", "hallucinated", 4),
                    dots("bad", "removed", "hallucination", "hallucinated", 4, hollow=True),
                ],
                "The samples in the plane: those above the threshold, removed, lie between the "
                "modes or at their edges; those below it lie on the modes.",
            ),
            Panel(
                "The ROC curve",
                "share of the good removed",
                "share of hallucinated removed",
                (-0.03, 1.03),
                (-0.03, 1.03),
                [
                    Line("false", "true", "data", by=[]),
                    Line("false here", "true here", "data", **here),
                ],
                "Share of the hallucinations removed against share of the good samples removed: "
                "the curve runs above the diagonal; a dot marks the threshold.",
                square=True,
            ),
        ],
        arrays,
        readout,
        "Explorer: a threshold on Hal, its place in the histograms of Hal, the samples that it "
        "removes, and its point on the ROC curve.",
        [_ring(k)],
    )


_DRAWN = 1_500  # dots enough to show where thousands lie


def _ring(k: float) -> dict:
    return {"label": f"{k:g}σ around a mode", "role": "data", "points": True, "hollow": True}


def _reach(mixture: GaussianMixture) -> float:
    """How far the modes lie from their middle along an axis, and somewhat farther."""
    return 1.25 * float((mixture.means - mixture.means.mean(dim=0)).abs().max()) + 4 * mixture.std


def _plane(mixture, k: float, title: str, reach: float, lines: list[Line], alt: str) -> Panel:
    """A square panel around the modes, each marked by a circle of radius k std."""
    x, y = ((m - reach, m + reach) for m in mixture.means.mean(dim=0).tolist())
    marks = [{"x": a, "y": b, "radius": k * mixture.std} for a, b in mixture.means.tolist()]
    names = "first coordinate", "second coordinate"
    return Panel(title, *names, x, y, lines, alt, marks, square=True)


def strip_explorer(out: Samples, steps: Iterable[int], verdicts: list[str]) -> Explorer:
    """Step through the reverse chains of images of shapes: x0_hat, and what becomes of it.

    out: what `sample(…, keep=steps)` gave, or a selection of its chains: ten of 64 px at some
    thirty steps make a page of about 600 KB. verdicts: what each shows, in words such as "two
    squares in the middle column".

    A panel sums the brightness, 0 … 1, in each column of x0_hat, in shapes of that column: 0 is
    none, 1 is one. Pixels that are too faint for the census do not count: a haze over the whole
    column would. A column is decided at the first of the steps from which on its sum stays within
    0.25 shapes of that of the final image.
    """
    require("x0_hat" in out.observed, "out.x0_hat", None, "kept: sample with Keep('x0_hat')")
    size, n = out.x.shape[-1], len(out.x)
    ok = out.x.shape[1:] == (1, size, size) and size in ROWS
    require(ok, "out.x.shape", tuple(out.x.shape), "of form (n, 1, size, size), size 16, 32 or 64")
    shape = out.x0_hat.shape
    require(shape[1:] == out.x.shape, "out.x0_hat.shape", tuple(shape), "(steps, *out.x.shape)")
    steps = sorted(set(steps), reverse=True)
    ok = len(steps) == len(out.x0_hat) > 1
    require(
        ok, "steps", f"{len(steps)} steps", f"the {len(out.x0_hat)} that were kept, two or more"
    )
    ok = len(verdicts) == n > 0
    require(ok, "verdicts", f"{len(verdicts)} sentences", f"{n}, one for each of the images")

    def brightness(images: Tensor) -> Tensor:
        """Of each pixel as a page shows it, 0 … 1: (…, size, size)."""
        return ((images[..., 0, :, :].double().cpu() + 1) / 2).clamp(0, 1)

    def greys(white: Tensor) -> np.ndarray:
        """16 of them: the eye needs no more, and the page is half as heavy."""
        return (15 * white).round().mul(17).byte().numpy()

    names = SHAPES[:3]
    areas = torch.stack([template.sum() for template in templates(size)])

    def shapes_in(white: Tensor) -> Tensor:
        """How much white is in each column, in shapes: (…, 3)."""
        seen = white * (white > FAINTEST)
        columns = seen.sum(dim=-2).tensor_split((size // 3, 2 * (size // 3)), dim=-1)
        return torch.stack([column.sum(dim=-1) for column in columns], dim=-1) / areas

    x0_hat, x = brightness(out.x0_hat.transpose(0, 1)), brightness(out.x)
    count, end = shapes_in(x0_hat), shapes_in(x)  # (n, steps, 3), (n, 3)
    off = (count - end[:, None]).abs() > 0.25
    # the first of the steps after all that are off; one too many where the last is still off
    first = (off * torch.arange(1, len(steps) + 1)[:, None]).amax(dim=1)
    when = torch.tensor([*steps, math.nan], dtype=torch.float64)[first]  # (n, 3)
    there = count.gather(1, first.clamp(max=len(steps) - 1)[:, None])[:, 0]

    def sentence(i: int, j: int) -> str:
        has = [f"{c:.1f} {name}s" for c, name in zip(count[i, j].tolist(), names, strict=True)]
        since = ["the very end" if math.isnan(t) else f"t = {t:g}" for t in when[i].tolist()]
        told = (
            f"Image {i + 1}: {verdicts[i]}. At t = {steps[j]}, x̂0 has as much white as "
            f"{_list(has)}. The columns are decided at {_list(since)}."
        )
        return told.replace("t = ", "t\u00a0=\u00a0")  # no line breaks there

    edge, high = 0.02 * (steps[0] - steps[-1]), max(2.3, float(end.max()) + 0.3)
    arrays = {"x0_hat": greys(x0_hat), "x": greys(x), "t": np.array(steps)}
    arrays |= {"here": np.array(steps)[:, None] * [1, 1], "height": np.array([-1, high])}
    lines = [Line("here", "height", "data", by=[], xby=[1], dash=True, width=1.5)]
    ring = {"xby": [0], "points": True, "hollow": True, "width": 6}
    for k, (name, role) in enumerate(zip(names, _COLUMNS, strict=True)):
        arrays[name], arrays[f"{name} when"] = count[..., k].numpy(), when[:, k, None].numpy()
        arrays[f"{name} there"] = there[:, k, None].numpy()
        lines.append(Line("t", name, role, f"{name}s"))
        lines.append(Line(f"{name} when", f"{name} there", role, **ring))

    return Explorer(
        [
            Slider("image", [f"{i} of {n}" for i in range(1, n + 1)]),
            Slider(
                "reverse step",
                [f"t = {t}" for t in steps],
                start=max(int(first[0].max()) - 1, 0),
                play=True,
            ),
        ],
        [
            Picture(
                "The prediction x̂0",
                "x0_hat",
                [0, 1],
                "The image that the network predicts at this step: at first noise, then grey "
                "clouds, in the end the shapes of the final image.",
                _COLUMNS,
            ),
            Picture("The final image", "x", [0], "The image that the chain ends with.", _COLUMNS),
            Panel(
                "White in each column of x̂0",
                "t",
                "shapes",
                (steps[0] + edge, steps[-1] - edge),
                (-0.15, high),
                lines,
                "White in each column of the prediction, in shapes, against the step: three lines "
                "that fall as the noise clears and settle at none, one or, in some hallucinations, "
                "two shapes; a ring marks where each is decided.",
                wide=True,
            ),
        ],
        arrays,
        [sentence(i, j) for i in range(n) for j in range(len(steps))],
        "Explorer: the image that a network predicts at each step of a reverse chain, the image "
        "it ends with, and how many shapes are in each column on the way.",
        [{"label": "decided: within 0.25 of its end", "role": "", "points": True, "hollow": True}],
    )


_COLUMNS = ["learned", "other", "data"]  # the colours of triangles, squares and pentagons


def _list(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"
