"""Pages that carry only what they use: icons, style rules and maths, all from packages at hand."""

import importlib.util
import re
from pathlib import Path

import pydata_sphinx_theme

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
ICONS = """angle-left angle-right arrow-up bars box-open circle-half-stroke download expand file
file-pdf list magnifying-glass moon sun xmark""".split()


# Icons. The theme's script holds 1,900 of them in 1.5 MB; the pages use fifteen, as masks.


def icon_rules(source: str, names: list[str]) -> str:
    """Style rules for icons whose outlines stand in the theme's script."""
    rules = [
        ":is(.fa-solid, .fas) { display: inline-block !important; width: 1em; height: 1em;"
        " background: currentColor;"
        " -webkit-mask: var(--icon) center / contain no-repeat;"
        " mask: var(--icon) center / contain no-repeat; }",
        ".theme-switch-button .theme-switch:not(html[data-mode=auto] [data-mode=auto],"
        " html[data-mode=dark] [data-mode=dark], html[data-mode=light] [data-mode=light])"
        " { display: none !important; }",
    ]
    for name in names:
        entry = rf'(?<=[{{,])"?{name}"?:\[(\d+),(\d+),\[[^\]]*\],"\w+","([^"]+)"\]'
        found = re.findall(entry, source)
        if not found:
            raise ValueError(f"icon {name!r}: the theme has none of that name")
        width, height, outline = found[-1]  # the solid ones come last
        svg = (
            f"%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}'%3E"
            f"%3Cpath d='{outline}'/%3E%3C/svg%3E"
        )
        rules.append(f'.fa-{name} {{ --icon: url("data:image/svg+xml,{svg}"); }}')
    credit = "/* Icons: Font Awesome Free 6, https://fontawesome.com, CC BY 4.0 */"
    return "\n".join([credit, *rules]) + "\n"


def write_icons(app):
    if app.builder.format != "html":
        return
    scripts = (path.read_text(encoding="utf8") for path in sorted(THEME.rglob("*.js")))
    source = next(text for text in scripts if "magnifying-glass" in text)
    folder = Path(app.outdir, "_static")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "icons.css").write_text(icon_rules(source, ICONS), encoding="utf8")


# Maths. MathJax in parts: TeX in, HTML out, the same as MathML for screen readers, and no menu.

MATHJAX_PARTS = ["input/tex-base", "[tex]/ams", "[tex]/newcommand", "output/chtml"]
MATHJAX_FILES = [
    "startup.js",
    "core.js",
    "input/tex-base.js",
    "input/tex/extensions/ams.js",
    "input/tex/extensions/newcommand.js",
    "output/chtml.js",
    "output/chtml/fonts",
    "a11y/assistive-mml.js",
]


def use_local_mathjax(app, config):
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax_options = {"async": "async", "fetchpriority": "low"}
    config.mathjax3_config = {
        "loader": {"load": [*MATHJAX_PARTS, "a11y/assistive-mml"]},
        "tex": {"packages": {"[+]": ["ams", "newcommand"]}},
    }


def copy_mathjax(app):
    package = importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations[0]
    source, target = Path(package, "static/mathjax"), Path(app.outdir, "_static/mathjax")
    for name in MATHJAX_FILES:
        files = [source / name] if name.endswith(".js") else (source / name).rglob("*")
        for path in files:
            to = target / path.relative_to(source)
            if path.is_file() and not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(path.read_bytes())


# Style sheets. Only rules whose classes and ids occur in some page or script are kept.

NAME = re.compile(r"[.#]((?:\\.|[\w-])+)")
GROUPS = re.compile(r":(?:not|is|where|has)\((?:[^()]|\([^()]*\))*\)")
WORD = re.compile(r"[A-Za-z_][\w-]*")
CUT = ("mystnb", "sphinx-design", "basic")
# Parts of Bootstrap that its script knows and the pages do not have
ABSENT = re.compile(
    r"\.(accordion|alert|btn-(?:check|close|group)|carousel|drop(?:end|start|up)|fa-(?!lg)|list-group"
    r"|navbar-dark|offcanvas|placeholder|popover|progress-|spinner|toast)"
)


def blocks(css: str):
    """Split a style sheet at its top level: (what stands before the braces, what is in them)."""
    start = depth = opened = 0
    quote = ""
    for i, letter in enumerate(css):
        if quote:
            quote = "" if letter == quote and css[i - 1] != "\\" else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "{":
            depth += 1
            opened = i if depth == 1 else opened
        elif letter == "}":
            depth -= 1
            if depth == 0:
                yield css[start:opened].strip(), css[opened + 1 : i]
                start = i + 1
        elif letter == ";" and depth == 0:
            yield css[start : i + 1].strip(), None
            start = i + 1


