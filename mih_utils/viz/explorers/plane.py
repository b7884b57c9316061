"""The explorer of chapter 2, and what others show of modes in the plane."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._checks import require
from ...census import bridge_census
from ...mixture import GaussianMixture
from ...sampling import Samples
from ...schedule import Schedule
from .core import Chip, Choices, Explorer, Line, Panel, Picks, Said, Slider
from .words import noise_in_std, number


def ring(k: float) -> dict:
    """The legend of the circles around the modes."""
    return {"label": f"{k:g}σ around a mode", "role": "data", "points": True, "hollow": True}


def reach_of(mixture: GaussianMixture) -> float:
    """How far the modes lie from their middle along an axis, and somewhat farther."""
    return 1.25 * float((mixture.means - mixture.means.mean(dim=0)).abs().max()) + 4 * mixture.std


def plane_panel(mixture, k: float, title: str, reach: float, lines: list[Line], alt: str) -> Panel:
    """A square panel around the modes, each marked by a circle of radius k std."""
    x, y = ((m - reach, m + reach) for m in mixture.means.mean(dim=0).tolist())
    marks = [{"x": a, "y": b, "radius": k * mixture.std} for a, b in mixture.means.tolist()]
    names = "first coordinate", "second coordinate"
    return Panel(title, *names, x, y, lines, alt, marks, square=True)


@dataclass
class Chains:
    """Chains in the plane, at the steps that are shown, from noise to data.

    x: where they end, (n, 2); lost: which end far from every mode, (n,) bool; far: whether x0_hat
    is far at each step, (steps, n) bool; pair: the bridge that each ends on, (n,), -1 for none;
    bridges: the pairs of modes with a chain between them, the busiest first.
    """

    steps: list[int]
    alpha_bar: list[float]
    x: Tensor
    lost: Tensor
    far: Tensor
    pair: Tensor
    bridges: list[int]
    ends: Tensor
    """The two modes of each pair: (pairs, 2, 2)."""

    @property
    def groups(self) -> list[Tensor]:
        """The chains of each bridge, and last those on none: their numbers among the lost ones."""
        pair = self.pair[self.lost]
        found = [(pair == bridge).nonzero()[:, 0] for bridge in [*self.bridges, -1]]
        return found if len(found[-1]) else found[:-1]

    def parting(self) -> int:
        """The first step at which x0_hat tells most of the lost chains from the others."""
        lost, others = self.far[:, self.lost].double(), self.far[:, ~self.lost].double()
        apart = lost.mean(dim=1) - others.mean(dim=1) > 0.5
        return [*apart.tolist(), True].index(True)


def _kept_steps(mixture: GaussianMixture, out: Samples, steps: Iterable[int]) -> list[int]:
    """The steps that were kept, the noisiest first."""
    require(mixture.dim == 2, "mixture", mixture, "one of two dimensions")
    for name in ("x_t", "x0_hat"):
        ok = name in out.observed
        require(ok, f"out.{name}", None, f"kept: sample with Keep({name!r}, steps=steps)")
    steps = sorted(set(steps), reverse=True)
    ok = len(steps) == len(out.x_t)
    require(ok, "steps", f"{len(steps)} steps", f"the {len(out.x_t)} that were kept")
    return steps


def plane_chains_explorer(
    mixture: GaussianMixture,
    schedule: Schedule,
    out: Samples,
    steps: Iterable[int],
    *,
    k: float = 6.0,
) -> Explorer:
    """Step through reverse chains in the plane: left x_t, right the x0_hat predicted from it.

    out: what `sample` gave with `Keep("x_t", steps=steps)` and `Keep("x0_hat", steps=steps)`, or a
    selection of its chains: a few hundred, at some fifty steps, are enough for the eye and light
    enough for a page. steps: of a chain that takes all steps of the schedule. The last position
    shows the samples. Chains that end farther than k std from every mode are painted as
    hallucinations from the first step on; a click on a bridge between two modes shows those that
    end on it, with the paths that they took. Where x0_hat lies outside the panel it is drawn at
    its border.
    """
    steps = _kept_steps(mixture, out, steps)
    found = _chains(mixture, schedule, out, steps, k)
    reach, middle = reach_of(mixture), mixture.means.mean(dim=0)
    x_t, x0_hat = out.x_t.double().cpu(), out.x0_hat.double().cpu()
    spread = float((x_t - middle).abs().quantile(0.995))
    inside, outside = at_the_border(x0_hat, middle, reach)
    arrays = {"bridge": _spans(found.groups)}
    panels = [
        _chains_panel(mixture, k, found, arrays, "x_t", x_t, max(reach, spread)),
        _chains_panel(mixture, k, found, arrays, "x0_hat", inside, reach),
    ]
    said = [Said([0], _step_sentences(mixture, found, outside.sum(dim=1).tolist(), k))]
    said.append(Said([1], _bridge_sentences(found)))
    gone = outside.double().mean(dim=1) < 0.5
    return Explorer(
        "plane",
        _chains_title(found, k),
        [
            Slider(
                "reverse step",
                [*(f"t = {t}" for t in steps), "samples"],
                found.parting(),
                play=True,
                play_from=[*gone.tolist(), True].index(True),
                marks=[found.parting()],
                marked="x̂0 first tells most hallucinations apart",
            ),
            Choices("chains", ["all of them", *_bridge_names(found)]),
        ],
        panels,
        arrays,
        said,
        "Explorer: reverse chains in the plane, step by step. Nearly all settle on a mode; those "
        "that hallucinate stay between two modes.",
        [
            {"label": "chains that end on a mode", "role": "learned", "points": True},
            {"label": "chains that hallucinate", "role": "hallucination", "points": True},
            ring(k),
        ],
        _chains_chips(found),
    )


def _chains(mixture, schedule, out, steps: list[int], k: float) -> Chains:
    x, x0_hat = out.x.double().cpu(), out.x0_hat.double().cpu()
    lost = mixture.distance(x) > k
    far = (mixture.distance(x0_hat.flatten(0, 1)) > k).reshape(len(steps), -1)
    census = bridge_census(mixture, x, k=k)
    count = torch.bincount(census.pair[census.pair >= 0], minlength=len(census.pairs))
    busy = count.argsort(descending=True, stable=True)[: int((count > 0).sum())]
    alpha_bar = schedule.alpha_bar[steps].tolist()
    ends = mixture.means[census.pairs]
    return Chains(steps, alpha_bar, x, lost, far, census.pair, busy.tolist(), ends)


def at_the_border(points: Tensor, middle: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Bring points, (…, 2), that lie outside a square to its border, along the way to its middle.

    Returns the points, and which were outside: (…,) bool.
    """
    away = points - middle
    size = away.abs().amax(dim=-1)
    factor = torch.where(size > reach, 0.985 * reach / size, torch.ones_like(size))
    return middle + away * factor[..., None], size > reach


