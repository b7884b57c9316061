"""A chapter as one file: a copy of its notebook that carries the package and its data inside.

They are unpacked into a folder of their own, named after what is in it. A folder that is there is
left as it is: what a reader has edited in it stays, and another version has another folder.
"""

import base64
import hashlib
import json
import re
import textwrap
from pathlib import Path

import nbformat
from copied_data import Reading, pack

MINUTES = Path(__file__).with_name("minutes.json")  # written by tools/colab_test.py
LINE = 2000  # characters of packed data in a line: each line costs ten more in the notebook
UNPACK = '''\
#@title The book's package and the data of this chapter, packed into this notebook
import base64, importlib, io, lzma, os, pathlib, platform, sys, zipfile
import matplotlib, numpy, torch

packed = """
{packed}
"""
folder = pathlib.Path("mode-interpolation-{version}").resolve()
if not folder.exists():  # else it stays as it is, with what you have edited in it
    partial = folder.with_name(folder.name + ".partial")
    archive = lzma.decompress(base64.b85decode(packed.replace("\\n", "")))
    zipfile.ZipFile(io.BytesIO(archive)).extractall(partial)
    partial.rename(folder)
sys.path.insert(0, str(folder))
importlib.invalidate_caches()

gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
versions = ", ".join(f"{{m.__name__}} {{m.__version__}}" for m in (torch, numpy, matplotlib))
print(
    f"{{gpu or 'No GPU'}}; Python {{platform.python_version()}}, {{versions}};",
    f"profile {{os.environ.get('MIH_PROFILE', 'quick')}}, about {minutes} in the profile quick",
)
if gpu is None:
    print(
        "Without a GPU one thing is missing: the profile full, which trains the stored networks",
        "again at the paper's scale. All else runs, and shows the same.",
    )
'''


def self_contained(notebook: Path, root: Path, more_artifacts: list[str] = ()) -> str:
    """The text of the notebook with what it needs from `root` unpacked before its set-up cell.

    more_artifacts: names of those that its reader will want, beside those that its cells load.
    """
    nb = nbformat.read(notebook, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for cell in code:
        cell.outputs, cell.execution_count = [], None
        cell.metadata.pop("execution", None)
    setup = next((c for c in code if re.search(r"^import mih_utils", c.source, re.M)), None)
    if setup is None:
        raise ValueError(f"{notebook}: no code cell has the line import mih_utils as mih")
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source, notebook.name)
    data = pack(root, [cell.source for cell in code], more_artifacts)
    metadata = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    source = UNPACK.format(
        packed="\n".join(textwrap.wrap(base64.b85encode(data).decode(), LINE)),
        version=hashlib.sha256(data).hexdigest()[:8],
        minutes=expected_minutes(notebook.stem),
    )
    cell = nbformat.v4.new_code_cell(source, metadata=metadata, id="packed")
    nb.cells.insert(nb.cells.index(setup), cell)
    return nbformat.writes(nb) + "\n"


def artifact_names(code_cells: list) -> list[str]:
    """Names of the artifacts that the cells load; each must be written out as a string."""
    return Reading([cell.source for cell in code_cells]).artifacts()


def expected_minutes(chapter: str) -> str:
    """How long the copy ran when it was last tested, in words."""
    seconds = json.loads(MINUTES.read_text(encoding="utf8"))["seconds"]
    minutes = max(1, round(seconds.get(chapter, 120) / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"


def plain_markdown(text: str, where: str) -> str:
    """Markdown that reads well without Sphinx: of a role its words stay, a label goes.

    {term}`words <target>` becomes words. A directive has nothing that could stand for it, and
    raises a ValueError.
    """
    text = re.sub(r"\{[a-z:-]+\}`([^`<]*?)(?:\s*<[^`>]*>)?`", lambda m: words_of(m[1]), text)
    text = re.sub(r"^\([\w-]+\)=\n+", "", text, flags=re.M)
    directive = re.search(r"^(?:`{3,}|~{3,}|:{3,})\s*\{.*$", text, re.M)
    if directive:
        raise ValueError(f"{where}: a directive is raw text on Colab: {directive[0]}")
    return text


def words_of(target: str) -> str:
    """The words of a role without any of its own: `03_shapes` is a chapter."""
    chapter = re.fullmatch(r"(?:.*/)?0*(\d+)_\w+", target)
    return f"chapter {chapter[1]}" if chapter else target
