"""The book's own assignments: solved they run and have full marks, unsolved they run and have none,
and an answer that is wrong in a plausible way loses the points that it should."""

import json
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from classroom import submission
from classroom.build import build
from classroom.grading import Limits, grade
from classroom.run import check_solution
from classroom.sandbox import Sandbox
from classroom.source import Assignment, read_source, with_seed, without_solution

FOLDER = Path(__file__).resolve().parents[2] / "classroom/assignments"
SOURCES = sorted(FOLDER.glob("*.ipynb"))
by_name = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def run(text: str) -> list:
    """Run a notebook in a kernel of its own; its cells. CellExecutionError where one fails."""
    notebook = nbformat.reads(text, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return notebook.cells


def printed(cells: list) -> str:
    """What the cells have printed."""
    return "".join(output.get("text", "") for c in cells for output in c.get("outputs", []))


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """All versions of all assignments."""
    folder = tmp_path_factory.mktemp("assignments")
    for source in SOURCES:
        build(source, folder)
    return folder


@pytest.fixture(scope="module")
def warm(bubblewrap):
    """A sandbox that has the book's package loaded."""
    with Sandbox(["mih_utils"]) as sandbox:
        yield sandbox


def points(assignment: Assignment, sandbox: Sandbox, **answers: str) -> dict[str, int]:
    """The points of each question, with the solution except where another answer is given."""
    solution = {question.id: question.solution for question in assignment.questions}
    one = submission.Submission("anna", {**solution, **answers})
    found = grade(assignment, one, sandbox, Limits())
    return {question.id: found.points_of(question.id) for question in assignment.questions}


# As notebooks


@pytest.mark.slow
@by_name
def test_the_solved_source_runs(source):
    run(source.read_text(encoding="utf8"))


def test_a_source_with_a_broken_solution_does_not_run():
    text = (FOLDER / "A1_posterior_mean.ipynb").read_text(encoding="utf8")
    broken = text.replace("alpha_bar.sqrt() * x0", "alpha_bar * x0")
    assert broken != text
    with pytest.raises(CellExecutionError, match="TEST q1"):
        run(broken)


@pytest.mark.slow
@by_name
def test_the_unsolved_student_version_runs(source, versions):
    cells = run((versions / f"student/{source.name}").read_text(encoding="utf8"))
    assert "Public tests: 0 of 3 points." in printed(cells)
    assert "Hidden tests pending: 4 points. Read by your teacher: 3 points." in printed(cells)


@pytest.mark.slow
def test_a_student_who_answers_sees_the_public_points_and_what_is_pending(versions):
    """The student version with the solutions put in, as a student would."""
    text = (versions / "student/A1_posterior_mean.ipynb").read_text(encoding="utf8")
    notebook, answers = json.loads(text), read_source(SOURCES[0])
    for cell in notebook["cells"]:
        for question in answers.questions:
            if "".join(cell["source"]).startswith(f"# ANSWER {question.id} "):
                cell["source"] = question.solution
    said = printed(run(json.dumps(notebook)))
    assert "q2.1 passed: points 1; hidden tests of q2 pending: 2" in said
    assert "Public tests: 3 of 3 points." in said


# As the grader sees them


@by_name
def test_it_has_ten_points_of_the_kinds_that_the_guide_promises(source):
    assignment = read_source(source)
    assert assignment.points == 10
    assert len(assignment.manual) == 2
    assert all(manual.rubric for manual in assignment.manual)
    for question in assignment.questions:
        assert {test.public for test in question.tests} == {True, False}


@by_name
def test_the_solution_has_full_marks_with_any_seed(source, bubblewrap):
    assert check_solution(read_source(source), {None, 7, 10_000_003}, "bwrap", Limits()) == ""


@by_name
def test_seeds_make_variants(source):
    setup = read_source(source).setup
    values = []
    for seed in range(4):
        names = {}
        exec(with_seed(setup, seed), names)
        kinds = (int, float)
        values.append({k: v for k, v in names.items() if isinstance(v, kinds) and k != "SEED"})
    assert any(value != values[0] for value in values)


@by_name
def test_the_unsolved_version_earns_nothing(source, warm, versions):
    path = versions / f"student/{source.name}"
    assignment = Assignment.from_json(
        (versions / f"autograder/{source.stem}.json").read_text(encoding="utf8")
    )
    one = submission.read(path, assignment)
    assert one.remarks == []
    assert grade(assignment, one, warm, Limits()).points == 0


@by_name
def test_calling_the_function_asked_for_earns_nothing(source, warm):
    assignment = read_source(source)
    for question in assignment.questions:
        for name in question.without:
            cheat = f"{without_solution(question.solution)}\nmih.{name}"
            assert f"uses {name}" in submission.forbidden(question, cheat)


# Wrong in a way that students are: what is replaced in the solution, and the points that are left.
WRONG = {
    "A1 q1: no square root": ("q1", "alpha_bar.sqrt() * x0", "alpha_bar * x0", 0),
    "A1 q1: one level for all": ("q1", "alpha_bar.sqrt() * x0", "alpha_bar[0].sqrt() * x0", 0),
    "A1 q2: weights forgotten": ("q2", "weights.log() - ", "-", 2),
    "A1 q2: no logarithms": (
        "q2",
        "return torch.softmax(weights.log() - offset**2 / (2 * variance), dim=1)",
        "h = weights * torch.exp(-offset**2 / (2 * variance)); return h / h.sum(1, keepdim=True)",
        2,
    ),
    "A1 q3: only the means": ("q3", "(r * inside)", "(r * means)", 0),
    "A1 q3: the likeliest mode": (
        "q3",
        "return (r * inside).sum(dim=1)",
        "return inside.gather(1, r.argmax(dim=1, keepdim=True))[:, 0]",
        0,
    ),
    "A2 q1: closest to the first": ("q1", ".min(dim=1).values", "[:, 0]", 0),
    "A2 q1: a percentage": ("q1", ".double().mean()", ".double().mean() * 100", 0),
    "A2 q2: not normalised": ("q2", " / (s * math.sqrt(2 * math.pi))", "", 0),
    "A2 q2: all masses the same": ("q2", "kernel @ mass", "kernel.sum(dim=1) * mass.mean()", 1),
    "A2 q3: digits lost": ("q3", "math.log1p(-p)", "math.log(1 - p)", 1),
    "A2 q3: rounded": ("q3", "math.ceil", "round", 0),
    "A3 q1: no ends": ("q1", ".clamp(0, 1)", "", 0),
    "A3 q1: only right for length 1": ("q1", " / (direction @ direction)", "", 1),
    "A3 q2: not in units": ("q2", " / distance.min()", "", 0),
    "A3 q2: not sorted": ("q2", "distance.argsort()", "torch.arange(len(distance))", 0),
    "A3 q3: the closest one": (
        "q3",
        "near.int().argmax(dim=1)",
        "away.argmin(dim=1)",
        0,
    ),
    "A3 q3: none is forgotten": ("q3", "torch.where(near.any(dim=1), first, -1)", "first", 0),
    "A4 q1: divided by steps - 1": (
        "q1",
        ".square().mean(dim=0)",
        ".square().sum(dim=0) / (len(x0_hat) - 1)",
        0,
    ),
    "A4 q1: summed": ("q1", ".mean(dim=1)", ".sum(dim=1)", 1),
    "A4 q2: ties count nothing": ("q2", "(below + up_to)", "(2 * below)", 1),
    "A4 q2: a table of all pairs": (
        "q2",
        "ordered = good.sort().values",
        "return float(((bad[:, None] > good) + 0.5 * (bad[:, None] == good)).double().mean())\n"
        "    ordered = good",
        2,
    ),
    "A4 q3: reported where it was chosen": ("q3", "kept[bad & ~chosen_on]", "kept[bad]", 0),
    "A4 q3: one too high": ("q3", "math.floor", "math.ceil", 0),
    "A5 q1: at instead of below": ("q1", "left >= share", "left > share", 1),
    "A5 q2: unbiased": ("q2", "var(correction=0)", "var()", 0),
    "A5 q2: always replaced": ("q2", "if accumulate else points", "if False else points", 1),
    "A5 q3: in order of Hal": ("q3", "[:n].sort().values", "[:n]", 0),
    "A5 q3: the highest": ("q3", "hal.argsort", "(-hal).argsort", 0),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_plausible_mistake_costs_points(name, warm):
    question, old, new, left = WRONG[name]
    (source,) = (path for path in SOURCES if path.stem.startswith(name[:2]))
    assignment = read_source(source)
    only = [q for q in assignment.questions if q.id == question]
    assert old in only[0].solution
    wrong = only[0].solution.replace(old, new)
    found = points(replace(assignment, questions=only), warm, **{question: wrong})
    assert found == {question: left}
