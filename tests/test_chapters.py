"""A chapter's minutes are counted from what there is to read in it."""

import sys
from pathlib import Path

import pytest
from docutils import nodes

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def minutes_of(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    import chapters

    yield chapters.minutes_of
    sys.modules.pop("chapters")


def section(title, words, *more):
    text = nodes.paragraph("", " ".join(["word"] * words))
    return nodes.section("", nodes.title("", title), text, *more)


def chapter(*parts):
    document = nodes.document(None, None)
    document += nodes.section("", nodes.title("", "A chapter"), *parts)
    return document


def test_words_pictures_and_guesses_take_time(minutes_of):
    guess = nodes.raw("", '<div class="mih-predict"></div>', format="html")
    explorer = nodes.raw("", '<div class="mih-explorer"></div>', format="html")
    assert minutes_of(chapter(section("Read", 1800))) == 10  # 180 words a minute
    assert minutes_of(chapter(section("Read", 1800, *[nodes.figure() for _ in range(4)]))) == 12
    assert minutes_of(chapter(section("Read", 1800, explorer, explorer))) == 13
    assert minutes_of(chapter(section("Read", 1800, *[guess.deepcopy() for _ in range(3)]))) == 12


def test_exercises_quiz_and_claims_are_apart(minutes_of):
    apart = [section(title, 9000) for title in ("Exercises", "Quiz", "The claims")]
    document = chapter(section("Read", 1800), *apart)
    assert minutes_of(document) == 10
    assert len(list(document.findall(nodes.section))) == 5  # the page itself keeps them
