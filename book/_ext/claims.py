"""The page of claims: one card a claim, with its verdict as a chip, a tally, and room for filters.

What is claimed, and what would decide it, stands in mih_utils/claims.yml; what was measured, and
the verdict, come from the outputs of the chapters' cells tagged "claims". With `:paper-scale:`, a
file of tools/paper_scale.py, a card also says what came out at the paper's scale, once there is
that file. All of it is written beside the page as claims.json.
"""

import json
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from execution import PACKAGE, chapter_file, project_root
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import clean_astext

VERDICTS = {  # how a verdict begins: its kind
    "holds in part": "part",
    "holds": "holds",
    "does not hold": "not",
    "undecided": "undecided",
    "not": "untested",
}
WORDS = {
    "holds": "hold",
    "part": "hold in part",
    "not": "do not hold here",
    "undecided": "are undecided",
    "untested": "not tested",
}
CONTRACT = {
    "tested": "tested",
    "control": "control",
    "samples": "samples",
    "scale": "scale here",
    "paper_scale": "in the paper",
    "source": "source",
}


def kind_of(verdict: str) -> str:
    found = (kind for start, kind in VERDICTS.items() if verdict.lower().startswith(start))
    return next(found, "part")


class ClaimsBoard(nodes.General, nodes.Element):
    """Stands for the cards until all documents have been read."""


class Claims(SphinxDirective):
    option_spec = {"paper-scale": directives.unchanged_required}  # noqa: RUF012

    def run(self):
        self.env.note_dependency(str(contracts_file(self.env.app)))
        board = ClaimsBoard()
        self.set_source_info(board)
        board["paper_scale"] = self.paper_scale()
        for name, claim in contracts_of(self.env.app).items():
            statement = nodes.container("", *self.parsed(claim["statement"]), name=name)
            board += [statement, self.contract(claim)]
        return [board]

    def paper_scale(self) -> dict[str, dict]:
        """What was found at the paper's scale, by the claim's name."""
        if "paper-scale" not in self.options:
            return {}
        path = project_root(self.env.app) / self.options["paper-scale"]
        self.env.note_dependency(str(path))
        found = json.loads(path.read_text(encoding="utf8")) if path.is_file() else []
        return {one["id"]: one for one in found}

    def contract(self, claim: dict) -> nodes.container:
        """What was settled before the measurement, folded away."""
        fields = [
            (label, self.parsed(claim[key])) for key, label in CONTRACT.items() if key in claim
        ]
        if "beforehand" in claim:
            before = "yes" if claim["beforehand"] is True else str(claim["beforehand"])
            fields.append(("written before", self.parsed(before)))
        if "power" in claim:
            fields.append(("would say", self.power(claim["power"])))
        opening = nodes.raw("", "<details><summary>The contract</summary>", format="html")
        closing = nodes.raw("", "</details>", format="html")
        return nodes.container("", opening, definitions(fields), closing)

    def power(self, power: list | str) -> list[nodes.Node]:
        """A line for each supposed truth, or the words why nothing is random."""
        if isinstance(power, str):
            return self.parsed(power)
        return [bullets(map(power_in_words, power))]

    def parsed(self, text: str) -> list[nodes.Node]:
        holder = nodes.Element()
        self.state.nested_parse(
            StringList([str(text).strip()], self.get_source_info()[0]), 0, holder
        )
        return list(holder.children)


def at_paper_scale(found: dict) -> nodes.container:
    """What came out at the paper's scale, below what was measured here."""
    kind = kind_of(found["verdict"])
    chip = nodes.inline("", found["verdict"], classes=["mih-chip", f"mih-chip-{kind}"])
    opening = nodes.paragraph("", "At the paper's scale: ")
    opening += chip
    took = f"{found['device']}, {found['seconds'] / 60:.0f} minutes with the training"
    return nodes.container("", opening, bullets([*found["measured"], took]))


def power_in_words(entry: dict) -> str:
    """What would come out how often, if something were true."""
    shares = ", ".join(f"“{verdict}” {share:.0%}" for verdict, share in entry["verdicts"].items())
    return f"{shares} of the time if {entry['truth']}"


def bullets(lines) -> nodes.bullet_list:
    items = [nodes.list_item("", nodes.paragraph("", line)) for line in lines]
    return nodes.bullet_list("", *items)


def definitions(fields) -> nodes.definition_list:
    """A list of (label, nodes)."""
    items = [
        nodes.definition_list_item("", nodes.term("", label), nodes.definition("", *content))
        for label, content in fields
    ]
    return nodes.definition_list("", *items)


def card(docname, verdict, *content, name=None) -> nodes.container:
    """One claim: its chip, and what belongs to it; the chapter is filled in later."""
    kind = kind_of(verdict)
    chip = nodes.inline("", verdict, classes=["mih-chip", f"mih-chip-{kind}"])
    head = nodes.paragraph("", "", chip, classes=["mih-claim-head"])
    made = nodes.container("", head, *content, classes=["mih-claim", f"mih-is-{kind}"])
    made["chapter"] = docname
    if name:
        made["ids"].append(f"claim-{name}")
    return made


