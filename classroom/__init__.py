"""Assignments for teachers: build student versions, and grade submissions without trusting them.

source.py      what a source notebook says
build.py       the versions made from it: student, instructor, specification, Gradescope, nbgrader
worker.py      runs inside the sandbox: the student's cells, and calls of their functions
sandbox.py     starts that worker with nothing around it, and talks to it in plain data
submission.py  reads what came back, whatever it is
grading.py     the tests, in this process, about the student's functions, in that one
report.py      grades.csv, Canvas, one page of feedback each
run.py         a whole class, side by side
"""
