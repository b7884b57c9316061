"""Jobs give the same wherever they run, and a worker that dies costs no result."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SETTINGS = [{"n": n, "step": 0.5} for n in range(6)]
EXPECTED = [math.fsum(0.5 * k for k in range(n)) for n in range(6)]


def total(n, step):
    return math.fsum(step * k for k in range(n))


def deadly(n, step, folder, victim):
    """As `total`, but the first worker that is given the victim dies of it; notes each start."""
    started = list(folder.glob(f"{n}-*"))
    (folder / f"{n}-{len(started)}").touch()
    if n == victim and not started:
        os.kill(os.getpid(), signal.SIGKILL)
    return total(n, step)


def threads():
    import torch

    return torch.get_num_threads(), os.getpid()


@pytest.fixture
def jobs(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import jobs

    return jobs


def test_one_process_gives_the_results_in_order(jobs):
    assert jobs.run([(total, settings) for settings in SETTINGS]) == EXPECTED


def test_two_processes_give_the_same_from_one_thread_each(jobs):
    assert jobs.run([(total, settings) for settings in SETTINGS], workers=2) == EXPECTED
    [(count, process)] = jobs.run([(threads, {})], workers=2)
    assert count == 1
    assert process != os.getpid()


def test_a_function_that_has_no_module_travels_too(jobs):
    offset = 3
    assert jobs.run([(lambda n: n + offset, {"n": n}) for n in range(3)], workers=2) == [3, 4, 5]


def test_a_killed_process_costs_no_result(jobs, tmp_path, capfd):
    some = [(deadly, {**s, "folder": tmp_path, "victim": 4}) for s in SETTINGS]
    assert jobs.run(some, workers=2) == EXPECTED
    assert len(list(tmp_path.glob("4-*"))) == 2
    assert "a worker died" in capfd.readouterr().err


def test_a_job_that_kills_every_worker_ends_the_run(jobs):
    def hopeless():
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(Exception, match="terminated"):
        jobs.run([(hopeless, {})], workers=2)


def test_an_error_of_a_job_is_raised(jobs):
    for workers in (1, 2):
        with pytest.raises(ZeroDivisionError):
            jobs.run([(lambda n: 1 / n, {"n": n}) for n in (1, 0)], workers=workers)


def test_bad_number_of_workers(jobs):
    with pytest.raises(ValueError, match="workers = 0"):
        jobs.run([], workers=0)


def test_a_dask_cluster_gives_the_same(jobs, cluster):
    some = [(total, settings) for settings in SETTINGS]
    assert jobs.run(some, dask=cluster.scheduler_address) == EXPECTED


def test_a_killed_dask_worker_costs_no_result(jobs, cluster, tmp_path):
    some = [(deadly, {**s, "folder": tmp_path, "victim": 2}) for s in SETTINGS]
    assert jobs.run(some, dask=cluster.scheduler_address) == EXPECTED
    assert len(list(tmp_path.glob("2-*"))) == 2
    others = [list(tmp_path.glob(f"{n}-*")) for n in (0, 1, 3, 4, 5)]
    assert all(1 <= len(starts) <= 2 for starts in others)


def test_dask_is_loaded_only_when_it_is_asked_for():
    code = "import sys, jobs; jobs.run([(len, {'obj': []})][:0]); assert 'dask' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=TOOLS, check=True)
