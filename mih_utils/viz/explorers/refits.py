"""The first explorer of chapter 5: one Gaussian, fitted again and again to its own samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._checks import require, require_count
from ...recursion.gaussian_refit import expected_log_variance, expected_variance, simulate
from ...recursion.loop import PROTOCOLS
from ..style import share
from .core import Buttons, Chip, Explorer, Line, Panel, Said, Slider

_LEAST = -6.0  # log10 of the smallest variance that an axis goes down to
_NARROWEST = 2e-3  # a density narrower than the line that draws it looks like this one


@dataclass
class Refits:
    """Lineages of fits, and what theory expects: all (sizes, protocols, fits + 1, …)."""

    sizes: Sequence[int]
    mean: np.ndarray
    variance: np.ndarray
    expected: np.ndarray
    typical: np.ndarray

    @property
    def fits(self) -> int:
        """How often each lineage was fitted."""
        return self.mean.shape[2] - 1

    @property
    def lineages(self) -> int:
        """How many there are of each setting."""
        return self.mean.shape[3]

    @property
    def stops(self) -> list[int]:
        """The fits that the slider stops at: each of the first 20, then every second one."""
        return [k for k in range(self.fits + 1) if k <= 20 or k % 2 == 0]


def refit_explorer(
    sizes: Sequence[int] = (5, 10, 30, 100, 300),
    *,
    fits: int = 100,
    lineages: int = 5,
    generator: torch.Generator,
) -> Explorer:
    """Fit one Gaussian to n of its own samples, again and again (maximum likelihood).

    sizes: the n to choose from, beside the fit and the protocol. Left the fitted densities of a few
    lineages beside the true one, right the variance against the fit, and what theory expects of it.
    The generator decides the lineages, and begins anew for each protocol. The slider of the fits
    stops at each of the first 20, then at every second one.
    """
    require(len(sizes) > 0, "sizes", sizes, "one number of samples at least")
    require_count("lineages", lineages)
    found = _refits(sizes, fits, lineages, generator)
    stops = found.stops
    return Explorer(
        "refits",
        _title(found),
        [
            Slider(
                "fits so far", list(map(str, stops)), min(20, fits), list(map(float, stops)), True
            ),
            Buttons("samples a fit", [f"n = {n}" for n in sizes], min(1, len(sizes) - 1)),
            Buttons("protocol", list(PROTOCOLS)),
        ],
        [_bells_panel(found), _variance_panel(found)],
        _arrays(found),
        _said(found),
        "Explorer: one Gaussian fitted to its own samples again and again. Its variance is lost "
        "fit by fit, with few samples sooner; where all earlier samples are kept, the loss stops.",
        [],
        _chips(found),
    )


def _refits(sizes, fits: int, lineages: int, generator) -> Refits:
    means, variances, expected, typical = [], [], [], []
    for n in sizes:
        luck = generator.get_state()
        for protocol in PROTOCOLS:
            generator.set_state(luck)
            run = simulate(n, fits, repeats=lineages, protocol=protocol, generator=generator)
            means.append(run[0])
            variances.append(run[1])
            expected.append(expected_variance(n, fits, protocol=protocol))
            known = protocol == "replace"  # what is typical under the others has no closed form
            typical.append(expected_log_variance(n, fits) * (1.0 if known else math.nan))

    def by_setting(values: list[Tensor]) -> np.ndarray:
        return torch.stack(values).unflatten(0, (len(sizes), len(PROTOCOLS))).cpu().numpy()

    return Refits(sizes, *map(by_setting, (means, variances, expected, typical)))


def _arrays(found: Refits) -> dict[str, np.ndarray]:
    logs, stops = np.log10(found.variance), found.stops
    gap = np.full_like(logs[..., :1, :], np.nan)  # between one lineage and the next
    paths = np.concatenate([logs, gap], axis=2).swapaxes(2, 3)
    number = np.arange(found.fits + 1.0)
    stop = number[stops, None]
    std = np.sqrt(found.variance).clip(min=_NARROWEST)
    return {
        "true mean": np.zeros(1),
        "true std": np.ones(1),
        "mean": np.moveaxis(found.mean, 2, 0)[stops],
        "std": np.moveaxis(std, 2, 0)[stops],
        "fit": np.tile(np.append(number, np.nan), found.lineages),
        "log variance": paths.reshape(*logs.shape[:2], -1),
        "number": number,
        "expected": np.log10(found.expected),
        "typical": found.typical / math.log(10),
        "here": stop,
        "dots": stop * np.ones(found.lineages),
        "log variance here": np.moveaxis(logs, 2, 0)[stops],
    }


def _bells_panel(found: Refits) -> Panel:
    every = [0, 1, 2]
    some = f"{found.lineages} lineages"
    lines = [
        Line("true mean", "true std", "data", "the truth", by=[], bells=True, width=4),
        Line("mean", "std", "learned", some, by=every, xby=every, bells=True, width=1.5),
    ]
    return Panel(
        "The fitted Gaussians",
        "x",
        "density",
        (-3.8, 3.8),
        (0, 1.6),
        lines,
        "Normal densities of the lineages at this fit beside the true one: fit by fit they move "
        "and become narrower, under replace until nothing but spikes is left.",
    )


def _variance_panel(found: Refits) -> Panel:
    lasting = [1, 2]
    dots = {"by": [0, 1, 2], "xby": [0], "points": True, "width": 4}
    theory = {"by": lasting, "role": "exact"}
    lines = [
        Line("fit", "log variance", "learned", "a lineage", lasting, width=1.5, unlisted=True),
        Line("number", "expected", label="E[variance]", width=3, **theory),
        Line("number", "typical", label="exp E[log variance] (replace)", dash=(6, 4), **theory),
        Line("dots", "log variance here", "learned", "a lineage now", **dots, unlisted=True),
    ]
    ranges = [[_range(found, i, j) for j in range(len(PROTOCOLS))] for i in range(len(found.sizes))]
    return Panel(
        "Variance",
        "fits so far",
        "variance (the truth: 1)",
        (0, found.fits),
        ranges,
        lines,
        "Variance, on a logarithmic axis, against the number of fits: under replace the lineages "
        "fall without end, with few samples soon far below the expectation; under accumulate they "
        "level off.",
        drag="x",
        y_by=lasting,
        ylog=True,
        cursor="here",
    )


def _range(found: Refits, i: int, j: int) -> tuple[float, float]:
    """The variances of one setting, log10, and a little more."""
    drawn = np.log10([found.variance[i, j].min(), found.variance[i, j].max()])
    theory = np.log10(found.expected[i, j])
    low, high = min(drawn[0], theory.min()), max(drawn[1], theory.max(), 0.0)
    margin = max(0.06 * (high - low), 0.004)
    return max(float(low - margin), _LEAST), float(high + margin)


def _title(found: Refits) -> str:
    few = int(np.argmin(found.sizes))
    replaced, kept = (found.expected[few, PROTOCOLS.index(p), -1] for p in PROTOCOLS[:2])
    return (
        f"n = {found.sizes[few]}: after {found.fits} fits, {share(replaced)} of the variance is "
        f"expected to be left; if all earlier samples are kept, {share(kept)}"
    )


def _said(found: Refits) -> list[Said]:
    """One sentence; what does not depend on all controls is stored once."""
    settings = list(np.ndindex(len(found.sizes), len(PROTOCOLS)))
    every = [(i, j, k) for k in found.stops for i, j in settings]
    least, most = found.variance.min(axis=-1), found.variance.max(axis=-1)
    fits = {0: "No fit yet", 1: "After 1 fit"}
    return [
        Said([0], [fits.get(k, f"After {k} fits") for k in found.stops]),
        Said([1], [f"with n = {n}" for n in found.sizes]),
        Said([2], [f"({protocol})," for protocol in PROTOCOLS]),
        Said([0, 1, 2], [share(found.expected[at]) for at in every]),
        Said([], [f"of the variance is left on average; in the {found.lineages} lineages"]),
        Said([0, 1, 2], [f"{share(least[at])} to {share(most[at])}." for at in every]),
    ]


def _chips(found: Refits) -> list[Chip]:
    last, few = len(found.stops) - 1, int(np.argmin(found.sizes))
    chips = {"Few samples, replaced": 0, "The same, all kept": PROTOCOLS.index("accumulate")}
    return [Chip(label, {0: last, 1: few, 2: protocol}) for label, protocol in chips.items()]
