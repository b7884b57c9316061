"""Writes down what grading found: grades.csv, a column for Canvas, a page of feedback each.

All that a student wrote is foreign text here: escaped in HTML, harmless in a spreadsheet, printable
on a screen, and never the name of a file.
"""

import csv
import hashlib
import html
import json
import re
import unicodedata
from pathlib import Path

from .grading import Grade
from .source import Assignment

LONGEST = 100_000  # characters of a student's text on a page

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; vertical-align: top; padding: .3em .6em }}
tr {{ border-bottom: 1px solid #8888 }}
td:last-child, th:last-child {{ text-align: right; white-space: nowrap }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .6em }}
</style></head><body>
{body}
</body></html>
"""


def file_name(student: str) -> str:
    """A name for this student's files that is no path and no other student's."""
    plain = re.sub(r"[^\w.-]+", "_", student).strip("._-")[:60]
    if plain and plain == student:
        return plain
    return f"{plain or 'student'}-{hashlib.sha256(student.encode()).hexdigest()[:6]}"


def printable(text: str, longest: int = 200) -> str:
    """The text for a screen: one line, without control characters."""
    kinds = ((c, unicodedata.category(c)) for c in str(text)[: longest + 1])
    line = "".join("?" if kind.startswith("C") else c for c, kind in kinds)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def spreadsheet(value: object) -> object:
    """The value for a spreadsheet, which would compute a text that begins with = + - @."""
    if isinstance(value, str):
        value = printable(value, 1000)
        return "'" + value if value.lstrip()[:1] in tuple("=+-@＝＋－＠|%") else value
    return value


def read_manual(path: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Points and comments that the teacher has entered: by student and question."""
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        # where numbers have a decimal comma, spreadsheets write semicolons
        delimiter = ";" if file.readline().startswith("student;") else ","
        file.seek(0)
        rows = list(csv.DictReader(file, delimiter=delimiter))
    columns = ("student", "question", "points", "comment")
    if any(row.get(column) is None for row in rows for column in columns):
        raise ValueError(f"{path}: each line needs the columns {', '.join(columns)}")
    return {
        (row["student"], row["question"]): (row["points"].strip(), row["comment"]) for row in rows
    }


def write(assignment: Assignment, grades: list[Grade], out: Path) -> dict[str, list]:
    """Write everything into `out`, keeping the points in manual.csv; the rows of grades.csv."""
    (out / "feedback").mkdir(parents=True, exist_ok=True)
    entered = read_manual(out / "manual.csv")
    sheet = [["student", "question", "points", "of", "comment"]]
    rows = [header_row(assignment)]
    for grade in grades:
        mine = {m.id: entered.pop(key(grade.student, m.id), ("", "")) for m in assignment.manual}
        for m in assignment.manual:
            sheet.append([grade.student, m.id, mine[m.id][0], m.points, mine[m.id][1]])
        rows.append(grade_row(assignment, grade, mine))
        name = file_name(grade.student)
        (out / "feedback" / f"{name}.html").write_text(feedback(assignment, grade, mine), "utf8")
        (out / "feedback" / f"{name}.json").write_text(as_json(grade, mine), "utf8")
    for (student, question), (points, comment) in entered.items():  # not handed in this time
        sheet.append([student, question, points, "", comment])
    write_csv(out / "manual.csv", sheet)
    write_csv(out / "grades.csv", rows)
    (out / "to_read.html").write_text(to_read(assignment, grades), "utf8")
    return {row[0]: row for row in rows[1:]}


def key(student: str, question: str) -> tuple[str, str]:
    """How manual.csv names a student's question."""
    return spreadsheet(student), question


def write_csv(path: Path, rows: list[list]) -> None:
    """Write rows for a spreadsheet."""
    with open(path, "w", newline="", encoding="utf8") as file:
        csv.writer(file).writerows([[spreadsheet(value) for value in row] for row in rows])


def header_row(assignment: Assignment) -> list[str]:
    """The first row of grades.csv: each question with its points."""
    parts = [f"{part.id} ({part.points})" for part in (*assignment.questions, *assignment.manual)]
    return ["student", *parts, f"total ({assignment.points})", "still to read", "remarks"]


def grade_row(assignment: Assignment, grade: Grade, mine: dict) -> list:
    """One student's row of grades.csv."""
    tested = [grade.points_of(q.id) for q in assignment.questions]
    read = [number(mine[m.id][0], m.points) for m in assignment.manual]
    waiting = [m.id for m, points in zip(assignment.manual, read, strict=True) if points is None]
    total = sum(tested) + sum(points or 0 for points in read)
    blank = ["" if points is None else points for points in read]
    return [grade.student, *tested, *blank, total, " ".join(waiting), "; ".join(grade.remarks)]


def number(text: str, most: int) -> float | int | None:
    """The points that a teacher wrote; None where nothing is written. ValueError if impossible."""
    if not text:
        return None
    points = float(text.replace(",", "."))
    if not 0 <= points <= most:
        raise ValueError(f"manual.csv: {text} points, but it must be between 0 and {most}")
    return int(points) if points == int(points) else points


def as_json(grade: Grade, mine: dict) -> str:
    """One student's results for other programs; what hidden tests said is left out."""
    results = [
        {
            "question": r.test.question,
            "test": r.test.title,
            "public": r.test.public,
            "points": r.points,
            "of": r.test.points,
            "says": r.says[:2000] if r.test.public else "",
        }
        for r in grade.results
    ]
    manual = {name: {"points": points, "comment": text} for name, (points, text) in mine.items()}
    whole = {"student": grade.student, "results": results, "manual": manual}
    return json.dumps({**whole, "remarks": grade.remarks}, indent=1) + "\n"


def feedback(assignment: Assignment, grade: Grade, mine: dict) -> str:
    """The page that a student gets: public tests in full, hidden ones by name and points only."""
    lines = [f"<h1>{esc(assignment.title)}</h1><p>{esc(grade.student)}</p>"]
    if grade.remarks:
        lines += ["<ul>", *(f"<li>{esc(remark)}</li>" for remark in grade.remarks), "</ul>"]
    for question in assignment.questions:
        points = grade.points_of(question.id)
        lines.append(f"<h2>{esc(question.id)}: {points} of {question.points} points</h2><table>")
        lines.append("<tr><th>Test</th><th>Points</th></tr>")
        for result in (r for r in grade.results if r.test.question == question.id):
            test, more = result.test, ""
            if test.public and not result.passed:
                code = test.source.partition("\n")[2].strip()
                more = f"<pre>{esc(code)}</pre><pre>{esc(result.says[:2000])}</pre>"
            kind = "public" if test.public else "hidden"
            lines.append(f"<tr><td>{esc(test.title)} ({kind}){more}</td>")
            lines.append(f"<td>{result.points} of {test.points}</td></tr>")
        lines.append("</table>")
    for manual in assignment.manual:
        points, comment = mine[manual.id]
        given = f"{esc(points)} of {manual.points} points" if points else "not read yet"
        lines.append(f"<h2>{esc(manual.id)}: {esc(manual.title)}: {given}</h2>")
        lines.append(f"<p>{esc(comment)}</p>" if comment else "")
    return PAGE.format(title=esc(assignment.title), body="\n".join(lines))


def to_read(assignment: Assignment, grades: list[Grade]) -> str:
    """All answers that the teacher reads, question by question, with the rubric."""
    lines = [f"<h1>{esc(assignment.title)}: to read</h1><p>Points go into manual.csv.</p>"]
    for manual in assignment.manual:
        of = f"{manual.points} point{'' if manual.points == 1 else 's'}"
        lines.append(f"<h2>{esc(manual.id)}: {esc(manual.title)} ({of})</h2>")
        lines.append(f"<pre>{esc(manual.given)}</pre><p>{esc(manual.rubric)}</p>")
        for grade in grades:
            text = own_words(grade.texts.get(manual.id, ""), manual.given)
            lines.append(f"<h3>{esc(grade.student)}</h3>")
            lines.append(f"<pre>{esc(text[:LONGEST])}</pre>" if text else "<p>no answer</p>")
    return PAGE.format(title="To read", body="\n".join(lines))


def own_words(text: str, given: str) -> str:
    """What a student has added to the text of a question."""
    known = {line.strip() for line in given.split("\n")} - {""}
    lines = text.partition("\n")[2].split("\n")
    return "\n".join(line for line in lines if line.strip() not in known).strip()


def esc(text: object) -> str:
    """Text for HTML, without control characters and half characters."""
    kept = (c for c in str(text) if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    return html.escape("".join(kept))


def canvas(export: Path, assignment: Assignment, rows: dict[str, list], out: Path) -> list[str]:
    """Fill a column of a gradebook that Canvas exported; returns the students not found in it.

    A submission belongs to the row whose ID stands in its file's name, as Canvas writes it, or
    whose login or name it bears.
    """
    with open(export, newline="", encoding="utf-8-sig") as file:
        table = list(csv.reader(file))
    head = table[0]
    column = next(
        (i for i, name in enumerate(head) if name.split(" (")[0] == assignment.name), None
    )
    if column is None:
        column = len(head)
    of = header_row(assignment).index(f"total ({assignment.points})")
    keys = [head.index(name) for name in ("ID", "SIS Login ID", "Student") if name in head]
    lost = dict(rows)
    for line in table:
        line += [""] * (column + 1 - len(line))
        names = {line[i].strip() for i in keys if i < len(line)} - {""}
        for student in list(lost):
            parts = {student, *re.findall(r"_(\d+)_\d+_", student + "_")}
            if line is not table[0] and names & parts:
                line[column] = str(lost.pop(student)[of])
    head[column] = head[column] or assignment.name
    with open(out, "w", newline="", encoding="utf8") as file:
        csv.writer(file).writerows(table)
    return sorted(lost)


def gradescope(assignment: Assignment, grade: Grade) -> str:
    """One submission's results.json for Gradescope."""
    tests = [
        {
            "name": f"{r.test.question}: {r.test.title}",
            "score": r.points,
            "max_score": r.test.points,
            "output": r.says[:2000] if r.test.public else "",
        }
        for r in grade.results
    ]
    return json.dumps({"tests": tests, "output": "\n".join(grade.remarks)}, indent=1)
