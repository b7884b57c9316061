"""Explorers: figures with sliders that work in a page without kernel, network or library.

Everything an explorer can show is computed here and stored in the page; a small script
(explore.js) draws what the sliders ask for. Where scripts do not run, as in an untrusted notebook,
a static picture of the starting position stays.
"""

import base64
import html
import io
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from ..._checks import require
from ..style import COLORS

_HERE = Path(__file__).parents[1] / "js"
_GAP = -32768  # the quantised number that stands for "no value here"


@dataclass
class Slider:
    """One control. Its positions are numbered; `ticks` says what each means, in words."""

    label: str
    ticks: list[str]
    start: int = 0
    values: list[float] | None = None
    """The positions as numbers, if a panel lets the reader drag this slider."""
    play: bool = False
    """Whether a button beside it steps through the positions."""


@dataclass
class Line:
    """A line, or dots, that follow sliders: arrays whose last axis runs along the line.

    The axes before it follow the sliders named in `by` (for y) and `xby` (for x). `rows` draws
    several neighbours along the first of them at once; `flag`, an array with one number for each
    position of that slider, paints a row as a hallucination where it is 1. `span`, an array of
    (start, stop) for each position of the first slider, draws only that part of the line.

    `points` draws dots instead, of radius `width`, and `hollow` rings. `bells` draws a normal
    density for each number: its mean in x, its standard deviation in y. A list of roles has one for
    each position of the first slider in `by`.
    """

    x: str
    y: str
    role: str | list[str]
    label: str = ""
    by: list[int] = field(default_factory=lambda: [0])
    xby: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=lambda: [0])
    flag: str | None = None
    span: str | None = None
    points: bool = False
    hollow: bool = False
    bells: bool = False
    dash: bool = False
    fill: bool = False
    ends: bool = False
    width: float = 2.0


@dataclass
class Panel:
    """One set of axes: ranges, names, lines, alternative text.

    `marks` shows where the modes are: bands {axis, low, high} or circles {x, y, radius}. Lists of
    names and ranges for y have one for each position of the slider `yby`.
    """

    title: str
    xlabel: str
    ylabel: str | list[str]
    x: tuple[float, float]
    y: tuple[float, float] | list[tuple[float, float]]
    lines: list[Line]
    alt: str
    marks: list[dict] = field(default_factory=list)
    drag: str | None = None
    """The axis, "x" or "y", along which dragging over the panel moves the first slider."""
    square: bool = False
    """Whether both axes have one scale; their ranges must then be equally long."""
    wide: bool = False
    """Whether the panel takes a row of its own."""
    yby: int | None = None


@dataclass
class Picture:
    """A grey picture that follows the sliders in `by`, its pixels drawn as squares.

    name: of an array of bytes, (positions of each of these sliders, height, width). The picture's
    columns, equally wide, are underlined in the colours of `columns`, if there are any.
    """

    title: str
    name: str
    by: list[int]
    alt: str
    columns: list[str]
    wide = False  # never: pictures share a row


