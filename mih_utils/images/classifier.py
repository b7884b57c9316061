"""A small classifier of digits, whose features tell how alike two sets of images are."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from .._checks import require, require_count, require_number
from .._device import device_and_dtype, initial_weights

ROWS = 1000  # images looked at together, without gradients


class DigitClassifier(nn.Module):
    """A convolutional net that tells digits apart, from images of any size from 8 pixels on.

    Calling it gives the logits of the ten classes, (n, 10). `features` enter its last rectifier and
    layer. A Fréchet distance on them sees what matters in a digit, which one on pixels does not
    (for MNIST, LeNet's have served so: Alemohammad et al. 2023).
    """

    def __init__(self, features: int = 64, generator: torch.Generator | None = None):
        """features: how many; generator: for the initial weights."""
        super().__init__()
        require_count("features", features)
        self.config = {"features": features}
        with initial_weights(generator):
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
        """Features of images in [-1, 1]: (n, features), without gradients, where the net lies."""
        return self._each(self.body, images)

    def classes(self, images: Tensor) -> Tensor:
        """The most probable class of each image: (n,)."""
        return self._each(self, images).argmax(dim=1)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of the images whose class is right."""
        return float((self.classes(images).cpu() == labels.cpu()).double().mean())

    def _each(self, layer: nn.Module, images: Tensor) -> Tensor:
        device, dtype = device_and_dtype(self)
        with torch.no_grad():
            return torch.cat([layer(rows.to(device, dtype)) for rows in images.split(ROWS)])


def train_classifier(
    net: DigitClassifier,
    images: Tensor,
    labels: Tensor,
    epochs: int = 5,
    *,
    batch: int = 128,
    lr: float = 3e-3,
    progress: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Train `net` in place, with cross-entropy and Adam; the loss at each step: (steps,).

    images: (n, 1, height, width) in [-1, 1]; labels: (n,), 0 … 9.
    generator: on the device of the net; it shuffles the images.
    """
    require(isinstance(net, nn.Module), "net", type(net).__name__, "a DigitClassifier")
    ok = labels.shape == images.shape[:1] and len(labels) > 0
    require(ok, "labels.shape", tuple(labels.shape), f"({len(images)},), one for each image")
    for name, value in (("epochs", epochs), ("batch", batch)):
        require_count(name, value)
    require_number("lr", lr, above=0)
    device, dtype = device_and_dtype(net)
    images, labels = images.to(device, dtype), labels.to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    steps = epochs * -(-len(images) // batch)
    annealing = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    losses = []
    net.train()
    with tqdm(total=steps, desc="classifier", disable=not progress, leave=False) as bar:
        for _ in range(epochs):
            order = torch.randperm(len(images), generator=generator, device=device)
            for rows in order.split(batch):
                loss = F.cross_entropy(net(images[rows]), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                annealing.step()
                losses.append(loss.detach())
                bar.update()
    net.eval()
    return torch.stack(losses).cpu()
