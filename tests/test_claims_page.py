"""The page of claims shows what was found at the paper's scale beside the claim it belongs to."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONF = """
extensions = ["myst_parser", "claims"]
html_theme = "basic"
"""
CLAIM = {"chapter": "01_a", "verdict": "holds", "measured": "10 times as much"}
ROWS = [
    {**CLAIM, "statement": "Networks put *mass* between modes."},
    {**CLAIM, "statement": "Another claim."},
]
FOUND = [
    {
        "id": "line-between",
        "statement": "Networks put *mass* between modes.",
        "verdict": "does not hold here",
        "measured": ["fold: 3 (2 to 4)"],
        "device": "A card of 16 GB",
        "seconds": 600,
    }
]


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """cards(found) builds a page of two claims; returns the text of each card."""
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    from sphinx.application import Sphinx

    def build(found):
        (tmp_path / "mih_utils").mkdir()
        (tmp_path / "conf.py").write_text(CONF)
        (tmp_path / "rows.json").write_text(json.dumps(ROWS))
        if found is not None:
            (tmp_path / "found.json").write_text(json.dumps(found))
        board = "```{claims-board}\n:file: rows.json\n:paper-scale: found.json\n```\n"
        (tmp_path / "index.md").write_text(f"# Claims\n\n{board}")
        out = tmp_path / "out"
        app = Sphinx(tmp_path, tmp_path, out, tmp_path / "trees", "html", status=None, warning=None)
        app.build(force_all=True)
        page = (out / "index.html").read_text()
        return [re.sub(r"<[^>]+>", "", c) for c in page.split('class="mih-claim ')[1:]]

    return build


def test_it_stands_beside_its_own_claim(cards):
    first, second = cards(FOUND)
    assert "at the paper" in first and "fold: 3 (2 to 4)" in first
    assert "does not hold here" in first and "A card of 16 GB, 10 minutes" in first
    assert "at the paper" not in second


def test_without_the_file_nothing_is_claimed(cards):
    assert not any("at the paper" in card for card in cards(None))