class FillBoard(SphinxPostTransform):
    default_priority = 3  # before myst-nb picks the format of each output

    def run(self, **kwargs):
        for board in list(self.document.findall(ClaimsBoard)):
            contracts = contracts_of(self.app)
            chapters = sorted(d for d in self.env.found_docs if chapter_file(self.app, d))
            findings = with_untested(contracts, {d: findings_of(self.app, d) for d in chapters})
            cards = [c for doc in chapters for c in self.cards(board, doc, findings[doc])]
            for made in cards:
                self.name_chapter(made)
            kinds = [next(k for k in WORDS if f"mih-is-{k}" in made["classes"]) for made in cards]
            grid = nodes.container("", *cards, classes=["mih-claims"])
            board.replace_self(
                [
                    nodes.raw("", tally(kinds), format="html"),
                    grid,
                    *self.as_json(contracts, findings, board["paper_scale"]),
                ]
            )
            if next(self.document.findall(nodes.math), None):
                self.env.get_domain("math").data["has_equations"][self.env.docname] = True

    def cards(self, board, docname, findings):
        """Cards of a chapter, in the order of its table."""
        every = list(board.children)
        named = {s["name"]: (s, c) for s, c in zip(every[::2], every[1::2], strict=True)}
        for finding in findings:
            statement, contract = named[finding["id"]]
            says = nodes.container("", *statement.children, classes=["mih-claim-says"])
            measured = bullets(finding["measured"])
            for line, bound in zip(measured, finding["bounds"], strict=False):
                if bound:
                    line[0] += nodes.emphasis("", f" ({bound})")
            larger = board["paper_scale"].get(finding["id"])
            more = [at_paper_scale(larger)] if larger else []
            content = (says, measured, *more, contract)
            yield card(docname, finding["verdict"], *content, name=finding["id"])

    def name_chapter(self, made):
        docname = made["chapter"]
        number = self.env.toc_secnumbers.get(docname, {}).get("", ("",))[0]
        title = self.env.titles[docname].astext() if docname in self.env.titles else docname
        made["classes"].append(f"mih-chapter-{number}")
        uri = self.app.builder.get_relative_uri(self.env.docname, docname)
        link = nodes.reference("", f"{number}. {title}", refuri=uri, internal=True)
        made.next_node(nodes.paragraph).append(link)
        del made.attributes["chapter"]

    def as_json(self, contracts, findings, paper_scale):
        """Write claims.json beside the page, and link it there."""
        if self.app.builder.format != "html":
            return []
        found = [
            contracts[one["id"]] | {"chapter": docname} | one
            for docname, some in findings.items()
            for one in some
        ]
        for one in found:
            if one["id"] in paper_scale:
                one["at_paper_scale"] = paper_scale[one["id"]]
        target = Path(self.app.outdir, self.env.docname).with_name("claims.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf8")
        link = '<p><a href="claims.json" download>All contracts and figures as JSON</a></p>'
        return [nodes.raw("", link, format="html")]


def contracts_file(app) -> Path:
    return project_root(app) / PACKAGE / "claims.yml"


def contracts_of(app) -> dict:
    return yaml.safe_load(contracts_file(app).read_text(encoding="utf8"))


def with_untested(contracts: dict, findings: dict[str, list]) -> dict[str, list]:
    """Add, to chapters that were run, the claims that nobody tested and that are in no table."""
    shown = {one["id"] for some in findings.values() for one in some}
    waiting = {n: c for n, c in contracts.items() if "not_tested" in c and n not in shown}
    for docname, some in findings.items():
        number = int(Path(docname).name[:2])
        some += [
            {"id": name, "verdict": "not tested", "measured": [claim["not_tested"]], "bounds": []}
            for name, claim in waiting.items()
            if some and claim["chapter"] == number
        ]
    return findings


def findings_of(app, docname: str) -> list[dict]:
    """What the claims cell of a chapter found, from the outputs of the executed notebook."""
    path = Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"
    if not path.is_file():
        return []
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    described = [output.get("metadata", {}).get("text/markdown", {}) for output in outputs]
    return [finding for one in described for finding in one.get("claims", [])]


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
        copies = [[node.deepcopy() for node in entry] for entry in line]
        says = nodes.container("", *copies[0], classes=["mih-claim-says"])
        fields = list(zip(header, copies, strict=True))[1:-1]
        yield card(docname, verdict, says, definitions(fields))


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


def pages_with_boards(app, env, *changes):
    """The page of claims is made anew whenever a chapter may have changed."""
    return [doc for doc in env.found_docs if doc == "book/claims"]


def setup(app):
    app.add_node(ClaimsBoard)
    app.add_directive("claims-board", Claims)
    app.add_post_transform(FillBoard)
    app.connect("env-get-outdated", pages_with_boards)
    app.add_post_transform(ChapterCards)
