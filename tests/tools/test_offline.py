"""The zip for a classroom without internet has all that its first page names."""

import re
import sys
import zipfile
from pathlib import Path

import pytest

from mih_utils.images.digits import FILES

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import offline  # noqa: E402

NAMES = [name for split in FILES.values() for name in split]


@pytest.fixture
def site(tmp_path):
    """A site in the form of the built one."""
    folder = tmp_path / "html"
    for name in ("index.html", "_static/colab/01_made.ipynb", "_static/mode-interpolation.pdf"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


@pytest.fixture
def mnist(tmp_path):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / f"{name}.gz").write_text(name)
    return folder.parent


def packed(target):
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        names = {name.removeprefix("mode-interpolation/") for name in archive.namelist()}
        return names, archive.read("mode-interpolation/START.html").decode()


def test_every_link_of_the_first_page_is_in_the_zip(site, mnist, tmp_path):
    target = tmp_path / "out" / "offline.zip"
    count = offline.pack(target, site, offline.mnist_files([mnist]))
    names, page = packed(target)
    assert len(names) == count
    links = re.findall('href="([^"]+)"', page)
    assert {"site/index.html", "site/_static/colab/01_made.ipynb"} < set(links) <= names
    assert "site/_static/mode-interpolation.pdf" in links
    assert {f"mnist/{name}.gz" for name in NAMES} <= names
    assert "MIH_DATA_DIR" in page
    assert {"notebooks/01_gaussian_1d.ipynb", "mih_utils/__init__.py", "pyproject.toml"} <= names
    assert {"artifacts/line123-net.npz", "constraints.txt"} <= names
    assert not any("__pycache__" in name for name in names)
    assert not re.search(r"https?://", page)


def test_what_is_missing_is_said(site, tmp_path):
    (site / "_static/mode-interpolation.pdf").unlink()
    offline.pack(tmp_path / "offline.zip", site)
    names, page = packed(tmp_path / "offline.zip")
    assert "No PDF" in page and "MNIST is not in here" in page
    assert not any(name.startswith("mnist/") for name in names)


def test_the_same_files_give_the_same_bytes(site, tmp_path):
    for name in ("a", "b"):
        offline.pack(tmp_path / name, site)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_half_of_mnist_is_none(mnist):
    assert set(offline.mnist_files([mnist])) == {f"{name}.gz" for name in NAMES}
    (mnist / "mnist" / f"{NAMES[0]}.gz").unlink()
    assert offline.mnist_files([mnist]) == {}


def test_without_a_book_there_is_nothing_to_pack(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no built book: make book"):
        offline.pack(tmp_path / "offline.zip", tmp_path / "none")
