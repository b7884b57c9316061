"""The script and the style of explorers once for the whole site, instead of once an explorer.

In a notebook each explorer carries both. Here they come from the package as it is now, so that an
edit of them is in the pages after a rebuild that runs no notebook.
"""

import base64
import hashlib
import importlib
import re
import sys
import types
from pathlib import Path

from execution import project_root

PICTURE = re.compile(r'<img class="mih-fallback"([^>]*?) src="data:image/png;base64,([^"]*)"')
STYLE = re.compile(r'<style data-mih="style">.*?</style>', re.DOTALL)
SCRIPT = re.compile(r'<script data-mih="script">.*?</script>', re.DOTALL)


def assets(root: Path):
    """The module that joins script and style, read without importing the package (and torch)."""
    folder = root / "mih_utils/viz"
    if not (folder / "assets.py").is_file():
        return None
    package = types.ModuleType("mih_viz_files")
    package.__path__ = [str(folder)]
    sys.modules["mih_viz_files"] = package
    return importlib.import_module("mih_viz_files.assets")


def write_files(app):
    module = assets(project_root(app))
    if app.builder.format != "html" or module is None:
        return
    folder = Path(app.outdir, "_static")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "explorers.js").write_text(module.script(), encoding="utf8")
    (folder / "explorers.css").write_text(module.style(), encoding="utf8")
    app.add_css_file("explorers.css")


def share(app, pagename, templatename, context, doctree):
    """Leave one reference to the script, behind the first explorer: it starts the others later."""
    body = context.get("body") or ""
    body = PICTURE.sub(lambda match: picture_file(app, context["pathto"], match), body)
    if not SCRIPT.search(body):
        context["body"] = body
        return
    source = context["pathto"]("_static/explorers.js", 1)
    body = SCRIPT.sub(f'<script src="{source}"></script>', STYLE.sub("", body), count=1)
    context["body"] = SCRIPT.sub("", body)


def picture_file(app, pathto, match) -> str:
    """The static picture as a file of its own: who has scripts never loads it."""
    data = base64.b64decode(match[2])
    name = f"_static/frames/{hashlib.sha256(data).hexdigest()[:16]}.png"
    path = Path(app.outdir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f'<img class="mih-fallback" loading="lazy"{match[1]} src="{pathto(name, 1)}"'


def setup(app):
    app.connect("builder-inited", write_files)
    app.connect("html-page-context", share, priority=640)
