"""Mode interpolation: small diffusion models whose every density is known exactly."""

__version__ = "0.1.0"

from . import recursion
from .artifacts import Artifact, ArtifactError, artifact, save_artifact
from .census import Bridges, bridge_census
from .denoisers import Denoiser, ExactDenoiser, ToyDenoiser, x0_hat
from .density import Density, exact_density
from .density_2d import Density2D, exact_density_2d
from .detection import (
    DetectionReport,
    choose_threshold,
    detection_report,
    hal,
    roc,
    sample_below,
)
from .images import shapes
from .images.classifier import DigitClassifier, train_classifier
from .images.digits import DataError, load_digits, load_mnist
from .images.distributions import EmpiricalDistribution, ShapesDistribution
from .images.metrics import (
    Modes,
    density_coverage,
    frechet_distance,
    kl_divergence,
    mode_census,
    total_variation,
)
from .images.unet import UNet
from .mixture import GaussianMixture
from .recursion import gaussian_refit
from .sampling import Samples, sample
from .schedule import Schedule
from .statistics import share_interval, trend
from .training import History, train
from .viz.explorers.core import Explorer
from .viz.explorers.detector import threshold_explorer
from .viz.explorers.game import possible_or_not
from .viz.explorers.generations import generations_explorer
from .viz.explorers.line import reverse_chains_explorer, staircase_explorer
from .viz.explorers.plane import plane_chains_explorer
from .viz.explorers.refits import refit_explorer
from .viz.explorers.shapes import strip_explorer
from .viz.figures import draw_bridges, draw_images, log_density, mark_modes, panels
from .viz.style import COLORS, markdown_table, scientific, share, use_style

__all__ = [
    "COLORS",
    "Artifact",
    "ArtifactError",
    "Bridges",
    "DataError",
    "Denoiser",
    "Density",
    "Density2D",
    "DetectionReport",
    "DigitClassifier",
    "EmpiricalDistribution",
    "ExactDenoiser",
    "Explorer",
    "GaussianMixture",
    "History",
    "Modes",
    "Samples",
    "Schedule",
    "ShapesDistribution",
    "ToyDenoiser",
    "UNet",
    "artifact",
    "bridge_census",
    "choose_threshold",
    "density_coverage",
    "detection_report",
    "draw_bridges",
    "draw_images",
    "exact_density",
    "exact_density_2d",
    "frechet_distance",
    "gaussian_refit",
    "generations_explorer",
    "hal",
    "kl_divergence",
    "load_digits",
    "load_mnist",
    "log_density",
    "mark_modes",
    "markdown_table",
    "mode_census",
    "panels",
    "plane_chains_explorer",
    "possible_or_not",
    "recursion",
    "refit_explorer",
    "reverse_chains_explorer",
    "roc",
    "sample",
    "sample_below",
    "save_artifact",
    "scientific",
    "shapes",
    "share",
    "share_interval",
    "staircase_explorer",
    "strip_explorer",
    "threshold_explorer",
    "total_variation",
    "train",
    "train_classifier",
    "trend",
    "use_style",
    "x0_hat",
]
