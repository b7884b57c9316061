"""Student versions of the assignments, for download: alone, and with the package inside.

They are made here from classroom/assignments, whose notebooks hold the solutions; what students
may not see never enters the site.
"""

import html
import re
import sys
from pathlib import Path

from colab_copy import self_contained
from docutils import nodes
from execution import project_root
from sphinx.util.docutils import SphinxDirective

ARTIFACT = re.compile(r"""\bartifact\(["']([\w.-]+)["']\)""")


def sources(app) -> list[Path]:
    return sorted(project_root(app).glob("classroom/assignments/*.ipynb"))


def write_assignments(app):
    root = project_root(app)
    sys.path.insert(0, str(root))  # the package classroom is no part of what is installed
    try:
        from classroom.build import student_version
        from classroom.source import read_cells
    finally:
        sys.path.remove(str(root))
    alone, copies = Path(app.outdir, "_static/assignments"), Path(app.outdir, "_static/colab")
    for folder in (alone, copies):
        folder.mkdir(parents=True, exist_ok=True)
    for source in sources(app):
        file = alone / source.name
        file.write_text(student_version(source), encoding="utf8")
        prose = "\n".join(cell.source for cell in read_cells(file) if cell.type == "markdown")
        copy = self_contained(file, root, more_artifacts=ARTIFACT.findall(prose))
        (copies / source.name).write_text(copy, encoding="utf8")


class Assignments(SphinxDirective):
    """```{assignments}```: what they are about, and where to get them."""

    def run(self):
        for source in sources(self.env.app):
            self.env.note_dependency(str(source))
        outdir = Path(self.env.app.outdir, "_static")
        items = "".join(item(outdir, source.name) for source in sources(self.env.app))
        return [nodes.raw("", f'<ul class="mih-assignments">{items}</ul>', format="html")]


def item(static: Path, name: str) -> str:
    """One assignment: its title, its opening words, its two files."""
    import nbformat

    opening = nbformat.read(static / "assignments" / name, as_version=4).cells[0].source
    title, _, rest = opening.removeprefix("# ").partition("\n")
    about = html.escape(rest.strip().split("\n")[0])
    size = (static / "colab" / name).stat().st_size / 1e6
    return (
        f"<li><p><strong>{html.escape(title)}.</strong> {about}<br>"
        f'<a href="../_static/assignments/{name}" download>Notebook</a> · '
        f'<a href="../_static/colab/{name}" download>Colab / offline copy</a> ({size:.1f} MB)'
        "</p></li>"
    )


def setup(app):
    app.add_directive("assignments", Assignments)
    app.connect("builder-inited", write_assignments)
