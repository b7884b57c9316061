"""Pack a classroom without internet: the built book and all that it can be run with, as one zip.

    python tools/offline.py [FOLDER OF MNIST]

It goes to _build/offline.zip: the site, with the chapters' self-contained copies in it and the PDF
and the EPUB if `make paper` has made them; the source notebooks, the package and the artifacts; and
MNIST's four files, from the folder that is named, from $MIH_DATA_DIR, or from the user's cache,
into which they are downloaded first. A page at the top, START.html, says what is there and what is
not.
"""

import argparse
import html
import os
import sys
import zipfile
from pathlib import Path

import pooch

import mih_utils as mih
from mih_utils.images.digits import FILES, DataError

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
TARGET = ROOT / "_build" / "offline.zip"
SOURCES = ("notebooks", "mih_utils", "artifacts")
SINGLE = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "LICENSE-text")
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints", ".doctrees"}
PAGE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Mode Interpolation, without internet</title>
<style>
body {{ max-width: 40em; margin: 3em auto; padding: 0 1em; font: 1.1em/1.5 sans-serif }}
</style>
<h1>Mode Interpolation, without internet</h1>
<p>Unpack the zip first; then these links work from the disk.</p>
<ul>{items}</ul>
<h2>To run the chapters</h2>
<p>A computer needs Python with torch, numpy, matplotlib and Jupyter, installed while it was still
online. Then open a chapter's copy in Jupyter and run all cells: it carries the package and its
data, and asks the network for nothing.</p>
<p>{mnist}</p>
</html>
"""


def mnist_files(folders: list[Path]) -> dict[str, Path]:
    """MNIST's files by name, from the first folder that has all of them; or none."""
    names = [name for split in FILES.values() for name in split]
    for folder in [place for each in folders for place in (each, each / "mnist")]:
        there = [p for n in names for p in (folder / f"{n}.gz", folder / n) if p.is_file()]
        found = {path.name: path for path in there}
        if len({name.removesuffix(".gz") for name in found}) == len(names):
            return found
    return {}


def known_folders() -> list[Path]:
    """Where MNIST may lie; without a folder of the user's own, it is downloaded into the cache."""
    if "MIH_DATA_DIR" in os.environ:
        return [Path(os.environ["MIH_DATA_DIR"])]
    for split in FILES:
        try:
            mih.load_mnist(split=split)
        except DataError as error:
            print(f"Packed without MNIST: {error}", file=sys.stderr)
            break
    return [Path(pooch.os_cache("mode-interpolation"))]


def contents(site: Path, mnist: dict[str, Path]) -> dict[str, Path]:
    """Every file of the zip, by its path inside."""
    found = {f"site/{p.relative_to(site).as_posix()}": p for p in files_in(site)}
    for name in SOURCES:
        found |= {p.relative_to(ROOT).as_posix(): p for p in files_in(ROOT / name)}
    found |= {name: ROOT / name for name in SINGLE}
    return found | {f"mnist/{name}": path for name, path in mnist.items()}


def files_in(folder: Path) -> list[Path]:
    found = [p for p in folder.rglob("*") if p.is_file() and not LEFT_OUT & set(p.parts)]
    return sorted(found)


def start_page(names: list[str]) -> str:
    """The page at the top: what there is, as links, and what is missing, in words."""
    links = [("site/index.html", "The book")]
    endings = ((".pdf", "The book as a PDF"), (".epub", "The book as an EPUB"))
    for ending, words in endings:
        links += [(name, words) for name in names if name.endswith(ending)]
    copies = [n for n in names if n.startswith("site/_static/colab/")]
    links += [(n, f"Chapter to run: {Path(n).stem}") for n in copies]
    items = [f'<li><a href="{html.escape(n)}">{html.escape(w)}</a></li>' for n, w in links]
    if not any(name.endswith(".pdf") for name in names):
        items.append("<li>No PDF: <code>make paper</code> was not run before this was packed.</li>")
    known = any(name.startswith("mnist/") for name in names)
    mnist = (
        "MNIST is in the folder <code>mnist</code>: set <code>MIH_DATA_DIR</code> to its path."
        if known
        else "MNIST is not in here. Chapters use stored results and scikit-learn's digits instead."
    )
    return PAGE.format(items="\n".join(items), mnist=mnist)


def pack(target: Path = TARGET, site: Path = SITE, mnist: dict[str, Path] | None = None) -> int:
    """Write the zip; returns how many files are in it. The same files give the same bytes."""
    if not (site / "index.html").is_file():
        raise FileNotFoundError(f"{site} has no built book: make book")
    files = contents(site, mnist or {})
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        written = {"START.html": start_page(list(files)).encode()}
        written |= {name: path.read_bytes() for name, path in files.items()}
        for name, content in written.items():
            packed = name.endswith((".npz", ".pdf", ".epub", ".png", ".woff2", ".gz"))
            how = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(f"mode-interpolation/{name}"), content, how)
    partial.replace(target)
    return len(files) + 1


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", nargs="?", type=Path, help="the folder with MNIST's four files")
    options = parser.parse_args(arguments)
    mnist = mnist_files([options.mnist] if options.mnist else known_folders())
    if options.mnist and not mnist:
        parser.error(f"{options.mnist} does not have MNIST's four files")
    count = pack(mnist=mnist)
    words = "with MNIST" if mnist else "without MNIST"
    print(f"{TARGET}: {count} files, {TARGET.stat().st_size / 1e6:.0f} MB, {words}")


if __name__ == "__main__":
    sys.exit(main())
