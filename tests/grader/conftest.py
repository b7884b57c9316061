"""The sample assignment, built once, and a warm sandbox that grades submissions to it."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import sample

from classroom import submission
from classroom.build import build
from classroom.grading import Limits, grade
from classroom.sandbox import Sandbox
from classroom.source import Assignment


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder with all versions of the sample."""
    folder = tmp_path_factory.mktemp("sample")
    source = folder / "A0.ipynb"
    source.write_text(sample.notebook(sample.SOURCE), encoding="utf8")
    build(source, folder)
    return folder


@pytest.fixture(scope="session")
def assignment(built):
    """The sample's specification."""
    return Assignment.from_json((built / "autograder/A0.json").read_text(encoding="utf8"))


@pytest.fixture(scope="session")
def bubblewrap():
    """Skips what needs bubblewrap where there is none; in CI that is a failure."""
    if shutil.which("bwrap") is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("no bubblewrap on this machine (on Debian and Ubuntu: apt-get install bubblewrap)")


@pytest.fixture(scope="session")
def box(bubblewrap):
    """A sandbox that stays warm; each question still gets a clean process of its own."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def grade_file(assignment, box):
    """Grade a file with short time-outs."""

    def run(path):
        one = submission.read(path, assignment)
        return grade(assignment, one, box, Limits(call=3, question=8))

    return run
