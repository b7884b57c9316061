"""Images as artifacts store them: sixteen shades, a byte a pixel."""

import numpy as np
import torch
from torch import Tensor

from .._checks import require

WHITE = 15  # the lightest shade


def from_shades(shades: np.ndarray | Tensor) -> Tensor:
    """Turn shades 0 … 15, (…, height, width), into images in [-1, 1], (…, 1, height, width)."""
    shades = torch.as_tensor(shades)
    require(shades.ndim >= 2, "shades.shape", tuple(shades.shape), "of form (…, height, width)")
    return shades.float()[..., None, :, :] / (WHITE / 2) - 1


def to_shades(images: Tensor) -> np.ndarray:
    """Turn images around [-1, 1], (…, 1, height, width), into shades 0 … 15, (…, height, width)."""
    ok = images.ndim >= 3 and images.shape[-3] == 1
    require(ok, "images.shape", tuple(images.shape), "of form (…, 1, height, width)")
    shades = (images.squeeze(-3).clamp(-1, 1) + 1) * (WHITE / 2)
    return shades.round().byte().cpu().numpy()
