"""Mode interpolation: small diffusion models whose every density is known exactly."""

__version__ = "0.1.0"

from .artifacts import Artifact, ArtifactError, artifact, save_artifact
from .denoisers import Denoiser, ExactDenoiser, ToyDenoiser, x0_hat
from .exact import Density, exact_density
from .explore import Explorer, reverse_chains_explorer, staircase_explorer
from .mixture import GaussianMixture
from .sampling import Samples, sample
from .schedule import Schedule
from .style import COLORS, mark_modes, markdown_table, panels, scientific, share, use_style
from .training import History, train

__all__ = [
    "COLORS",
    "Artifact",
    "ArtifactError",
    "Denoiser",
    "Density",
    "ExactDenoiser",
    "Explorer",
    "GaussianMixture",
    "History",
    "Samples",
    "Schedule",
    "ToyDenoiser",
    "artifact",
    "exact_density",
    "mark_modes",
    "markdown_table",
    "panels",
    "reverse_chains_explorer",
    "sample",
    "save_artifact",
    "scientific",
    "share",
    "staircase_explorer",
    "train",
    "use_style",
    "x0_hat",
]
