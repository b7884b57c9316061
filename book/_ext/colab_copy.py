"""A chapter as one file: a copy of its notebook that carries the package and its data inside.

They are unpacked into a folder of their own, named after what is in it. A folder that is there is
left as it is: what a reader has edited in it stays, and another version has another folder.
"""

import base64
import hashlib
import io
import re
import zipfile
from pathlib import Path

import nbformat

UNPACK = '''\
#@title The book's package and the data of this chapter, packed into this notebook
import base64, importlib, io, pathlib, sys, zipfile

packed = """
{packed}
"""
folder = pathlib.Path("mode-interpolation-{version}").resolve()
if not folder.exists():  # else it stays as it is, with what you have edited in it
    partial = folder.with_name(folder.name + ".partial")
    zipfile.ZipFile(io.BytesIO(base64.b64decode(packed))).extractall(partial)
    partial.rename(folder)
sys.path.insert(0, str(folder))
importlib.invalidate_caches()
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
    packed = pack(root, sorted({*artifact_names(code), *more_artifacts}))
    metadata = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    version = hashlib.sha256(packed.encode()).hexdigest()[:8]
    source = UNPACK.format(packed=packed, version=version)
    cell = nbformat.v4.new_code_cell(source, metadata=metadata, id="packed")
    nb.cells.insert(nb.cells.index(setup), cell)
    return nbformat.writes(nb) + "\n"


def artifact_names(code_cells: list) -> list[str]:
    """Names of the artifacts that the cells load; each must be written out as a string."""
    source = "\n".join(cell.source for cell in code_cells)
    names = re.findall(r"""\bartifact\(\s*["']([\w.-]+)["']""", source)
    if len(names) != len(re.findall(r"\bartifact\(", source)):
        raise ValueError('write each artifact\'s name out, as in mih.artifact("NAME")')
    return sorted(set(names))


def package_files(root: Path) -> list[Path]:
    """The files of the package, without what Python leaves there."""
    found = (root / "mih_utils").rglob("*")
    return sorted(p for p in found if p.is_file() and p.parent.name != "__pycache__")


def pack(root: Path, artifacts: list[str]) -> str:
    """The package and the artifacts as a zip in base64: the same files give the same text."""
    files = package_files(root)
    for name in artifacts:
        found = sorted((root / "artifacts").glob(f"{name}.*"))
        if not found:
            raise FileNotFoundError(f"artifacts/{name}.*: a notebook loads it, but it is not there")
        files += found
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            # ZipInfo without a date is 1980-01-01: no clock and no file times go in
            member = zipfile.ZipInfo(path.relative_to(root).as_posix())
            archive.writestr(member, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return base64.encodebytes(buffer.getvalue()).decode().strip()
