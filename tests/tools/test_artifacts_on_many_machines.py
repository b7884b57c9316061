"""Recipes and sweeps as jobs: the same files from one process, two, and a Dask cluster."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import sweeps  # noqa: E402
from recipes import common, points, trends_2d, when  # noqa: E402

import artifacts  # noqa: E402


def part(folder, n):
    """A part of a sweep; the first worker that is given number 2 dies of it."""
    started = len(list(folder.glob(f"started-{n}-*")))
    (folder / f"started-{n}-{started}").touch()
    if n == 2 and not started and (folder / "deadly").is_file():
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return {"value": np.array(n**2)}


def keep(part):
    """As sweeps.compute, in a folder that the test chose."""
    function, settings, folder = part
    with mock.patch.object(common, "CACHE", Path(folder) / "cache"):
        settings = {"folder": folder, **settings}
        common.kept(lambda **s: function(Path(folder), s["n"]), settings, [])


def recipe(folder):
    """A recipe that needs five parts, and leaves their sum."""
    with mock.patch.object(common, "CACHE", Path(folder) / "cache"):
        settings = [{"folder": folder, "n": n} for n in range(5)]
        found = [common.kept(lambda **s: part(Path(folder), s["n"]), s, []) for s in settings]
    Path(folder, "result").write_text(str(sum(int(f["value"]) for f in found)))


@pytest.fixture
def made(monkeypatch, tmp_path):
    """made(…) makes the artifact "made" with these options; returns the folder."""
    folder = str(tmp_path)
    monkeypatch.setitem(artifacts.RECIPES, "made", (recipe, folder))
    todo = [(part, {"n": n}, folder) for n in range(5)]
    monkeypatch.setattr(sweeps, "parts_to_do", lambda name: todo)
    monkeypatch.setattr(sweeps, "compute", keep)

    def make(*options):
        artifacts.main(["made", *options])
        return tmp_path

    return make


def test_in_one_process(made):
    assert (made() / "result").read_text() == "30"


@pytest.mark.slow
def test_in_two_processes_each_part_once(made):
    folder = made("--jobs", "2")
    assert (folder / "result").read_text() == "30"
    assert len(list(folder.glob("started-*"))) == 5  # the recipe found all of them


@pytest.mark.slow
def test_on_a_dask_cluster(made, cluster):
    folder = made("--dask", cluster.scheduler_address)
    assert (folder / "result").read_text() == "30"
    assert len(list(folder.glob("started-*"))) == 5


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(made, cluster, tmp_path):
    (tmp_path / "deadly").touch()
    folder = made("--dask", cluster.scheduler_address)
    assert (folder / "result").read_text() == "30"
    assert len(list(folder.glob("started-2-*"))) == 2


@pytest.mark.parametrize(
    ("name", "module", "make"),
    [
        ("grid25-trends", trends_2d, trends_2d.make_trends),
        ("line123-points", points, points.make_points),
        ("line123-when", when, when.make_when),
    ],
)
def test_the_parts_are_those_that_the_recipe_asks_for(name, module, make, monkeypatch, tmp_path):
    monkeypatch.setattr(common, "CACHE", tmp_path)
    monkeypatch.setattr(sweeps, "CACHE", tmp_path)
    listed = {common.key_of(settings, files) for _, settings, files in sweeps.parts_to_do(name)}
    asked, functions = set(), {function for function, _, _ in sweeps.parts_to_do(name)}

    def note(function, settings, files):
        if function in functions:
            asked.add(common.key_of(settings, files))
        return mock.MagicMock()

    monkeypatch.setattr(module, "kept", note)
    monkeypatch.setattr(module, "trained", mock.MagicMock(), raising=False)  # trains in earnest
    monkeypatch.setattr(module, "save", lambda *args, **config: None)
    with suppress(Exception):  # nothing can be made of what was not computed
        make()
    assert asked == listed
    assert len(listed) > 5


def test_a_part_that_is_there_is_not_done_again(monkeypatch, tmp_path):
    monkeypatch.setattr(sweeps, "CACHE", tmp_path)
    _, settings, files = sweeps.parts_to_do("line123-points")[0]
    before = len(sweeps.parts_to_do("line123-points"))
    (tmp_path / f"{common.key_of(settings, files)}.npz").touch()
    assert len(sweeps.parts_to_do("line123-points")) == before - 1


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        artifacts.main(["nothing"])
    assert "no recipe 'nothing'" in capsys.readouterr().err
