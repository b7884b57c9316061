"""Reads what a student handed in, whatever it is, and decides which cells will run."""

import ast
import builtins
import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from .source import (
    MANUAL,
    SEED,
    TEST,
    Assignment,
    Cell,
    Question,
    bound_names,
    defined_names,
    header,
    used_names,
)

LARGEST = 20 * 2**20  # bytes of a notebook

# Where an answer must not call some function, it must not look up functions by their name, either.
LOOKUPS = {"getattr", "eval", "exec", "compile", "vars", "globals", "locals", "open", "breakpoint"}
LOOKUPS |= {"getmembers", "attrgetter", "methodcaller", "import_module", "modules"}
SAFE_MODULES = {"torch", "math", "numpy", "mih_utils", "itertools", "functools", "collections"}
SAFE_MODULES |= {"dataclasses", "typing", "statistics", "random", "matplotlib", "time", "warnings"}


@dataclass
class Submission:
    """The answers of one student: code by question, text by manual question, and remarks."""

    student: str
    answers: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)  # names defined outside answer cells


def find(paths: list[str]) -> list[Path]:
    """The notebooks among these files and directly inside these folders, by name."""
    found = []
    for path in map(Path, paths):
        inside = path.is_dir() and [p for p in path.iterdir() if p.suffix == ".ipynb"]
        found += sorted(inside) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def student_of(path: Path, assignment: Assignment) -> str:
    """The student's name from the file's: what stands before the first `.` or `-A1`."""
    name = path.stem.encode("utf8", "replace").decode("utf8")
    for ending in (assignment.name, assignment.name.split("_")[0]):
        name = re.sub(rf"[ _.-]+{re.escape(ending)}$", "", name)
    return name


def read(path: Path, assignment: Assignment) -> Submission:
    """The submission in a file. What cannot be read has no answers, and a remark that says why."""
    submission = Submission(student_of(path, assignment))
    try:
        cells = notebook_cells(path)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        submission.remarks.append(
            f"not a notebook that can be read: {type(error).__name__}: {error}"
        )
        return submission
    collect(submission, cells, assignment)
    return submission


def notebook_cells(path: Path) -> list[Cell]:
    """The cells of an untrusted notebook."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("not a plain file")
        if about.st_size > LARGEST:
            raise ValueError(f"{about.st_size / 2**20:.0f} MB; at most {LARGEST / 2**20:.0f}")
        notebook = json.loads(file.read(LARGEST + 1).decode("utf8"))
    if type(notebook) is not dict or notebook.get("nbformat") != 4:
        raise ValueError("not in notebook format 4")
    cells = []
    for cell in notebook["cells"]:
        source = cell["source"]
        text = source if type(source) is str else "".join(source)
        text.encode("utf8")  # ValueError: half a surrogate
        cells.append(Cell(str(cell["cell_type"]), text, *header(cell["cell_type"], text)))
    return cells


def collect(submission: Submission, cells: list[Cell], assignment: Assignment) -> None:
    """Take the answer cells, the last of each; remark on what is missing, doubled or changed."""
    questions = {q.id: q for q in assignment.questions}
    manual = {m.id for m in assignment.manual}
    public, seeds = [], set()
    for cell in cells:
        name = (cell.rest.split() or [""])[0]
        if cell.kind == "ANSWER" and cell.type == "code" and name in questions:
            if name in submission.answers:
                submission.remarks.append(f"{name}: more than one answer cell; the last one counts")
            submission.answers[name] = plain_python(cell.source)
        elif cell.kind == "ANSWER" and name in manual and MANUAL.match(cell.rest):
            submission.texts[name] = cell.source
        elif cell.kind == "TEST" and TEST.match(cell.rest):
            public.append(cell.source)
        elif cell.type == "code":
            seeds |= set(SEED.findall(cell.source)) if cell.kind == "SETUP" else set()
            note_helpers(submission, cell)
    missing = [name for name in (*questions, *sorted(manual))]
    missing = [m for m in missing if m not in submission.answers and m not in submission.texts]
    submission.remarks += [f"{name}: its answer cell is missing" for name in missing]
    given = set(SEED.findall(assignment.setup_for(submission.student)))
    if seeds and given and seeds != given:
        submission.remarks.append("the seed is not the one this student was given")
    texts = {squeeze(text) for text in public}
    for test in (t for q in assignment.questions for t in q.tests if t.public):
        asserts = squeeze(test.source.partition("\n")[2])
        if not any(asserts in text for text in texts):
            submission.remarks.append(
                f"{test.question}: public test changed or missing: {test.title}"
            )


def squeeze(text: str) -> str:
    """The text without white space, which editors change."""
    return re.sub(r"\s+", "", text)


def note_helpers(submission: Submission, cell: Cell) -> None:
    """Remember what other cells define: an answer that needs it will not find it."""
    try:
        if not cell.kind:
            submission.elsewhere |= dict.fromkeys(defined_names(plain_python(cell.source)), "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass


def plain_python(source: str) -> str:
    """The cell without IPython's own lines (%magic, !command), which the grader does not run."""
    lines = source.split("\n")
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)


