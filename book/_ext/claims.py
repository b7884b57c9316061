"""The page of claims: one card a claim, with its verdict as a chip, a tally, and room for filters.

```{claims-board}``` collects the tables of all cells tagged "claims", chapter by chapter.
With `:file:` it reads a JSON list instead, of objects with the keys of FIELDS, "statement",
"verdict" and "chapter" (the name of a notebook, without its folder and ending). With
`:paper-scale:` it puts beside each claim what tools/paper_scale.py found, once there is that file.
"""

import json
import re

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from execution import project_root
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import clean_astext

VERDICTS = {  # how a verdict begins: its kind
    "holds in part": "part",
    "holds": "holds",
    "does not hold": "not",
    "not seen": "unseen",
    "not tested": "unseen",
    "undecided": "open",
}
WORDS = {
    "holds": "hold",
    "part": "hold in part",
    "not": "do not hold here",
    "open": "undecided",
    "unseen": "not seen here",
}
FIELDS = {
    "measured": "measured",
    "control": "control",
    "criterion": "holds if",
    "source": "in the paper",
    "scale_here": "scale here",
    "scale_paper": "scale in the paper",
}


def kind_of(verdict: str) -> str:
    found = (kind for start, kind in VERDICTS.items() if verdict.lower().startswith(start))
    return next(found, "part")


class ClaimsBoard(nodes.General, nodes.Element):
    """Stands for the cards until all documents have been read."""


class Claims(SphinxDirective):
    option_spec = {  # noqa: RUF012
        "file": directives.unchanged_required,
        "paper-scale": directives.unchanged_required,
    }

    def run(self):
        board = ClaimsBoard()
        self.set_source_info(board)
        board["paper_scale"] = {}
        if "paper-scale" in self.options:
            path = project_root(self.env.app) / self.options["paper-scale"]
            self.env.note_dependency(str(path))
            found = json.loads(path.read_text(encoding="utf8")) if path.is_file() else []
            board["paper_scale"] = {letters(row["statement"]): row for row in found}
        if "file" in self.options:
            path = project_root(self.env.app) / self.options["file"]
            self.env.note_dependency(str(path))
            for row in json.loads(path.read_text(encoding="utf8")):
                board += self.card(row)
        return [board]

    def card(self, row: dict) -> nodes.Element:
        fields = [(label, self.parsed(row[key])) for key, label in FIELDS.items() if row.get(key)]
        docname = f"notebooks/{row['chapter']}"
        return card(docname, self.parsed(row["statement"]), row["verdict"], fields, row.get("id"))

    def parsed(self, text: str) -> list[nodes.Node]:
        holder = nodes.Element()
        self.state.nested_parse(StringList([str(text)], self.get_source_info()[0]), 0, holder)
        return list(holder.children)


def card(docname, statement, verdict, fields, name=None) -> nodes.container:
    """One claim: its chip, what it says, and what was measured; the chapter is filled in later."""
    kind = kind_of(verdict)
    made = nodes.container("", classes=["mih-claim", f"mih-is-{kind}"])
    made["chapter"] = docname
    if name:
        made["ids"].append(f"claim-{name}")
    made += nodes.paragraph("", "", chip(kind, verdict), classes=["mih-claim-head"])
    said = nodes.container("", *statement, classes=["mih-claim-says"])
    items = [
        nodes.definition_list_item(
            "", nodes.term("", label), nodes.definition("", *(c.deepcopy() for c in content))
        )
        for label, content in fields
    ]
    made += [said, nodes.definition_list("", *items)]
    return made


def letters(statement: str) -> str:
    """A statement without what Markdown and typography make of it, to find it again."""
    return re.sub(r"\W+", "", statement).lower()


def add_paper_scale(made: nodes.container, found: dict[str, dict]) -> None:
    """Put what was found at the paper's scale below what was measured here, if it was."""
    said = next(c for c in made.children if "mih-claim-says" in c["classes"])
    row = found.get(letters(clean_astext(said)))
    if row is None:
        return
    verdict = nodes.paragraph("", "", chip(kind_of(row["verdict"]), row["verdict"]))
    took = f"{row['device']}, {row['seconds'] / 60:.0f} minutes with the training"
    lines = [nodes.paragraph("", line) for line in (*row["measured"], took)]
    item = nodes.definition_list_item(
        "", nodes.term("", "at the paper's scale"), nodes.definition("", verdict, *lines)
    )
    next(made.findall(nodes.definition_list)).append(item)


