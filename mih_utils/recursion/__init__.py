"""Models trained on their own samples: the loop, its filters, and one Gaussian in closed form."""

from . import gaussian_refit
from .filters import at_random, below_first, everything, lowest_hal
from .loop import PROTOCOLS, Generation, generator_of, run

__all__ = [
    "PROTOCOLS",
    "Generation",
    "at_random",
    "below_first",
    "everything",
    "gaussian_refit",
    "generator_of",
    "lowest_hal",
    "run",
]
