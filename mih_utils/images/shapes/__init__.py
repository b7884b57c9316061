"""The paper's images, a triangle, a square and a pentagon, and the census that judges them."""

from .census_of_images import Census, census
from .data import ROWS, SHAPES, dataset, largest_column, templates
from .matching import FAINTEST, NONE

__all__ = [
    "FAINTEST",
    "NONE",
    "ROWS",
    "SHAPES",
    "Census",
    "census",
    "dataset",
    "largest_column",
    "templates",
]
