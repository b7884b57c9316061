"""The explorer of chapter 4: a threshold on a detector's statistic."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._checks import require, require_count
from ...detection import choose_threshold
from ...mixture import GaussianMixture
from ...statistics import roc
from ..style import scientific
from .core import Chip, Explorer, Line, Panel, Piles, Said, Slider
from .plane import plane_panel, reach_of, ring

_DRAWN = 1_500  # dots enough to show where thousands lie
_EMPTY = 0.5  # what a logarithmic axis shows of an empty bin


@dataclass
class Detector:
    """Samples, a statistic that should tell the hallucinated from the good, and thresholds on it.

    kinds: which samples are good and which bad, (n,) bool; cuts: the thresholds, ascending;
    removed, retained: how many bad ones each removes and how many good ones it retains; chosen: the
    threshold that removes 95% of the bad.
    """

    x: Tensor
    hal: Tensor
    kinds: dict[str, Tensor]
    cuts: Tensor
    chosen: float
    removed: list[int]
    retained: list[int]

    @property
    def good(self) -> Tensor:
        """The statistic of the good samples."""
        return self.hal[self.kinds["good"]]

    @property
    def bad(self) -> Tensor:
        """The statistic of the hallucinated samples."""
        return self.hal[self.kinds["bad"]]

    @property
    def thrown(self) -> list[int]:
        """How many good samples each threshold throws away."""
        return [len(self.good) - kept for kept in self.retained]

    def start(self) -> int:
        """The position of the chosen threshold."""
        return self.cuts.tolist().index(self.chosen)


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
    _check(mixture, x, hal, hallucinated, thresholds)
    found = _detector(x, hal, hallucinated, thresholds)
    log_cuts = found.cuts.log10().numpy()
    arrays = {"cut": log_cuts[:, None]}
    histogram = _histogram(found, arrays)
    samples = _samples(mixture, k, found, arrays)
    curve = _curve(found, arrays)
    start = found.start()
    return Explorer(
        "threshold",
        f"{_count(found.thrown[start], 'good sample')} thrown away for "
        f"{_count(found.removed[start], 'hallucination')} caught: the price of catching 95%",
        [
            Slider(
                "threshold",
                [f"Hal = {scientific(cut)}" for cut in found.cuts.tolist()],
                start,
                log_cuts.tolist(),
                marks=[start],
                marked="the threshold that catches 95% of the hallucinations",
            )
        ],
        [histogram, samples, _piles(found, arrays), curve],
        arrays,
        [Said([0], [_sentence(found, i) for i in range(len(log_cuts))])],
        "Explorer: a threshold on Hal, its place in the histograms of Hal, the samples that it "
        "removes, how many of each kind that are, and its point on the ROC curve.",
        [ring(k)],
        _chips(found),
    )


def _check(mixture, x: Tensor, hal: Tensor, hallucinated: Tensor, thresholds: int) -> None:
    require(mixture.dim == 2, "mixture", mixture, "one of two dimensions")
    require_count("thresholds", thresholds)
    ok = hallucinated.dtype == torch.bool and len(x) == len(hal) == len(hallucinated)
    found = f"{len(hallucinated)} of {hallucinated.dtype}"
    require(ok, "hallucinated", found, f"{len(x)} of torch.bool, with as many of Hal")
    bad, good = hal[hallucinated], hal[~hallucinated]
    found = f"{len(bad)} hallucinations and {len(good)} others"
    require(min(len(bad), len(good)) > 0, "hallucinated", found, "at least one of each")
    require(bool(hal.isfinite().all()), "hal", hal[~hal.isfinite()].tolist()[:3], "finite")
    require(bool((bad > 0).all()), "hal", float(bad.min()), "above 0 where hallucinated")


def _detector(x: Tensor, hal: Tensor, hallucinated: Tensor, thresholds: int) -> Detector:
    """Thresholds from one that removes all hallucinations to one that removes none."""
    x, hal, hallucinated = x.double().cpu(), hal.double().cpu(), hallucinated.cpu()
    bad, good = hal[hallucinated], hal[~hallucinated]
    low = min(float(h) for h in (bad.min(), good.median()) if h > 0)
    chosen = choose_threshold(bad, 0.95)
    cuts = np.geomspace(low, 1.02 * float(bad.max()), thresholds)
    cuts = torch.from_numpy(np.union1d(cuts, chosen))
    removed, retained = (len(bad) - below(bad, cuts)).tolist(), below(good, cuts).tolist()
    kinds = {"good": ~hallucinated, "bad": hallucinated}
    return Detector(x, hal, kinds, cuts, chosen, removed, retained)


def below(values: Tensor, cuts: Tensor) -> Tensor:
    """Count how many of the values are below each of the cuts."""
    return torch.searchsorted(values.sort().values, cuts)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _sentence(found: Detector, i: int) -> str:
    caught, kept = found.removed[i], found.retained[i]
    bad, good = len(found.bad), len(found.good)
    return (
        f"Threshold {scientific(float(found.cuts[i]))}: removes {caught / bad:.1%} of the "
        f"hallucinations ({caught:,} of {bad:,}) and retains {kept / good:.2%} of the good "
        f"samples ({kept:,} of {good:,}). {found.thrown[i]:,} good thrown away for {caught:,} bad."
    )


def _chips(found: Detector) -> list[Chip]:
    """The threshold that starts, one that catches half, and one that catches all."""
    bad = len(found.bad)
    half = max(i for i, caught in enumerate(found.removed) if caught >= bad / 2)
    every = max(i for i, caught in enumerate(found.removed) if caught == bad)
    chips = {"Catch 95%": found.start(), "Catch half": half, "Catch them all": every}
    return [Chip(label, {0: position}) for label, position in chips.items()]


def _histogram(found: Detector, arrays: dict) -> Panel:
    """Outlines of how many samples lie in each bin; the first takes in what lies below it."""
    good, bad, hal = found.good, found.bad, found.hal
    low = float(found.cuts[0])
    lowest = min(low, max(float(good.quantile(0.01)), low / 1000))
    most = max(float(hal.max()), float(found.cuts[-1]))
    ends = math.log10(lowest) - 0.1, math.log10(most) + 0.1
    edges = np.linspace(*ends, 41)
    arrays["bins"] = np.repeat(edges, 2)
    floor = math.log10(_EMPTY)
    for name, h in (("good", good), ("bad", bad)):
        counts, _ = np.histogram(h.log10().clamp(*ends).numpy(), edges)
        heights = np.log10(np.maximum(counts, _EMPTY))
        arrays[f"{name} outline"] = np.concatenate([[floor], np.repeat(heights, 2), [floor]])
    top = 0.25 + max(arrays["good outline"].max(), arrays["bad outline"].max())
    fills = {"by": [], "fill": True, "floor": floor}
    return Panel(
        "Histogram of Hal",
        "Hal",
        "samples",
        ends,
        (floor, top),
        [
            Line("bins", "good outline", "learned", "good", **fills, unlisted=True),
            Line("bins", "bad outline", "hallucination", "hallucinated", **fills, unlisted=True),
        ],
        "Two histograms of Hal, both axes logarithmic: that of the hallucinations is far smaller "
        "and lies farther right; a line marks the threshold.",
        drag="x",
        wide=True,
        xlog=True,
        ylog=True,
        cursor="cut",
    )


def _samples(mixture: GaussianMixture, k: float, found: Detector, arrays: dict) -> Panel:
    """Some samples of each kind, sorted by Hal: the first are retained, the rest removed."""
    generator = torch.Generator().manual_seed(0)
    for name, which in found.kinds.items():
        some = which.nonzero()[:, 0]
        some = some[torch.randperm(len(some), generator=generator)[:_DRAWN]]
        some = some[found.hal[some].argsort()]
        arrays[f"{name} x"], arrays[f"{name} y"] = found.x[some].T.numpy()
        kept = below(found.hal[some], found.cuts).numpy()
        arrays[f"{name} retained"] = np.stack([0 * kept, kept], axis=1)
        arrays[f"{name} removed"] = np.stack([kept, 0 * kept + len(some)], axis=1)

    def dots(name: str, fate: str, role: str, label: str, width: float) -> Line:
        look = {"by": [], "span": f"{name} {fate}", "points": True, "hollow": fate == "removed"}
        return Line(f"{name} x", f"{name} y", role, f"{label}, {fate}", width=width, **look)

    lines = [
        dots("good", "retained", "learned", "good", 1.5),
        dots("good", "removed", "learned", "good", 3),
        dots("bad", "retained", "hallucination", "hallucinated", 4),
        dots("bad", "removed", "hallucination", "hallucinated", 4),
    ]
    alt = (
        "The samples in the plane: those above the threshold, removed, lie between the modes or "
        "at their edges; those below it lie on the modes."
    )
    return plane_panel(mixture, k, "The samples", reach_of(mixture), lines, alt)


def _piles(found: Detector, arrays: dict) -> Piles:
    missed = [len(found.bad) - caught for caught in found.removed]
    arrays["piles"] = np.stack([found.thrown, found.removed, missed], axis=1).astype(float)
    return Piles(
        "What the threshold does",
        "piles",
        [0],
        ["good,\nthrown away", "hallucinated,\nremoved", "hallucinated,\nmissed"],
        ["learned", "hallucination", "hallucination"],
        [True, True, False],
        "Three piles of squares: the good samples thrown away, by far the highest where most "
        "hallucinations are caught, the hallucinations removed, and those missed.",
    )


def _curve(found: Detector, arrays: dict) -> Panel:
    """The ROC curve at points equally far from each other along it, a staircase."""
    good, bad = len(found.good), len(found.bad)
    curve = torch.stack(roc(found.bad, found.good)).numpy()
    along = np.abs(np.diff(curve, axis=1, prepend=0)).sum(axis=0).cumsum()
    # most of it happens where hardly any good sample is removed: more points there
    places = np.union1d(np.linspace(0, 2, 300), np.geomspace(0.5 / good, 2, 300))
    false, true = (np.interp(places, along, rate) for rate in curve)
    least = math.log10(50 / good)  # percent: half a sample stands for none on a logarithmic axis
    arrays["false"], arrays["true"] = np.log10(np.maximum(100 * false, 10**least)), 100 * true
    thrown = 100 * np.array(found.thrown, dtype=float)[:, None] / good
    arrays["false here"] = np.log10(np.maximum(thrown, 10**least))
    arrays["true here"] = 100 * np.array(found.removed, dtype=float)[:, None] / bad
    chance = np.linspace(least, 2, 60)
    arrays["chance x"], arrays["chance y"] = chance, 10**chance
    here = {"xby": [0], "points": True, "width": 6}
    return Panel(
        "The ROC curve",
        "good removed, %",
        "bad removed, %",
        (least, 2.05),
        (-3, 103),
        [
            Line("chance x", "chance y", "grey", "removing at random", by=[], dash=(6, 4)),
            Line("false", "true", "ink", "every threshold (ROC)", by=[]),
            Line("false here", "true here", "ink", "this threshold", **here),
        ],
        "Share of the hallucinations removed against share of the good samples removed, which is "
        "on a logarithmic axis: the curve runs above that of removing at random; a dot marks the "
        "threshold.",
        xlog=True,
    )
