"""The copy of a chapter: small, plain, and it unpacks beside a reader's files, not over them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

import mih_utils as mih
from mih_utils.artifacts import ArtifactError

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTER = CHAPTERS[0]
LIMIT = 3e6  # bytes
WHERE = "import mih_utils; print(mih_utils.__file__, mih_utils.schedule.__doc__)"


@pytest.fixture
def extension(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))


@pytest.fixture
def unpack(extension, tmp_path):
    """unpack(root) runs the unpacking cell of a copy in an empty folder, and says what is used."""
    from colab_copy import self_contained

    def run(root=ROOT, chapter=CHAPTER):
        copy = nbformat.reads(self_contained(chapter, root), as_version=4)
        (cell,) = (cell for cell in copy.cells if cell.get("id") == "packed")
        # with -S no .pth file is read, so an editable install does not count
        libraries = os.pathsep.join(p for p in sys.path if p.endswith("-packages"))
        done = subprocess.run(
            [sys.executable, "-S", "-"],
            input=f"{cell.source}\n{WHERE}",
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": libraries},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_unpacks_into_a_folder_of_its_own(unpack, tmp_path):
    mine = tmp_path / "mih_utils"
    mine.mkdir()
    (mine / "schedule.py").write_text("my own work")
    used = unpack()
    (folder,) = (path for path in tmp_path.iterdir() if path != mine)
    assert (mine / "schedule.py").read_text() == "my own work"
    assert str(folder / "mih_utils") in used
    assert (folder / "artifacts").is_dir()


def test_what_was_edited_in_it_stays_and_another_version_has_another_folder(unpack, tmp_path):
    unpack()
    (folder,) = tmp_path.iterdir()
    file = folder / "mih_utils/schedule.py"
    file.write_text('"""Edited."""\n' + file.read_text())
    assert "Edited." in unpack()
    assert [folder] == list(tmp_path.iterdir())

    other = tmp_path.parent / "other-version"
    for path in (ROOT / "mih_utils").rglob("*.py"):
        target = other / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for path in ("mih_utils/viz/js", "artifacts"):
        (other / path).symlink_to(ROOT / path)
    assert "Edited." not in unpack(other)
    assert len(list(tmp_path.iterdir())) == 2
    assert '"""Edited."""' in file.read_text()


def test_half_an_unpacking_is_not_used(unpack, tmp_path, monkeypatch):
    """A folder is there whole or not at all."""
    unpack()
    (folder,) = tmp_path.iterdir()
    assert not folder.name.endswith(".partial")
    folder.rename(folder.with_name(folder.name + ".partial"))
    (tmp_path / (folder.name + ".partial") / "mih_utils/schedule.py").write_text("half a fi")
    assert str(folder) in unpack()


def test_its_first_words_are_device_versions_profile_and_minutes(unpack):
    printed = unpack()
    first = printed.splitlines()[0]
    line = r"(No GPU|.+); Python [\d.]+\S*, torch \S+, numpy \S+, matplotlib \S+; "
    assert re.fullmatch(line + r"profile quick, about \d+ minutes? in the profile quick", first)
    if first.startswith("No GPU"):
        assert "Without a GPU one thing is missing: the profile full" in printed


# What goes along


def small_artifact(root, chapter_code):
    """A project of one artifact and one chapter; returns the chapter's notebook."""
    for folder in ("mih_utils", "artifacts", "notebooks"):
        (root / folder).mkdir()
    arrays = {"x": np.arange(3), "runs/y": np.ones(2), "loss": np.zeros(2), "net.a": np.ones(1)}
    np.savez(root / "artifacts/made.npz", **arrays)
    (root / "artifacts/made.json").write_text('{"name": "made", "config": {}}')
    cells = [nbformat.v4.new_code_cell(code) for code in ('REPOSITORY = ""', chapter_code)]
    notebook = root / "notebooks/01_made.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    return notebook


