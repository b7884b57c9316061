"""Explorers: the page holds every number, needs nothing else, and text cannot break out of it."""

import base64
import io
import json
from html.parser import HTMLParser

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from mih_utils.viz.explorers.core import (
    Buttons,
    Chip,
    Explorer,
    Line,
    Panel,
    Picture,
    Piles,
    Said,
    Slider,
)
from mih_utils.viz.explorers.page import packed
from mih_utils.viz.style import COLORS, NEUTRAL

NASTY = 'a "quoted" </script><script>alert(1)</script> <!--<script> & <b> ü'


def explorer(arrays=None, text="all", **settings):
    """A slider and buttons with three and two positions; y follows both, x the second."""
    if arrays is None:
        rng = np.random.default_rng(0)
        arrays = {"x": np.sort(rng.normal(size=(2, 50))), "y": rng.normal(size=(3, 2, 50))}
    controls = [Slider(text, ["a", "b", text], start=2), Buttons("second", ["0", "1"], start=1)]
    line = Line("x", "y", "learned", text, by=[0, 1], xby=[1])
    panel = Panel(text, "x", "y", (-3, 3), (-3, 3), [line], f"alt {text}")
    words = [f"{text} {i}" for i in range(6)]
    settings = {"said": [Said([0, 1], words)], "alt": f"An {text}"} | settings
    return Explorer("name", text, controls, [panel], arrays, **settings)


