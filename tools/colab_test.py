"""Run every chapter's Colab copy to its last cell, where there is neither package nor project.

    python tools/colab_test.py [CHAPTER …]          in an environment of Colab's versions
    python tools/colab_test.py --here [CHAPTER …]   with this Python: in Colab's own container

CHAPTER is the beginning of a notebook's name, such as 01; all of them without one. The environment
is made once, in _build/colab, from tools/colab/versions.txt; pip's and uv's own settings say where
packages come from. --keep writes the seconds into the copies, which tell a reader what to expect.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "tools" / "colab"
VERSIONS = PARTS / "versions.txt"
ENVIRONMENT = ROOT / "_build" / "colab"
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from colab_copy import MINUTES, self_contained  # noqa: E402


def environment(folder: Path = ENVIRONMENT) -> Path:
    """Make the environment, unless it is there for these versions; returns its Python."""
    python, made_of = folder / "bin" / "python", folder / "versions.txt"
    if made_of.is_file() and made_of.read_bytes() == VERSIONS.read_bytes():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    run = [uv, "venv", "--quiet"] if uv else [sys.executable, "-m", "venv"]
    subprocess.run([*run, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python"] if uv else None
    install = [*install, str(python)] if uv else [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, "-r", str(VERSIONS)], check=True)
    shutil.copy(VERSIONS, made_of)
    return python


def run_copy(chapter: Path, python: Path) -> dict:
    """Run a chapter's copy in an empty folder, from which the project cannot be seen."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MIH_", "JUPYTER"))}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, chapter.name)
        copy.write_text(self_contained(chapter, ROOT), encoding="utf8")
        done = subprocess.run(
            [str(python), str(PARTS / "run_copy.py"), str(copy)],
            cwd=folder,
            env=clean | {"OMP_NUM_THREADS": "1", "IPYTHONDIR": f"{folder}/.ipython"},
            stdout=subprocess.PIPE,
            text=True,
        )
    if done.returncode:
        return {"error": f"the run itself failed (exit status {done.returncode})"}
    return json.loads(done.stdout.splitlines()[-1])


def report(name: str, found: dict) -> bool:
    """Print what happened to a copy; returns whether all went well."""
    if "cells" in found:
        print(
            f"{name}: {found['run']} of {found['cells']} cells, {found['seconds']} s "
            f"({found['cpu_seconds']} s of one processor), {found['memory_mb']} MB",
            *found["first_words"],
            *(f"WARNING {line}" for line in found["warnings"]),
            sep="\n    ",
            flush=True,
        )
    if found["error"]:
        print(f"{name}: {found['error']}", file=sys.stderr, flush=True)
    return not found["error"] and not found["warnings"]


def keep(seconds: dict[str, int]) -> None:
    """Write how long the copies take to where the copies find it."""
    stored = json.loads(MINUTES.read_text(encoding="utf8"))
    stored["seconds"] = dict(sorted((stored["seconds"] | seconds).items()))
    MINUTES.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER")
    parser.add_argument("--here", action="store_true", help="with the Python that runs this")
    parser.add_argument("--keep", action="store_true", help="write the seconds into the copies")
    options = parser.parse_args(arguments)
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    chosen = [n for n in notebooks if n.name.startswith(tuple(options.chapters or [""]))]
    if not chosen:
        parser.error(f"no chapter begins with {' or '.join(options.chapters)}")
    python = Path(sys.executable) if options.here else environment()
    seconds, well = {}, True
    for notebook in chosen:
        found = run_copy(notebook, python)
        well = report(notebook.stem, found) and well
        seconds[notebook.stem] = found.get("cpu_seconds")
    if options.keep and well:
        keep(seconds)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
