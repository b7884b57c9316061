"""Explorers in a real browser, without a network: hands, fingers, keys, addresses, downloads."""

import csv
import io
import re

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pytest
import torch

import mih_utils as mih
from mih_utils.viz.explorers.core import Buttons, Chip, Explorer, Line, Panel, Said, Slider

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
POLICIES, LAST = ("first", "second"), 3
GRID = mih.GaussianMixture.grid(2, spacing=2, std=0.05)


def curves():
    """Four positions, two curves to choose from, a panel that can be dragged."""
    x = np.linspace(0, 3, 50)
    values = [0.0, 1.0, 2.0, 3.0]
    step = Slider("step", list("abcd"), 0, values, play=True, marks=[2], marked="here")
    panel = Panel("Title", "x", "y", (0, 3), (-4, 4), [], "alt", drag="x", cursor="at")
    panel.lines = [Line("x", "y", "learned", "curve", by=[1], width=2)]
    arrays = {"x": x, "y": np.stack([x - 1, 1 - x]), "at": np.array(values)[:, None]}
    said = [Said([0], [f"Step {name}." for name in "abcd"])]
    chips = [Chip("The end", {0: 3, 1: 1})]
    controls = [step, Buttons("curve", ["up", "down"])]
    return Explorer("curves", "A finding", controls, [panel], arrays, said, "alt", chips=chips)


def images():
    """Two policies, and metrics of which one is 40,000 times as large as the other."""
    generator = torch.Generator().manual_seed(0)
    pixels = {p: 2 * torch.rand(LAST + 1, 4, 1, 8, 8, generator=generator) - 1 for p in POLICIES}
    large, small = [1600, 900, 400, 270], [0.043, 0.046, 0.049, 0.051]
    metrics = {"large": dict.fromkeys(POLICIES, large), "small": dict.fromkeys(POLICIES, small)}
    return mih.generations_explorer(pixels, metrics)


def plane():
    """Chains in the plane, of which five end on one bridge; first predictions far outside."""
    generator = torch.Generator().manual_seed(0)
    end = GRID.sample(60, generator=generator).float()
    end[:5] = torch.tensor([[-0.3 + 0.15 * i, -1.0] for i in range(5)])
    noise = torch.randn(4, 60, 2, generator=generator)
    x0_hat = end + torch.tensor([1e9, 0.3, 0.1, 0.01])[:, None, None] * noise
    kept = mih.Samples(end, x_t=end + noise, x0_hat=x0_hat)
    return mih.plane_chains_explorer(GRID, mih.Schedule.linear(1000), kept, range(4))


def strip():
    generator = torch.Generator().manual_seed(0)
    x = mih.shapes.dataset(9, 16, generator=generator)
    level = torch.tensor([3.0, 0.5, 0.0])[:, None, None, None, None]
    x0_hat = x + level * torch.randn(3, *x.shape, generator=generator)
    return mih.strip_explorer(mih.Samples(x, x0_hat=x0_hat), [0, 5, 9], list("abcdefghi"))


def threshold():
    generator = torch.Generator().manual_seed(0)
    bad = torch.arange(3000) < 100
    hal = torch.exp(torch.randn(3000, generator=generator) + 3 * bad - 8)
    return mih.threshold_explorer(GRID, torch.randn(3000, 2, generator=generator), hal, bad)


def refits():
    return mih.refit_explorer((5, 100), fits=30, generator=torch.Generator().manual_seed(0))


def game():
    x = mih.shapes.dataset(6, generator=torch.Generator().manual_seed(0))
    x[1] = torch.maximum(x[1], x[2].flip(1))
    x[4] = -1
    return mih.possible_or_not(x, mih.shapes.census(x))


