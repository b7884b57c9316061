"""The book's own Sphinx extension: pages that need no network, a cache that is never stale,
a cell of one chapter shown on another page, and a self-contained copy of every notebook."""

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

from colab_copy import package_files, self_contained
from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


def project_root(app) -> Path:
    """The folder of the package: the book is built there, or in a staged copy further down."""
    src = Path(app.srcdir)
    return next(p for p in (src, *src.parents) if (p / "mih_utils").is_dir())


# Formulas: MathJax from an installed package instead of a CDN, and only the parts a page uses.


def use_local_mathjax(app, config):
    config.mathjax_path = "mathjax/tex-mml-chtml.js"


def copy_mathjax(app):
    package = importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations[0]
    source, target = Path(package, "static/mathjax"), Path(app.outdir, "_static/mathjax")
    for folder in ("output/chtml/fonts", "input/tex/extensions"):
        shutil.copytree(source / folder, target / folder, dirs_exist_ok=True)
    shutil.copy(source / "tex-mml-chtml.js", target)


# Execution: outputs that are there already are used; else they are cached, and the cache is keyed
# on all that they depend on (jupyter-cache itself looks at the notebook only).


def set_execution(app, config):
    if os.environ.get("MIH_EXECUTED"):
        config.nb_execution_mode = "off"
        return
    root = project_root(app)
    digest = hashlib.sha256(os.environ.get("MIH_PROFILE", "quick").encode())
    for path in [*package_files(root), *sorted(root.glob("artifacts/*.json"))]:
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    cache = Path(app.outdir).parent / ".jupyter_cache" / digest.hexdigest()[:16]
    config.nb_execution_cache_path = str(cache)


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


def copy_of(app, docname) -> Path | None:
    path = Path(app.outdir, "_static/colab", Path(docname).name + ".ipynb")
    return path if docname.startswith("notebooks/") and path.exists() else None


def link_copy(app, doctree, docname):
    if copy := copy_of(app, docname):
        html = (
            f'<p class="mih-copy"><a href="../_static/colab/{copy.name}" download>Colab / offline '
            f"copy of this notebook</a> ({copy.stat().st_size / 1e3:.0f} kB): upload it to Colab, "
            "or open it in Jupyter where torch is installed, and run all cells.</p>"
        )
        doctree.next_node(nodes.section).insert(1, nodes.raw("", html, format="html"))


def add_copy_to_menu(app, pagename, templatename, context, doctree):
    copy = copy_of(app, pagename)
    for group in context.get("header_buttons", []):
        if copy and group.get("label") == "download-buttons":
            button = {
                "type": "link",
                "url": context["pathto"](f"_static/colab/{copy.name}", 1),
                "text": "Colab / offline copy",
                "tooltip": "Download this notebook with the package and its data inside",
                "icon": "fas fa-box-open",
                "label": "download-copy-button",
            }
            group["buttons"].insert(0, button)


def setup(app):
    app.add_node(ChapterCell)
    app.add_directive("from-chapter", FromChapter)
    app.add_post_transform(InsertChapterCells)
    app.connect("config-inited", use_local_mathjax)
    app.connect("config-inited", set_execution)
    app.connect("builder-inited", copy_mathjax)
    app.connect("builder-inited", write_copies)
    # Sphinx copies static files only if some page is out of date: let the first page be
    app.connect("env-get-outdated", lambda app, *rest: [app.config.root_doc])
    app.connect("doctree-resolved", link_copy)
    app.connect("html-page-context", add_copy_to_menu, priority=502)  # after the theme's buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