@pytest.mark.parametrize(
    ("code", "carried"),
    [
        ('mih.artifact("made").arrays["x"]', {"x"}),
        ('a = mih.artifact("made").arrays\nb = a[f"{run}/{what}"]', {"runs/y"}),
        ('a = mih.artifact("made").arrays\nb = a["lo" + rest]', {"loss"}),
        ('a = mih.artifact("made")\nfor n in ("x", "loss"): print(a.arrays[n])', {"x", "loss"}),
        ('a = mih.artifact("made")\ndraw(a.net)', {"net.a"}),
        ('a = mih.artifact("made")\ndraw(a)', {"net.a"}),
        ('draw(mih.artifact("made"))', {"net.a"}),
        ('a = mih.artifact("made")\na.record, a.mixture', set()),
        ('a = mih.artifact("made").arrays.items()', {"x", "runs/y", "loss"}),
        ('print(f"{a}"); f"{a}/{b}"; mih.artifact("made").arrays', set()),
        ('%pip install x\n!ls\nmih.artifact("made").arrays["x"]', {"x"}),
    ],
)
def test_what_the_code_names_goes_along(extension, tmp_path, code, carried):
    from copied_data import Reading, trimmed

    small_artifact(tmp_path, code)
    files = trimmed(tmp_path, "made", Reading([code]))
    (tmp_path / "made.npz").write_bytes(files["made.npz"])
    with np.load(tmp_path / "made.npz") as stored:
        assert set(stored.files) == carried
    left_out = json.loads(files["made.json"])["left_out"]
    assert set(left_out) == {"x", "runs/y", "loss", "net.a"} - carried


def test_what_was_left_out_is_asked_for_in_vain(extension, tmp_path, monkeypatch):
    from copied_data import Reading, trimmed

    code = 'mih.artifact("line123-net").arrays["loss"]'
    for name, content in trimmed(ROOT, "line123-net", Reading([code])).items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("MIH_ARTIFACTS", str(tmp_path))
    found = mih.artifact("line123-net")
    assert len(found.arrays["loss"]) == 8000
    with pytest.raises(
        ArtifactError, match="array 'excess' of artifact 'line123-net' was left out"
    ):
        found.arrays["excess"]
    with pytest.raises(ArtifactError, match="the weights of artifact 'line123-net' were left out"):
        found.net  # noqa: B018
    with pytest.raises(KeyError, match="no such"):
        found.arrays["no such"]


def test_an_artifact_whose_name_is_computed_is_refused(extension):
    from colab_copy import artifact_names

    with pytest.raises(ValueError, match="write each artifact's name out"):
        artifact_names([nbformat.v4.new_code_cell("mih.artifact(name)")])


# What it reads like


@pytest.fixture(scope="module")
def copies():
    """The text of every chapter's copy, by its name."""
    sys.path.insert(0, str(ROOT / "book/_ext"))
    from colab_copy import self_contained

    return {chapter.stem: self_contained(chapter, ROOT) for chapter in CHAPTERS}


@pytest.mark.parametrize("chapter", [chapter.stem for chapter in CHAPTERS])
def test_a_copy_is_small(copies, chapter):
    assert len(copies[chapter].encode()) <= LIMIT


@pytest.mark.parametrize("chapter", [chapter.stem for chapter in CHAPTERS])
def test_no_role_or_directive_is_left_as_raw_text(copies, chapter):
    for cell in nbformat.reads(copies[chapter], as_version=4).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\{[\w:-]+\}`", cell.source), cell.source
            assert not re.search(r"^(`{3,}|:{3,})\s*\{", cell.source, re.M), cell.source
            assert not re.search(r"^\([\w-]+\)=$", cell.source, re.M), cell.source


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("The {term}`bridge` and {term}`bridges <bridge>`.", "The bridge and bridges."),
        ("See {doc}`03_shapes` and {doc}`this <../book/x>`.", "See chapter 3 and this."),
        ("(here)=\n## Title", "## Title"),
        ("`{x}` and ${a}$", "`{x}` and ${a}$"),
    ],
)
def test_roles_become_words(extension, written, read):
    from colab_copy import plain_markdown

    assert plain_markdown(written, "a.ipynb") == read


def test_a_directive_is_refused(extension):
    from colab_copy import plain_markdown

    with pytest.raises(ValueError, match=r"a.ipynb: a directive is raw text on Colab: :::\{note\}"):
        plain_markdown("text\n:::{note}\nword\n:::", "a.ipynb")