def chip(kind: str, verdict: str) -> nodes.inline:
    return nodes.inline("", verdict, classes=["mih-chip", f"mih-chip-{kind}"])


class FillBoard(SphinxPostTransform):
    default_priority = 3  # before myst-nb picks the format of each output

    def run(self, **kwargs):
        for board in list(self.document.findall(ClaimsBoard)):
            cards = list(board.children) or list(self.from_tables())
            for made in cards:
                self.name_chapter(made)
                add_paper_scale(made, board["paper_scale"])
            kinds = [next(k for k in WORDS if f"mih-is-{k}" in made["classes"]) for made in cards]
            grid = nodes.container("", *cards, classes=["mih-claims"])
            board.replace_self([nodes.raw("", tally(kinds), format="html"), grid])
            if next(self.document.findall(nodes.math), None):
                self.env.get_domain("math").data["has_equations"][self.env.docname] = True

    def from_tables(self):
        """Cards from the tables of all chapters."""
        for docname in sorted(self.env.found_docs):
            if not docname.startswith("notebooks/"):
                continue
            for cell in self.env.get_doctree(docname).findall(nodes.container):
                if "tag_claims" not in cell["classes"]:
                    continue
                for table in list(cell.findall(nodes.table))[:1]:
                    yield from cards_of(table, docname)

    def name_chapter(self, made):
        docname = made["chapter"]
        number = self.env.toc_secnumbers.get(docname, {}).get("", ("",))[0]
        title = self.env.titles[docname].astext() if docname in self.env.titles else docname
        made["classes"].append(f"mih-chapter-{number}")
        uri = self.app.builder.get_relative_uri(self.env.docname, docname)
        link = nodes.reference("", f"{number}. {title}", refuri=uri, internal=True)
        made.next_node(nodes.paragraph).append(link)
        del made.attributes["chapter"]


class ChapterCards(SphinxPostTransform):
    """The table of claims of a chapter as cards, too: a phone has no room for four columns."""

    default_priority = 12  # when the format of each output is chosen and references lead somewhere

    def run(self, **kwargs):
        if self.app.builder.format != "html" or not self.env.docname.startswith("notebooks/"):
            return
        for cell in self.document.findall(nodes.container):
            if "tag_claims" not in cell.get("classes", []):
                continue
            for table in list(cell.findall(nodes.table)):
                cards = list(cards_of(table, self.env.docname))
                for made in cards:
                    del made.attributes["chapter"]
                table.replace_self(nodes.container("", *cards, classes=["mih-claims"]))


def cards_of(table, docname):
    """A card for each row of a table of claims: claim first, verdict last."""
    lines = [[list(e.children) for e in row] for row in table.findall(nodes.row)]
    header = [" ".join(clean_astext(n) for n in entry) for entry in lines[0]]
    for line in lines[1:]:
        verdict = " ".join(clean_astext(node) for node in line[-1])
        statement = [node.deepcopy() for node in line[0]]
        yield card(docname, statement, verdict, list(zip(header, line, strict=True))[1:-1])


def tally(kinds: list[str]) -> str:
    """How many claims have which verdict, as a bar and in words."""
    counts = {kind: kinds.count(kind) for kind in WORDS}
    bar = "".join(
        f'<span class="mih-bar-{kind}" style="flex: {n}"></span>' for kind, n in counts.items() if n
    )
    words = "".join(
        f'<li data-kind="{kind}"><span class="mih-chip mih-chip-{kind}">{n}</span> '
        f"{WORDS[kind]}</li>"
        for kind, n in counts.items()
    )
    return (
        f'<div class="mih-tally"><p><strong>{len(kinds)} claims</strong></p>'
        f'<div class="mih-bar" aria-hidden="true">{bar}</div><ul>{words}</ul></div>'
    )


def setup(app):
    app.add_node(ClaimsBoard)
    app.add_directive("claims-board", Claims)
    app.add_post_transform(FillBoard)
    app.add_post_transform(ChapterCards)
