"""Around a chapter: what it asks and how long it takes, its run information, its foot, its name.

All of it is read off the chapter itself, so that a notebook says nothing twice.
"""

import html
import re
from pathlib import Path

from docutils import nodes
from execution import chapter_file
from sphinx.util.nodes import clean_astext

WORDS_A_MINUTE = 180
MINUTES = {"explorer": 1.5, "figure": 0.5, "question": 0.7}
APART = {"Exercises", "Quiz", "The claims"}  # sections that take as long as one likes
CITATION = """\
@book{{mode-interpolation,
  title  = {{Mode Interpolation: why diffusion models hallucinate}},
  author = {{{{{author}}}}},
  year   = {{{year}}},
  note   = {{{note}}}
}}"""


# What a page is about, kept in the environment for the other pages


def read_page(app, doctree):
    env = app.env
    if not hasattr(env, "mih_pages"):
        env.mih_pages = {}
    title = doctree.next_node(nodes.title)
    env.mih_pages[env.docname] = {
        "title": clean_astext(title) if title else "",
        "question": question_of(doctree),
        "minutes": minutes_of(doctree),
        "explorers": count_html(doctree, 'class="mih-explorer"'),
    }
    for comment in list(doctree.findall(nodes.comment)):
        if comment.astext().strip() == "coder" and isinstance(comment.parent, nodes.section):
            comment.parent["classes"].append("mih-coder")


def forget_page(app, env, docname):
    getattr(env, "mih_pages", {}).pop(docname, None)


def question_of(doctree) -> str:
    """The chapter's question, or else the first paragraph, as one plain text."""
    paragraphs = [p for p in doctree.findall(nodes.paragraph) if not in_output(p)]
    for paragraph in paragraphs:
        text = plain(paragraph)
        if text.startswith("The question."):
            return text.removeprefix("The question.").strip()
    return ""


def plain(node) -> str:
    return re.sub(r"\s+", " ", clean_astext(node)).strip()


def in_output(node) -> bool:
    while node is not None:
        if "cell_output" in node.get("classes", []):
            return True
        node = node.parent
    return False


def raw_html(doctree) -> list[str]:
    return [
        node.astext() for node in doctree.findall(nodes.raw) if "html" in node.get("format", "")
    ]


def count_html(doctree, wanted: str) -> int:
    return sum(wanted in text for text in raw_html(doctree))


def minutes_of(doctree) -> int:
    """Minutes to read: its words, and a while for each picture and each guess, exercises apart."""
    doctree = doctree.deepcopy()
    for section in list(doctree.findall(nodes.section)):
        if section.parent and plain(section.next_node(nodes.title)) in APART:
            section.parent.remove(section)
    words = sum(len(plain(p).split()) for p in doctree.findall(nodes.paragraph))
    counts = {
        "explorer": count_html(doctree, 'class="mih-explorer"'),
        "figure": sum(1 for _ in doctree.findall(nodes.figure)),
        "question": count_html(doctree, "mih-predict"),
    }
    return round(words / WORDS_A_MINUTE + sum(MINUTES[k] * n for k, n in counts.items()))


# The line under a chapter's title


def add_run_line(app, doctree, docname):
    page = app.env.mih_pages.get(docname)
    if app.builder.format != "html" or page is None or chapter_file(app, docname) is None:
        return
    section = doctree.next_node(nodes.section)
    tables = [c for c in doctree.findall(nodes.container) if "tag_run-info" in c["classes"]]
    facts = [f'{page["minutes"]} minutes<span class="mih-roomy">, exercises apart</span>']
    if page["explorers"]:
        plural = "s" if page["explorers"] > 1 else ""
        facts.append(f"{page['explorers']} figure{plural} to play with")
    facts.append('run it<span class="mih-roomy"> yourself</span>')
    opening = (
        f'<details class="mih-run"><summary>{" · ".join(facts)}</summary>'
        f"{copy_link(app, docname)}{run_time(app, docname)}"
    )
    parts = [nodes.raw("", opening, format="html")]
    for table in tables:
        table.parent.remove(table)
        parts.append(table)
    parts.append(nodes.raw("", "</details>", format="html"))
    for offset, node in enumerate(parts):
        section.insert(1 + offset, node)


