"""Which chapters run again after which edit, without running any."""

import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book/_ext"))
from execution import Package, code_of, fingerprint, names_used, reached_files  # noqa: E402

FIRST, LAST = "01_gaussian_1d", "05_recursive_collapse"


@pytest.fixture
def project(tmp_path):
    """A copy of the project that can be edited; prints() gives each chapter's fingerprint."""
    for name in ("mih_utils", "notebooks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / "artifacts").mkdir()
    for record in (ROOT / "artifacts").glob("*.json"):
        shutil.copy(record, tmp_path / "artifacts")
    return tmp_path


def prints(project):
    code_of.cache_clear()
    return {p.stem: fingerprint(p, project) for p in sorted(project.glob("notebooks/*.ipynb"))}


def edit(path, old, new):
    text = path.read_text(encoding="utf8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf8")


def changed(project, before):
    after = prints(project)
    return {name for name in before if before[name] != after[name]}


def test_docstrings_comments_scripts_and_styles_run_nothing(project):
    before = prints(project)
    edit(project / "mih_utils/mixture.py", '"""', '"""Edited. ')
    with (project / "mih_utils/sampling.py").open("a", encoding="utf8") as file:
        file.write("\n# a comment\n")
    for path in filter(Path.is_file, (project / "mih_utils/viz/js").rglob("*")):
        with path.open("a", encoding="utf8") as file:
            file.write("\n/* edited */\n")
    assert changed(project, before) == set()


def test_an_edit_of_what_all_reach_runs_all(project):
    before = prints(project)
    with (project / "mih_utils/mixture.py").open("a", encoding="utf8") as file:
        file.write("\nEDITED = True\n")
    assert changed(project, before) == set(before)


def test_an_edit_of_one_room_runs_only_who_reaches_it(project):
    before = prints(project)
    with (project / "mih_utils/recursion/loop.py").open("a", encoding="utf8") as file:
        file.write("\nEDITED = True\n")
    found = changed(project, before)
    assert LAST in found
    assert FIRST not in found


def test_an_artifact_runs_only_who_loads_it(project):
    before, record = prints(project), project / "artifacts/line1245-net.json"
    values = json.loads(record.read_text(encoding="utf8"))
    record.write_text(json.dumps({**values, "edited": True}), encoding="utf8")
    assert changed(project, before) == {FIRST}


def test_the_profile_counts():
    path = ROOT / f"notebooks/{FIRST}.ipynb"
    assert fingerprint(path, ROOT, "quick") != fingerprint(path, ROOT, "full")


def test_what_a_chapter_reaches_is_imported_by_python_too(tmp_path):
    package = tmp_path / "pack"
    (package / "room").mkdir(parents=True)
    files = {
        "__init__.py": "from .a import one\nfrom . import room\n",
        "a.py": '"""Text."""\ndef one():\n    from .b import two\n    return two()\n',
        "b.py": "two = 2\n",
        "c.py": "three = 3\n",
        "room/__init__.py": "from .d import four\n",
        "room/d.py": "from ..c import three\nfour = three + 1\n",
    }
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf8")
    used = names_used(["import pack as p", "%time p.one()\np.one()"], "pack")
    assert used == {"pack.one"}
    found = Package(tmp_path, "pack").closure(used)
    assert {p.name for p in found} == {"a.py", "b.py"}
    found = Package(tmp_path, "pack").closure({"pack.room.four"})
    assert {p.name for p in found} == {"d.py", "c.py"}


@pytest.mark.parametrize(
    "chapter", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_every_chapter_reaches_a_part_of_the_package(chapter):
    code_of.cache_clear()
    reached = [p for p in reached_files(chapter, ROOT) if p.suffix == ".py"]
    assert 8 < len(reached) < len(list((ROOT / "mih_utils").rglob("*.py")))
