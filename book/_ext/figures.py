"""matplotlib's figures as part of the page: text stays text, and colours follow the theme.

An <img> cannot follow the theme and its text cannot be searched; so each figure's SVG goes into the
page itself. Colours that the book's style uses become CSS variables, with the printed colour as the
fallback, so that a figure that was saved on its own still has all of them.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from docutils import nodes
from execution import viz_module

SVG = "http://www.w3.org/2000/svg"
XLINK = "{http://www.w3.org/1999/xlink}href"
ROOT = next(p for p in Path(__file__).resolve().parents if (p / "mih_utils").is_dir())

STYLE = viz_module(ROOT, "style")
COLOUR = re.compile(r"(?<![\w(-])(#[0-9a-fA-F]{6}|#[0-9a-fA-F]{3}|black|white)\b(?!\))")
NUMBER = re.compile(r"-?\d+\.\d{3,}")
# Root signs stand in a font of their own, whose glyphs are larger than those of the page's
ROOT_SIGN = re.compile(r"font-size: ([\d.]+)px(?=; font-family: 'STIXSize)")
GEOMETRY = ("d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "points", "transform")


def variable(match: re.Match) -> str:
    """A colour of the palette, or a grey, as a CSS variable; any other colour as it is."""
    colour = {"black": "#000000", "white": "#ffffff"}.get(match[0], match[0]).lower()
    if len(colour) == 4:
        colour = "#" + "".join(digit * 2 for digit in colour[1:])
    if colour in STYLE.CSS_VARIABLES:
        return f"var({STYLE.CSS_VARIABLES[colour]}, {colour})"
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    if red == green == blue:
        return f"var(--mih-grey-{round(red / 255 * 20) * 5}, {colour})"  # 0 is ink, 100 is paper
    return colour


def inline(svg: str, prefix: str, alt: str) -> str:
    """The SVG element for the page: named by `alt`, ids behind `prefix`, colours as variables."""
    ET.register_namespace("", SVG)
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    paper = {id(e) for axes in pictures(root) for e in on_paper(axes)}
    for element in root.iter():
        tidy(element, prefix)
        if id(element) not in paper and "style" in element.attrib:
            element.set("style", COLOUR.sub(variable, element.get("style")))
    width = float(root.get("viewBox").split()[2])
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("class", "mih-figure")
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("style", f"--mih-natural: {width:.0f}px")
    return re.sub(r">\s+<", "><", ET.tostring(root, encoding="unicode"))


def tidy(element: ET.Element, prefix: str) -> None:
    """Short numbers, fonts of the page, and ids that no other figure of the page has."""
    if element.tag == f"{{{SVG}}}image":
        element.set("preserveAspectRatio", "none")
    for name in GEOMETRY:
        if name in element.attrib:
            value = element.get(name)
            short = NUMBER.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), value)
            element.set(name, re.sub(r" ?([A-Za-z]) ", r"\1", " ".join(short.split())))
    if "id" in element.attrib:
        element.set("id", prefix + element.get("id"))
    if XLINK in element.attrib:
        element.set("href", element.attrib.pop(XLINK))
    if element.get("href", "").startswith("#"):
        element.set("href", "#" + prefix + element.get("href")[1:])
    for name in ("clip-path", "style"):
        if name in element.attrib:
            pointed = element.get(name).replace("url(#", f"url(#{prefix}")
            pointed = ROOT_SIGN.sub(lambda m: f"font-size: {1.7 * float(m[1]):.1f}px", pointed)
            element.set(name, re.sub(r"(px|pt) '.*?sans-serif", r"\1 sans-serif", pointed))


def children(element: ET.Element, start: str) -> list[ET.Element]:
    return [child for child in element if child.get("id", "").startswith(start)]


def pictures(root: ET.Element) -> list[ET.Element]:
    """The axes that hold a picture: a map of colours, or photographs."""
    axes = [e for e in root.iter(f"{{{SVG}}}g") if e.get("id", "").startswith("axes_")]
    return [e for e in axes if next(e.iter(f"{{{SVG}}}image"), None) is not None]


def on_paper(axes: ET.Element) -> list[ET.Element]:
    """The parts of such axes that keep their colours: all but their ticks, labels and title."""
    drawn = [e for e in axes if not e.get("id", "").startswith(("matplotlib.axis", "text_"))]
    return [e for child in drawn for e in child.iter()]


# In Sphinx: every SVG that a cell put out, in HTML


def put_into_page(app, doctree, docname):
    if app.builder.format != "html":
        return
    for number, node in enumerate(doctree.findall(nodes.image)):
        path = Path(app.srcdir, node["uri"])
        if path.suffix != ".svg" or "jupyter_execute" not in node["uri"]:
            continue
        svg = inline(path.read_text(encoding="utf8"), f"f{number}-", node.get("alt", ""))
        node.replace_self(nodes.raw("", f'<div class="mih-sheet">{svg}</div>', format="html"))


def write_colours(app):
    """On dark pages the variables have other values; on light ones the fallbacks do."""
    if app.builder.format != "html":
        return
    values = " ".join(f"--mih-{name}: {colour};" for name, colour in STYLE.DARK.items())
    path = Path(app.outdir, "_static/figures.css")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'html[data-theme="dark"] .mih-figure {{ {values} }}\n', encoding="utf8")


def setup(app):
    app.add_css_file("figures.css")
    app.connect("builder-inited", write_colours)
    app.connect("doctree-resolved", put_into_page)