class Page(HTMLParser):
    """The elements of a page, and the text in each of its scripts."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.scripts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def stored(found):
    """What the page holds, its arrays decoded as the script does it."""
    spec = json.loads(Page(found._repr_html_()).scripts[0])
    for name, there in spec["arrays"].items():
        if "png" in there:
            sheet = plt.imread(io.BytesIO(base64.b64decode(there["png"])))
            spec["arrays"][name] = cut(np.round(255 * sheet), there["shape"])
            continue
        if there.get("bits") == 32:
            values = np.frombuffer(base64.b64decode(there["data"]), "<f4").astype(float)
            spec["arrays"][name] = values.reshape(there["shape"])
            continue
        quantised = np.frombuffer(base64.b64decode(there["data"]), "<i2").astype(float)
        values = there["offset"] + there["scale"] * quantised
        values[quantised == -32768] = np.nan
        spec["arrays"][name] = values.reshape(there["shape"])
    return spec


def cut(sheet, shape):
    """The pictures of a sheet, found as the script does it: by counting along its rows."""
    *positions, h, w = shape
    across = sheet.shape[1] // w
    found = [divmod(i, across) for i in range(int(np.prod(positions)))]
    pictures = [sheet[h * row : h * (row + 1), w * column :][:, :w] for row, column in found]
    return np.reshape(pictures, shape)


@pytest.mark.parametrize("scale", [1e-6, 1, 1e5])
@pytest.mark.parametrize("offset", [0, 3, -1e4])
def test_numbers_come_back_to_one_part_in_65000_of_their_range(scale, offset):
    found = explorer()
    found.arrays = {name: offset + scale * array for name, array in found.arrays.items()}
    for name, array in stored(found)["arrays"].items():
        original = found.arrays[name]
        assert array.shape == original.shape
        assert np.abs(array - original).max() <= np.ptp(original) / 65_000 * 0.501


def test_gaps_stay_gaps_and_nothing_else_becomes_one():
    found = explorer()
    array = found.arrays["y"]
    array[0, 0, :5], array[1, 1, 7], array[2, 0, 9] = np.nan, np.inf, -np.inf
    back = stored(found)["arrays"]["y"]
    known = np.isfinite(array)
    assert (np.isfinite(back) == known).all()
    assert np.abs(back - array)[known].max() <= np.ptp(array[known]) / 65_000 * 0.501


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan])
def test_an_array_of_one_value_comes_back(value):
    found = explorer()
    found.arrays["y"] = np.full((3, 2, 50), value)
    np.testing.assert_allclose(stored(found)["arrays"]["y"], value)


def test_page_has_what_the_sliders_need():
    found = explorer()
    spec = stored(found)
    assert [control["ticks"] for control in spec["controls"]] == [["a", "b", "all"], ["0", "1"]]
    assert [control["start"] for control in spec["controls"]] == [2, 1]
    assert [control["size"] for control in spec["controls"]] == [3, 2]
    assert [control["kind"] for control in spec["controls"]] == ["slider", "buttons"]
    assert [control["name"] for control in spec["controls"]] == ["all", "second"]
    assert spec["said"] == [{"by": [0, 1], "words": [f"all {i}" for i in range(6)]}]
    assert found.readout == spec["said"][0]["words"]
    assert (spec["id"], spec["title"]) == ("name", "all")
    (panel,) = spec["panels"]
    assert (panel["title"], panel["alt"]) == ("all", "alt all")
    assert panel["lines"][0]["by"] == [0, 1]


def test_page_shows_a_picture_with_alternative_text_where_scripts_do_not_run():
    page = Page(explorer(alt='A "picture" of 2 < 3')._repr_html_())
    (image,) = page.all("img")
    assert image["alt"] == 'A "picture" of 2 < 3'
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    pixels = plt.imread(io.BytesIO(base64.b64decode(data)))
    assert min(pixels.shape[:2]) > 100
    assert pixels[..., :3].std() > 0.01


def test_picture_is_the_starting_position():
    found = explorer()
    figure = found.figure()
    ((curve,),) = [ax.lines for ax in figure.axes]
    np.testing.assert_array_equal(curve.get_xdata(), found.arrays["x"][1])
    np.testing.assert_array_equal(curve.get_ydata(), found.arrays["y"][2, 1])
    plt.close(figure)


def test_page_asks_for_nothing():
    page = explorer()._repr_html_()
    assert "http://" not in page
    assert "https://" not in page
    parsed = Page(page)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in parsed.elements}
    for _, attributes in parsed.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "@import" not in page
    assert "url(" not in page


def test_same_explorer_gives_the_same_page_and_another_gives_another():
    first = explorer()._repr_html_()
    assert explorer()._repr_html_() == first
    other = [Said([0, 1], [f"other {i}" for i in range(6)])]
    assert explorer(said=other)._repr_html_() != first


def test_a_page_leaves_no_figure_behind():
    before = plt.get_fignums()
    explorer()._repr_html_()
    assert plt.get_fignums() == before


def test_text_cannot_break_out_of_its_place():
    plain, nasty = (Page(explorer(text=text)._repr_html_()) for text in ("all", NASTY))
    assert [tag for tag, _ in nasty.elements] == [tag for tag, _ in plain.elements]
    for text in nasty.scripts:  # a browser also reads these two inside of a script
        assert "</script" not in text.lower()
        assert "<!--" not in text
    spec = json.loads(nasty.scripts[0])
    assert spec["controls"][0]["label"] == spec["panels"][0]["title"] == NASTY
    assert nasty.all("img")[0]["alt"] == f"An {NASTY}"


@pytest.mark.parametrize("count", [0, 5, 7])
def test_a_sentence_for_each_combination_or_an_error(count):
    with pytest.raises(ValueError, match=f"^said is '{count} sentences'.* 6"):
        explorer(said=[Said([0, 1], ["one"] * count)])


def test_sentences_follow_their_own_controls():
    parts = [Said([], ["Always."]), Said([1], ["", "Sometimes."]), Said([0], list("abc"))]
    found = explorer(said=parts)
    assert found.readout == [
        f"Always. {'Sometimes. ' * second}{first}" for first in "abc" for second in (0, 1)
    ]
    for said in parts:
        with pytest.raises(ValueError, match=r"^said is"):
            explorer(said=[Said(said.by, [*said.words, "more"])])


@pytest.mark.parametrize("at", [{0: 3}, {0: -1}, {1: 2}])
def test_a_chip_sets_positions_that_there_are(at):
    explorer(chips=[Chip("chip", {0: 2, 1: 1})])
    with pytest.raises(ValueError, match=r"^the chip 'chip' is"):
        explorer(chips=[Chip("chip", at)])


@pytest.mark.parametrize("start", [-1, 3])
def test_a_slider_starts_at_one_of_its_positions(start):
    with pytest.raises(ValueError, match=f"^start is {start}, but it must be 0 … 2"):
        Slider("first", ["a", "b", "c"], start)


@pytest.mark.parametrize("rows", [(2, 4), (2, 3000), (2, 3, 1), (2, 3000, 1)])
def test_a_small_metric_is_as_true_beside_a_large_one(rows):
    """Page review, fault 2: one scale for 1,600 and 0.04 drew 0.051 for 0.043."""
    rng = np.random.default_rng(0)
    array = rng.uniform(0.9, 1.1, size=rows) * np.reshape(
        [1600, 0.043], (2, *[1] * (len(rows) - 1))
    )
    if rows == (2, 3000, 1):
        array = array.swapaxes(1, 2)
    found = explorer()
    found.arrays["metrics"] = array
    np.testing.assert_allclose(stored(found)["arrays"]["metrics"], array, rtol=1e-6)


def test_large_arrays_of_one_kind_take_two_bytes_a_number():
    array = np.random.default_rng(0).normal(size=(50, 200))
    assert len(base64.b64decode(packed(array)["data"])) == 2 * array.size


# Piles


def piles(labels=("good", "bad\nones")):
    arrays = {"counts": np.array([[3, 120], [1469, 128]])}
    given = Piles("title", "counts", [0], list(labels), ["learned", "data"], [True, False], "alt")
    slider, said = Slider("cut", ["a", "b"], start=1), [Said([], ["one"])]
    return Explorer("name", "title", [slider], [given], arrays, said, "alt")


def test_piles_are_as_high_as_their_counts():
    figure = piles().figure()
    plt.close(figure)
    (ax,) = figure.axes
    assert [bar.get_height() for bar in ax.patches] == [1469, 128]
    assert [text.get_text() for text in ax.texts] == ["1,469", "128"]
    assert stored(piles())["panels"][0]["kind"] == "piles"
    with pytest.raises(ValueError, match=r"^labels"):
        piles(labels=["good"])


# Pictures in the plane


def scatter(line=None, *, ranges=((-3, 3), (-3, 3)), **panel):
    """One slider with three positions; dots that follow it, or a line of one's own."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(3, 40)) for name in ("x", "y")}
    arrays |= {"fixed x": rng.normal(size=40), "fixed y": rng.normal(size=40)}
    arrays["part"] = np.array([[0, 40], [7, 12], [40, 40]])
    line = line or Line("x", "y", "learned", xby=[0], points=True)
    panel = Panel("title", "x", "y", *ranges, [line], "alt", **panel)
    slider = Slider("step", ["a", "b", "c"], start=1, play=True)
    said = [Said([0], ["one", "two", "three"])]
    return Explorer("name", "title", [slider], [panel], arrays, said, "alt")


