"""Notebooks, names and texts that attack; answers that call what they should write."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sample

from classroom import report, submission
from classroom.grading import Grade, Result
from classroom.source import Question

ROOT = Path(__file__).resolve().parents[2]
DEEP = "[" * 100_000
FORMAT_3 = json.dumps({"worksheets": [], "nbformat": 3, "metadata": {}})
SWAPPED = json.loads(sample.submission())
SWAPPED["cells"].reverse()

# What cannot be read, or has no answers, earns nothing and says why.
UNREADABLE = {
    "not JSON": b"hello",
    "empty file": b"",
    "invalid UTF-8": sample.submission().encode().replace(b"factor", b"\xff\xfe"),
    "UTF-16": sample.submission().encode("utf16"),
    "format 3": FORMAT_3.encode(),
    "a list": b"[1, 2]",
    "a number": b"1e999",
    "nested too deep": DEEP.encode(),
    "cells that are none": b'{"nbformat": 4, "cells": [1, null, {"cell_type": "code"}]}',
    "cells of another kind": b'{"nbformat": 4, "cells": {"source": "x"}}',
    "source of another kind": b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}',
    "a lone surrogate": b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "\\ud800"}]}',
    "no cells": b'{"nbformat": 4, "cells": []}',
    "100 MB": sample.submission().encode() + b" " * 100_000_000,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_notebook(name, grade_file, tmp_path):
    path = tmp_path / "student.ipynb"
    path.write_bytes(UNREADABLE[name])
    grade = grade_file(path)
    assert grade.points == 0
    assert grade.remarks
    assert len(grade.results) == 6


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "gone"])
def test_what_is_no_file(kind, grade_file, built, tmp_path):
    path = tmp_path / "student.ipynb"
    if kind == "link":
        path.symlink_to(built / "instructor/A0.ipynb")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    assert grade_file(path).points == 0


# Cells deleted, doubled, edited, reordered: the points that each case gives, and a remark.

right = sample.submission


def with_first(code, text):
    """The notebook with one more code cell before the others."""
    cell = json.dumps({"cell_type": "code", "source": code})
    return text.replace('"cells": [', f'"cells": [{cell}, ', 1)


HELPER = "def helper(x): return 0.125 * x, [x, x + 1]"
EDITED = {
    "right": (right(), 7, ""),
    "answer deleted": (right(q1=None), 4, "q1: its answer cell is missing"),
    "marker edited": (right(q1="# ANSWER q9\n1"), 4, "q1: its answer cell is missing"),
    "doubled, the last is wrong": (
        with_first(sample.Q1, right(q1="pass")),
        4,
        "more than one answer cell",
    ),
    "doubled, the last is right": (
        with_first("# ANSWER q1\nwhile True: pass", right()),
        7,
        "more than one answer cell",
    ),
    "reordered": (json.dumps(SWAPPED), 7, ""),
    "public test edited": (
        right(q1="def noised(*a): return 5").replace("assert_close(result", "_(result"),
        4,
        "public test changed",
    ),
    "another seed": (
        right(q3="factor = 3\nshare = 0.375\nsteps = [3, 4]").replace("SEED = 0", "SEED = 1"),
        5,
        "the seed is not the one",
    ),
    "set-up edited": (right().replace("factor = 2", "raise SystemExit; factor = 2"), 7, ""),
    "magics": (right(q3="%matplotlib inline\n!rm -rf /\nshare, steps = 0.25, [2, 3]"), 7, ""),
    "helper elsewhere": (
        with_first(HELPER, right(q3="share, steps = helper(factor)")),
        5,
        "helper is defined outside the answer cells",
    ),
    "builds on another answer": (
        right(q1=sample.Q1 + "\nthird = [2, 3]", q3="share, steps = 0.25, third"),
        7,
        "",
    ),
    "builds on one that hangs": (
        right(q1="third = [2, 3]\nwhile True: pass", q3="share = 0.25\nsteps = third"),
        3,
        "q3 builds on q1, which was left out",
    ),
    "builds on one that calls what is asked for": (
        right(
            q2="def responsibilities(x, m, s): return share_of(-((x[:, None] - m) / s) ** 2 / 2)",
            q3=sample.Q3 + "\ndef share_of(z): return z.softmax(1)",
        ),
        5,
        "",
    ),
    "shadows what others use": (
        right(q1="x = means = torch = abs = None\nSEED = factor = 'x'\nimport sys as math"),
        4,
        "",
    ),
}


@pytest.mark.parametrize("name", EDITED)
def test_edited_notebook(name, grade_file, tmp_path):
    text, points, remark = EDITED[name]
    path = tmp_path / "student.ipynb"
    path.write_text(text, encoding="utf8")
    grade = grade_file(path)
    assert grade.points == points, [(r.says, r.test.title) for r in grade.results] + grade.remarks
    assert remark in "; ".join(grade.remarks)
    if not remark:
        assert grade.remarks == []


# Answers that call the function they should write

CALLS = {
    "attribute": "return torch.softmax(x, 1)",
    "method": "return x.softmax(1)",
    "functional": "import torch.nn.functional as F; return F.softmax(x, 1)",
    "import": "from torch import softmax; return softmax(x, 1)",
    "import as": "from torch import softmax as s; return s(x, 1)",
    "import *": "from torch import *",
    "getattr": "return getattr(torch, 'soft' + 'max')(x, 1)",
    "getattr, hidden": "return torch.__builtins__['get' + 'attr'](torch, 'soft' + 'max')(x, 1)",
    "eval": "return eval('torch.soft' + 'max(x, 1)')",
    "__dict__": "return torch.__dict__['soft' + 'max'](x, 1)",
    "vars": "return vars(torch)['soft' + 'max'](x, 1)",
    "globals": "return globals()['torch']",
    "sys.modules": "import sys; return sys.modules['torch']",
    "torch.sys": "return torch.sys.modules['torch']",
    "importlib": "import importlib; return importlib.import_module('torch')",
    "operator": "from operator import methodcaller; return methodcaller('soft' + 'max', 1)(x)",
    "inspect": "import inspect; return dict(inspect.getmembers(torch))['soft' + 'max'](x, 1)",
    "alias": "s = torch.softmax; return s(x, 1)",
    "lambda": "return (lambda t: t.softmax(1))(x)",
    "decorator": "@torch.softmax\n    def f(): pass",
    "relative import": "from . import softmax",
}


@pytest.mark.parametrize("name", CALLS)
def test_calling_what_is_asked_for_is_refused(name):
    question = Question("q2", "", ["responsibilities"], ["softmax"])
    source = f"def responsibilities(x, means, std):\n    {CALLS[name]}"
    reason = submission.forbidden(question, source)
    assert reason is not None and "this question" in reason


def test_a_refused_answer_earns_nothing(grade_file, tmp_path):
    path = tmp_path / "student.ipynb"
    code = "def responsibilities(x, m, s): return (-((x[:, None] - m)**2) / (2 * s**2)).softmax(1)"
    path.write_text(sample.submission(q2=code), encoding="utf8")
    grade = grade_file(path)
    assert (grade.points_of("q1"), grade.points_of("q2"), grade.points_of("q3")) == (3, 0, 2)
    assert "softmax" in grade.results[2].says


@pytest.mark.parametrize(
    "code",
    [
        "def responsibilities(x, means, std):\n    '''Like softmax, by hand.'''\n    return x",
        "import math, numpy as np\nfrom functools import partial",
        "import matplotlib.pyplot as plt\nfig = plt.figure()",
        "def softmax(z): return z.exp() / z.exp().sum()\nr = softmax(torch.zeros(3))",
        "def responsibilities(softmax): return softmax + 1",
    ],
)
def test_honest_answers_are_not_refused(code):
    assert submission.forbidden(Question("q2", "", [], ["softmax"]), code) is None


def test_a_name_of_the_set_up_or_of_python_stays_refused_where_it_is_bound_again():
    code = "if False: {0} = 0\nr = {0}([1])"
    question = Question("q2", "", [], ["softmax", "sum"])
    assert submission.forbidden(question, code.format("softmax"), {"softmax"}) is not None
    assert submission.forbidden(question, code.format("sum")) is not None
    assert submission.forbidden(question, code.format("softmax")) is None


# Names and texts in what the grader writes

NAMES = [
    "../../evil",
    "..",
    ".",
    "/etc/passwd",
    "a/b",
    "=cmd|' /C calc'!A0",
    "-x",
    "@SUM(1)",
    "\t=1",
]
NAMES += [
    "<script>alert(1)</script>",
    "\x1b[2J\x07",
    "name\nwith\nlines",
    "ünï çødé",
    "x" * 300,
    "",
]
NAMES += ["\u202egnp.exe", "CON", "student", "Student", "＝1+1"]


def test_file_names_are_harmless_and_different():
    files = [report.file_name(name) for name in NAMES]
    assert len(set(files)) == len(files)
    for name in files:
        assert 0 < len(name) < 80
        assert Path(name).name == name and not name.startswith((".", "-"))


@pytest.mark.parametrize("name", NAMES)
def test_reports_are_harmless(name, assignment, tmp_path):
    says = f"<script>{name}</script>\x1b[2J \ud800"
    results = [Result(test, False, says) for q in assignment.questions for test in q.tests]
    texts = {"q4": f"<!-- ANSWER q4 manual 2 -->\n<img src=x onerror=alert(1)>{name}\ud800"}
    grade = Grade(name, results, [f"=1+1 {says}"], texts)
    report.write(assignment, [grade], tmp_path)
    written = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    stem = report.file_name(name)
    pages = {f"feedback/{stem}.html", f"feedback/{stem}.json"}
    assert written == {"grades.csv", "manual.csv", "to_read.html", *pages}
    for page in (f"feedback/{stem}.html", "to_read.html"):
        text = (tmp_path / page).read_text(encoding="utf8")
        assert "<script" not in text and "<img" not in text and "\x1b" not in text
    for sheet in ("grades.csv", "manual.csv"):
        with open(tmp_path / sheet, newline="", encoding="utf8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@", "＝")) for cell in cells)
        assert not any(ord(c) < 32 for cell in cells for c in cell)


def test_hidden_tests_show_a_name_and_points_only(assignment, tmp_path):
    results = [Result(t, False, "SAID") for q in assignment.questions for t in q.tests]
    report.write(assignment, [Grade("anna", results)], tmp_path)
    page = (tmp_path / "feedback/anna.html").read_text(encoding="utf8")
    assert page.count("SAID") == 3
    assert "noise of another size (hidden)" in page
    for line in sample.Q1_HIDDEN.split("\n")[1:-1]:
        assert line not in page
    assert (tmp_path / "feedback/anna.json").read_text(encoding="utf8").count("SAID") == 3


def test_the_teacher_reads_what_the_student_wrote_and_not_the_question_again(assignment, tmp_path):
    wrote = f"{sample.TEXT}\nBecause the score is smooth."
    grades = [Grade("anna", texts={"q4": wrote}), Grade("ben", texts={"q4": sample.TEXT})]
    report.write(assignment, grades, tmp_path)
    page = (tmp_path / "to_read.html").read_text(encoding="utf8")
    assert page.count("Why does the network put mass between the modes?") == 1
    assert "<h3>anna</h3>\n<pre>Because the score is smooth.</pre>" in page
    assert "<h3>ben</h3>\n<p>no answer</p>" in page


def test_a_regrade_keeps_what_was_entered_by_hand(assignment, tmp_path):
    grades = [Grade("anna", texts={"q4": sample.TEXT}), Grade("=x", texts={"q4": sample.TEXT})]
    report.write(assignment, grades, tmp_path)
    sheet = tmp_path / "manual.csv"
    sheet.write_text(sheet.read_text("utf8").replace("anna,q4,,2,", "anna,q4,1.5,2,good"), "utf8")
    for _ in range(2):
        rows = report.write(assignment, grades, tmp_path)
        assert rows["anna"][4:7] == [1.5, 1.5, ""]
        assert rows["=x"][4:7] == ["", 0, "q4"]
    assert "1.5 of 2 points</h2>\n<p>good</p>" in (tmp_path / "feedback/anna.html").read_text(
        "utf8"
    )


def test_a_sheet_with_semicolons_and_decimal_commas_is_read(tmp_path):
    sheet = tmp_path / "manual.csv"
    sheet.write_text("student;question;points;of;comment\nanna;q4;1,5;2;so, so\n", "utf-8-sig")
    assert report.read_manual(sheet) == {("anna", "q4"): ("1,5", "so, so")}
    sheet.write_text("student,points\nanna,1\n", encoding="utf8")
    with pytest.raises(ValueError, match="needs the columns"):
        report.read_manual(sheet)


def test_the_whole_run_goes_on_to_the_end(built, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "anna-A0.ipynb").write_text(sample.submission(), encoding="utf8")
    (folder / "bad.ipynb").write_bytes(b"\xff")
    (folder / "=x.ipynb").write_text(sample.submission(q1="import os; os._exit(1)"), "utf8")
    out = tmp_path / "grades"
    run = [sys.executable, "-O", "-m", "classroom", "grade", built / "autograder/A0.json"]
    run += [folder, "--out", out, "--timeout", "5", "--jobs", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(run, capture_output=True, text=True, env=env, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(out / "grades.csv", newline="", encoding="utf8") as file:
        totals = {row["student"]: row["total (9)"] for row in csv.DictReader(file)}
    assert totals == {"'=x": "4", "anna": "7", "bad": "0"}
    assert done.stderr == ""
