"""The one script and the one style of all explorers, and of the laboratory, out of their modules.

Needs nothing of the package but `style`, so that a build of the book can put both into its pages
without importing torch.
"""

import re
from pathlib import Path

from .style import DARK, css_colors

_JS = Path(__file__).parent / "js"
_LAB = _JS / "lab"
# Each module after those that it imports from.
_COMPUTING = ["kernel_bytes", "kernel", "rng", "mixture", "chain", "network", "training"]
_COMPUTING += ["density", "engine"]
_SHOWING = ["settings", "axes", "panels", "demo", "share", "page", "handles", "connect", "main"]
_IMPORT = re.compile(r'^import\s[^"]*"(\.[^"]+)";\n', re.MULTILINE)


def script() -> str:
    """Return the script that starts every explorer of a page."""
    return bundle(_JS / "main.mjs")


def style() -> str:
    """Return the style of explorers, in light and in dark."""
    colors = css_colors(".mih-explorer", ".mih-explorer.mih-dark")
    rules = (_JS / "explorer.css").read_text(encoding="utf-8")
    # what is drawn on a picture, which is black on light pages as well
    colors += f"\n.mih-explorer {{ --mih-on-image: {DARK['hallucination']}; }}"
    return f"{colors}\n{re.sub(r'/[*].*?[*]/', '', rules).strip()}\n"


def bundle(entry: Path) -> str:
    """Join a module and all that it imports into one script for a page.

    The modules then share one scope, so no two of them may define the same name at their top.
    """
    modules = {}

    def add(path: Path) -> None:
        source = path.read_text(encoding="utf-8")
        for name in _IMPORT.findall(source):
            if (imported := (path.parent / name).resolve()) not in modules:
                add(imported)
        source = re.sub(r"^export ", "", _IMPORT.sub("", source), flags=re.MULTILINE)
        lines = (line.strip() for line in source.splitlines())
        modules[path] = "\n".join(line for line in lines if line and not line.startswith("//"))

    add(entry.resolve())
    return '(function () {\n"use strict";\n' + "\n".join(modules.values()) + "\n})();\n"


def lab_style() -> str:
    """Return the style of the laboratory."""
    return (_LAB / "lab.css").read_text(encoding="utf-8")


def lab_script() -> str:
    """Return the script that starts every laboratory of a page.

    The modules that compute are one function of it, whose text is also what the worker runs.
    """
    computing, names = zip(*map(_module, _COMPUTING), strict=True)
    showing = "\n".join(_module(name)[0] for name in _SHOWING)
    offered = ", ".join(name for some in names for name in some)
    return (
        '(function () {\n"use strict";\nfunction computing() {\n"use strict";\n'
        + "\n".join(computing)
        + f"\nreturn {{ {offered} }};\n}}\nconst {{ {offered} }} = computing();\n{showing}\n"
        + "startLaboratories(`(${computing})().serve(self);`);\n})();"
    )


def _module(name: str) -> tuple[str, list[str]]:
    """A module's text without imports, exports, comments and indents; and the names it exports."""
    text = (_LAB / f"{name}.js").read_text(encoding="utf-8")
    names = re.findall(r"^export (?:function\*?|class|const) (\w+)", text, re.M)
    text = re.sub(r"^import .*\n", "", text, flags=re.M)
    text = re.sub(r"^export ", "", text, flags=re.M)
    text = re.sub(r"^\s*//.*\n", "", text, flags=re.M)
    text = re.sub(r"  // .*$", "", text, flags=re.M)
    return re.sub(r"^\s+", "", text, flags=re.M), names
