"""Reference entries from the docstrings of the package, each with an example that is tested.

```{api} sample
>>> mih.sample(net, chain, n=3, shape=(1,)).x.shape
torch.Size([3, 1])
```

The package is read, not imported. Docstrings are Markdown; `book/reference.md` is run as a doctest.
"""

import ast
import inspect
import re

from docutils import nodes
from docutils.statemachine import StringList
from execution import Package, code_of, project_root
from sphinx.util.docutils import SphinxDirective


def definition(package: Package, name: str) -> tuple[ast.AST, str]:
    """The class or function that `mih.NAME` means, with its docstring, and its module."""
    for path in sorted(package.homes(f"{package.name}.{name}")):
        tree = ast.parse(path.read_text(encoding="utf8"))
        for node in tree.body:
            if getattr(node, "name", None) == name.rpartition(".")[2]:
                return node, package.dotted(path)
    raise ValueError(f"{package.name} has no class or function {name}")


def signature(node, name: str) -> str:
    """How it is called."""
    if isinstance(node, ast.ClassDef):
        init = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
        arguments = ast.unparse(init.args) if init else fields(node)
        arguments = re.sub(r"^self(?:, )?", "", arguments)
        returns = ""
    else:
        arguments = re.sub(r"^(?:self|cls)(?:, )?", "", ast.unparse(node.args))
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{name}({arguments}){returns}"


def fields(node: ast.ClassDef) -> str:
    """The arguments of a dataclass: its annotated fields."""
    decorated = any("dataclass" in ast.unparse(d) for d in node.decorator_list)
    lines = [n for n in node.body if isinstance(n, ast.AnnAssign)] if decorated else []
    return ", ".join(ast.unparse(line) for line in lines)


def methods(node: ast.AST) -> list[tuple[str, str]]:
    """Public methods and properties of a class, (how it is called, docstring)."""
    found = []
    for child in getattr(node, "body", []):
        if isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            text = ast.get_docstring(child)
            marks = [ast.unparse(d) for d in child.decorator_list]
            is_property = any("property" in m for m in marks)
            if text and not any(".setter" in m for m in marks):
                found.append((child.name if is_property else signature(child, child.name), text))
    return found


def markdown(docstring: str) -> str:
    """A docstring as Markdown: a star is a star, outside of code."""
    parts = re.split(r"(`+[^`]*`+)", inspect.cleandoc(docstring))
    return "".join(p if p.startswith("`") else re.sub(r"([*_<])", r"\\\1", p) for p in parts)


class Api(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self):
        name, package = self.arguments[0], Package(project_root(self.env.app))
        code_of.cache_clear()
        node, module = definition(package, name)
        self.env.note_dependency(str(package.file(module)))
        anchor = f"mih-{name.replace('.', '-')}".lower()
        known = self.env.mih_api = getattr(self.env, "mih_api", {})
        known[name] = (self.env.docname, anchor)
        entry = nodes.container("", ids=[anchor], classes=["mih-api"])
        head = nodes.paragraph("", "", classes=["mih-signature"])
        call = signature(node, f"mih.{name}")
        head += nodes.literal("", call)
        entry += head
        entry += self.parsed(markdown(ast.get_docstring(node) or ""))
        if listed := methods(node):
            entry += nodes.definition_list("", *(self.item(*line) for line in listed))
        example = nodes.literal_block("\n".join(self.content), "\n".join(self.content))
        example["language"] = "pycon"
        entry += example
        return [entry]

    def item(self, call: str, text: str) -> nodes.definition_list_item:
        body = nodes.definition("", *self.parsed(markdown(text)))
        return nodes.definition_list_item("", nodes.term("", "", nodes.literal("", call)), body)

    def parsed(self, text: str) -> list[nodes.Node]:
        holder = nodes.Element()
        lines = StringList(text.split("\n"), self.get_source_info()[0])
        self.state.nested_parse(lines, 0, holder)
        return list(holder.children)


def setup(app):
    app.add_directive("api", Api)
