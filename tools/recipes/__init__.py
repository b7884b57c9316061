"""Recipes of the artifacts: `python tools/artifacts.py NAME` runs one, on one core.

What a recipe has finished lies in _build/artifacts (trainings, too, at their last checkpoint), so a
run that was stopped goes on there, as long as its code stays the same. A result is judged by its
contract in mih_utils/claims.yml, which is written first. Recipes that have not run, in the order in
which they would decide most, with hours on one quiet core:

grid25-lineages    recursion on the grid, five lineages from good first generations: 4
shapes32-lineages  recursion on shapes, likewise: 3.5

One would decide more with more: grid25-trends (seeds 13 and 14, two hours; the number of points is
undecided by a hair).

The two of recursion take the place of recursion-grid and recursion-shapes, whose first generations
are poor; when they have run, these go.
"""
