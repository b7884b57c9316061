"""The deck is one file, with each figure's caption, description and licence."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import slides  # noqa: E402

FIGURE = {"number": "Fig. 1.1", "caption": "A <em>staircase</em>. It has three treads."}
FIGURE |= {"words": "A staircase. It has three treads.", "alt": 'Steps "up".', "png": b"\x89PNG"}
CHAPTER = slides.Chapter(1, "On a line", "Why?", ["It is smooth."], [FIGURE])


def test_a_deck_needs_no_other_file():
    page = slides.deck([CHAPTER])
    assert page.count("<section>") == 4
    assert "<h2>A <em>staircase</em>.</h2>" in page and "It has three treads." in page
    assert 'alt="Steps &quot;up&quot;."' in page
    assert page.count("CC BY 4.0") == 4
    assert "http" not in page and 'src="data:image/png;base64,' in page


def test_each_figure_has_a_file_and_words(tmp_path):
    slides.write_figures([CHAPTER], tmp_path)
    assert (tmp_path / "01-01.png").read_bytes() == FIGURE["png"]
    text = (tmp_path / "captions.md").read_text(encoding="utf8")
    for words in ("01-01.png", "Fig. 1.1", "A staircase.", 'Steps "up".', "CC BY 4.0"):
        assert words in text


def test_a_formula_is_not_cut_in_two():
    text = "The slope <math><mo>. </mo></math> grows. Then it falls."
    assert slides.first_sentence(text) == (text[: -len(" Then it falls.")], "Then it falls.")
