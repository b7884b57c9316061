"""The explorers of chapter 1: modes on a line."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._checks import require
from ...denoisers import Denoiser, ExactDenoiser
from ...mixture import GaussianMixture
from ...sampling import Keep, sample
from ...schedule import Schedule
from .core import Buttons, Chip, Explorer, Line, Panel, Said, Slider
from .words import number


@dataclass
class Bundles:
    """Deterministic chains of the exact score and of a network from the same starts.

    shown: the noise left at each frame, (frames,); paths: by name, (starts, frames); lost: by name,
    (starts,) bool, which end far from every mode; nearest: (starts,) the mode the exact chain is at
    in the end; rows: the chains of a bundle, counted from the middle one.
    """

    starts: Tensor
    shown: np.ndarray
    paths: dict[str, np.ndarray]
    lost: dict[str, Tensor]
    nearest: Tensor
    rows: list[int]

    def members(self, i: int) -> list[int]:
        """The chains of the bundle around start i, without those beyond either end."""
        return [min(max(i + row, 0), len(self.starts) - 1) for row in self.rows]

    def count(self, name: str) -> list[int]:
        """How many chains of each bundle are lost."""
        lost = self.lost[name].tolist()
        return [sum(lost[j] for j in self.members(i)) for i in range(len(lost))]

    def at_a_border(self) -> int:
        """Where the exact bundle splits most evenly, and of these where the network loses most."""
        worst = self.count("learned")

        def rank(i: int) -> tuple[int, int]:
            landed = torch.bincount(self.nearest[self.members(i)])
            return int(landed.max()), -worst[i]

        inside = range(-self.rows[0], len(self.starts) - self.rows[-1])
        return min(inside, key=rank)

    def together(self) -> int:
        """The start whose bundle is farthest from any that splits or loses a chain."""
        n, worst = len(self.starts), self.count("learned")
        apart = [len(set(self.nearest[self.members(i)].tolist())) > 1 or worst[i] for i in range(n)]
        away = [min((abs(i - j) for j in range(n) if apart[j]), default=0) for i in range(n)]
        return max(range(n), key=away.__getitem__)


def reverse_chains_explorer(
    mixture: GaussianMixture,
    schedule: Schedule,
    net: Denoiser,
    starts: Tensor,
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
    found = _bundles(mixture, schedule, net, starts, bundle, apart, frames, k)
    lost, border = found.count("learned"), found.at_a_border()
    low, high = float(mixture.means.min()) - 1, float(mixture.means.max()) + 0.5
    y = (min(float(starts.min()), low), high)
    arrays = {"noise_left": found.shown} | found.paths
    arrays |= {f"{name}_lost": far.double().numpy()[:, None] for name, far in found.lost.items()}
    slider = Slider(
        "starting noise",
        [number(start) for start in starts.tolist()],
        border,
        [round(start, 6) for start in starts.tolist()],
        marks=[i for i, count in enumerate(lost) if count],
        marked="starts of such chains" if any(lost) else "",
    )
    chips = [Chip("Where the bundle splits", {0: border})]
    if any(lost):
        chips.append(Chip("Show me the worst", {0: max(range(len(lost)), key=lost.__getitem__)}))
    chips.append(Chip("A bundle that stays together", {0: found.together()}))
    return Explorer(
        "chains",
        _chains_title(any(lost), k),
        [slider],
        [_chains_panel(mixture, found.rows, name, y) for name in ("exact", "learned")],
        arrays,
        _chains_said(found, k),
        "Explorer: a bundle of reverse chains from nearly the same noise. With the exact score "
        "each ends on a mode; with the network some end between two modes.",
        [
            {"label": "exact score", "role": "exact"},
            {"label": "network", "role": "learned"},
            {"label": f"ends farther than {k:g}σ from every mode", "role": "hallucination"},
            {"label": "the data: modes, ± 3σ", "role": "data", "bar": True},
        ],
        chips,
    )


def _bundles(mixture, schedule, net, starts, bundle, apart, frames, k) -> Bundles:
    """Run the chains."""
    reach = apart * (bundle - 1)
    require(len(starts) > reach, "starts", f"{len(starts)} points", f"more than {reach} points")
    sigma = (1 - schedule.alpha_bar).sqrt()
    wanted = torch.linspace(0.998 * float(sigma[-1]), 0, frames, dtype=torch.float64)
    shown = sorted({int((sigma - level).abs().argmin()) for level in wanted})
    paths, lost = {}, {}
    for name, denoiser in (("exact", ExactDenoiser(mixture, schedule)), ("learned", net)):
        out = sample(
            denoiser,
            schedule.ddim(),
            len(starts),
            (1,),
            x_T=starts[:, None],
            observe=[Keep("x_t", steps=shown)],
            progress=False,
        )
        end = out.x.double().cpu()
        lost[name] = mixture.distance(end) > k
        paths[name] = torch.cat([out.x_t.double().cpu(), end[None]])[..., 0].T.numpy()
    exact_end = torch.from_numpy(paths["exact"][:, -1:])
    nearest = (exact_end - mixture.means[:, 0].cpu()).abs().argmin(dim=1)
    rows = [apart * (i - bundle // 2) for i in range(bundle)]
    levels = np.array([*sigma[shown].flip(0).tolist(), 0.0])
    return Bundles(starts, levels, paths, lost, nearest, rows)


def _chains_title(any_lost: bool, k: float) -> str:
    if any_lost:
        return "The exact score splits a bundle; the network smears it, into places without data"
    return f"Here no chain of the network ends farther than {k:g}σ from every mode"


def _chains_said(found: Bundles, k: float) -> list[Said]:
    """One sentence; what is the same at all starts is stored once."""
    every = range(len(found.starts))
    ends = [(found.starts[at[0]], found.starts[at[-1]]) for at in map(found.members, every)]
    network = []
    for i in every:
        at = found.members(i)
        between = found.paths["learned"][at, -1][found.lost["learned"][at].numpy()]
        where = ""
        if len(between):
            where = f" (at {number(between.min())} to {number(between.max())})"
        network.append(f"{len(between)} under the network{where}.")
    return [
        Said([], [f"{len(found.rows)} chains start from"]),
        Said([0], [f"{number(first)} to {number(last)}." for first, last in ends]),
        Said([], ["Of these,"]),
        Said([0], list(map(str, found.count("exact")))),
        Said([], [f"end farther than {k:g}σ from every mode under the exact score, and"]),
        Said([0], network),
    ]


_CHAINS = {
    "exact": (
        "The exact score",
        "Reverse chains under the exact score: from noise on the left they split and all end on "
        "one of the modes.",
    ),
    "learned": (
        "The network",
        "Reverse chains under the trained network from the same noise: between the chains that "
        "reach a mode, some end in the empty space between two modes.",
    ),
}


def _chains_panel(mixture, rows: list[int], name: str, y: tuple[float, float]) -> Panel:
    title, alt = _CHAINS[name]
    line = Line("noise_left", name, name, rows=rows, flag=f"{name}_lost", ends=True, width=1.6)
    noise = "noise left, √(1 − ᾱ_t)"
    return Panel(title, noise, "x_t", (1, -0.02), y, [line], alt, _bands(mixture), drag="y")


def _bands(mixture: GaussianMixture) -> list[dict]:
    """Where the modes are along y: the mean ± 3σ."""
    band = 3 * mixture.std
    means = mixture.means[:, 0].tolist()
    return [{"axis": "y", "low": m - band, "high": m + band} for m in means]


def staircase_explorer(
    mixture: GaussianMixture,
    schedule: Schedule,
    levels: list[int],
    x_t: np.ndarray,
    learned: np.ndarray,
    label: str,
    settings: list[str],
    *,
    title: str = "The exact answer climbs in steps; a network can only smooth them",
) -> Explorer:
    """Exact and learned x0_hat against x_t, with a slider for the noise level and nets to choose.

    levels: the steps t shown; x_t: (levels, points); learned: x0_hat of the networks, (networks,
    levels, points); label and settings: what tells the networks apart, and each of them in words.
    title: what this shows, as a sentence.
    """
    order = np.argsort(levels)[::-1]  # from noise to data
    levels, x_t = np.asarray(levels)[order].tolist(), x_t[order]
    learned = learned[:, order]
    arrays, where = _staircase_arrays(mixture, schedule, levels, x_t, learned)
    likely = arrays["density"] > 1e-3 * arrays["density"].max(axis=1, keepdims=True)
    worst = np.abs(arrays["gap"] * likely).max(axis=2)  # (networks, levels)
    stepped = _stepped(mixture, where)
    top = min(1.0, 1.1 * float(worst.max()))
    arrays["density"] *= 0.9 * top / arrays["density"].max(axis=1, keepdims=True)
    return Explorer(
        "staircase",
        title,
        _staircase_controls(levels, label, settings, worst * stepped),
        _staircase_panels(mixture, top),
        arrays,
        [Said([0, 1], _staircase_sentences(mixture, levels, where, settings, worst))],
        "Explorer: the exact denoiser's staircase and the network's smooth version of it, "
        "at a noise level and a training that the reader chooses.",
        [{"label": "the data: modes, ± 3σ", "role": "data", "bar": True}],
        _staircase_chips(worst * stepped, settings),
    )


def _staircase_arrays(mixture, schedule, levels, x_t, learned) -> tuple[dict, list[float]]:
    """What the two panels draw, (…, levels, points), and alpha_bar at each level."""
    where = schedule.alpha_bar[levels].tolist()
    points = torch.from_numpy(x_t).double()
    rows = list(zip(points, where, strict=True))
    exact = np.stack([mixture.posterior_mean(x[:, None], a)[:, 0].numpy() for x, a in rows])
    density = np.stack([mixture.log_prob(x[:, None], a).exp().numpy() for x, a in rows])
    # a position in x_t is told as x_t / sqrt(alpha_bar), so that the modes stay where they are
    position = x_t / np.sqrt(np.array(where))[:, None]
    arrays = {"position": position, "exact": exact, "learned": learned, "density": density}
    return arrays | {"gap": learned - exact}, where


def _stepped(mixture: GaussianMixture, where: list[float]) -> np.ndarray:
    """Levels at which the noise, on the scale of the data, is less than the modes are apart.

    Only these have steps. With more noise any error of the network is large in x0_hat, which is
    what it says about the noise divided by a small signal, and does no harm. (If none has: all.)
    """
    a = np.array(where)
    apart = float(mixture.means[:, 0].sort().values.diff().min())
    steps = (1 - a) / a < apart**2
    return steps if steps.any() else ~steps


def _staircase_controls(levels, label, settings, worst) -> list:
    noise = Slider(
        "noise level",
        [f"t = {t}" for t in levels],
        len(levels) - 1 - len(levels) // 8,
        marks=[[int(row.argmax())] for row in worst],
        marks_by=1,
        marked="this network's largest error at noise below the modes' distance",
        marks_role="learned",
    )
    return [noise, Buttons(label, settings, len(settings) // 3)]


def _staircase_chips(worst: np.ndarray, settings: list[str]) -> list[Chip]:
    network, level = np.unravel_index(worst.argmax(), worst.shape)
    best = int(worst.max(axis=1).argmin())
    chips = [Chip("Show me the worst", {0: int(level), 1: int(network)})]
    if len(settings) > 1:
        at = {0: int(worst[best].argmax()), 1: best}
        chips.append(Chip("The best network, where it is worst", at))
    return chips


def _staircase_panels(mixture: GaussianMixture, top: float) -> list[Panel]:
    ends = float(mixture.means.min()) - 1, float(mixture.means.max()) + 1
    along = "x_t, divided by the signal left"
    stairs = [
        Line("position", "exact", "exact", "exact E[x0 | x_t]", xby=[0], width=3),
        Line("position", "learned", "learned", "network", by=[1, 0], xby=[0]),
    ]
    differences = [
        Line("position", "density", "data", "density of x_t", xby=[0], fill=True),
        Line("position", "gap", "learned", "network − exact", [1, 0], [0]),
    ]
    return [
        Panel(
            "The staircase",
            along,
            "x̂0",
            ends,
            ends,
            stairs,
            "Predicted clean point against noised point: the exact curve climbs in steps from "
            "mode to mode, the network's is a smoothed version of it.",
            _bands(mixture),
        ),
        Panel(
            "The difference",
            along,
            "network − exact",
            ends,
            (-top, top),
            differences,
            "Difference between network and exact denoiser, largest at the steps, which lie "
            "where the density of x_t is lowest.",
        ),
    ]


def _staircase_sentences(mixture, levels, where, settings, worst) -> list[str]:
    return [
        f"t = {t}, noise of {np.sqrt(1 - a) / np.sqrt(a) / mixture.std:.1f}σ: where x_t can lie, "
        f"the network ({setting}) is off the exact answer by at most {worst[s, i]:.2f}."
        for i, (t, a) in enumerate(zip(levels, where, strict=True))
        for s, setting in enumerate(settings)
    ]
