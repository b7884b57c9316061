"""Make the artifacts: `python tools/artifacts.py [NAME …]`, all of them without a name.

Trainings and other long parts are kept in _build/artifacts, and a recipe goes on from there when it
is started again, as long as the code is the same. On one CPU core everything takes some hours.
`--jobs 4` shares the work among four processes of this machine, `--dask ADDRESS` among the workers
of a Dask cluster that see the same folder. Every job runs in one thread, because the last digits,
and with them a training, depend on the number of threads; so the results are the same everywhere
on machines of one kind.
"""

import argparse

import jobs
import sweeps
from recipes import (
    detector,
    detector_large,
    digits,
    floor,
    gaussian_1d,
    gaussian_2d,
    law,
    points,
    recursion_digits,
    recursion_grid,
    recursion_line,
    recursion_shapes,
    shapes,
    shapes_seeds,
    steepness,
    trends_2d,
    when,
    when_2d,
)

RECIPES = {
    **gaussian_1d.RECIPES,
    **when.RECIPES,
    **points.RECIPES,
    **law.RECIPES,
    **steepness.RECIPES,
    **floor.RECIPES,
    **gaussian_2d.RECIPES,
    **when_2d.RECIPES,
    **trends_2d.RECIPES,
    **detector.RECIPES,
    **detector_large.RECIPES,
    **shapes.RECIPES,
    **shapes_seeds.RECIPES,
    **digits.RECIPES,
    **recursion_line.RECIPES,
    **recursion_grid.RECIPES,
    **recursion_digits.RECIPES,
    **recursion_shapes.RECIPES,
}


def make(names: list[str], workers: int = 1, dask: str | None = None) -> None:
    """Run the recipes of artifacts; first the independent parts of sweeps, each as a job."""
    parts = [part for name in names for part in sweeps.parts_to_do(name)]
    if parts and (workers > 1 or dask):
        print(f"{len(parts)} parts of sweeps", flush=True)
        jobs.run([(sweeps.compute, {"part": part}) for part in parts], workers, dask)
    jobs.run([(make_one, {"name": name, "recipe": RECIPES[name]}) for name in names], workers, dask)


def make_one(name: str, recipe: tuple) -> None:
    """Run one recipe, (function, *arguments)."""
    print(name, flush=True)
    function, *arguments = recipe
    function(*arguments)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--jobs", type=int, default=1, help="processes of this machine")
    parser.add_argument("--dask", metavar="ADDRESS", help="of a scheduler, such as tcp://…:8786")
    options = parser.parse_args(arguments)
    for unknown in set(options.names) - set(RECIPES):
        parser.error(f"no recipe {unknown!r}; there are {', '.join(RECIPES)}")
    make(options.names or list(RECIPES), options.jobs, options.dask)


if __name__ == "__main__":
    main()