def split_selectors(selectors: str) -> list[str]:
    """The selectors of a rule, cut at the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for letter in selectors:
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def used(selector: str, words: set[str]) -> bool:
    names = NAME.findall(re.sub(r"\[[^\]]*\]", "", GROUPS.sub("", selector)))
    return all(re.sub(r"\\(.)", r"\1", name) in words for name in names)


def purge(css: str, words: set[str]) -> str:
    """The style sheet without rules for classes and ids that are not among the words."""
    kept = []
    for head, body in blocks(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)):
        if body is None:
            kept.append(head)
        elif head.startswith(("@media", "@supports", "@layer", "@container")):
            inner = purge(body, words)
            kept += [f"{head}{{{inner}}}"] if inner else []
        elif head.startswith("@"):
            absent = "Font Awesome" in body or head.startswith("@keyframes fa-")
            kept += [] if absent else [f"{head}{{{body.strip()}}}"]
        else:
            wanted = [s for s in split_selectors(head) if used(s, words)]
            selectors = [s.strip() for s in wanted if not ABSENT.match(s.strip())]
            kept += [f"{','.join(selectors)}{{{body.strip()}}}"] if selectors else []
    return "\n".join(kept)


def forget_slim_styles(app):
    """Let Sphinx copy whole style sheets without finding others in their place."""
    for path in Path(app.outdir, "_static").glob("*.css"):
        if path.name.startswith(CUT):
            path.unlink()


def theme_styles() -> list[str]:
    """The theme's style sheets; older versions have Bootstrap's apart. (theme.css imports one.)"""
    names = ("bootstrap.css", "pydata-sphinx-theme.css")
    return [name for name in names if (THEME / "styles" / name).is_file()]


def slim_styles(app, exception):
    """Cut down the style sheets in the output folder; scripts count as users of a rule, too."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    words = {"mih-dark"}
    scripts = [p for p in (out / "_static").rglob("*.js") if "mathjax" not in p.parts]
    for path in [*out.rglob("*.html"), *scripts]:
        if path.name != "fontawesome.js":
            text = re.sub(r'"data":"[^"]*"|base64,[^"]*', "", path.read_text(encoding="utf8"))
            words.update(WORD.findall(text))
    for name in [*(f"styles/{n}" for n in theme_styles()), "styles/sphinx-book-theme.css"]:
        package = "sphinx_book_theme" if "book" in name else "pydata_sphinx_theme"
        theme = Path(importlib.util.find_spec(package).origin).parent / "theme" / package
        css = (theme / "static" / name).read_text(encoding="utf8")
        (out / "_static" / name).write_text(purge(css, words), encoding="utf8")
    for path in (out / "_static").glob("*.css"):
        if path.name.startswith(CUT):
            path.write_text(purge(path.read_text(encoding="utf8"), words), encoding="utf8")
    for path in (out / "_static/scripts").glob("fontawesome*"):
        path.unlink()
    for path in (out / "_static").rglob("*.map"):
        path.unlink()


# Scripts. All wait until the page has been read, and pages without a formula load no MathJax.


def defer_scripts(app, pagename, templatename, context, doctree):
    scripts = list(context.get("script_files", []))
    if 'class="math' not in context.get("body", ""):
        scripts = [script for script in scripts if "mathjax" not in str(script).lower()]
    if pagename != "search":  # whose own scripts stand in its text, and need the others before
        scripts = [deferred(script) for script in scripts]
    context["script_files"] = scripts
    context["mih_styles"] = theme_styles()


def deferred(script):
    """A script that waits, unless it must be early; the given one belongs to all pages."""
    name, attributes = str(getattr(script, "filename", None) or ""), dict(script.attributes)
    early = ("documentation_options", "startup.js")
    if not name or any(part in name for part in early):
        return script
    attributes["defer"] = "defer"
    return type(script)(script.filename, priority=script.priority, **attributes)


def setup(app):
    app.add_css_file("icons.css")
    app.connect("config-inited", use_local_mathjax)
    app.connect("builder-inited", forget_slim_styles, priority=1)
    app.connect("builder-inited", write_icons)
    app.connect("builder-inited", copy_mathjax)
    app.connect("html-page-context", defer_scripts, priority=900)
    app.connect("build-finished", slim_styles)
