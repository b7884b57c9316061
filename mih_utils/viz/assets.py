"""The one script and the one style of all explorers, out of their modules.

Needs nothing of the package but `style`, so that a build of the book can put both into its pages
without importing torch.
"""

import re
from pathlib import Path

from .style import DARK, css_colors

_JS = Path(__file__).parent / "js"
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
