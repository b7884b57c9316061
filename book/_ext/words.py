"""Words and papers: what a reader meets is linked to the glossary and the bibliography.

Notebooks cannot use roles such as {term}, which Jupyter and Colab show as raw text. So the first
use of each glossary word in a chapter is found here, and so are links to papers of the bibliography
and names of the package. A card with the definition or the reference travels with each page.
"""

import html
import re
from pathlib import Path

from chapters import in_output
from docutils import nodes
from execution import chapter_file
from pybtex.database import parse_file
from sphinx.addnodes import glossary

NOT_IN = (nodes.reference, nodes.literal, nodes.math, nodes.title, nodes.caption, nodes.raw)
ARXIV = re.compile(
    r"https?://(?:arxiv\.org/(?:abs|pdf)/|doi\.org/(?:10\.48550/arXiv\.)?)([\w./()-]+)", re.I
)


# The glossary: collected when its page is read


def read_glossary(app, doctree):
    words = getattr(app.env, "mih_words", {})
    app.env.mih_words = words
    for holder in doctree.findall(glossary):
        for item in holder.findall(nodes.definition_list_item):
            terms = list(item.findall(nodes.term))
            for term in terms:
                word = term.astext().strip()
                words[word] = (app.env.docname, term["ids"][0])


def pattern(words: list[str]) -> re.Pattern:
    """Finds any of the words, longest first, also as a plural, in any case."""
    written = sorted((w for w in words if re.fullmatch(r"[\w\s'’-]{3,}", w)), key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, written))})(?:s|es)?\b", re.IGNORECASE)


def link_words(app, doctree, docname):
    """Link the first use of each word in a chapter's own paragraphs."""
    words = getattr(app.env, "mih_words", {})
    if app.builder.format != "html" or not words or chapter_file(app, docname) is None:
        return
    find, seen = pattern(list(words)), set()
    by_lower = {word.lower(): place for word, place in words.items()}
    for text in list(doctree.findall(nodes.Text)):
        if not linkable(text):
            continue
        parts, at, string = [], 0, text.astext()
        for match in find.finditer(string):
            page, anchor = by_lower[match[1].lower()]
            if anchor in seen:
                continue
            seen.add(anchor)
            uri = f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
            link = nodes.reference("", match[0], refuri=uri, internal=True, classes=["mih-word"])
            parts += [nodes.Text(string[at : match.start()]), link]
            at = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(string[at:])])


def link_names(app, doctree, docname):
    """Link the first use of each name of the package to its reference entry."""
    names, seen = getattr(app.env, "mih_api", {}), set()
    if app.builder.format != "html" or chapter_file(app, docname) is None:
        return
    for code in list(doctree.findall(nodes.literal)):
        found = re.match(r"(?:mih\.)?(\w[\w.]*)", code.astext())
        if not found or found[1] not in names or found[1] in seen:
            continue
        if isinstance(code.parent, nodes.reference) or in_output(code):
            continue
        seen.add(found[1])
        page, anchor = names[found[1]]
        uri = f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
        link = nodes.reference("", "", refuri=uri, internal=True, classes=["mih-name"])
        code.replace_self(link)
        link += code


def linkable(text: nodes.Text) -> bool:
    """Whether a text is running text: in a paragraph, and in no link, code, title or output."""
    node, in_paragraph = text.parent, False
    while node is not None:
        if isinstance(node, NOT_IN) or "cell_output" in node.get("classes", []):
            return False
        in_paragraph |= isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


# Cards: definitions and references, as HTML, for the links that a page has


def definitions(app) -> dict[str, str]:
    """Anchor of a term: its words and its definition as HTML without links."""
    if not hasattr(app, "mih_definitions"):
        app.mih_definitions = {}
        for page in {page for page, _ in getattr(app.env, "mih_words", {}).values()}:
            doctree = app.env.get_and_resolve_doctree(page, app.builder)
            for item in doctree.findall(nodes.definition_list_item):
                body = item.next_node(nodes.definition)
                anchors = [i for term in item.findall(nodes.term) for i in term["ids"]]
                if body is None or not anchors or not anchors[0].startswith("term-"):
                    continue
                text = app.builder.render_partial(body)["fragment"]
                text = re.sub(r"</?(?:a|dd)\b[^>]*>", "", text)
                names = " · ".join(html.escape(t.astext()) for t in item.findall(nodes.term))
                for anchor in anchors:
                    app.mih_definitions[anchor] = f"<strong>{names}</strong>{text}"
    return app.mih_definitions


def references(app) -> dict[str, str]:
    """Key of a paper: its reference as HTML."""
    if not hasattr(app, "mih_references"):
        app.mih_references, app.mih_papers = {}, {}
        for name in app.config.bibtex_bibfiles:
            for key, entry in parse_file(str(Path(app.srcdir, name))).entries.items():
                app.mih_references[key] = reference(entry)
                for field in ("eprint", "doi", "url"):
                    link = ARXIV.search(entry.fields.get(field, ""))
                    value = link[1] if link else entry.fields.get(field, "")
                    app.mih_papers[value.lower()] = key
    return app.mih_references


def reference(entry) -> str:
    plain = lambda text: html.escape(re.sub(r"[{}\\]", "", str(text)))  # noqa: E731
    people = [" ".join(person.last_names) for person in entry.persons.get("author", [])]
    names = plain(", ".join(people) if len(people) < 4 else f"{people[0]} et al.")
    where = next(
        (entry.fields[f] for f in ("booktitle", "journal", "publisher") if f in entry.fields), ""
    )
    tail = ", ".join(filter(None, [plain(where), entry.fields.get("year", "")]))
    return f"<p>{names}. <em>{plain(entry.fields['title'])}</em>. {tail}.</p>"


def add_cards(app, pagename, templatename, context, doctree):
    body = context.get("body")
    if not body or doctree is None:
        return
    cards, terms, papers = {}, definitions(app), references(app)
    cited = {c.citation_id: c.key for c in app.env.get_domain("cite").citations}

    def mark(match):
        href = html.unescape(match[1])
        anchor, paper = href.rpartition("#")[2], ARXIV.search(href)
        if anchor in terms:
            cards[anchor] = terms[anchor]
        elif "bibliography" in href and anchor in cited:
            anchor = cited[anchor]
            cards[anchor] = papers[anchor]
        elif paper and paper[1].lower().rstrip("/") in app.mih_papers:
            anchor = app.mih_papers[paper[1].lower().rstrip("/")]
            cards[anchor] = papers[anchor]
        else:
            return match[0]
        return f'{match[0]} data-card="{anchor}"'

    body = re.sub(r'<a [^>]*?href="([^"]+)"(?![^>]*title="Link to)', mark, body)
    if cards:
        inside = "".join(f'<div data-name="{k}">{v}</div>' for k, v in sorted(cards.items()))
        body += f'<template id="mih-cards">{inside}</template>'
    context["body"] = body


def setup(app):
    app.connect("doctree-read", read_glossary)
    app.connect("doctree-resolved", link_words)
    app.connect("doctree-resolved", link_names)
    app.connect("html-page-context", add_cards, priority=600)
