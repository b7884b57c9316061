"""The static picture of an explorer, drawn by the same specification as the page draws."""

import math

import numpy as np

from ..style import COLORS, NEUTRAL

_INKS = COLORS | NEUTRAL
_POINTS = 0.8  # of matplotlib, for a pixel of the page
_MARKERS = {"circle": "o", "square": "s", "triangle": "^", "pentagon": "p", "diamond": "D"}


def draw_explorer(explorer, at: list[int]):
    """Draw an explorer with its controls at the positions `at`: a matplotlib figure."""
    import matplotlib.pyplot as plt

    rows = []
    for i, panel in enumerate(explorer.panels):
        if i == 0 or panel.wide or explorer.panels[i - 1].wide or len(rows[-1]) == 4:
            rows.append([])
        rows[-1].append(i)
    across = math.lcm(*map(len, rows))
    mosaic = [[i for i in row for _ in range(across // len(row))] for row in rows]
    size = (4.6 * min(max(map(len, rows)), 2), 3.4 * len(rows))
    figure, axes = plt.subplot_mosaic(mosaic, figsize=size, layout="constrained")
    kinds = {"panel": _panel, "picture": _picture, "piles": _piles}
    for i, panel in enumerate(explorer.panels):
        kinds[panel.kind](axes[i], panel, explorer.arrays, at)
        axes[i].set_title(panel.title)
    return figure


def _panel(ax, panel, arrays: dict, at: list[int]) -> None:
    for mark in panel.marks:
        _mark(ax, mark, panel)
    for line in panel.lines:
        for row in line.rows:
            _line(ax, line, arrays, at, row)
    if panel.cursor:
        x = float(_pick(arrays[panel.cursor], panel.cursor_by, at)[0])
        ax.axvline(x, color=NEUTRAL["ink"], linestyle="--", linewidth=1.2, alpha=0.6)
    y, ylabel = _nested(panel.y, panel.y_by, at), _nested(panel.ylabel, panel.ylabel_by, at)
    ax.set(xlabel=panel.xlabel, ylabel=ylabel, xlim=panel.x, ylim=y)
    for axis, log in ((ax.xaxis, panel.xlog), (ax.yaxis, panel.ylog)):
        if log:
            axis.set_major_formatter(lambda value, _: f"{10**value:.3g}")
    if panel.xwhole:
        ax.xaxis.get_major_locator().set_params(integer=True)
    if panel.square:
        ax.set_box_aspect(1)


def _line(ax, line, arrays: dict, at: list[int], row: int) -> None:
    x, y = _pick(arrays[line.x], line.xby, at, row), _pick(arrays[line.y], line.by, at, row)
    if line.span:
        shown = slice(*_pick(arrays[line.span], line.span_by, at).astype(int))
        x, y = x[shown], y[shown]
    if line.bells:
        x, y = bells(x, y)
    flagged = line.flag and _pick(arrays[line.flag], line.by[:1], at, row)[0]
    color = _INKS["hallucination" if flagged else line.role]
    marker = _MARKERS[line.marker]
    if line.points:
        edge = {"markerfacecolor": "none"} if line.hollow else {"markeredgewidth": 0}
        size = 2 * _POINTS * line.width
        ax.plot(x, y, marker, color=color, markersize=size, alpha=0.8, linestyle="", **edge)
        return
    style = (0, line.dash) if line.dash else "-"
    ax.plot(x, y, color=color, linewidth=_POINTS * line.width, linestyle=style)
    if line.fill:
        ax.fill_between(x, y, line.floor, color=color, alpha=0.3)
    if line.ends:
        ax.plot(x[-1], y[-1], marker, color=color, clip_on=False)


def bells(means: np.ndarray, stds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the curves of normal densities, one after the other, with a gap after each."""
    z, root = np.append(np.linspace(-5, 5, 101), np.nan), math.sqrt(2 * math.pi)
    curves = means[:, None] + stds[:, None] * z, np.exp(-z * z / 2) / (root * stds[:, None])
    return curves[0].ravel(), curves[1].ravel()


def _mark(ax, mark: dict, panel) -> None:
    """Draw where a mode is: a band across the axes, or a circle large enough to be seen."""
    from matplotlib.patches import Circle

    if "radius" in mark:
        radius = max(mark["radius"], 0.012 * np.ptp(panel.x))
        look = {"facecolor": "none", "edgecolor": COLORS["data"], "linewidth": 0.8}
        ax.add_patch(Circle((mark["x"], mark["y"]), radius, **look))
    else:
        span = ax.axhspan if mark["axis"] == "y" else ax.axvspan
        span(mark["low"], mark["high"], color=COLORS["data"], alpha=0.25, linewidth=0)


def _picture(ax, picture, arrays: dict, at: list[int]) -> None:
    """Show a picture, and below each of its columns that column's marker."""
    pixels = arrays[picture.name]
    for control in picture.by:
        pixels = pixels[at[control]]
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    edges = np.linspace(0, 1, len(picture.columns) + 1)
    for marker, left, right in zip(picture.columns, edges, edges[1:], strict=False):
        look = {"color": NEUTRAL["ink"], "transform": ax.transAxes, "clip_on": False}
        ax.plot([(left + right) / 2], [-0.05], _MARKERS[marker], **look)


def _piles(ax, piles, arrays: dict, at: list[int]) -> None:
    """Show counts as bars: a page draws them as piles of squares."""
    counts = _pick(arrays[piles.name], piles.by, at)
    for i, (count, role, hollow) in enumerate(zip(counts, piles.roles, piles.hollow, strict=True)):
        face = "none" if hollow else _INKS[role]
        ax.bar(i, count, color=face, edgecolor=_INKS[role], linewidth=1.5)
        ax.annotate(f"{count:,.0f}", (i, count), ha="center", va="bottom")
    ax.set_xticks(range(len(counts)), piles.labels)
    ax.set_yticks([])
    ax.margins(y=0.15)


def _pick(array: np.ndarray, by: list[int], at: list[int], row: int = 0) -> np.ndarray:
    """The last axis of an array at the positions; `row` moves along the first of the others."""
    for axis, control in enumerate(by):
        position = at[control] + (row if axis == 0 else 0)
        array = array[min(max(position, 0), len(array) - 1)]
    return array


def _nested(lists, by: list[int], at: list[int]):
    for control in by:
        lists = lists[at[control]]
    return lists
