"""The built book as a reader meets it: in a real browser, without a network, over http and from
the disk, in light and dark, on a phone, with the keyboard alone."""

import base64
import functools
import html
import io
import json
import lzma
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from conftest import served

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parents[1]
BUILDS = [ROOT / "_tested/_build/html", ROOT / "_build/html"]
BUILT = max(BUILDS, key=lambda folder: folder.exists() and folder.stat().st_mtime)
SITE = Path(os.environ.get("MIH_SITE", BUILT)).resolve()
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LOOKS = ["http-light-1280", "file-dark-1280", "http-dark-360", "file-light-360"]


def toc_pages(node):
    """The pages that a table of contents names, in order."""
    if isinstance(node, list):
        return [page for child in node for page in toc_pages(child)]
    here = [node[key] for key in ("root", "file") if key in node]
    below = (node.get(key, []) for key in ("parts", "chapters", "sections"))
    return here + [page for nodes in below for page in toc_pages(nodes)]


PAGES = toc_pages(TOC)


# In the browser


@pytest.fixture(scope="session")
def origins():
    """Where the site can be read from: a local server, and the disk."""
    with served(SITE) as addresses:
        yield addresses


@pytest.fixture
def visit(browser, origins):
    """visit(page, look) opens a page; what went wrong while it was open must be nothing."""
    wrong, contexts = [], []

    def open_page(name, look):
        way, scheme, width = look.split("-")
        size = {"width": int(width), "height": 900 if width == "1280" else 740}
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)

        def only_the_site(route):
            if route.request.url.startswith(origins[way] + "/"):
                return route.continue_()
            wrong.append(f"request to {route.request.url}")
            route.abort()

        def not_loaded(url, why):
            if "ERR_ABORTED" not in (why or ""):  # the page was left before it had come
                wrong.append(f"not loaded: {url}")

        context.route("**/*", only_the_site)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
        page.on("requestfailed", lambda r: not_loaded(r.url, r.failure))
        page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
        page.goto(f"{origins[way]}/{name}.html", wait_until="load")
        page.wait_for_function(TYPESET)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


TYPESET = """
[...document.querySelectorAll('.math')].every(formula => formula.querySelector('mjx-container'))
"""

FAULTS = r"""() => {
  const faults = [], article = document.querySelector('.bd-article');
  const all = selector => [...document.querySelectorAll(selector)];
  const say = (what, e) => faults.push(
    `${what}: <${e.localName} class="${e.className}"> ${e.textContent.trim() || e.outerHTML}`
      .slice(0, 200));

  if (document.documentElement.scrollWidth > innerWidth) faults.push('the page scrolls sideways');
  const scrolls = e => e !== article && e
    && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const out = e => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest('mjx-assistive-mml');
  for (const e of article.querySelectorAll('*'))
    if (out(e) && !out(e.parentElement) && !scrolls(e)) say('cut off', e.parentElement);

  for (const e of all('img')) {
    if (!e.alt.trim()) say('no alt text', e);
    if (!e.naturalWidth) say('not a picture', e);
  }
  for (const e of all('mjx-merror, .problematic, .system-message')) say('error', e);
  for (const e of all('.mih-fallback')) say('the fallback is still there', e);
  const bare = document.body.innerText.match(/interactive\(children=|<IPython.*?>|at 0x[0-9a-f]+>/);
  if (bare) faults.push('an object as text: ' + bare[0]);
  const prose = article.cloneNode(true);
  prose.querySelectorAll('pre, code, script, style').forEach(e => e.remove());
  const raw = prose.textContent.match(/\{[a-z:-]+\}`|:::|```|\\\(|\$\$/);
  if (raw) faults.push('raw markup: ' + raw[0]);
  return faults;
}"""


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole(visit, name, look):
    page = visit(name, look)
    assert page.evaluate("document.documentElement.dataset.theme") == look.split("-")[1]
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    page.wait_for_load_state("networkidle")
    assert page.evaluate(FAULTS) == []


# What an explorer shows: its pixels, its lines and its words.
SHOWN = """e => [...e.querySelectorAll('canvas')].map(c => c.toDataURL())
  .concat([...e.querySelectorAll('svg')].map(s => s.innerHTML + getComputedStyle(s).color))
  .concat([...e.querySelectorAll('.mih-readout')].map(r => r.innerText)).join()"""
PICTURE = SHOWN.replace(".mih-readout", "no-readout")


def shows_something_else(page, explorer, before, what=SHOWN):
    changed = f"([e, before]) => ({what})(e) !== before"
    page.wait_for_function(changed, arg=[explorer, before], timeout=3000)


