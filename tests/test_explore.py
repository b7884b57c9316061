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
import torch

import mih_utils as mih
from mih_utils.explore import (
    Explorer,
    Line,
    Panel,
    Slider,
    reverse_chains_explorer,
    staircase_explorer,
)

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)
NASTY = 'a "quoted" </script><script>alert(1)</script> <!--<script> & <b> ü'


def explorer(arrays=None, text="all", **settings):
    """Two sliders with three and two positions; y follows both, x the second."""
    if arrays is None:
        rng = np.random.default_rng(0)
        arrays = {"x": np.sort(rng.normal(size=(2, 50))), "y": rng.normal(size=(3, 2, 50))}
    sliders = [Slider(text, ["a", "b", text], start=2), Slider("second", ["0", "1"], start=1)]
    line = Line("x", "y", "learned", text, by=[0, 1], xby=[1])
    panel = Panel(text, "x", "y", (-3, 3), (-3, 3), [line], f"alt {text}")
    settings = {"readout": [f"{text} {i}" for i in range(6)], "alt": f"An {text}"} | settings
    return Explorer(sliders, [panel], arrays, **settings)


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
    """What the page holds, its arrays decoded as explore.js does it."""
    spec = json.loads(Page(found._repr_html_()).scripts[0])
    for name, packed in spec["arrays"].items():
        quantised = np.frombuffer(base64.b64decode(packed["data"]), "<i2").astype(float)
        values = packed["offset"] + packed["scale"] * quantised
        values[quantised == -32768] = np.nan
        spec["arrays"][name] = values.reshape(packed["shape"])
    return spec


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
    assert [slider["ticks"] for slider in spec["sliders"]] == [["a", "b", "all"], ["0", "1"]]
    assert [slider["start"] for slider in spec["sliders"]] == [2, 1]
    assert spec["readout"] == [f"all {i}" for i in range(6)]
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
    assert explorer(readout=[f"other {i}" for i in range(6)])._repr_html_() != first


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
    assert spec["sliders"][0]["label"] == spec["panels"][0]["title"] == NASTY
    assert nasty.all("img")[0]["alt"] == f"An {NASTY}"


@pytest.mark.parametrize("count", [0, 5, 7])
def test_a_sentence_for_each_combination_or_an_error(count):
    with pytest.raises(ValueError, match=f"^readout is '{count} sentences'.* 6"):
        explorer(readout=["one"] * count)


@pytest.mark.parametrize("start", [-1, 3])
def test_a_slider_starts_at_one_of_its_positions(start):
    with pytest.raises(ValueError, match=f"^start is {start}, but it must be 0 … 2"):
        Explorer([Slider("first", ["a", "b", "c"], start)], [], {}, ["one", "two", "three"], "alt")


# The explorers of the book


def wrong(x_t, t):
    """A denoiser whose chains all end half-way between two modes."""
    alpha_bar = SCHEDULE.alpha_bar[t]
    return (x_t - alpha_bar.sqrt() * 1.5) / (1 - alpha_bar).sqrt()


def test_reverse_chains_are_those_of_the_sampler():
    starts = torch.linspace(-2, 2, 61, dtype=torch.float64)
    found = reverse_chains_explorer(MIX, SCHEDULE, wrong, starts, frames=12)
    for name, net in (("exact", EXACT), ("learned", wrong)):
        out = mih.sample(
            net, SCHEDULE, 61, (1,), eta=0, x_T=starts[:, None], keep=range(100), progress=False
        )
        sigma = (1 - SCHEDULE.alpha_bar).sqrt().flip(0).numpy()  # of the steps as they are kept
        paths, noise_left = found.arrays[name], found.arrays["noise_left"]
        assert paths.shape == (61, len(noise_left))
        for frame, level in enumerate(noise_left[:-1]):
            step = np.abs(sigma - level).argmin()
            assert sigma[step] == pytest.approx(level)
            np.testing.assert_allclose(paths[:, frame], out.x_t[step, :, 0].numpy(), rtol=1e-9)
        np.testing.assert_allclose(paths[:, -1], out.x[:, 0].numpy(), rtol=1e-9)
        assert noise_left[-1] == 0
        flags = found.arrays[f"{name}_lost"]
        assert (flags[:, 0] == (MIX.distance(out.x) > 6).numpy()).all()
    assert found.arrays["learned_lost"].all()
    assert found.arrays["exact_lost"].mean() < 0.1
    assert (np.diff(found.arrays["noise_left"]) < 0).all()
    (slider,) = found.sliders
    assert slider.values == pytest.approx(starts.tolist())
    assert len(slider.ticks) == len(found.readout) == 61
    assert 0 <= slider.start < 61
    assert stored(found)["arrays"].keys() == found.arrays.keys()


@pytest.mark.parametrize("networks", [1, 2, 4])
def test_staircase_shows_the_exact_denoiser_and_the_networks(networks):
    levels = [0, 5, 40]
    signal = SCHEDULE.alpha_bar[levels].sqrt().numpy()
    x_t = signal[:, None] * np.linspace(-1, 5, 80)
    learned = np.random.default_rng(0).normal(2, 0.1, size=(networks, 3, 80))
    settings = [f"setting {i}" for i in range(networks)]
    found = staircase_explorer(MIX, SCHEDULE, levels, x_t, learned, "length", settings)
    for row, level in enumerate(levels):
        alpha_bar = float(SCHEDULE.alpha_bar[level])
        exact = MIX.posterior_mean(torch.from_numpy(x_t[row])[:, None], alpha_bar)[:, 0].numpy()
        shown = np.isfinite(found.arrays["exact"][row])
        assert 40 < shown.sum() < 80  # the explorer cuts what is far from the modes
        np.testing.assert_allclose(found.arrays["exact"][row][shown], exact[shown], rtol=1e-9)
        gap = found.arrays["gap"][:, row][:, shown]
        np.testing.assert_allclose(gap, learned[:, row][:, shown] - exact[shown], rtol=1e-9)
    for slider in found.sliders:
        assert 0 <= slider.start < len(slider.ticks)
    assert len(found.readout) == 3 * networks
    for i, sentence in enumerate(found.readout):  # the last slider runs fastest
        assert f"t = {levels[i // networks]}," in sentence
        assert settings[i % networks] in sentence
    assert 'class="mih-explorer"' in found._repr_html_()
