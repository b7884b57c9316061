"""Recipes of the artifacts: `python tools/artifacts.py NAME` runs one, on one core.

What a recipe has finished lies in _build/artifacts (trainings, too, at their last checkpoint), so a
run that was stopped goes on there, as long as its code stays the same. A result is judged by its
contract in mih_utils/claims.yml, which is written first. Recipes that have not run, or not as long
as their contract says, in the order in which they would decide most, with hours on one quiet core:

grid25-trends      six settings a factor, in the plane: 2. After 20,000 steps modes are 1.1 to 1.3
                   times too wide for a gate of 1.25, so the steps go up first (in trends_2d)
mnist-gate         a first generation of digits that is good enough to go on from: 1
line123-floor      mass between the modes against width and training: 12
recursion-grid     five lineages from a first generation that passes its gate (SEEDS, now two)
recursion-shapes   from a first generation that passes its gate; recursion-mnist likewise
"""
