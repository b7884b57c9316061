"""What a source notebook says: the first line of a cell says what the cell is.

    # SETUP                                 given to all, run before anything else
    # ANSWER q1 without log_prob score      the student edits it; these names may not be used in it
    # TEST q1 public 1: what it checks      plain asserts, one point; students keep it
    # TEST q1 hidden 2: what it checks      two points; never leaves the teacher's side
    # INSTRUCTOR                            left out for students
    # ANSWER q5 manual 3: its title         code that the teacher reads; <!-- … --> in Markdown
    <!-- SOLUTION -->                       Markdown left out for students: answers, rubrics

Between `### BEGIN SOLUTION` and `### END SOLUTION` stands what students do not get.
"""

import ast
import builtins
import json
import re
import symtable
from dataclasses import asdict, dataclass, field
from pathlib import Path

HEADER = re.compile(
    r"(?:#|<!--)\s*(?P<kind>SETUP|ANSWER|TEST|INSTRUCTOR|SOLUTION)\b(?P<rest>[^\n]*?)(?:-->)?\s*$"
)
ANSWER = re.compile(r"(\w+)(?:\s+without((?:\s+\w+)+))?$")
MANUAL = re.compile(r"(\w+)\s+manual\s+(\d+)(?:\s*:\s*(.*))?$")
TEST = re.compile(r"(\w+)\s+(public|hidden)\s+(\d+)(?:\s*:\s*(.*))?$")
SEED = re.compile(r"^SEED = \d+", re.M)


class SourceError(ValueError):
    """A source notebook that cannot be turned into an assignment, and why."""


@dataclass
class Cell:
    """One cell: "code" or "markdown", its text, and what its first line says it is."""

    type: str
    source: str
    kind: str = ""
    rest: str = ""


@dataclass
class Test:
    """Asserts about one question, for so many points."""

    question: str
    public: bool
    points: int
    title: str
    source: str


@dataclass
class Question:
    """A question that tests grade: its solution, the names it defines, those it must not use."""

    id: str
    solution: str
    exports: list[str]
    without: list[str]
    tests: list[Test] = field(default_factory=list)

    @property
    def points(self) -> int:
        """The points of all its tests."""
        return sum(test.points for test in self.tests)


@dataclass
class Manual:
    """A question that the teacher reads: its points, what a good answer has, what students get."""

    id: str
    points: int
    title: str
    rubric: str
    given: str = ""