@dataclass
class Explorer:
    """Sliders, panels or pictures, and a sentence for each combination of slider positions.

    `readout` lists the sentences in the order of the positions, the last slider running fastest.
    Show it as the value of a cell.
    """

    sliders: list[Slider]
    panels: list[Panel | Picture]
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
        for panel in self.panels:
            if isinstance(panel, Picture):
                array, axes = self.arrays[panel.name], len(panel.by) + 2
                ok = array.dtype == np.uint8 and array.ndim == axes > 2
                found = f"{array.ndim} axes of {array.dtype}"
                require(ok, f"the array {panel.name!r}", found, f"{axes} axes of uint8")
            elif panel.square:
                ok = np.isclose(np.ptp(panel.x), np.ptp(panel.y))
                require(ok, "a square panel's x and y", (panel.x, panel.y), "ranges of one length")

    def _repr_html_(self) -> str:
        spec = json.dumps(
            {
                "sliders": [asdict(slider) for slider in self.sliders],
                "panels": [asdict(panel) for panel in self.panels],
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
        rows = []
        for i, panel in enumerate(self.panels):
            if i == 0 or panel.wide or self.panels[i - 1].wide:
                rows.append([])
            rows[-1].append(i)
        across = math.lcm(*map(len, rows))
        mosaic = [[i for i in row for _ in range(across // len(row))] for row in rows]
        size = (4.6 * max(map(len, rows)), 3.4 * len(rows))
        figure, axes = plt.subplot_mosaic(mosaic, figsize=size)
        for i, panel in enumerate(self.panels):
            ax = axes[i]
            if isinstance(panel, Picture):
                _show(ax, panel, self._pick(panel.name, panel.by, at, 0))
                continue
            for mark in panel.marks:
                _mark(ax, mark, panel)
            for line in panel.lines:
                for row in line.rows:
                    self._draw(ax, line, at, row)
            ylabel, y = panel.ylabel, panel.y
            if panel.yby is not None:
                ylabel, y = ylabel[at[panel.yby]], y[at[panel.yby]]
            ax.set(title=panel.title, xlabel=panel.xlabel, ylabel=ylabel, xlim=panel.x, ylim=y)
            if panel.square:
                ax.set_box_aspect(1)
        return figure

    def _draw(self, ax, line: Line, at: list[int], row: int) -> None:
        x, y = self._pick(line.x, line.xby, at, row), self._pick(line.y, line.by, at, row)
        if line.span:
            shown = slice(*self._pick(line.span, [0], at, 0).astype(int))
            x, y = x[shown], y[shown]
        if line.bells:
            x, y = _bells(x, y)
        flagged = line.flag and self._pick(line.flag, line.by[:1], at, row)[0]
        role = line.role if isinstance(line.role, str) else line.role[at[line.by[0]]]
        color = COLORS["hallucination" if flagged else role]
        if line.points:
            edge = {"markerfacecolor": "none"} if line.hollow else {"markeredgewidth": 0}
            ax.plot(x, y, "o", color=color, markersize=1.6 * line.width, alpha=0.8, **edge)
            return
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


def _bells(means: np.ndarray, stds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curves of normal densities, one after the other, with a gap after each."""
    z = np.append(np.linspace(-5, 5, 101), np.nan)
    curves = means[:, None] + stds[:, None] * z, np.exp(-z * z / 2) / (2.5066 * stds[:, None])
    return curves[0].ravel(), curves[1].ravel()


def _show(ax, picture: Picture, pixels: np.ndarray) -> None:
    """A picture, and under each of its columns a line in that column's colour."""
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(title=picture.title, xticks=[], yticks=[])
    edges = np.linspace(0, 1, len(picture.columns) + 1)
    for role, left, right in zip(picture.columns, edges, edges[1:], strict=False):
        look = {"color": COLORS[role], "linewidth": 3, "clip_on": False}
        ax.plot([left + 0.02, right - 0.02], [-0.04, -0.04], transform=ax.transAxes, **look)


def _mark(ax, mark: dict, panel: Panel) -> None:
    """Where a mode is: a band across the axes, or a circle large enough to be seen."""
    if "radius" in mark:
        radius = max(mark["radius"], 0.012 * np.ptp(panel.x))
        look = {"facecolor": "none", "edgecolor": COLORS["data"], "linewidth": 0.8}
        ax.add_patch(plt.Circle((mark["x"], mark["y"]), radius, **look))
    else:
        span = ax.axhspan if mark["axis"] == "y" else ax.axvspan
        span(mark["low"], mark["high"], color=COLORS["data"], alpha=0.25, linewidth=0)


def _packed(array: np.ndarray) -> dict:
    """An array as 16-bit numbers with a scale: a page needs no more than one part in 65,000.

    Bytes are pictures: one PNG of them all, the last slider's positions beside each other.
    """
    array = np.asarray(array)
    if array.dtype == np.uint8:
        *_, across, height, width = array.shape
        sheet = array.reshape(-1, across, height, width).swapaxes(1, 2).reshape(-1, across * width)
        buffer = io.BytesIO()
        Image.fromarray(sheet).save(buffer, "png", optimize=True)
        return {"shape": array.shape, "png": base64.b64encode(buffer.getvalue()).decode()}
    array = np.asarray(array, dtype=np.float64)
    known = np.isfinite(array)
    low, high = (array[known].min(), array[known].max()) if known.any() else (0.0, 0.0)
    scale = (high - low) / 65_000 or 1.0
    offset = (high + low) / 2
    quantised = np.where(known, np.round((np.where(known, array, offset) - offset) / scale), _GAP)
    data = base64.b64encode(quantised.astype("<i2").tobytes()).decode()
    return {"shape": array.shape, "offset": float(offset), "scale": float(scale), "data": data}