def refusal(question: Question, answers: dict[str, str], setup: str) -> str | None:
    """Why the answer is refused, or one that it builds on; None if neither is."""
    given = bound_names(setup)
    reason = forbidden(question, answers[question.id], given)
    for other in needed(question.id, answers, setup) if question.without else ():
        found = forbidden(question, answers[other], given)
        reason = reason or (f"builds on {other}, which {found}" if found else None)
    return reason


def forbidden(question: Question, source: str, given: set[str] = frozenset()) -> str | None:
    """Why a cell is refused before it runs; None if it is not.

    given: the names that the set-up gives to every cell.
    """
    if not question.without:
        return None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # it will not run, and the worker says why
    asked, own = set(question.without), own_names(tree) - given - set(dir(builtins))
    for node in ast.walk(tree):
        for name in names_in(node):
            if name in asked and not (isinstance(node, ast.Name) and name in own):
                return f"uses {name}, which this question asks you to write"
            if name in LOOKUPS or (name.startswith("__") and name.endswith("__")):
                return f"uses {name}, which this question does not allow"
        for module in modules_in(node):
            if module.split(".")[0] not in SAFE_MODULES:
                return f"imports {module}, which this question does not allow"
        if is_star(node):
            return "imports *, which this question does not allow"
    return None


def own_names(tree: ast.AST) -> set[str]:
    """The names that a cell gives to values, functions and arguments of its own."""
    found = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and is_stored(n)}
    found |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    return found | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}


def is_stored(node: ast.Name) -> bool:
    """Whether this name is given a value here."""
    return isinstance(node.ctx, ast.Store)


def names_in(node: ast.AST) -> list[str]:
    """The names that one node of the syntax tree uses."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.alias):
        return node.name.split(".")
    return []


def modules_in(node: ast.AST) -> list[str]:
    """The modules that one node imports, or reaches for inside another module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["." if node.level else node.module]
    hidden = {"sys", "os", "inspect", "importlib", "builtins", "operator", "ctypes", "gc", "types"}
    return [node.attr] if isinstance(node, ast.Attribute) and node.attr in hidden else []


def is_star(node: ast.AST) -> bool:
    """Whether a node is `from … import *`."""
    return isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)


def needed(name: str, answers: dict[str, str], setup: str) -> list[str]:
    """The other answers whose names this one uses, directly or not, in the notebook's order.

    Names of the set-up are the set-up's: an answer that overwrites them harms no other.
    """
    given = bound_names(setup)
    uses, defines = {}, {}
    for other, source in answers.items():
        try:
            uses[other], defines[other] = used_names(source), defined_names(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            uses[other], defines[other] = set(), set()
    wanted, reached = [name], {name}
    while wanted:
        names = uses[wanted.pop()] - given
        for other in answers:
            if other not in reached and names & defines[other]:
                reached.add(other)
                wanted.append(other)
    return [other for other in answers if other in reached and other != name]