def copy_of(app, docname) -> Path | None:
    path = Path(app.outdir, "_static/colab", Path(docname).name + ".ipynb")
    return path if docname.startswith("notebooks/") and path.exists() else None


def copy_link(app, docname) -> str:
    copy = copy_of(app, docname)
    if copy is None:
        return ""
    size = copy.stat().st_size / 1e6
    return (
        f'<p><a href="../_static/colab/{copy.name}" download>Colab / offline copy of this '
        f"notebook</a> ({size:.1f} MB): upload it to Colab, or open it in Jupyter where torch is "
        "installed, and run all cells. It carries the package and its data.</p>"
    )


def run_time(app, docname) -> str:
    data = app.env.nb_metadata.get(docname, {}).get("exec_data") or {}
    seconds = data.get("runtime")
    took = f" They took {seconds:.0f} seconds when this page was built." if seconds else ""
    return (
        "<p>Everything you see was computed by the cells of this page; <em>Coder</em>, at the top, "
        f"shows them.{took} Trainings too long for a page come from stored results, whose recipes "
        "are in the project.</p>"
    )


# Its name and its words for search engines and previews, its foot


def add_context(app, pagename, templatename, context, doctree):
    pages = getattr(app.env, "mih_pages", {})
    page, book = pages.get(pagename, {}), app.config.project or context.get("docstitle")
    subtitle = "why diffusion models hallucinate"
    name = page.get("title") or re.sub("<.*?>", "", context.get("title") or "")
    if pagename == app.config.root_doc:
        context["mih_title"] = f"{html.escape(book)}: {subtitle}"
    description = page.get("question") or app.config.mih_description
    image = (
        f"{address(app)}_static/hero.png"
        if address(app)
        else context["pathto"]("_static/hero.png", 1)
    )
    tags = {
        "og:type": "book" if pagename == app.config.root_doc else "article",
        "og:site_name": f"{book}: {subtitle}",
        "og:title": name or book,
        "og:description": description,
        "og:image": image,
        "og:image:alt": "Chains of a sampler under the exact score and under a network",
    }
    lines = [f'<meta name="description" content="{html.escape(description)}" />']
    lines += [f'<meta property="{k}" content="{html.escape(v)}" />' for k, v in tags.items()]
    lines.append('<meta name="twitter:card" content="summary_large_image" />')
    context["mih_head"] = "\n".join(lines)

    around = getattr(app.builder, "relations", {}).get(pagename) or [None, None, None]
    context["mih_next_question"] = pages.get(around[2], {}).get("question", "")
    if chapter_file(app, pagename) and context.get("body"):
        context["body"] += foot(app, name)


def address(app) -> str:
    """Where the pages will be if the project has an address on GitHub, with a slash; or nothing."""
    url = (app.config.html_theme_options or {}).get("repository_url", "")
    found = re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+?)(?:\.git)?/?", url)
    return f"https://{found[1]}.github.io/{found[2]}/" if found else ""


def foot(app, title: str) -> str:
    note = f"Chapter “{title}”. Text and figures CC BY 4.0"
    entry = CITATION.format(author=app.config.author, year=app.config.copyright, note=note)
    return (
        '<details class="mih-cite"><summary>Cite this chapter</summary>'
        f'<pre class="mih-bibtex" tabindex="0">{html.escape(entry)}</pre>'
        '<button type="button" class="mih-button mih-js-only" data-copy=".mih-bibtex">'
        "Copy citation</button></details>"
    )


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
    description = "An interactive book on why diffusion models draw what was never in their data."
    app.add_config_value("mih_description", description, "html")
    app.connect("doctree-read", read_page)
    app.connect("env-purge-doc", forget_page)
    app.connect("doctree-resolved", add_run_line)
    app.connect("html-page-context", add_context, priority=700)
    app.connect("html-page-context", add_copy_to_menu, priority=502)  # after the theme's buttons
