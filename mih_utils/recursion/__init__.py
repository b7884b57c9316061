"""Models trained on their own samples: the loop, its filters, and one Gaussian in closed form."""

from . import gaussian_refit
from .filters import at_random, below_first, everything, lowest_hal
from .loop import PROTOCOLS, generator_of, run
from .store import Generation
from .widths import exact_widths

__all__ = [
    "PROTOCOLS",
    "Generation",
    "at_random",
    "below_first",
    "everything",
    "exact_widths",
    "gaussian_refit",
    "generator_of",
    "lowest_hal",
    "run",
]
