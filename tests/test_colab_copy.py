"""The copy of a chapter that carries the package unpacks beside a reader's files, not over them."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = ROOT / "notebooks/01_gaussian_1d.ipynb"
WHERE = "import mih_utils; print(mih_utils.__file__, mih_utils.schedule.__doc__)"


@pytest.fixture
def unpack(monkeypatch, tmp_path):
    """unpack(root) runs the unpacking cell of a copy in an empty folder, and says what is used."""
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    from colab_copy import self_contained

    def run(root=ROOT):
        copy = nbformat.reads(self_contained(CHAPTER, root), as_version=4)
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