def drawn(found):
    """The axes and the only line of the picture."""
    figure = found.figure()
    plt.close(figure)
    (ax,) = figure.axes
    (line,) = ax.lines
    return ax, line


def test_dots_follow_the_slider_and_no_line_joins_them():
    found = scatter()
    _, line = drawn(found)
    np.testing.assert_array_equal(line.get_xdata(), found.arrays["x"][1])
    np.testing.assert_array_equal(line.get_ydata(), found.arrays["y"][1])
    assert (line.get_marker(), line.get_linestyle()) == ("o", "None")
    assert to_hex(line.get_markerfacecolor()) == COLORS["learned"].lower()


def test_rings_are_empty():
    look = {"by": [], "points": True, "hollow": True}
    _, line = drawn(scatter(Line("fixed x", "fixed y", "exact", **look)))
    assert line.get_markerfacecolor() == "none"
    assert to_hex(line.get_markeredgecolor()) == COLORS["exact"].lower()


@pytest.mark.parametrize("points", [True, False])
@pytest.mark.parametrize("start, part", [(0, slice(0, 40)), (1, slice(7, 12)), (2, slice(0, 0))])
def test_a_span_draws_a_part_that_the_slider_chooses(points, start, part):
    found = scatter(Line("fixed x", "fixed y", "learned", by=[], span="part", points=points))
    found.controls[0].start = start
    _, line = drawn(found)
    np.testing.assert_array_equal(line.get_xdata(), found.arrays["fixed x"][part])
    np.testing.assert_array_equal(line.get_ydata(), found.arrays["fixed y"][part])


