"""Mode interpolation: small diffusion models whose every density is known exactly."""

__version__ = "0.1.0"

from . import recursion
from .artifacts import Artifact, ArtifactError, artifact
from .census import Bridges, Modes, bridge_census, mode_census
from .denoisers import Denoiser, ExactDenoiser, ToyDenoiser, VelocityTarget, x0_hat
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
from .images.classifier import DigitClassifier
from .images.digits import DataError, load_digits, load_mnist
from .images.distributions import EmpiricalDistribution, ShapesDistribution
from .images.metrics import density_coverage, frechet_distance
from .images.pixels import from_shades, to_shades
from .images.unet import UNet
from .mixture import GaussianMixture
from .notebook import Profile, markdown, notebook_setup, percent, percent_of, verdict
from .recursion import gaussian_refit
from .sampling import Samples, sample
from .schedule import Schedule
from .statistics import share_interval, trend
from .training import History, train
from .viz.explorers.chapters import (
    plane_chains_explorer,
    reverse_chains_explorer,
    staircase_explorer,
    strip_explorer,
    threshold_explorer,
)
from .viz.explorers.core import Explorer
from .viz.explorers.recursion import generations_explorer, refit_explorer
from .viz.style import (
    COLORS,
    draw_bridges,
    draw_images,
    log_density,
    mark_modes,
    markdown_table,
    panels,
    scientific,
    share,
    use_style,
)

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
    "Profile",
    "Samples",
    "Schedule",
    "ShapesDistribution",
    "ToyDenoiser",
    "UNet",
    "VelocityTarget",
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
    "from_shades",
    "gaussian_refit",
    "generations_explorer",
    "hal",
    "load_digits",
    "load_mnist",
    "log_density",
    "mark_modes",
    "markdown",
    "markdown_table",
    "mode_census",
    "notebook_setup",
    "panels",
    "percent",
    "percent_of",
    "plane_chains_explorer",
    "recursion",
    "refit_explorer",
    "reverse_chains_explorer",
    "roc",
    "sample",
    "sample_below",
    "scientific",
    "shapes",
    "share",
    "share_interval",
    "staircase_explorer",
    "strip_explorer",
    "threshold_explorer",
    "to_shades",
    "train",
    "trend",
    "use_style",
    "verdict",
    "x0_hat",
]
