"""A small classifier of digits, whose features tell how alike two sets of images are."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._checks import require, require_count
from .._device import device_and_dtype, initial_weights

ROWS = 1000  # images looked at together, without gradients


class DigitClassifier(nn.Module):
    """A convolutional net that tells digits apart, from images of any size from 8 pixels on.

    net(images) gives the logits of the ten classes: (n, 10). Its `features` are the numbers from
    which its last layer tells them. A Fréchet distance on them sees what matters in a digit; one on
    pixels does not. (For MNIST, LeNet's have served so: Alemohammad et al. 2023.)
    """

    def __init__(self, features: int = 64, generator: torch.Generator | None = None):
        """features: how many; generator: for the initial weights, on any device."""
        super().__init__()
        require_count("features", features)
        self.config = {"features": features}
        with initial_weights(self, generator):
            self.body = nn.Sequential(
                *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2)),
                *(nn.Flatten(), nn.Linear(4 * 64, features)),
            )
            self.last = nn.Linear(features, 10)

    def forward(self, images: Tensor) -> Tensor:
        ok = images.ndim == 4 and images.shape[1] == 1 and min(images.shape[2:]) >= 8
        expected = "of form (n, 1, height, width), both at least 8"
        require(ok, "images.shape", tuple(images.shape), expected)
        return self.last(F.relu(self.body(images)))

    def features(self, images: Tensor) -> Tensor:
        """Compute features of images in [-1, 1]: (n, features), where the net lies."""
        return self._each(self.body, images)

    def classes(self, images: Tensor) -> Tensor:
        """Tell the most probable class of each image: (n,)."""
        return self._each(self, images).argmax(dim=1)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Return the share of the images whose class it tells right. labels: (n,)."""
        return float((self.classes(images).cpu() == labels.cpu()).double().mean())

    def _each(self, layer: nn.Module, images: Tensor) -> Tensor:
        device, dtype = device_and_dtype(self)
        with torch.no_grad():
            return torch.cat([layer(rows.to(device, dtype)) for rows in images.split(ROWS)])
