"""The book's own Sphinx extension; what each part of it does stands at the top of its file.

Here: a cell of one chapter shown on another page, and a self-contained copy of every notebook.
"""

from pathlib import Path

from colab_copy import self_contained
from docutils import nodes
from execution import project_root
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).parent
PARTS = [
    "execution",
    "lean",
    "figures",
    "chapters",
    "words",
    "claims",
    "assignments",
    "reference",
    "tidy",
    "shared_script",
]
logger = logging.getLogger(__name__)


# ```{from-chapter} notebooks/01_gaussian_1d claims``` shows the outputs of that chapter's cells
# tagged "claims": what glue would do, but Markdown outputs work, and notebooks need not import it.


class ChapterCell(nodes.General, nodes.Element):
    """Stands for the outputs until all documents have been read."""


class FromChapter(SphinxDirective):
    required_arguments = 2

    def run(self):
        docname, tag = self.arguments
        self.env.note_dependency(self.env.doc2path(docname))
        node = ChapterCell(docname=docname, tag=tag)
        self.set_source_info(node)
        return [node]


class InsertChapterCells(SphinxPostTransform):
    default_priority = 3  # before myst-nb picks the format of each output

    def run(self, **kwargs):
        for node in list(self.document.findall(ChapterCell)):
            chapter, tag = self.env.get_doctree(node["docname"]), f"tag_{node['tag']}"
            cells = [c for c in chapter.findall(nodes.container) if tag in c["classes"]]
            found = [o for c in cells for o in c if o.get("nb_element") == "cell_code_output"]
            if not found:
                message = "no cell of %s tagged %r has an output"
                logger.warning(message, node["docname"], node["tag"], location=node)
            node.replace_self(nodes.container("", *found, classes=["cell", tag]) if found else [])
        if next(self.document.findall(nodes.math), None):  # or Sphinx loads no MathJax here
            self.env.get_domain("math").data["has_equations"][self.env.docname] = True


# The self-contained copies, _static/colab/NAME.ipynb, linked from each chapter's top and menu.


def write_copies(app):
    folder = Path(app.outdir, "_static/colab")
    folder.mkdir(parents=True, exist_ok=True)
    root = project_root(app)
    for notebook in sorted(root.glob("notebooks/*.ipynb")):
        (folder / notebook.name).write_text(self_contained(notebook, root), encoding="utf8")


def add_files(app, config):
    """The scripts of the pages. They wait in a folder of their own: under book/_static every page
    would load them before its first word."""
    config.html_static_path.append(str(HERE / "page"))
    config.templates_path.append(str(HERE / "templates"))


def setup(app):
    app.add_node(ChapterCell)
    app.add_directive("from-chapter", FromChapter)
    app.add_post_transform(InsertChapterCells)
    app.connect("config-inited", add_files, priority=900)
    app.connect("builder-inited", write_copies)
    for part in PARTS:
        app.setup_extension(part)
    for script in sorted((HERE / "page").glob("*.js")):
        app.add_js_file(script.name, loading_method="defer")
    # Sphinx copies static files only if some page is out of date: let the first page be
    app.connect("env-get-outdated", lambda app, *rest: [app.config.root_doc])
    return {"parallel_read_safe": True, "parallel_write_safe": True}