@dataclass
class Assignment:
    """All that grading needs: the specification."""

    name: str
    title: str
    setup: str
    questions: list[Question]
    manual: list[Manual]
    seeds: dict[str, int] = field(default_factory=dict)  # of students with a variant of their own

    @property
    def points(self) -> int:
        """The points of the whole assignment."""
        return sum(part.points for part in (*self.questions, *self.manual))

    def setup_for(self, student: str) -> str:
        """The set-up with the seed that this student's notebook was built with."""
        return with_seed(self.setup, self.seeds.get(student))

    def to_json(self) -> str:
        """The specification as text."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Assignment":
        """The assignment that a specification describes."""
        data = json.loads(text)
        questions = [
            Question(**{**q, "tests": [Test(**t) for t in q["tests"]]})
            for q in data.pop("questions")
        ]
        manual = [Manual(**m) for m in data.pop("manual")]
        return cls(questions=questions, manual=manual, **data)


def with_seed(setup: str, seed: int | None) -> str:
    """The set-up with another seed in its line `SEED = …`; None leaves it as it is."""
    return setup if seed is None else SEED.sub(f"SEED = {int(seed)}", setup)


def header(type_: str, source: str) -> tuple[str, str]:
    """What the first line of a cell says it is, and the rest of that line."""
    first = source.lstrip().split("\n", 1)[0].strip()
    found = HEADER.match(first)
    if found is None or first.startswith("#") != (type_ == "code"):
        return "", ""
    return found["kind"], found["rest"].strip()


def read_cells(path: Path) -> list[Cell]:
    """The cells of a source notebook."""
    cells = []
    for cell in json.loads(path.read_text(encoding="utf8"))["cells"]:
        text = "".join(cell["source"])
        cells.append(Cell(cell["cell_type"], text, *header(cell["cell_type"], text)))
    return cells


def read_source(path: Path) -> Assignment:
    """The assignment in a source notebook. SourceError says which cell is wrong, and how."""
    cells = read_cells(path)
    questions, manual, setup = {}, {}, []
    for i, cell in enumerate(cells):
        if cell.kind == "SETUP":
            setup.append(cell.source)
        elif cell.kind == "ANSWER" and MANUAL.match(cell.rest):
            add(manual, read_manual(cell, cells[i + 1 :]))
        elif cell.kind == "ANSWER":
            add(questions, read_question(cell))
        elif cell.kind == "TEST":
            test = read_test(cell)
            if test.question not in questions:
                raise SourceError(f"{cell.rest!r}: no # ANSWER {test.question} above this test")
            questions[test.question].tests.append(test)
    for question in questions.values():
        if not question.tests:
            raise SourceError(f"{question.id} has no # TEST")
    headings = re.findall(r"^# (.+)$", "\n".join(c.source for c in cells if c.type != "code"), re.M)
    title = headings[0] if headings else path.stem
    both = list(questions.values()), list(manual.values())
    return Assignment(path.stem, title, "\n\n".join(setup), *both)


def add(parts: dict, part) -> None:
    """Add a question under its name, once."""
    if part.id in parts:
        raise SourceError(f"{part.id} has two # ANSWER cells")
    parts[part.id] = part


def read_question(cell: Cell) -> Question:
    """The question of an answer cell, from its solution."""
    found = ANSWER.match(cell.rest)
    if found is None:
        raise SourceError(f"# ANSWER {cell.rest}: say # ANSWER NAME or # ANSWER NAME without …")
    without_solution(cell.source)
    if "### BEGIN SOLUTION" not in cell.source:
        raise SourceError(f"{found[1]}: ### BEGIN SOLUTION is missing")
    names = defined_names(cell.source)
    return Question(found[1], cell.source, sorted(names), (found[2] or "").split())


def read_manual(cell: Cell, following: list[Cell]) -> Manual:
    """A question that the teacher reads; the next solution below has its rubric."""
    name, points, title = MANUAL.match(cell.rest).groups()
    rubric = next((c.source for c in following if c.kind == "SOLUTION"), None)
    if rubric is None:
        raise SourceError(f"{name}: a <!-- SOLUTION --> cell with its rubric must follow")
    given = without_solution(cell.source).partition("\n")[2].strip()
    return Manual(name, int(points), title or name, rubric.split("\n", 1)[-1].strip(), given)


def read_test(cell: Cell) -> Test:
    """The test of a test cell."""
    found = TEST.match(cell.rest)
    if found is None:
        raise SourceError(f"# TEST {cell.rest}: say # TEST NAME public|hidden POINTS: title")
    has_assert = any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Attribute) and node.attr.startswith("assert_"))
        for node in ast.walk(ast.parse(cell.source))
    )
    if not has_assert:
        raise SourceError(f"# TEST {cell.rest}: nothing is asserted")
    question, who, points, title = found.groups()
    return Test(question, who == "public", int(points), title or who, cell.source)


def without_solution(source: str) -> str:
    """The answer cell as students get it: a reminder in the place of each solution."""
    kept, inside = [], False
    for line in source.split("\n"):
        mark = line.strip()
        if mark == "### BEGIN SOLUTION":
            if inside:
                raise SourceError("### BEGIN SOLUTION twice without ### END SOLUTION")
            inside, indent = True, line[: len(line) - len(line.lstrip())]
            kept += [f"{indent}# YOUR CODE HERE", f"{indent}raise NotImplementedError"]
        elif mark == "### END SOLUTION":
            if not inside:
                raise SourceError("### END SOLUTION without ### BEGIN SOLUTION")
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise SourceError("### END SOLUTION is missing")
    return "\n".join(kept)


def solution_lines(source: str) -> set[str]:
    """The lines between the marks, without indentation."""
    parts = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", source, re.S)
    return {line.strip() for part in parts for line in part.split("\n")}


def defined_names(source: str) -> set[str]:
    """The names that a cell defines at its top level: functions, classes, variables."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = (n for target in targets for n in ast.walk(target))
            names |= {n.id for n in found if is_name(n, ast.Store)}
    return {name for name in names if not name.startswith("_")}


def used_names(source: str) -> set[str]:
    """The names that a cell reads and does not define itself, Python's own left out."""
    found, scopes = set(), [symtable.symtable(source, "cell", "exec")]
    own = bound_names(source)
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        top = scope.get_type() == "module"
        found |= {s.get_name() for s in scope.get_symbols() if top or s.is_global()}
    return found - own - set(dir(builtins))


def bound_names(source: str) -> set[str]:
    """The names that a cell gives a value at its top level, imports included."""
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}


def is_name(node: ast.AST, context: type) -> bool:
    """Whether a node is a plain name that is read (ast.Load) or written (ast.Store)."""
    return isinstance(node, ast.Name) and isinstance(node.ctx, context)