@pytest.mark.parametrize("look", ["http-light-1280", "file-light-360"])
@pytest.mark.parametrize("name", [p for p in PAGES if p.startswith(("notebooks/", TOC["root"]))])
def test_explorers_obey_the_keyboard_and_the_theme(visit, name, look):
    page = visit(name, look)
    explorers = page.query_selector_all(".mih-explorer")
    if name == TOC["root"]:  # the laboratory, which has tests of its own
        assert page.query_selector(".mih-lab"), "no laboratory on the first page"
    else:
        assert explorers, "no explorer on this page"
    for explorer in explorers:
        sliders = explorer.query_selector_all("input[type=range]")
        if explorer.get_attribute("data-kind") == "game":  # tests/viz plays it
            assert explorer.query_selector_all("button"), "a game without buttons"
        else:
            assert sliders, "an explorer without a slider"
        for slider in sliders:
            assert slider.get_attribute("data-lm-suppress-shortcuts") == "true"
            assert slider.evaluate("s => s.labels.length > 0 || !!s.ariaLabel"), "no label"
            before = explorer.evaluate(SHOWN)
            slider.focus()
            at_the_end = slider.evaluate("s => +s.value >= +s.max")
            page.keyboard.press("ArrowLeft" if at_the_end else "ArrowRight")
            shows_something_else(page, explorer, before)
        before, game = explorer.evaluate(PICTURE), not sliders
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        if not game:  # whose pictures are black in both
            shows_something_else(page, explorer, before, PICTURE)
        card = "e => getComputedStyle(e.closest('.text_html')).backgroundColor"
        assert explorer.evaluate(card) == "rgba(0, 0, 0, 0)"
        page.evaluate("document.documentElement.dataset.theme = 'light'")


def test_the_first_screen_has_the_hero(visit):
    page = visit(TOC["root"], "http-light-1280")
    box = page.query_selector(".mih-lab").bounding_box()
    assert box["y"] < 900


# Without a browser


class Anchors(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links = {""}, set()
        self.feed(path.read_text(encoding="utf8"))

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key in ("id", "name") and value:
                self.ids.add(value)
            if key in ("href", "src") and value:
                self.links.add(value)


anchors = functools.cache(Anchors)


@pytest.mark.parametrize("name", [*PAGES, "index", "genindex", "search"])
def test_links_lead_somewhere(name):
    here, broken = SITE / f"{name}.html", []
    for link in anchors(here).links:
        url = urlsplit(link)
        if url.scheme:
            continue
        target = (here.parent / unquote(url.path)).resolve() if url.path else here
        if not target.is_file() or not target.is_relative_to(SITE):
            broken.append(link)
        elif target.suffix == ".html" and "=" in url.fragment:
            broken += unknown_in_address(target, unquote(url.fragment))
        elif target.suffix == ".html" and unquote(url.fragment) not in anchors(target).ids:
            broken.append(link)
    assert not broken


def unknown_in_address(page: Path, address: str) -> list[str]:
    """What an explorer's address (#name=control:position&hide=…) names and its page has not."""
    text = page.read_text(encoding="utf8")
    specs = re.findall(r'<script type="application/json">(.*?)</script>', text, re.S)
    explorers = {spec["id"]: spec for spec in map(json.loads, specs) if "controls" in spec}
    (name, state), *parts = (part.split("=") for part in address.split("&"))
    if name == "lab" and 'class="mih-lab' in text:
        known = re.findall(r"\w+", (ROOT / "mih_utils/viz/js/lab/settings.js").read_text())
        items = [item.split(":")[0] for item in state.split(";")]
        return sorted(
            {*items, *(word for _, words in parts for word in words.split(","))} - {*known}
        )
    if name not in explorers:
        return [f"{page.name}: no explorer {name}"]
    sizes = {control["name"]: control["size"] for control in explorers[name]["controls"]}
    places = [part.split(":") for part in state.split(",")]
    wrong = [name for name, place in places if int(place) >= sizes.get(name, 0)]
    named = {word for _, words in parts for word in words.split(",")}
    return wrong + sorted(named - {*sizes, "chips", "menu", "legend", "readout", "title"})


# The assignments: students get them here, and no line of a solution or a hidden test

ASSIGNMENTS = sorted((ROOT / "classroom/assignments").glob("*.ipynb"))


def squeezed(text: str, tags: bool = False) -> str:
    """Without white space; of a page also without tags and entities."""
    if tags:  # only there: in code < and > stand around what must not go
        text = html.unescape(re.sub(r"<[^<>]*>", "", text))
    return re.sub(r"\s+", "", text)


def notebook_text(path: Path) -> str:
    """All cells of a notebook, without the package that a copy carries."""
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.get("id") != "packed")


SECRET = re.compile(r"(# TEST \w+ hidden|# INSTRUCTOR|<!-- SOLUTION)")


