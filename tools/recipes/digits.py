"""Chapter 5: a classifier of real digits, on whose features generated ones are compared."""

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

import mih_utils as mih

from .common import code_of, kept, save, weights_of, with_weights

CODE = [*code_of("images.classifier", "images.digits"), __file__]
EPOCHS = 5


def train_classifier(
    net, images, labels, epochs=5, *, batch=128, lr=3e-3, progress=True, generator=None
):
    """Train a classifier in place, with cross-entropy and Adam; the loss at each step: (steps,).

    images: (n, 1, height, width) in [-1, 1]; labels: (n,), 0 … 9; the generator shuffles them.
    """
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    steps = epochs * -(-len(images) // batch)
    annealing = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    losses = []
    net.train()
    with tqdm(total=steps, desc="classifier", disable=not progress, leave=False) as bar:
        for _ in range(epochs):
            for rows in torch.randperm(len(images), generator=generator).split(batch):
                loss = F.cross_entropy(net(images[rows]), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                annealing.step()
                losses.append(loss.detach())
                bar.update()
    net.eval()
    return torch.stack(losses)


def train(epochs, seed):
    """Weights, loss curve, and the accuracy on digits that it has not seen."""
    generator = torch.Generator().manual_seed(seed)
    net = mih.DigitClassifier(generator=generator)
    loss = train_classifier(net, *mih.load_mnist(), epochs, generator=generator)
    accuracy = np.array(net.accuracy(*mih.load_mnist(split="test")))
    return weights_of(net) | {"loss": loss.numpy(), "accuracy": accuracy}


def make_classifier(name="mnist-classifier", seed=0):
    """Train the classifier and keep it, with its accuracy in the record."""
    arrays = kept(train, {"epochs": EPOCHS, "seed": seed}, CODE)
    net, arrays = with_weights(mih.DigitClassifier(), arrays)
    accuracy, seconds = (float(arrays[what]) for what in ("accuracy", "seconds"))
    known = {"training": {"epochs": EPOCHS}, "accuracy": accuracy, "schedule": None}
    save(name, {"loss": arrays["loss"]}, seed=seed, seconds=seconds, net=net, **known)


RECIPES = {"mnist-classifier": (make_classifier,)}