def test_a_span_comes_back_from_the_page_as_whole_numbers():
    found = scatter()
    found.arrays["part"] = np.stack([np.arange(1500), np.full(1500, 1500)], axis=1)
    np.testing.assert_array_equal(stored(found)["arrays"]["part"].round(), found.arrays["part"])


def test_circles_mark_modes_and_are_never_too_small_to_see():
    marks = [{"x": -1.0, "y": 2.0, "radius": 0.5}, {"x": 1.0, "y": 0.0, "radius": 1e-6}]
    ax, _ = drawn(scatter(marks=marks, square=True))
    large, small = ax.patches
    assert (large.center, large.radius) == ((-1, 2), 0.5)
    assert small.center == (1, 0)
    assert small.radius > 0.01
    assert stored(scatter(marks=marks))["panels"][0]["marks"] == marks


def test_a_square_panel_has_one_scale():
    ax, _ = drawn(scatter(square=True))
    assert ax.get_box_aspect() == 1
    assert drawn(scatter())[0].get_box_aspect() is None
    with pytest.raises(ValueError, match=r"square panel.*must be ranges of one length"):
        scatter(square=True, ranges=((0, 1), (0, 2)))


def test_a_wide_panel_has_a_row_of_its_own():
    found = scatter(wide=True)
    found.panels += [scatter().panels[0], scatter().panels[0]]
    figure = found.figure()
    plt.close(figure)
    figure.draw_without_rendering()
    wide, left, right = (ax.get_position() for ax in figure.axes)
    assert wide.y0 > left.y1
    assert left.y0 == pytest.approx(right.y0)
    assert (wide.x0, wide.x1) == pytest.approx((left.x0, right.x1), abs=0.05)
    assert [panel["wide"] for panel in stored(found)["panels"]] == [True, False, False]


