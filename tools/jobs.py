"""Independent jobs, one thread each: in processes of this machine, or on a Dask cluster.

A job is a function that workers can import, or build from what it closes over, and its settings. It
may be done twice, because a worker that dies takes its job along: let it write files only when
whole.
"""

import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

Job = tuple[Callable, dict]
ATTEMPTS = 3  # with worker processes that die; after that it is the jobs' fault


def run(jobs: Sequence[Job], workers: int = 1, dask: str | None = None) -> list:
    """Return what each function gives for its settings, function(**settings), in their order.

    workers: processes on this machine; with 1, all is done in this one.
    dask: the address of a Dask scheduler, such as "tcp://10.0.0.1:8786", to which the jobs go
        instead; its workers need the same packages, and the same folder where jobs read or write.

    A job that raises an error ends the run with that error. A worker that dies does not: its job
    is done again by another, and finished jobs are not.
    """
    if workers < 1:
        raise ValueError(f"workers = {workers}: must be at least 1")
    done = {}
    for attempt in range(ATTEMPTS):
        left = {number: jobs[number] for number in range(len(jobs)) if number not in done}
        try:
            for number, result in _results(left, workers, dask):
                done[number] = result
            return [done[number] for number in range(len(jobs))]
        except TerminatedWorkerError:
            if attempt + 1 == ATTEMPTS:
                raise
            print(f"a worker died; {len(jobs) - len(done)} jobs are left", file=sys.stderr)


def _results(jobs: dict[int, Job], workers: int, dask: str | None) -> Iterator:
    """Yield (number, result) of each job as soon as it is done."""
    work = _worker(sys.path)
    if workers == 1 and dask is None:
        yield from (work(number, job) for number, job in jobs.items())
        return
    from cloudpickle import dumps

    with ExitStack() as stack:
        if dask is not None:
            from distributed import Client

            stack.enter_context(Client(dask))
        backend = "loky" if dask is None else "dask"
        one = {"inner_max_num_threads": 1} if dask is None else {}
        stack.enter_context(joblib.parallel_config(backend, **one))
        parallel = joblib.Parallel(
            n_jobs=workers if dask is None else -1,
            batch_size=1,
            pre_dispatch="all",
            return_as="generator_unordered",
        )
        # packed, so that a worker knows the path before it looks for the function's module
        yield from parallel(joblib.delayed(work)(n, dumps(job)) for n, job in jobs.items())


def _worker(path: list[str]) -> Callable:
    """Make the function that does a job: a nested one, so that workers need no file to import."""
    folders = [os.path.abspath(folder) for folder in path]

    def work(number: int, job: bytes | Job) -> tuple:
        if isinstance(job, bytes):
            sys.path.extend(folder for folder in folders if folder not in sys.path)
            job = pickle.loads(job)
        function, settings = job
        torch = sys.modules.get("torch")  # there if the job needs it
        threads = torch.get_num_threads() if torch else 1
        if torch:
            torch.set_num_threads(1)
        try:
            return number, function(**settings)
        finally:
            if torch:
                torch.set_num_threads(threads)

    return work
