"""Make the artifacts: `python tools/artifacts.py [NAME …]`, all of them without a name.

Trainings and other long parts are kept in _build/artifacts, and a recipe goes on from there when it
is started again, as long as the code is the same. On one CPU core everything takes some hours; it
runs in one thread, because the last digits, and with them a training, depend on the number of
threads.
"""

import argparse

import torch
from recipes import (
    detector,
    digits,
    gaussian_1d,
    gaussian_2d,
    law,
    points,
    recursion,
    recursion_line,
    shapes,
    shapes_seeds,
    steepness,
    when,
)

RECIPES = {
    **gaussian_1d.RECIPES,
    **when.RECIPES,
    **points.RECIPES,
    **law.RECIPES,
    **steepness.RECIPES,
    **gaussian_2d.RECIPES,
    **detector.RECIPES,
    **shapes.RECIPES,
    **shapes_seeds.RECIPES,
    **digits.RECIPES,
    **recursion.RECIPES,
    **recursion_line.RECIPES,
}


def make(name):
    """Run the recipe of an artifact."""
    recipe, *arguments = RECIPES[name]
    recipe(*arguments)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    names = parser.parse_args().names
    for unknown in set(names) - set(RECIPES):
        parser.error(f"no recipe {unknown!r}; there are {', '.join(RECIPES)}")
    torch.set_num_threads(1)
    for name in names or RECIPES:
        print(name, flush=True)
        make(name)
