"""The reference page: its examples run, and it has every name that its page promises."""

import doctest
import re
from pathlib import Path

import mih_utils as mih

PAGE = Path(__file__).resolve().parents[1] / "book/reference.md"


def test_every_example_runs():
    text = re.sub(r"^```.*$", "", PAGE.read_text(encoding="utf8"), flags=re.MULTILINE)
    example = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    said = []
    result = doctest.DocTestRunner().run(example, out=said.append)
    assert result.attempted > 60
    assert result.failed == 0, "".join(said)


def test_every_entry_has_an_example_and_exists():
    entries = re.findall(r"```\{api\} (\S+)\n(.*?)```", PAGE.read_text(encoding="utf8"), re.DOTALL)
    for name, example in entries:
        assert ">>>" in example, name
        thing = mih
        for part in name.split("."):
            thing = getattr(thing, part)
        assert thing.__doc__
