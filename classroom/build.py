"""Makes the versions of an assignment from its source notebook.

student/A1.ipynb          no solutions, no hidden tests
instructor/A1.ipynb       everything
autograder/A1.json        the specification that `grade` reads
autograder/A1-gradescope.zip
nbgrader/A1.ipynb         nbgrader's source format
"""

import json
import re
import zipfile
from pathlib import Path

from .source import (
    MANUAL,
    Assignment,
    Cell,
    SourceError,
    defined_names,
    read_cells,
    read_source,
    solution_lines,
    used_names,
    with_seed,
    without_solution,
)

ROOT = Path(__file__).resolve().parents[1]
SHORTEST = 10  # characters of a line whose survival gives something away

SCORE = """\
# Your public score: run all cells above first
points = sum(SCORE.values())
print(f"Public tests: {points} of PUBLIC points.")
print("Hidden tests pending: HIDDEN points. Read by your teacher: MANUAL points.")"""


def build(
    source: Path, out: Path, seed: int | None = None, seeds: dict | None = None
) -> list[Path]:
    """Write all versions into the folder `out`; returns the files.

    seed: of the class, None for the source's own; seeds: of the students that get their own.
    """
    assignment, cells = read_source(source), read_cells(source)
    assignment.setup = with_seed(assignment.setup, seed)
    if (seed is not None or seeds) and "\nSEED = " not in "\n" + assignment.setup:
        raise SourceError("a seed was asked for, but no # SETUP cell has a line SEED = …")
    assignment.seeds = dict(seeds or {})
    name = source.stem
    files = {
        f"student/{name}.ipynb": student(cells, assignment, seed),
        f"instructor/{name}.ipynb": notebook([(c, with_seed(c.source, seed), []) for c in cells]),
        f"autograder/{name}.json": assignment.to_json(),
        f"nbgrader/{name}.ipynb": nbgrader(cells, assignment, seed),
    }
    for person, own in assignment.seeds.items():
        files[f"student/{name}/{person}-{name}.ipynb"] = student(cells, assignment, own)
    for path, text in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text, encoding="utf8")
    archive = out / f"autograder/{name}-gradescope.zip"
    gradescope(assignment, archive)
    return [*(out / path for path in files), archive]


def student_version(source: Path) -> str:
    """The student version of a source notebook, with the source's own seed."""
    return student(read_cells(source), read_source(source), None)


def student(cells: list[Cell], assignment: Assignment, seed: int | None) -> str:
    """The student version. SourceError if a line of a solution or of a hidden test survives."""
    manual = {m.id: m for m in assignment.manual}
    kept, unsolved = [], {name for q in assignment.questions for name in q.exports}
    for cell in cells:
        if cell.kind in ("SOLUTION", "INSTRUCTOR") or is_hidden(cell):
            continue
        text, tags = cell.source, []
        if cell.kind == "SETUP":
            text = with_seed(text, seed)
        if cell.kind == "ANSWER" and cell.type == "code":
            text, tags = without_solution(text), ["raises-exception"]
        if cell.kind == "TEST":
            text, tags = keeping_score(cell, assignment), ["raises-exception"]
        if cell.type == "code" and not cell.kind and used_names(text) & unsolved:
            tags = ["raises-exception"]  # it uses answers, which are not there yet
            unsolved |= defined_names(text)
        if cell.kind == "ANSWER" and cell.type == "markdown" and cell.rest.split()[0] in manual:
            text = without_solution(text).replace("# YOUR CODE HERE\nraise NotImplementedError", "")
        kept.append((cell, text, tags))
    kept = with_score(kept, assignment)
    text = "\n".join(text for _, text, _ in kept)
    survivors = sorted(secrets(cells) & {line.strip() for line in text.split("\n")})
    if survivors:
        raise SourceError(f"{assignment.name}: this would reach students: {survivors[0]!r}")
    return notebook(kept)


def is_hidden(cell: Cell) -> bool:
    """Whether a cell is a hidden test."""
    return cell.kind == "TEST" and " hidden " in f" {cell.rest} "


def secrets(cells: list[Cell]) -> set[str]:
    """The lines that no student may see: of solutions, rubrics, hidden tests."""
    found, public_tests = set(), set()
    for cell in cells:
        lines = {line.strip() for line in cell.source.split("\n")}
        found |= solution_lines(cell.source)
        if cell.kind in ("SOLUTION", "INSTRUCTOR"):
            found |= lines
        if cell.kind == "TEST" and not is_hidden(cell):
            public_tests |= lines
    for cell in filter(is_hidden, cells):  # hidden tests may begin as public ones do
        found |= {line.strip() for line in cell.source.split("\n")} - public_tests
    return {line for line in found if len(line) >= SHORTEST}


def keeping_score(cell: Cell, assignment: Assignment) -> str:
    """A public test that tells the student what passing it means, and what it does not."""
    question, _, points = cell.rest.rstrip(":").replace(":", " ").split()[:3]
    tests = next(q for q in assignment.questions if q.id == question).tests
    public = [t for t in tests if t.public]
    key = f"{question}.{[t.source for t in public].index(cell.source) + 1}"
    hidden = sum(t.points for t in tests if not t.public)
    pending = f"; hidden tests of {question} pending: {hidden}" if hidden else ""
    first, _, rest = cell.source.lstrip().partition("\n")
    return (
        f'{first}\nSCORE["{key}"] = 0\n{rest.rstrip()}\nSCORE["{key}"] = {points}\n'
        f'print("{key} passed: points {points}{pending}")'
    )


