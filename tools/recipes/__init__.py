"""Recipes of the artifacts: `python tools/artifacts.py NAME` runs one, on one core.

What a recipe has finished lies in _build/artifacts (trainings, too, at their last checkpoint), so a
run that was stopped goes on there, as long as its code stays the same. A result is judged by its
contract in mih_utils/claims.yml, which is written first.

One would decide more with more: grid25-trends (seeds 13 and 14, two hours; the number of points is
undecided by a hair).
"""
