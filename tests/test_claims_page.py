"""The page of claims shows what was found at the paper's scale beside the claim it belongs to."""

import json
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
CONF = """
extensions = ["myst_parser", "claims"]
html_theme = "basic"
"""
HERE = {"verdict": "holds", "measured": ["ten times as much"], "bounds": ["holds > 2"]}
CLAIMS = """
made-one: {chapter: 1, statement: Networks put *mass* between modes., scale: small}
made-two: {chapter: 1, statement: Another claim., scale: small}
"""
FOUND = {
    "id": "made-one",
    "verdict": "does not hold here",
    "measured": ["three times as much"],
    "device": "A card of 16 GB",
    "seconds": 600,
}


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """cards(found) builds a page of two claims; returns the text of each card, and claims.json."""
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    from sphinx.application import Sphinx

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def build(found):
        write("conf.py", CONF)
        write("mih_utils/claims.yml", CLAIMS)
        write("index.md", "# Claims\n\n```{claims-board}\n:paper-scale: found.json\n```\n")
        write("notebooks/01_made.md", "---\norphan: true\n---\n# A chapter\n")
        write("notebooks/01_made.ipynb", "")
        findings = [HERE | {"id": "made-one"}, HERE | {"id": "made-two"}]
        output = nbformat.v4.new_output("display_data", {"text/markdown": "a table"})
        output.metadata = {"text/markdown": {"claims": findings}}
        cell = nbformat.v4.new_code_cell("", outputs=[output])
        executed = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
        write("_build/jupyter_execute/notebooks/01_made.ipynb", executed)
        if found is not None:
            write("found.json", json.dumps(found))
        out = tmp_path / "_build" / "html"
        app = Sphinx(
            *(tmp_path, tmp_path, out, tmp_path / "trees", "html"), status=None, warning=None
        )
        app.build(force_all=True)
        pieces = (out / "index.html").read_text().split('class="mih-claim ')[1:]
        return [re.sub(r"<[^>]+>", "", p) for p in pieces], json.loads(
            (out / "claims.json").read_text()
        )

    return build


def test_it_stands_beside_its_own_claim(cards):
    (first, second), written = cards([FOUND])
    assert re.search(r"At the paper.s scale: does not hold here", first)
    assert "three times as much" in first and "A card of 16 GB, 10 minutes" in first
    assert "ten times as much" in first
    assert "At the paper" not in second
    assert [one.get("at_paper_scale") for one in written] == [FOUND, None]


def test_without_the_file_nothing_is_claimed(cards):
    texts, written = cards(None)
    assert len(texts) == 2
    assert not any("At the paper" in text for text in texts)
    assert not any("at_paper_scale" in one for one in written)
