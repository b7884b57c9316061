"""What the book's figures are drawn with."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn  # noqa: F401, it brings the colour map
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm

from .style import COLORS


def panels(columns: int, *, height: float = 3.4, sharey: bool = False):
    """Make a row of axes of the book's width: (figure, array of `columns` axes)."""
    width = 7.2 if columns < 3 else 9.6
    return plt.subplots(1, columns, figsize=(width, height), sharey=sharey)


def legend_below(ax, *, ncols: int = 2) -> None:
    """Explain below a figure what the labels in one of its axes stand for, clear of the data."""
    labelled = ax.get_legend_handles_labels()
    ax.figure.legend(*labelled, loc="outside lower center", ncols=ncols)


def mark_modes(ax, mixture, *, axis: str = "x") -> None:
    """Draw thin lines where the modes of a 1D mixture are."""
    line = ax.axvline if axis == "x" else ax.axhline
    for mean in mixture.means[:, 0].tolist():
        line(mean, color=COLORS["data"], linewidth=0.8, linestyle=":", zorder=0)


def log_density(ax, grid, p, *, low: float = 1e-5, high: float | None = None):
    """Draw a density on a square grid, (N, N), in logarithmic colours; below `low` is white.

    Returns the picture, for `figure.colorbar`.
    """
    p = np.ma.masked_less(np.asarray(p, dtype=float).T, low)
    norm = LogNorm(low, high or float(p.max()))
    axis = np.asarray(grid, dtype=float)
    image = ax.pcolormesh(axis, axis, p, norm=norm, cmap="rocket_r", rasterized=True)
    ax.set_aspect("equal")
    ax.grid(False)
    return image


def draw_bridges(ax, mixture, bridges, *, width: float = 150.0) -> None:
    """Draw the modes as a graph, each edge as wide as its share of all hallucinations × `width`."""
    shown = bridges.mass > 0
    edges = mixture.means[bridges.pairs[shown]].tolist()
    widths = width * bridges.mass[shown] / max(bridges.total, 1e-300)
    ax.add_collection(
        LineCollection(edges, linewidths=widths.tolist(), colors=COLORS["hallucination"], alpha=0.8)
    )
    ax.scatter(*mixture.means.T.tolist(), s=30, color=COLORS["data"], zorder=3)
    ax.set_aspect("equal")
    ax.margins(0.08)


def draw_images(images, columns: int, *, words=None, flagged=None, split: int = 1):
    """Draw a sheet of grey images, (n, 1, height, width) in [-1, 1], as a figure.

    words: what to write below each; a comma begins a new line. flagged: (n,) bool, which are framed
    as hallucinations; the others get a thin grey frame. split: columns of each image to mark.
    """
    n, _, height, width = images.shape
    rows, gap = -(-n // columns), 0.12 * width
    below = gap + (0.3 * width if words is not None else 0)
    sheet = (columns * (width + gap) - gap, rows * (height + below) - gap)
    figure, ax = plt.subplots(figsize=(9.6, 9.6 * sheet[1] / sheet[0]))
    pixels = ((images[:, 0].clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
    for i, picture in enumerate(pixels):
        x, y = i % columns * (width + gap), i // columns * (height + below)
        bad = flagged is not None and bool(flagged[i])
        _draw_image(ax, picture, x, y, bad, split)
        if words is not None:
            place = (x + width / 2, y + height + 0.04 * width)
            said = words[i].replace(", ", "\n")
            ax.annotate(said, place, ha="center", va="top", fontsize=8, annotation_clip=False)
    ax.set(xlim=(0, sheet[0]), ylim=(sheet[1], 0))
    ax.axis("off")
    return figure


def _draw_image(ax, picture: np.ndarray, x: float, y: float, bad: bool, split: int) -> None:
    """Draw one image with its upper left corner at (x, y), its frame, and its columns' borders."""
    height, width = picture.shape
    sharp = picture.repeat(4, axis=0).repeat(4, axis=1)  # or a browser would blur it
    place = (x, x + width, y + height, y)
    ax.imshow(sharp, "gray", vmin=0, vmax=255, extent=place, interpolation="none")
    look = {"edgecolor": COLORS["hallucination" if bad else "data"], "linewidth": 1 + 2 * bad}
    ax.add_patch(plt.Rectangle((x, y), width, height, fill=False, clip_on=False, **look))
    for part in range(1, split):  # the columns as the data has them, in whole pixels
        at = x + part * (width // split)
        ax.plot([at, at], [y, y + height], color=COLORS["data"], linewidth=0.6)