def _spans(groups: list[Tensor]) -> np.ndarray:
    """(start, stop) of all lost chains, then of those of each bridge: (1 + bridges, 2)."""
    stops = np.cumsum([0, *map(len, groups)])
    return np.stack([[0, *stops[:-1]], [stops[-1], *stops[1:]]], axis=1)


def _chains_panel(mixture, k, found: Chains, arrays: dict, name: str, points, reach) -> Panel:
    """One of the two panels; its points go into the arrays, the lost ones sorted by bridge."""
    title, alt = _PANELS[name]
    points = torch.cat([points, found.x[None]]).permute(2, 0, 1)
    order = torch.cat(found.groups) if found.groups else torch.arange(0)
    kinds = {"others": points[:, :, ~found.lost], "lost": points[:, :, found.lost][:, :, order]}
    for kind, some in kinds.items():
        arrays.update({f"{name} {kind} {axis}": some[i].numpy() for i, axis in enumerate("xy")})
    others, lost = ([f"{name} {kind} {axis}" for axis in "xy"] for kind in ("others", "lost"))
    chosen = {"span": "bridge", "span_by": [1], "trail": 1}
    label = "a chain that hallucinates"
    lines = [
        Line(
            *others, "learned", "a chain that ends on a mode", xby=[0], points=True, unlisted=True
        ),
        Line(*lost, "hallucination", label, xby=[0], points=True, width=4, unlisted=True, **chosen),
    ]
    panel = plane_panel(mixture, k, title, reach, lines, alt)
    sizes = [len(group) for group in found.groups[: len(found.bridges)]]
    segments = [found.ends[bridge].flatten().tolist() for bridge in found.bridges]
    if segments:
        panel.picks = Picks(1, segments, [2 + 6 * size / max(sizes) for size in sizes])
    return panel


_PANELS = {
    "x_t": (
        "The noised points x_t",
        "Noised points in the plane: a cloud gathers, step by step, on the modes of the mixture; "
        "a few stay between two of them.",
    ),
    "x0_hat": (
        "The prediction x̂0",
        "Clean points that the network predicts from the noised ones: most are on a mode long "
        "before the noised points are; a few stay between two modes.",
    ),
}


def _chains_title(found: Chains, k: float) -> str:
    on, lost = sum(len(g) for g in found.groups[: len(found.bridges)]), int(found.lost.sum())
    if not lost:
        return f"No chain ends farther than {k:g}σ from every mode"
    which = f"All {lost}" if on == lost else f"{on} of the {lost}"
    return f"{which} chains that hallucinate end on a bridge between two modes"


def _step_sentences(mixture, found: Chains, outside: list[int], k: float) -> list[str]:
    far_lost = found.far[:, found.lost].sum(dim=1).tolist()
    far_others = found.far[:, ~found.lost].sum(dim=1).tolist()
    total, others = int(found.lost.sum()), int((~found.lost).sum())
    beyond = [f" Outside the panel, and drawn at its border: {n}." if n else "" for n in outside]
    words = [
        f"t = {t}, {noise_in_std(found.alpha_bar[i], mixture.std)}: x̂0 is farther than {k:g}σ "
        f"from every mode in {far_lost[i]} of the {total} chains that will hallucinate, and in "
        f"{far_others[i]} of the {others} others.{beyond[i]}"
        for i, t in enumerate(found.steps)
    ]
    end = f"The samples: {total} chains have ended farther than {k:g}σ from every mode, the "
    return [*words, f"{end}{others} others have not."]


def _bridge_names(found: Chains) -> list[str]:
    """Each bridge, and what is on none: "5 between (0, 1) and (1, 1)"."""
    names = []
    for bridge, group in zip(found.bridges, found.groups, strict=False):
        a, b = (f"({number(x)}, {number(y)})" for x, y in found.ends[bridge].tolist())
        names.append(f"{len(group)} between {a} and {b}")
    if len(found.groups) > len(found.bridges):
        names.append(f"{len(found.groups[-1])} on no bridge")
    return names


def _bridge_sentences(found: Chains) -> list[str]:
    names = _bridge_names(found)
    return [
        "",
        *(
            f"Shown with the paths they took: those that end {name[name.index(' ') + 1 :]}."
            for name in names
        ),
    ]


def _chains_chips(found: Chains) -> list[Chip]:
    end, apart = len(found.steps), found.parting()
    chips = [Chip("Where they part", {0: apart, 1: 0}), Chip("The samples", {0: end, 1: 0})]
    if found.bridges:
        chips.append(Chip("The busiest bridge", {0: end, 1: 1}))
    return chips