def test_bells_are_normal_densities_with_gaps_between():
    found = scatter(Line("x", "std", "learned", by=[0], xby=[0], bells=True))
    found.arrays["std"] = 0.1 + found.arrays["y"] ** 2
    _, line = drawn(found)
    x, y = (np.reshape(values, (40, -1)) for values in line.get_data())
    assert np.isnan(y[:, -1]).all()
    for mean, std, xs, ys in zip(
        found.arrays["x"][1], found.arrays["std"][1], x[:, :-1], y[:, :-1], strict=True
    ):
        density = np.exp(-(((xs - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))
        np.testing.assert_allclose(ys, density, rtol=1e-4)
        assert ys.sum() * (xs[1] - xs[0]) == pytest.approx(1, abs=1e-4)


def test_what_is_no_role_is_told_apart_by_dash_and_marker():
    look = {"by": [], "dash": (6, 4), "ends": True, "marker": "triangle"}
    figure = scatter(Line("fixed x", "fixed y", "grey", **look)).figure()
    plt.close(figure)
    line, end = figure.axes[0].lines
    assert line.get_linestyle() == "--"
    assert end.get_marker() == "^"
    assert line.get_color() == end.get_color() == NEUTRAL["grey"]


def test_a_cursor_stands_where_the_control_is():
    found = scatter(cursor="where")
    found.arrays["where"] = np.array([[-1.0], [0.5], [2.0]])
    figure = found.figure()
    plt.close(figure)
    assert figure.axes[0].lines[-1].get_xdata()[0] == 0.5


def test_a_range_and_a_name_for_each_position():
    found = scatter(ranges=((-3, 3), [(0, 1), (2, 5), (-7, 0)]), y_by=[0], ylabel_by=[0])
    found.panels[0].ylabel = ["a", "b", "c"]
    ax, _ = drawn(found)
    assert ax.get_ylim() == (2, 5)
    assert ax.get_ylabel() == "b"
    assert stored(found)["panels"][0]["y"] == [[0, 1], [2, 5], [-7, 0]]


def test_page_knows_what_to_play():
    assert stored(scatter())["controls"][0]["play"] is True
    assert stored(explorer())["controls"][0]["play"] is False


# Pictures


def album(shape=(3, 4), pixels=(6, 5), dtype=np.uint8):
    """A picture that follows two sliders, and beside it another that follows the first of them."""
    rng = np.random.default_rng(0)
    arrays = {
        "both": rng.integers(0, 256, (*shape, *pixels)).astype(dtype),
        "first": rng.integers(0, 256, (shape[0], *pixels)).astype(np.uint8),
    }
    controls = [Slider("image", ["a", "b", "c"], start=2), Slider("step", list("abcd"), start=1)]
    pictures = [
        Picture("Both", "both", [0, 1], "alt of both", ["square", "circle"]),
        Picture("First", "first", [0], "alt of the first", ["triangle", "square", "pentagon"]),
    ]
    said = [Said([0, 1], [f"sentence {i}" for i in range(12)])]
    return Explorer("name", "title", controls, pictures, arrays, said, "alt")


@pytest.mark.parametrize("pixels", [(6, 5), (1, 1), (64, 64)])
def test_pictures_come_back_to_the_byte(pixels):
    found = album(pixels=pixels)
    back = stored(found)["arrays"]
    for name, array in found.arrays.items():
        np.testing.assert_array_equal(back[name], array)


def test_the_page_says_what_a_picture_follows():
    first, second = stored(album())["panels"]
    assert (first["name"], first["by"], first["alt"]) == ("both", [0, 1], "alt of both")
    assert second["by"] == [0]
    assert second["columns"] == ["triangle", "square", "pentagon"]


def test_the_static_picture_shows_the_pictures_of_the_start():
    found = album()
    figure = found.figure()
    plt.close(figure)
    both, first = figure.axes
    np.testing.assert_array_equal(both.images[0].get_array(), found.arrays["both"][2, 1])
    np.testing.assert_array_equal(first.images[0].get_array(), found.arrays["first"][2])
    assert both.images[0].get_clim() == (0, 255)
    assert [line.get_marker() for line in first.lines] == ["^", "s", "p"]


def test_pictures_share_a_row_above_a_wide_panel():
    found = album()
    found.panels += scatter(wide=True).panels
    found.arrays |= scatter().arrays
    figure = found.figure()
    plt.close(figure)
    figure.draw_without_rendering()
    left, right, wide = (ax.get_position() for ax in figure.axes)
    assert left.y0 == pytest.approx(right.y0)
    assert left.x1 < right.x0
    assert wide.y1 < left.y0


def test_a_picture_is_made_of_bytes_along_its_sliders():
    with pytest.raises(ValueError, match=r"'both'.*4 axes of float32.* must be 4 axes of uint8"):
        album(dtype=np.float32)
    with pytest.raises(ValueError, match=r"'both'.*3 axes of uint8.* must be 4 axes of uint8"):
        album(shape=(3,))
