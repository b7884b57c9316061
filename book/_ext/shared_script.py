"""The script and the style of explorers once for the whole site, instead of once an explorer; and
those of the laboratory.

In a notebook each explorer carries both. Here they come from the package as it is now, so that an
edit of them is in the pages after a rebuild that runs no notebook.
"""

import base64
import hashlib
import re
from pathlib import Path

from execution import project_root, viz_module

PICTURE = re.compile(r'<img class="(mih|lab)-fallback"([^>]*?) src="data:image/png;base64,([^"]*)"')
STYLE = re.compile(r'<style data-mih="[\w-]*style">.*?</style>', re.DOTALL)
SCRIPTS = {  # the name of each in the outputs of cells: its file
    "script": "explorers.js",
    "lab-script": "laboratory.js",
}


def write_files(app):
    module = viz_module(project_root(app), "assets")  # joins script and style
    if app.builder.format != "html" or module is None:
        return
    folder = Path(app.outdir, "_static")
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "explorers.js": module.script(),
        "explorers.css": module.style(),
        "laboratory.js": module.lab_script(),
        "laboratory.css": module.lab_style(),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf8")
    app.add_css_file("explorers.css")


def share(app, pagename, templatename, context, doctree):
    """Leave one reference to each script, behind the first that needs it: it starts all of them."""
    body, pathto = context.get("body") or "", context["pathto"]
    body = STYLE.sub("", PICTURE.sub(lambda match: picture_file(app, pathto, match), body))
    for name, file in SCRIPTS.items():
        pattern = re.compile(f'<script data-mih="{name}">.*?</script>', re.DOTALL)
        body, found = pattern.subn(
            f'<script src="{pathto(f"_static/{file}", 1)}"></script>', body, 1
        )
        body = pattern.sub("", body)
        if found and name == "lab-script":  # few pages have one
            app.add_css_file("laboratory.css")
        if found:  # or else the browser would find it late, behind the numbers of the explorer
            context["mih_early"] = [file]  # the laboratory's, where there is one: it comes first
    context["body"] = body


def picture_file(app, pathto, match) -> str:
    """The static picture as a file of its own: who has scripts never loads it."""
    data = base64.b64decode(match[3])
    name = f"_static/frames/{hashlib.sha256(data).hexdigest()[:16]}.png"
    path = Path(app.outdir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f'<img class="{match[1]}-fallback" loading="lazy"{match[2]} src="{pathto(name, 1)}"'


def setup(app):
    app.connect("builder-inited", write_files)
    app.connect("html-page-context", share, priority=640)
