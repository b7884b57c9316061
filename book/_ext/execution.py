"""What the outputs of a chapter depend on, and a cache of outputs that is keyed on just that.

jupyter-cache looks at the cells only. Here each chapter has a cache of its own, named after the
code it can reach: the modules of the package behind the names it uses, and what those import, read
without comments, docstrings and layout; and the artifacts it loads. So an edit of a docstring, of
JavaScript or of a style sheet runs nothing, and an edit of a module runs who can reach it.
"""

import ast
import hashlib
import importlib
import os
import shutil
import sys
import types
from functools import cache
from pathlib import Path

import nbformat
from colab_copy import artifact_names

PACKAGE = "mih_utils"


@cache
def code_of(path: Path) -> ast.Module:
    """The code of a file without its docstrings (comments and layout are no part of a tree)."""
    tree = ast.parse(path.read_text(encoding="utf8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not is_text(line)]
    return tree


def is_text(line: ast.stmt) -> bool:
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )


class Package:
    """The modules of a package as files, and which of them a dotted name or a file leads to."""

    def __init__(self, root: Path, name: str = PACKAGE):
        self.name, self.parent = name, root
        found = sorted((root / name).rglob("*.py"))
        self.files = [path for path in found if "__pycache__" not in path.parts]

    def file(self, dotted: str) -> Path | None:
        """The file of a module or package, if this is the name of one."""
        path = self.parent.joinpath(*dotted.split("."))
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
        return None

    def dotted(self, path: Path) -> str:
        parts = path.relative_to(self.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def imports(self, path: Path) -> list[tuple[str, str | None, str]]:
        """What a file imports from the package, anywhere: (module, name or None, alias)."""
        here = self.dotted(path)
        package = here if path.name == "__init__.py" else here.rpartition(".")[0]
        found = []
        for node in ast.walk(code_of(path)):
            if isinstance(node, ast.Import):
                found += [(a.name, None, a.asname or a.name) for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                if node.level:
                    base = package.split(".")[: len(package.split(".")) - node.level + 1]
                    module = ".".join([*base, *filter(None, [module])])
                found += [(module, a.name, a.asname or a.name) for a in node.names]
        return [entry for entry in found if entry[0].split(".")[0] == self.name]

    def homes(self, dotted: str) -> set[Path]:
        """The files that hold what a dotted name means: `pkg.sub.name` and so on from the left."""
        module, *rest = dotted.split(".")
        while rest and self.file(f"{module}.{rest[0]}"):
            module, rest = f"{module}.{rest[0]}", rest[1:]
        path = self.file(module)
        if not rest:
            return {path} if path else set(self.files)
        for source, name, alias in self.imports(path):
            if alias == rest[0] and path.name == "__init__.py":
                return self.homes(f"{source}.{name}" if name else source)
        if path.name != "__init__.py" or defines(path, rest[0]):
            return {path}
        # offered by some other means, a lazy import perhaps: whoever defines it, or else everybody
        return {p for p in self.files if defines(p, rest[0])} or set(self.files)

    def closure(self, names: set[str]) -> set[Path]:
        """All files that these dotted names lead to, directly or through imports."""
        reached, passed = set(), set()
        todo = {path for name in names for path in self.homes(name)}
        while todo:
            path = todo.pop()
            if path.name == "__init__.py" and not has_code(path):
                passed.add(path)  # it only hands names on, and those are followed to their homes
                continue
            reached.add(path)
            for module, name, _ in self.imports(path):
                todo |= self.homes(f"{module}.{name}" if name else module) - reached - passed
        return reached


def defines(path: Path, name: str) -> bool:
    """Whether a file defines a name at its top level."""
    for node in code_of(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [getattr(node, "name", None), *(getattr(t, "id", None) for t in targets)]
        if name in names:
            return True
    return False


def has_code(path: Path) -> bool:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return any(isinstance(n, kinds) and not n.name.startswith("__") for n in code_of(path).body)


def names_used(sources: list[str], package: str = PACKAGE) -> set[str]:
    """Dotted names of the package that cells use: "mih_utils.recursion.run", as far as written."""
    text = "\n".join(sources)
    lines = [line for line in text.split("\n") if not line.lstrip().startswith(("%", "!"))]
    tree = ast.parse("\n".join(lines))
    aliases, used = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                if a.name.split(".")[0] == package:
                    aliases[a.asname or package] = a.name if a.asname else package
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            used |= {f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            parts = []
            while isinstance(node, ast.Attribute):
                parts, node = [node.attr, *parts], node.value
            if isinstance(node, ast.Name) and node.id in aliases:
                used.add(".".join([aliases[node.id], *parts]))
    return used


def reached_files(notebook: Path, root: Path) -> list[Path]:
    """The files of the package and the records of the artifacts that a chapter depends on.

    A module reads the YAML of its own name, if there is one.
    """
    cells = [c for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"]
    code = Package(root).closure(names_used([cell.source for cell in cells]))
    code |= {path.with_suffix(".yml") for path in code if path.with_suffix(".yml").is_file()}
    records = [root / "artifacts" / f"{name}.json" for name in artifact_names(cells)]
    return [*sorted(code), *(path for path in records if path.is_file())]


def fingerprint(notebook: Path, root: Path, profile: str = "quick") -> str:
    """A short digest of all that the outputs of a chapter depend on, apart from its own cells."""
    digest = hashlib.sha256(profile.encode())
    for path in reached_files(notebook, root):
        code = ast.dump(code_of(path)).encode() if path.suffix == ".py" else path.read_bytes()
        digest.update(path.relative_to(root).as_posix().encode() + code)
    return digest.hexdigest()[:16]


# In Sphinx: myst-nb asks its configuration where the cache is when it reads a document.


def project_root(app) -> Path:
    """The folder of the package: the book is built there, or in a staged copy further down."""
    src = Path(app.srcdir)
    return next(p for p in (src, *src.parents) if (p / PACKAGE).is_dir())


def viz_module(root: Path, name: str) -> types.ModuleType | None:
    """A module of mih_utils.viz, read without importing the package (and torch), if it is there."""
    folder = root / PACKAGE / "viz"
    if not (folder / f"{name}.py").is_file():
        return None
    package = types.ModuleType("mih_viz_files")
    package.__path__ = [str(folder)]
    sys.modules["mih_viz_files"] = package
    return importlib.import_module(f"mih_viz_files.{name}")


def chapter_file(app, docname: str) -> Path | None:
    path = Path(app.srcdir, f"{docname}.ipynb")
    return path if path.is_file() else None


def executed_already(app, config):
    if os.environ.get("MIH_EXECUTED"):
        config.nb_execution_mode = "off"


def changed_chapters(app, env, added, changed, removed):
    """The chapters whose code has changed although their notebook has not."""
    if os.environ.get("MIH_EXECUTED"):
        return []
    code_of.cache_clear()
    root, profile = project_root(app), os.environ.get("MIH_PROFILE", "quick")
    chapters = {doc: chapter_file(app, doc) for doc in env.found_docs}
    now = {doc: fingerprint(path, root, profile) for doc, path in chapters.items() if path}
    before = getattr(env, "mih_fingerprints", {})
    env.mih_fingerprints = now
    return [doc for doc in now if before.get(doc) != now[doc]]


def point_to_its_cache(app, docname, source):
    print_of = getattr(app.env, "mih_fingerprints", {}).get(docname)
    if print_of is None:
        return
    folder = Path(app.outdir).parent / ".jupyter_cache"
    name = Path(docname).name
    for old in folder.glob(f"{name}-*"):
        if old.name != f"{name}-{print_of}":
            shutil.rmtree(old, ignore_errors=True)
    cache_path = str(folder / f"{name}-{print_of}")
    app.env.mystnb_config = app.env.mystnb_config.copy(execution_cache_path=cache_path)


def setup(app):
    app.connect("config-inited", executed_already)
    app.connect("env-get-outdated", changed_chapters)
    app.connect("source-read", point_to_its_cache)
