"""Explorers: figures with sliders that work in a page without kernel, network or library.

Everything an explorer can show is computed here and stored in the page; a small script
(explore.js) draws what the sliders ask for. Where scripts do not run, as in an untrusted notebook,
a static picture of the starting position stays.
"""

import base64
import html
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from ._checks import require
from .denoisers import Denoiser, ExactDenoiser
from .mixture import GaussianMixture
from .sampling import sample
from .schedule import Schedule
from .style import COLORS

_HERE = Path(__file__).parent
_GAP = -32768  # the quantised number that stands for "no value here"


@dataclass
class Slider:
    """One control. Its positions are numbered; `ticks` says what each means, in words."""

    label: str
    ticks: list[str]
    start: int = 0
    values: list[float] | None = None
    """The positions as numbers, if a panel lets the reader drag this slider."""


@dataclass
class Line:
    """A line that follows sliders: arrays whose last axis runs along the line.

    The axes before it follow the sliders named in `by` (for y) and `xby` (for x). `rows` draws
    several neighbours along the first of them at once; `flag`, an array with one number for each
    position of that slider, paints a row as a hallucination where it is 1.
    """

    x: str
    y: str
    role: str
    label: str = ""
    by: list[int] = field(default_factory=lambda: [0])
    xby: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=lambda: [0])
    flag: str | None = None
    dash: bool = False
    fill: bool = False
    ends: bool = False
    width: float = 2.0


@dataclass
class Panel:
    """One set of axes: ranges, names, marked bands {axis, low, high}, lines, alternative text."""

    title: str
    xlabel: str
    ylabel: str
    x: tuple[float, float]
    y: tuple[float, float]
    lines: list[Line]
    alt: str
    marks: list[dict] = field(default_factory=list)
    drag: bool = False
    """Whether dragging over the panel, up and down, moves the first slider."""


@dataclass
class Explorer:
    """Sliders, panels, and a sentence for each combination of slider positions.

    `readout` lists the sentences in the order of the positions, the last slider running fastest.
    Show it as the value of a cell.
    """

    sliders: list[Slider]
    panels: list[Panel]
    arrays: dict[str, np.ndarray]
    readout: list[str]
    alt: str
    legend: list[dict] = field(default_factory=list)

    def __post_init__(self):
        combinations = int(np.prod([len(slider.ticks) for slider in self.sliders]))
        ok = len(self.readout) == combinations
        require(ok, "readout", f"{len(self.readout)} sentences", f"{combinations}, one a position")
        for slider in self.sliders:
            positions = len(slider.ticks)
            require(0 <= slider.start < positions, "start", slider.start, f"0 … {positions - 1}")

    def _repr_html_(self) -> str:
        spec = json.dumps(
            {
                "sliders": [vars(slider) for slider in self.sliders],
                "panels": [
                    vars(panel) | {"lines": [vars(line) for line in panel.lines]}
                    for panel in self.panels
                ],
                "arrays": {name: _packed(array) for name, array in self.arrays.items()},
                "readout": self.readout,
                "legend": self.legend,
            },
            ensure_ascii=False,
            allow_nan=False,
        ).replace("<", "\\u003c")
        script = (_HERE / "explore.js").read_text(encoding="utf-8")
        style = (_HERE / "explore.css").read_text(encoding="utf-8")
        alt = html.escape(self.alt, quote=True)
        return (
            f'<div class="mih-explorer" role="group" aria-label="{alt}">'
            f"<style>{style}</style>"
            f'<img class="mih-fallback" alt="{alt}" src="data:image/png;base64,{self._png()}">'
            f'<script type="application/json">{spec}</script>'
            f"<script>{script}</script></div>"
        )

    def figure(self) -> plt.Figure:
        """The starting position as a matplotlib figure."""
        at = [slider.start for slider in self.sliders]
        columns = len(self.panels)
        figure, axes = plt.subplots(1, columns, figsize=(4.6 * columns, 3.4), squeeze=False)
        for ax, panel in zip(axes[0], self.panels, strict=True):
            for mark in panel.marks:
                span = ax.axhspan if mark["axis"] == "y" else ax.axvspan
                span(mark["low"], mark["high"], color=COLORS["data"], alpha=0.25, linewidth=0)
            for line in panel.lines:
                for row in line.rows:
                    self._draw(ax, line, at, row)
            ax.set(title=panel.title, xlabel=panel.xlabel, ylabel=panel.ylabel)
            ax.set(xlim=panel.x, ylim=panel.y)
        return figure

    def _draw(self, ax, line: Line, at: list[int], row: int) -> None:
        x, y = self._pick(line.x, line.xby, at, row), self._pick(line.y, line.by, at, row)
        flagged = line.flag and self._pick(line.flag, line.by[:1], at, row)[0]
        color = COLORS["hallucination" if flagged else line.role]
        ax.plot(x, y, color=color, linewidth=0.8 * line.width, linestyle="--" if line.dash else "-")
        if line.fill:
            ax.fill_between(x, y, color=color, alpha=0.3)
        if line.ends:
            ax.plot(x[-1], y[-1], "o", color=color, clip_on=False)

    def _pick(self, name: str, by: list[int], at: list[int], row: int) -> np.ndarray:
        array = self.arrays[name]
        for axis, slider in enumerate(by):
            position = at[slider] + (row if axis == 0 else 0)
            array = array[min(max(position, 0), len(array) - 1)]
        return array

    def _png(self) -> str:
        figure = self.figure()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=80, metadata={"Software": None})
        plt.close(figure)
        return base64.b64encode(buffer.getvalue()).decode()


def _packed(array: np.ndarray) -> dict:
    """An array as 16-bit numbers with a scale: a page needs no more than one part in 65,000."""
    array = np.asarray(array, dtype=np.float64)
    known = np.isfinite(array)
    low, high = (array[known].min(), array[known].max()) if known.any() else (0.0, 0.0)
    scale = (high - low) / 65_000 or 1.0
    offset = (high + low) / 2
    quantised = np.where(known, np.round((np.where(known, array, offset) - offset) / scale), _GAP)
    data = base64.b64encode(quantised.astype("<i2").tobytes()).decode()
    return {"shape": array.shape, "offset": float(offset), "scale": float(scale), "data": data}


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
        out = sample(
            denoiser, schedule, len(starts), (1,), eta=0, x_T=starts[:, None], keep=shown,
            progress=False,
        )  # fmt: skip
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
            title, "noise left, √(1 − ᾱ_t)", "x_t", (1, -0.02), y, [line], alt, marks, drag=True
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
    outside = (position < low) | (position > high)
    cut = {"exact": exact, "density": density, "position": position}
    cut = {name: np.where(outside & (name != "position"), np.nan, a) for name, a in cut.items()}
    band = 3 * mixture.std
    modes = [{"axis": "y", "low": m - band, "high": m + band} for m in means]
    top = min(1.0, 1.1 * float(worst.max()))
    cut["density"] *= 0.9 * top / np.nanmax(cut["density"], axis=1, keepdims=True)
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
        cut
        | {"learned": np.where(outside, np.nan, learned), "gap": np.where(outside, np.nan, gap)},
        readout,
        "Explorer: the exact denoiser's staircase and the network's smooth version of it, "
        "at a noise level and a training that sliders choose.",
    )
