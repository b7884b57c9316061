"""What `build` writes for students, teachers, Gradescope and nbgrader; what it refuses to write."""

import json
import zipfile

import nbformat
import pytest
import sample

from classroom.build import build, variant_seeds
from classroom.source import Assignment, SourceError


def notebook_of(path):
    """The notebook in a file, checked against its format."""
    found = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(found)
    return found


def test_every_version_is_a_notebook_without_outputs(built):
    for kind in ("student", "instructor", "nbgrader"):
        for cell in notebook_of(built / f"{kind}/A0.ipynb").cells:
            assert not cell.get("outputs")


def test_students_get_the_public_tests_and_nothing_secret(built):
    text = (built / "student/A0.ipynb").read_text(encoding="utf8")
    secret = [
        "alpha_bar**0.5 * x0",
        "noise of another size",
        "0.125 * factor\\n",
        "the_secret_line",
    ]
    for line in (*secret, "One point for the smooth score"):
        assert line not in text
    for line in ("one value by hand", "the share", "hidden tests of q1 pending: 2"):
        assert line in text
    tags = {
        tuple(c.metadata.get("tags", ())) for c in notebook_of(built / "student/A0.ipynb").cells
    }
    assert ("raises-exception",) in tags


def test_the_teacher_gets_everything(built):
    text = (built / "instructor/A0.ipynb").read_text(encoding="utf8")
    for line in ("alpha_bar**0.5 * x0", "noise of another size", "the_secret_line"):
        assert line in text


@pytest.mark.parametrize(
    "cell",
    [
        ("code", "# a hint\nreturn alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise"),
        ("markdown", "One point for the smooth score, one for the jump it would need to make."),
        ("code", "assert steps == [factor, factor + 1], steps"),
    ],
)
def test_a_solution_that_stands_elsewhere_too_is_not_built(cell, tmp_path):
    source = tmp_path / "A0.ipynb"
    source.write_text(sample.notebook([*sample.SOURCE, cell]), encoding="utf8")
    with pytest.raises(SourceError, match="would reach students"):
        build(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_roster_gives_each_student_numbers_of_their_own(tmp_path):
    source, roster = tmp_path / "A0.ipynb", tmp_path / "names.txt"
    source.write_text(sample.notebook(sample.SOURCE), encoding="utf8")
    roster.write_text("anna\nben\n\n", encoding="utf8")
    seeds = variant_seeds(roster, 5)
    assert seeds == variant_seeds(roster, 5) != variant_seeds(roster, 6)
    build(source, tmp_path, 5, seeds)
    spec = (tmp_path / "autograder/A0.json").read_text(encoding="utf8")
    for student, seed in seeds.items():
        mine = (tmp_path / f"student/A0/{student}-A0.ipynb").read_text(encoding="utf8")
        assert f"SEED = {seed}\\n" in mine
        assert f"SEED = {seed}\n" in Assignment.from_json(spec).setup_for(student)


def test_the_zip_for_gradescope_has_what_it_runs_and_is_reproducible(built, tmp_path):
    source = tmp_path / "A0.ipynb"
    source.write_text(sample.notebook(sample.SOURCE), encoding="utf8")
    build(source, tmp_path)
    archive = "autograder/A0-gradescope.zip"
    assert (built / archive).read_bytes() == (tmp_path / archive).read_bytes()
    with zipfile.ZipFile(built / archive) as zipped:
        names = set(zipped.namelist())
        assert zipped.read("run_autograder").startswith(b"#!")
        assert zipped.getinfo("run_autograder").external_attr >> 16 == 0o755
    assert {"setup.sh", "A0.json", "classroom/worker.py", "book/mih_utils/__init__.py"} <= names
    assert not any("__pycache__" in name or "assignments" in name for name in names)


def test_nbgrader_finds_its_points(built):
    cells = notebook_of(built / "nbgrader/A0.ipynb").cells
    found = [cell.metadata["nbgrader"] for cell in cells if "nbgrader" in cell.metadata]
    assert sum(about.get("points", 0) for about in found) == 9
    ids = [about["grade_id"] for about in found]
    assert len(set(ids)) == len(ids)
    text = json.dumps([cell.source for cell in cells])
    assert text.count("### BEGIN HIDDEN TESTS") == 3
