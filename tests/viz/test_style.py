"""Figures show what they are given."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import mih_utils as mih


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_a_legend_below_touches_no_axes():
    figure, axes = plt.subplots(1, 2, layout="constrained")
    axes[0].plot([0, 1], label="a line")
    axes[0].plot([1, 0])
    mih.legend_below(axes[0], ncols=1)
    figure.canvas.draw()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a line"]
    assert legend.get_window_extent().y1 <= min(ax.get_tightbbox().y0 for ax in axes) + 1
    plt.close(figure)


def test_log_density_puts_the_first_coordinate_on_the_horizontal_axis(ax):
    grid = torch.linspace(-1, 1, 21)
    p = torch.zeros(21, 21)
    p[20, 10] = 3.0  # x = 1, y = 0
    p[0, 0] = 1e-9  # below what is shown
    image = mih.log_density(ax, grid, p, low=1e-5)
    shown = image.get_array().reshape(21, 21)  # rows are y
    assert shown[10, 20] == pytest.approx(3.0)
    assert np.ma.count(shown) == 1
    assert (image.norm.vmin, image.norm.vmax) == (1e-5, pytest.approx(3.0))
    assert ax.get_aspect() == 1


def test_edges_are_as_wide_as_their_share(ax):
    mixture = mih.GaussianMixture.grid(2, spacing=1, std=0.01)
    between = [[0.1, -0.5], [0.0, -0.5], [0.2, -0.5], [-0.5, 0.1]]  # three on one edge
    x = torch.tensor(between)
    found = mih.bridge_census(mixture, x)
    mih.draw_bridges(ax, mixture, found, width=40)
    (edges,) = ax.collections[:1]
    widths = sorted(edges.get_linewidths())
    assert widths == pytest.approx([10.0, 30.0])
    thick = edges.get_segments()[int(np.argmax(edges.get_linewidths()))]
    assert sorted(map(tuple, np.round(thick, 6))) == [(-0.5, -0.5), (0.5, -0.5)]


def test_no_hallucination_no_edge(ax):
    mixture = mih.GaussianMixture.grid(2, spacing=1, std=0.01)
    found = mih.bridge_census(mixture, mixture.means.float())
    mih.draw_bridges(ax, mixture, found)
    assert len(ax.collections[0].get_segments()) == 0


@pytest.mark.parametrize(
    "p, text",
    [(0.0, "0.0%"), (0.1234, "12.3%"), (0.01, "1.0%"), (4.71e-4, "4.7 × 10⁻⁴")],
)
def test_shares_in_words(p, text):
    assert mih.share(p).replace("\u00a0", " ") == text


def test_a_sheet_shows_every_image_in_its_place():
    images = mih.shapes.dataset(5, 16, generator=torch.Generator().manual_seed(0))
    flagged = torch.tensor([False, True, False, False, False])
    figure = mih.draw_images(images, 3, words=list("abcde"), flagged=flagged, split=3)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == list("abcde")
    for image, shown in zip(images, ax.get_images(), strict=True):
        pixels = np.asarray(shown.get_array())[::4, ::4]
        np.testing.assert_array_equal(pixels > 127, image[0].numpy() > 0)
        left, right, bottom, top = shown.get_extent()
        assert (right - left, bottom - top) == pytest.approx((16, 16))
    assert len(ax.lines) == 2 * 5
    np.testing.assert_allclose([line.get_xdata()[0] for line in ax.lines[:2]], [5, 10])
    places = [shown.get_extent() for shown in ax.get_images()]
    assert places[0][2:] == places[2][2:] and places[0][:2] == places[3][:2]  # row, column
    framed = [patch.get_edgecolor() for patch in ax.patches]
    assert framed[1] != framed[0] == framed[2] == framed[3] == framed[4]
    assert max(right for _, right, _, _ in places) <= ax.get_xlim()[1]
    assert max(bottom for _, _, bottom, _ in places) <= ax.get_ylim()[0]
    plt.close(figure)