def for_students(path: Path) -> str:
    """What of an assignment's source is not secret, by the marks in it."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if not SECRET.match(cell.source))
    return re.sub(r"### BEGIN SOLUTION.*?### END SOLUTION", "", text, flags=re.S)


@functools.cache
def secret_lines() -> frozenset[str]:
    """The lines that students may not see, apart from those that are elsewhere in the book."""
    from classroom.build import secrets
    from classroom.source import read_cells

    found = {squeezed(line) for path in ASSIGNMENTS for line in secrets(read_cells(path))}
    public = [*map(notebook_text, CHAPTERS), *map(for_students, ASSIGNMENTS)]
    for path in (*ROOT.glob("mih_utils/**/*.py"), *ROOT.glob("book/*.md")):
        public.append(path.read_text(encoding="utf8"))
    public = squeezed("\n".join(public))
    return frozenset(line for line in found if len(line) >= 10 and line not in public)


def test_no_solution_is_in_the_site():
    assert len(secret_lines()) > 100
    told = []
    for path in SITE.rglob("*"):
        if path.suffix == ".ipynb":
            text = squeezed(notebook_text(path))
        elif path.suffix in {".html", ".js", ".json", ".txt", ".md", ".inv"}:
            page = path.read_text(encoding="utf8", errors="replace")
            text = squeezed(page, tags=path.suffix == ".html")
        else:
            continue
        told += [(path.name, line) for line in secret_lines() if line in text]
    assert not told


@pytest.mark.parametrize("source", ASSIGNMENTS, ids=lambda path: path.stem)
def test_students_find_each_assignment_alone_and_with_the_package(source, monkeypatch):
    links = anchors(SITE / "book/assignments.html").links
    for folder in ("assignments", "colab"):
        assert f"../_static/{folder}/{source.name}" in links
        assert "raise NotImplementedError" in notebook_text(SITE / "_static" / folder / source.name)
    cells = nbformat.read(SITE / "_static/colab" / source.name, as_version=4).cells
    packed = next(cell.source for cell in cells if cell.get("id") == "packed")
    text = re.search('packed = """(.*?)"""', packed, re.S)[1].replace("\n", "")
    archive = lzma.decompress(base64.b85decode(text))
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    assert {name.split("/")[0] for name in names} <= {"mih_utils", "artifacts"}
    for wanted in re.findall(r'artifact\("([\w.-]+)"\)', notebook_text(source)):
        assert f"artifacts/{wanted}.json" in names


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_colab_button_points_to_the_address_or_nowhere(chapter):
    address = urlsplit(CONFIG["repository"]["url"])
    project = f"{address.path}/blob/{CONFIG['repository']['branch']}"
    button = f"https://colab.research.google.com/github{project}/notebooks/{chapter.name}"
    links = anchors(SITE / f"notebooks/{chapter.stem}.html").links
    found = {link for link in links if "://colab" in link}
    assert found == ({button} if address.hostname == "github.com" else set())


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_notebook_ran_without_a_warning(chapter):
    executed = SITE.parent / "jupyter_execute/notebooks" / chapter.name
    cells = nbformat.read(executed, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    if not outputs:
        pytest.skip("a cached build: the outputs are not in its notebooks")
    printed = "".join(output.text for output in outputs if output.get("name") == "stderr")
    lines = [line for line in re.split(r"[\r\n]", printed) if line.strip()]
    assert [line for line in lines if not re.search(r"\d+%\||it/s|s/it", line)] == []


RUN = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
for source in json.load(sys.stdin):
    InteractiveShell.instance().run_cell(source).raise_error()
"""
CHECK = """
import pathlib, mih_utils
here = pathlib.Path(mih_utils.__file__).resolve().parents[1]
assert here.parent == pathlib.Path.cwd().resolve(), here
for name in {names}: mih_utils.artifact(name)
"""


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_self_contained_copy_brings_the_package_and_its_data(chapter, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    from colab_copy import artifact_names, self_contained

    text = (SITE / "_static/colab" / chapter.name).read_text(encoding="utf8")
    assert text == self_contained(chapter, ROOT), "not the copy of this source, or not reproducible"
    code = [c for c in nbformat.reads(text, as_version=4).cells if c.cell_type == "code"]
    assert not any(c.outputs or c.execution_count for c in code)
    end = next(i for i, c in enumerate(code) if re.search("^REPOSITORY = ", c.source, re.M)) + 1
    assert code[end - 2].source.startswith("#@title")

    # run up to the set-up (the unpacking twice)
    sources = [c.source for c in code[: end - 1]] + [c.source for c in code[end - 2 : end]]
    run_without_the_package([*sources, CHECK.format(names=artifact_names(code))], tmp_path)


def test_an_assignments_copy_brings_the_package_and_all_that_its_text_names(tmp_path):
    path = SITE / "_static/colab/A3_bridges.ipynb"
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    names = ["grid25-net", "diamond25-net"]
    assert cells[0].startswith("#@title") and cells[1].startswith("# SETUP")
    run_without_the_package([*cells[:2], CHECK.format(names=names)], tmp_path)


def run_without_the_package(sources: list[str], folder: Path) -> None:
    """Run cells in a folder of their own, where mih_utils is not installed."""
    # with -S no .pth file is read, so an editable install does not count
    libraries = os.pathsep.join(p for p in sys.path if p.endswith("-packages"))
    done = subprocess.run(
        [sys.executable, "-S", "-c", RUN],
        input=json.dumps(sources),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": libraries, "IPYTHONDIR": str(folder / "ipython")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
