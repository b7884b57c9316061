"""Mode interpolation: small diffusion models whose every density is known exactly.

mixture → schedule → chain → denoisers → training → sampling → detection: that is the path to read.
"""

import importlib

# The data, and the forward process that noises it
from .mixture import GaussianMixture
from .schedule import Schedule

# The reverse chain, and who predicts the noise in it
from .chain import Chain, Step
from .denoisers import Denoiser, ExactDenoiser, ToyDenoiser, predict_x0
from .combined import SmoothedDenoiser, SwitchedDenoiser
from .targets import VelocityTarget, X0Target

# Training, and what watches it
from .training import History, train
from .observers import EMA, Checkpoint, ExcessLoss, TrainingObserver

# Sampling, and what watches it; or the whole density, without sampling
from .sampling import Keep, Moment, Samples, sample
from .density import Density, exact_density
from .density_2d import Density2D, exact_density_2d

# What was hallucinated, how well it is detected, how sure that is
from .census import Bridges, Modes, bridge_census, mode_census
from .detection import DetectionReport, Hal, choose_threshold, detection_report
from .rejection import sample_below
from .statistics import auc, roc, share_interval, trend
from .statistics import binomial_interval, mean_interval, page_trend

# Images
from .images import shapes
from .images.classifier import DigitClassifier
from .images.digits import DataError, load_digits, load_mnist
from .images.distributions import EmpiricalDistribution, ShapesDistribution
from .images.metrics import density_coverage, frechet_distance
from .images.pixels import from_shades, to_shades
from .images.unet import UNet

# Models trained on their own samples, and stored results
from . import recursion
from .recursion import gaussian_refit
from .recursion.widths import width_by_exact_chain
from .artifacts import Artifact, ArtifactError, artifact

# What every chapter says and does in the same way
from .notebook import Profile, markdown, notebook_setup, percent, percent_of
from .claims import Claim, Finding, claim, claims_table, contracts

__version__ = "0.3.0"

# Figures and explorers load matplotlib, so they are imported when they are first asked for.
FIGURES = {
    "viz.explorers.core": ("Explorer",),
    "viz.explorers.lab": ("laboratory",),
    "viz.explorers.line": ("reverse_chains_explorer", "staircase_explorer"),
    "viz.explorers.plane": ("plane_chains_explorer",),
    "viz.explorers.shapes": ("strip_explorer",),
    "viz.explorers.game": ("possible_or_not",),
    "viz.explorers.detector": ("threshold_explorer",),
    "viz.explorers.refits": ("refit_explorer",),
    "viz.explorers.generations": ("generations_explorer",),
    "viz.figures": (
        "draw_bridges",
        "draw_images",
        "legend_below",
        "log_density",
        "mark_modes",
        "panels",
    ),
    "viz.style": ("COLORS", "markdown_table", "scientific", "share", "use_style"),
}
_ROOM = {name: room for room, names in FIGURES.items() for name in names}


def __getattr__(name: str):
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_ROOM[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOM])
