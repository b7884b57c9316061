"""What the copy of a chapter carries: the package, and of each artifact the arrays that it reads.

An array goes along if its name stands in the chapter's code, as a string or as an f-string that can
become it: f"{policy}/x" takes every array whose name ends in /x. Weights go along unless the
chapter asks the artifact for nothing but its data. All of that errs on the safe side, and what is
left out is written into the artifact's record, so that whoever asks for it is told where it went.
"""

import ast
import hashlib
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

WEIGHTS = "net."
DATA_ONLY = {"arrays", "record", "mixture", "schedule"}  # what needs no weights
# arrays are mostly numbers of four bytes, and which of the four a byte is tells much about it
COMPRESSION = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 2, "lp": 2}]


class Reading:
    """What the code of a chapter reads of its artifacts, as far as the code itself says."""

    def __init__(self, sources: list[str]):
        """sources: of the code cells; lines of IPython's own (%pip, !ls) are left out."""
        self.tree = ast.parse("\n".join(map(plain_python, sources)))
        self.parent = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }
        self.patterns = [p for node in ast.walk(self.tree) if (p := self.pattern(node))]
        # arrays gone through one by one are named nowhere
        self.everything = any(self.goes_through(node) for node in ast.walk(self.tree))

    def artifacts(self) -> list[str]:
        """Names of the artifacts that are loaded; each must be written out as a string."""
        return sorted({self.name_in(call) for call in self.calls()})

    def reads(self, artifact: str, array: str) -> bool:
        """Whether the code may read this array of an artifact."""
        if array.startswith(WEIGHTS):
            return any(
                self.may_build_the_net(call)
                for call in self.calls()
                if self.name_in(call) == artifact
            )
        return self.everything or any(re.fullmatch(p, array, re.S) for p in self.patterns)

    def calls(self) -> list[ast.Call]:
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        names = [getattr(c.func, "attr", getattr(c.func, "id", "")) for c in calls]
        return [call for call, name in zip(calls, names, strict=True) if name == "artifact"]

    def name_in(self, call: ast.Call) -> str:
        name = call.args[0] if len(call.args) == 1 else None
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            raise ValueError('write each artifact\'s name out, as in mih.artifact("NAME")')
        return name.value

    def may_build_the_net(self, call: ast.Call) -> bool:
        """Whether weights may be asked for: not where only DATA_ONLY of the artifact are used."""
        user = self.parent[call]
        if isinstance(user, ast.Assign) and [type(t) for t in user.targets] == [ast.Name]:
            name = user.targets[0].id
            uses = [n for n in ast.walk(self.tree) if isinstance(n, ast.Name) and n.id == name]
            users = [self.parent[use] for use in uses if isinstance(use.ctx, ast.Load)]
        else:
            users = [user]
        return not all(isinstance(u, ast.Attribute) and u.attr in DATA_ONLY for u in users)

    def goes_through(self, node: ast.AST) -> bool:
        user = self.parent.get(node)
        if not (isinstance(node, ast.Attribute) and node.attr == "arrays"):
            return False
        return isinstance(user, ast.Attribute | ast.For | ast.comprehension | ast.Starred)

    def pattern(self, node: ast.AST) -> str | None:
        """A pattern of what a string, an f-string or a sum of strings can be; None: of anything."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            inside = isinstance(self.parent.get(node), ast.JoinedStr | ast.BinOp)
            return None if inside or not node.value else re.escape(node.value)
        if isinstance(node, ast.JoinedStr | ast.BinOp):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node.left, node.right]
            texts = [getattr(part, "value", None) for part in parts]
            known = [re.escape(text) if isinstance(text, str) else ".*" for text in texts]
            nothing = {".*"} if isinstance(self.parent.get(node), ast.Subscript) else {".*", "/"}
            return "".join(known) if set(known) - nothing else None
        return None


def plain_python(source: str) -> str:
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.M)


def package_files(root: Path) -> list[Path]:
    """The files of the package, without what Python leaves there."""
    found = (root / "mih_utils").rglob("*")
    return sorted(p for p in found if p.is_file() and p.parent.name != "__pycache__")


def trimmed(root: Path, name: str, reading: Reading | None) -> dict[str, bytes]:
    """The two files of an artifact, with only the arrays that are read, and its record says so.

    Without a reading all of them are.
    """
    data, note = (root / "artifacts" / f"{name}.{ending}" for ending in ("npz", "json"))
    if not (data.is_file() and note.is_file()):
        raise FileNotFoundError(f"artifacts/{name}.*: a notebook loads it, but it is not there")
    with np.load(data, allow_pickle=False) as stored:
        read = [a for a in stored.files if reading is None or reading.reads(name, a)]
        kept = {array: stored[array] for array in read}
        left_out = [array for array in stored.files if array not in kept]
    content = npz(kept)
    record = json.loads(note.read_text(encoding="utf8"))
    record |= {"sha256": hashlib.sha256(content).hexdigest(), "left_out": left_out}
    return {f"{name}.npz": content, f"{name}.json": json.dumps(record, indent=1).encode()}


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """A file that np.load reads, the same every time.

    Only what shrinks a lot, such as images in a few shades, is compressed in it, which is fast; all
    else is better compressed later, with the rest of the copy.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, array, allow_pickle=False)
            content = file.getvalue()
            shrinks = len(zlib.compress(content, 1)) < len(content) / 4
            how = zipfile.ZIP_DEFLATED if shrinks else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content, how, 9)
    return buffer.getvalue()


def pack(root: Path, sources: list[str], more_artifacts: Sequence[str] = ()) -> bytes:
    """The package and the artifacts of a chapter as one compressed zip: the same every time.

    Of `more_artifacts`, which no code names yet, everything goes along.
    """
    reading = Reading(sources)
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in package_files(root)}
    for name in sorted({*reading.artifacts(), *more_artifacts}):
        wanted = None if name in more_artifacts else reading
        for file, content in trimmed(root, name, wanted).items():
            files[f"artifacts/{file}"] = content
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, content in files.items():
            # ZipInfo without a date is 1980-01-01: no clock and no file times go in
            archive.writestr(zipfile.ZipInfo(path), content)
    return lzma.compress(buffer.getvalue(), filters=COMPRESSION)