def with_score(kept: list, assignment: Assignment) -> list:
    """The cells with a count of the public points around them."""
    tests = [t for q in assignment.questions for t in q.tests]
    text = SCORE.replace("PUBLIC", str(sum(t.points for t in tests if t.public)))
    text = text.replace("HIDDEN", str(sum(t.points for t in tests if not t.public)))
    text = text.replace("MANUAL", str(sum(m.points for m in assignment.manual)))
    last = max(i for i, (cell, _, _) in enumerate(kept) if cell.kind == "SETUP")
    before, after = kept[: last + 1], kept[last + 1 :]
    start = (Cell("code", ""), "SCORE = {}  # the public tests fill this in", [])
    return [*before, start, *after, (Cell("code", ""), text, [])]


def notebook(cells: list[tuple[Cell, str, list[str]]], metadata: list | None = None) -> str:
    """A notebook with these texts, made from nothing: no outputs, no old metadata."""
    made = []
    for i, (cell, text, tags) in enumerate(cells):
        about = {"tags": tags} if tags else {}
        about |= metadata[i] if metadata else {}
        entry = {"cell_type": cell.type, "id": f"cell-{i}", "metadata": about}
        if cell.type == "code":
            entry |= {"execution_count": None, "outputs": []}
        made.append({**entry, "source": text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def nbgrader(cells: list[Cell], assignment: Assignment, seed: int | None) -> str:
    """nbgrader's source format, of which its `generate_assignment` makes a student version."""
    made, metadata, seen = [], [], {}
    for cell in cells:
        if cell.kind in ("SOLUTION", "INSTRUCTOR"):
            continue
        text, about = with_seed(cell.source, seed), None
        name = cell.rest.split()[0].rstrip(":") if cell.rest else ""
        seen[cell.kind, name] = seen.get((cell.kind, name), 0) + 1
        if cell.kind == "TEST":
            points = int(cell.rest.replace(":", " ").split()[2])
            name = f"{name}-test-{seen[cell.kind, name]}"
            about = {"grade": True, "solution": False, "locked": True, "points": points}
            if is_hidden(cell):
                text = f"### BEGIN HIDDEN TESTS\n{text.rstrip()}\n### END HIDDEN TESTS"
        elif cell.kind == "ANSWER":
            manual = MANUAL.match(cell.rest)
            about = {"grade": bool(manual), "solution": True, "locked": False}
            about |= {"points": int(manual[2])} if manual else {}
        if about is not None:
            about |= {"grade_id": name, "schema_version": 3, "task": False, "cell_type": cell.type}
        made.append((cell, text, []))
        metadata.append({"nbgrader": about} if about else {})
    return notebook(made, metadata)


SETUP_SH = """\
#!/usr/bin/env bash
# Gradescope runs this once, when the autograder's image is made.
set -euo pipefail
apt-get update && apt-get install -y python3 python3-venv
python3 -m venv /opt/grader
/opt/grader/bin/pip install /autograder/source/book
"""

RUN_SH = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission, as root, in a container that it then throws away. The
# student's code runs as another user, who cannot read the tests or write the results.
set -euo pipefail
chmod -R go-rwx /autograder/source /autograder/submission /autograder/results
cd /autograder/source
/opt/grader/bin/python -m classroom grade SPEC /autograder/submission \\
  --sandbox container --out /autograder/results --gradescope
"""


def gradescope(assignment: Assignment, archive: Path) -> None:
    """The zip that Gradescope's "Configure Autograder" takes."""
    files = {
        "setup.sh": SETUP_SH,
        "run_autograder": RUN_SH.replace("SPEC", f"{assignment.name}.json"),
        f"{assignment.name}.json": assignment.to_json(),
    }
    here = Path(__file__).parent
    files |= {f"classroom/{p.name}": p.read_text(encoding="utf8") for p in here.glob("*.py")}
    parts = ["pyproject.toml", "README.md", "LICENSE", "LICENSE-text"]
    package = (p for p in (ROOT / "mih_utils").rglob("*") if p.is_file())
    parts += [p.relative_to(ROOT) for p in package if "__pycache__" not in p.parts]
    parts += [p.relative_to(ROOT) for p in used_artifacts(assignment)]
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in files.items():
            member = zipfile.ZipInfo(name)  # dated 1980: the same files give the same zip
            member.external_attr = (
                0o755 if "." not in name or name.endswith(".sh") else 0o644
            ) << 16
            zipped.writestr(member, text, zipfile.ZIP_DEFLATED)
        for part in sorted(map(str, parts)):
            member = zipfile.ZipInfo(f"book/{part}")
            zipped.writestr(member, (ROOT / part).read_bytes(), zipfile.ZIP_DEFLATED)


def used_artifacts(assignment: Assignment) -> list[Path]:
    """The artifacts that the assignment loads by name."""
    text = assignment.to_json().replace("\\", "")
    names = sorted(set(re.findall(r"""artifact\(["']([\w.-]+)["']""", text)))
    return [path for name in names for path in sorted(ROOT.glob(f"artifacts/{name}.*"))]


def variant_seeds(roster: Path, seed: int) -> dict[str, int]:
    """A seed for each student in a text file with one name a line, from the class's seed."""
    import hashlib

    names = [line.strip() for line in roster.read_text(encoding="utf8").splitlines()]
    names = [name for name in names if name]
    wrong = [name for name in names if not re.fullmatch(r"[\w .@+-]*\w[\w .@+-]*", name)]
    if wrong:
        raise SourceError(f"{roster}: {wrong[0]!r} cannot be the name of a file")
    digests = {name: hashlib.sha256(f"{seed} {name}".encode()).digest() for name in names}
    return {name: int.from_bytes(digest[:3], "big") for name, digest in digests.items()}
