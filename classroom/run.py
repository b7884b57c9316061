"""Grades a class: the solution first, then every submission, in processes side by side."""

import multiprocessing
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from . import report, sandbox, submission
from .grading import Grade, Limits, grade
from .source import Assignment, SourceError


def run_grade(options) -> int:
    """Grade the solution, then the submissions; write down and show what came out."""
    started = time.monotonic()
    assignment = Assignment.from_json(options.spec.read_text(encoding="utf8"))
    files = submission.find(options.submissions)
    if not files:
        raise ValueError(f"no notebook in {' '.join(options.submissions)}")
    if options.sandbox == "bwrap":
        sandbox.refuse_visible([options.spec, *files, options.out])
    if options.sandbox == "none":
        print("No sandbox: only for code that you wrote yourself.", file=sys.stderr)
    entered = report.read_manual(options.out / "manual.csv")
    points = {m.id: m.points for m in assignment.manual}
    for (_, question), (text, _) in entered.items():
        report.number(text, points.get(question, 1000))
    limits = Limits(options.timeout, 4 * options.timeout)
    jobs = max(1, min(options.jobs or 1, len(files)))
    # spawn: a forked torch can hang where its parent has used threads
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        seeds = {assignment.seeds.get(submission.student_of(f, assignment)) for f in files}
        wrong = pool.submit(check_solution, assignment, seeds, options.sandbox, limits).result()
        if wrong:
            raise SourceError(f"the solution itself does not pass, nothing was graded: {wrong}")
        print(f"The solution has full marks. {len(files)} submissions, {jobs} at a time:")
        grades = grade_all(pool, assignment, files, options.sandbox, limits)
    rows = report.write(assignment, grades, options.out)
    if options.gradescope:
        text = report.gradescope(assignment, grades[0])
        (options.out / "results.json").write_text(text, encoding="utf8")
    if options.canvas:
        lost = report.canvas(options.canvas, assignment, rows, options.out / "canvas.csv")
        for student in lost:
            print(f"not in the gradebook: {report.printable(student)}")
    show_table(assignment, rows)
    print(
        f"{options.out}/grades.csv, feedback/ and to_read.html ({time.monotonic() - started:.0f} s)"
    )
    return 0


def grade_all(pool, assignment, files, mode, limits) -> list[Grade]:
    """The grades of all files, in their order; each is shown when it is there."""
    waiting = {pool.submit(grade_file, assignment, f, mode, limits): f for f in files}
    done = {}
    for future in as_completed(waiting):
        path = waiting[future]
        try:
            one = future.result()
        except sandbox.SandboxError:
            raise
        except Exception as error:  # whatever it was, the others are graded
            one = Grade(submission.student_of(path, assignment))
            one.remarks.append(f"could not be graded: {type(error).__name__}: {error}")
        done[path] = one
        tested = sum(q.points for q in assignment.questions)
        line = f"[{len(done):3}/{len(files)}] {report.printable(one.student, 30):30}"
        print(f"{line} {one.points:3} of {tested}  {one.seconds:5.1f} s", flush=True)
    return unique([done[path] for path in files])


def unique(grades: list[Grade]) -> list[Grade]:
    """The grades under names that no two share."""
    seen = {}
    for grade_ in grades:
        count = seen[grade_.student] = seen.get(grade_.student, 0) + 1
        if count > 1:
            grade_.remarks.append(f"another submission bears the same name: {grade_.student}")
            grade_.student = f"{grade_.student} ({count})"
    return grades


def grade_file(assignment, path, mode, limits) -> Grade:
    """Grade one file; runs in a process of the pool."""
    one = submission.read(path, assignment)
    with sandbox.Sandbox(modules_of(assignment), mode) as box:
        return grade(assignment, one, box, limits)


def check_solution(assignment, seeds, mode, limits) -> str:
    """Grade the solution with every seed in use; what went wrong, or nothing."""
    answers = {q.id: q.solution for q in assignment.questions}
    with sandbox.Sandbox(modules_of(assignment), mode) as box:
        for seed in sorted(seeds, key=str):
            one = submission.Submission("solution", answers)
            chosen = {} if seed is None else {"solution": seed}
            again = Assignment(**{**vars(assignment), "seeds": chosen})
            for result in grade(again, one, box, limits).results:
                if not result.passed:
                    test = f"{result.test.question}, {result.test.title}"
                    return f"{test}{'' if seed is None else f', seed {seed}'}: {result.says}"
    return ""


def modules_of(assignment: Assignment) -> list[str]:
    """What the worker imports once for all questions: the book's package where it is used."""
    return ["mih_utils"] if "mih_utils" in assignment.setup else []


def show_table(assignment: Assignment, rows: dict[str, list]) -> None:
    """The grades on the screen."""
    head = report.header_row(assignment)[:-1]
    table = [head, *(row[:-1] for row in rows.values())]
    texts = [[report.printable(value, 30) for value in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    space = shutil.get_terminal_size((100, 20)).columns
    print()
    for row in texts:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        print(line.rstrip()[: max(space, 80)])