MAKERS = (curves, images, plane, strip, threshold, refits, game)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a page for each explorer, and one for several."""
    folder = tmp_path_factory.mktemp("pages")
    look = '<!doctype html><meta name="viewport" content="width=device-width">'
    look += "<style>html { background: #fff; color: #222; scroll-behavior: auto } "
    look += "html[data-theme=dark] { background: #111; color: #ddd }</style>"
    bodies = {make.__name__: make()._repr_html_() for make in MAKERS}
    bodies["several"] = bodies["curves"] + bodies["game"] + bodies["curves"]
    for name, body in bodies.items():
        page = f"{look}<body>{body}<div style='height: 2000px'></div></body>"
        (folder / f"{name}.html").write_text(page, encoding="utf8")
    return folder


@pytest.fixture
def visit(browser, folder):
    """visit(name, address) opens a page; nothing may go wrong on it, and nothing be asked for."""
    wrong, contexts = [], []

    def open_page(name, address="", clock=False, **settings):
        settings = {"viewport": {"width": 1000, "height": 800}} | settings
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        if clock:
            page.clock.install(time=0)
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
        page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
        page.on("request", lambda r: r.url.startswith("http") and wrong.append(r.url))
        page.goto((folder / f"{name}.html").as_uri() + address)
        if clock:
            page.clock.pause_at(60)  # from here on time passes only as the test says
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def positions(page):
    """What the sliders and the pressed buttons of the first explorer are at."""
    return page.evaluate("""() => {
      const root = document.querySelector('.mih-explorer');
      const all = selector => [...root.querySelectorAll(selector)];
      return [...all('input[type=range]').map(e => e.value),
              ...all('input[type=radio]:checked').map(e => e.getAttribute('aria-label'))];
    }""")


def said(page):
    return page.locator(".mih-readout").first.inner_text()


def center(page, selector):
    box = page.locator(selector).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def taken(page, label):
    """The file that an entry of the menu gives."""
    page.locator(".mih-menu > button").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name=label).first.click()
    return download.value


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
@pytest.mark.parametrize("name", [make.__name__ for make in MAKERS])
def test_every_explorer_stands_on_the_page(visit, name, look):
    page = visit(name, **(PHONE if look == "phone" else {}))
    before = page.evaluate("document.querySelector('canvas').toDataURL()")
    page.evaluate(f"document.documentElement.dataset.theme = '{look}'")
    dark = page.locator(".mih-explorer.mih-dark")
    dark.wait_for() if look == "dark" else dark.wait_for(state="detached")
    assert page.locator(".mih-fallback").count() == 0
    assert page.locator(".mih-title").inner_text()
    assert said(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if look == "dark" and name in ("curves", "refits"):
        assert page.evaluate("document.querySelector('canvas').toDataURL()") != before


@pytest.mark.parametrize("name", [make.__name__ for make in MAKERS if make is not game])
def test_on_a_phone_controls_readout_and_panel_are_on_one_screen(visit, name):
    """Page review, fault 10."""
    page = visit(name, **PHONE)
    tops, bottoms = [], []
    for selector in (".mih-controls", ".mih-readout", ".mih-stage"):
        box = page.locator(selector).bounding_box()
        tops.append(box["y"])
        bottoms.append(box["y"] + box["height"])
    assert max(bottoms) - min(tops) < 700  # of 844, for the browser takes some
    shown = page.locator(".mih-view:visible").count()
    tabs = page.get_by_role("tab")
    if tabs.count():
        last = tabs.last
        last.click()
        assert last.get_attribute("aria-selected") == "true"
        assert page.locator(".mih-view:visible canvas").last.evaluate("c => c.width > 50")
        assert page.locator(".mih-view:visible").count() <= max(shown, 2)


def test_the_readout_stays_in_sight_of_a_tall_explorer(visit):
    page = visit("threshold", viewport={"width": 1000, "height": 420})
    readout = page.locator(".mih-readout")
    bottom = page.locator(".mih-explorer").bounding_box()
    page.evaluate("y => scrollTo(0, y)", bottom["y"] + bottom["height"] - 500)
    box = readout.bounding_box()
    assert 0 <= box["y"] and box["y"] + box["height"] <= 420


def test_a_scrolling_finger_moves_nothing(visit):
    """Page review, fault 1: a touch captures its pointer by itself."""
    page = visit("curves", **PHONE)
    x, y = center(page, "canvas")
    finger = page.context.new_cdp_session(page)

    def touch(kind, *points):
        points = [{"x": a, "y": b} for a, b in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before, top = positions(page), page.evaluate("scrollY")
    touch("touchStart", (x, y))
    for i in range(1, 11):
        touch("touchMove", (x + 9 * i, y - 15 * i))
    touch("touchEnd")
    page.wait_for_function("top => scrollY > top", arg=top)
    assert positions(page) == before


def test_a_mouse_drags_along_the_panel_and_reads_values(visit):
    page = visit("curves")
    assert positions(page)[0] == "0"
    box = page.locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] - 16, box["y"] + 100
    page.mouse.move(x, y)
    page.mouse.down()
    assert positions(page)[0] == "3"
    page.mouse.move(box["x"] + 70, y)
    assert positions(page)[0] == "0"
    page.mouse.up()
    page.mouse.move(x, y)
    assert positions(page)[0] == "0"  # not pressed any more
    tip = page.locator(".mih-tip")
    found = page.evaluate("""() => {
      const canvas = document.querySelector('canvas').getBoundingClientRect();
      const h = canvas.height - 50, w = canvas.width - 78;  // 8 above, 42 below, 64 + 14 beside
      return [canvas.left + 64 + w / 3, canvas.top + 8 + h / 2];
    }""")
    page.mouse.move(*found)  # where the rising curve crosses 0, at x = 1
    told = re.fullmatch(r"curve: x ([\d.]+), y (−?[\d.]+)", tip.inner_text())
    assert abs(float(told[1]) - 1) < 0.1
    assert abs(float(told[2].replace("−", "-"))) < 0.1
    page.mouse.move(5, 5)
    assert tip.is_hidden()


def test_few_positions_play_one_a_second(visit):
    """Page review, fault 3."""
    page = visit("curves", clock=True)
    play = page.get_by_role("button", name="Play")
    play.click()
    seen = []
    for _ in range(4):
        page.clock.run_for(950)
        seen.append(positions(page)[0])
        page.clock.run_for(50)
    assert seen == ["0", "1", "2", "3"]
    assert page.get_by_role("button", name="Play").is_visible()  # it has stopped by itself
    play.click()
    page.clock.run_for(1000)
    assert positions(page)[0] == "1"  # from the beginning
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(3000)
    assert positions(page)[0] == "1"


def test_without_motion_a_press_is_a_step(visit):
    page = visit("curves", clock=True, reduced_motion="reduce")
    step = page.get_by_role("button", name="Next step")
    for expected in "123":
        step.click()
        page.clock.run_for(3000)
        assert positions(page)[0] == expected


def test_playing_starts_where_there_is_something_to_see(visit):
    """Page review, fault 4: the first predictions are astronomical."""
    page = visit("plane", clock=True)
    page.get_by_role("button", name="The samples").click()
    page.get_by_role("button", name="Play").click()
    assert positions(page)[0] == "1"
    slider = page.locator("input[type=range]")
    slider.fill("0")
    assert "drawn at its border" in said(page)
    assert not re.search(r"\d{7}", said(page))


def test_every_metric_has_its_own_scale(visit):
    """Page review, fault 2: the thin line and the readout said 0.043, the bold one 0.051."""
    page = visit("images")
    for metric, expected in (("large", [1600, 270]), ("small", [0.043, 0.051])):
        page.get_by_label(metric, exact=True).check()
        file = taken(page, "Numbers (CSV)")
        assert file.suggested_filename == "images.csv"
        rows = list(csv.DictReader(io.StringIO(file.path().read_text(encoding="utf8"))))
        for policy in POLICIES:
            y = [float(row["y"]) for row in rows if row["line"] == policy]
            assert len(y) == LAST + 1
            assert [y[0], y[-1]] == pytest.approx(expected, rel=1e-6)
        assert {row["y is"] for row in rows} == {metric}


def test_categories_are_buttons_that_obey_the_keyboard(visit):
    """Page review, fault 20."""
    page = visit("curves")
    page.get_by_label("up", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert positions(page) == ["0", "down"]
    page.locator("input[type=range]").focus()
    page.keyboard.press("End")
    assert said(page) == "Step d."
    for control in page.locator("input").all():
        assert control.get_attribute("data-lm-suppress-shortcuts") == "true"


def test_images_are_chosen_by_thumbnail(visit):
    page = visit("strip")
    assert "Image 1: a." in said(page)
    page.locator(".mih-thumbs label").nth(2).click()
    assert "Image 3: c." in said(page)
    filled = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 200)"
    assert all(c.evaluate(filled) for c in page.locator(".mih-thumbs canvas").all())


def test_chips_set_several_controls_and_show_it(visit):
    page = visit("curves")
    chip = page.get_by_role("button", name="The end")
    assert chip.get_attribute("aria-pressed") == "false"
    chip.click()
    assert positions(page) == ["3", "down"]
    assert chip.get_attribute("aria-pressed") == "true"
    assert (
        page.locator(".mih-happens").evaluate("e => e.style.backgroundImage").startswith("linear")
    )


def test_an_address_holds_the_state_and_a_teacher_can_hide_and_lock(visit):
    page = visit("curves", "#curves=step:2,curve:1&hide=curve,menu&lock=step")
    assert positions(page) == ["2", "down"]
    assert page.locator(".mih-buttons").is_hidden()
    assert page.locator(".mih-menu").is_hidden()
    assert page.locator("input[type=range]").is_disabled()
    page.evaluate("location.hash = '#curves=step:1'")
    page.wait_for_function("document.querySelector('input[type=range]').value === '1'")
    assert page.locator(".mih-buttons").is_visible()
    assert not page.locator("input[type=range]").is_disabled()


@pytest.mark.parametrize(
    "address", ["#", "#other=step:2", "#curves=step:99,curve:x", "#curves=%E0"]
)
def test_an_unknown_or_damaged_address_is_ignored(visit, address):
    assert positions(visit("curves", address)) == ["0", "up"]


def test_a_copied_link_leads_to_the_same_state(visit, browser):
    page = visit("curves", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="The end").click()
    page.locator(".mih-menu > button").click()
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Link copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.endswith("/curves.html#curves=step:3,curve:1")
    assert positions(visit("curves", "#" + link.split("#")[1])) == ["3", "down"]


def test_a_picture_can_be_taken_along(visit):
    page = visit("threshold")
    file = taken(page, "Picture (PNG)")
    pixels = matplotlib.pyplot.imread(file.path())
    assert file.suggested_filename == "threshold.png"
    assert pixels.shape[1] == 2 * page.locator(".mih-explorer").evaluate("e => e.clientWidth")
    assert pixels[..., :3].std() > 0.05


def test_the_menu_closes_with_escape(visit):
    page = visit("curves")
    opener = page.locator(".mih-menu > button")
    opener.click()
    assert opener.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert page.locator(".mih-menu-items").is_hidden()
    assert opener.evaluate("e => e === document.activeElement")


def test_a_click_on_a_bridge_shows_its_chains(visit):
    page = visit("plane")
    assert "Shown with" not in said(page)
    page.get_by_role("button", name="The samples").click()
    place = (
        page.locator("canvas")
        .nth(1)
        .evaluate("""c => {
      const { left, top, width, height } = c.getBoundingClientRect();
      const w = width - 78, h = height - 50, side = Math.min(w, h);  // its margins
      const reach = 1.25 + 4 * 0.05, scale = side / (2 * reach);
      return [left + 64 + (w - side) / 2 + scale * reach, top + 8 + scale * (reach + 1)];
    }""")
    )
    page.mouse.click(*place)
    assert "those that end between (−1.00, −1.00) and (1.00, −1.00)." in said(page)
    assert page.locator("select").input_value() == "1"
    page.mouse.click(*place)
    assert "Shown with" not in said(page)


def test_the_game_keeps_the_score(visit):
    page = visit("game")
    tiles = page.locator(".mih-tile")
    assert tiles.count() == 6
    tiles.nth(4).click()
    tiles.nth(0).click()
    tiles.nth(5).click()
    tiles.nth(5).click()  # not after all
    assert "Marked so far: 2 of 6" in said(page)
    assert tiles.nth(4).get_attribute("aria-pressed") == "true"
    assert "nothing" in tiles.nth(4).get_attribute("aria-label")  # what there is to see, in words
    page.get_by_role("button", name="Show the verdicts").click()
    bad = page.locator(".mih-bad").count()
    assert 2 <= bad < 6
    assert f"you found 1 of the {bad} impossible images, and called 1 possible one" in said(page)
    assert tiles.nth(0).locator(".mih-verdict").inner_text() == "possible"
    page.get_by_role("button", name="Play again").click()
    assert "Marked so far: 0 of 6" in said(page)


def test_one_explorer_twice_and_a_game_share_a_page(visit):
    page = visit("several", "#curves-2=step:2")
    ids = page.locator(".mih-explorer").evaluate_all("all => all.map(e => e.id)")
    assert ids == ["mih-curves", "mih-possible", "mih-curves-2"]
    values = page.locator("input[type=range]").evaluate_all("all => all.map(e => e.value)")
    assert values == ["0", "2"]
    page.locator("label:has-text('down')").nth(1).click()
    chosen = page.locator("input[type=radio]").evaluate_all("all => all.map(e => e.checked)")
    assert chosen == [True, False, False, True]
