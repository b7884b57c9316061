"""Chapter 5: classifiers of real digits, on whose features generated ones are compared."""

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

import mih_utils as mih

from .common import code_of, kept, save, weights_of, with_weights

CODE = [*code_of("images.classifier", "images.digits"), __file__]
HELD_OUT = 360  # of scikit-learn's digits; MNIST has a test set
DATA = {"mnist": {"epochs": 5, "batch": 128}, "digits": {"epochs": 60, "batch": 64}}


def split(data, seed):
    """Images and labels to train on, and others to state the accuracy on."""
    if data == "mnist":
        return *mih.load_mnist(), *mih.load_mnist(split="test")
    images, labels = mih.load_digits()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    train, test = order[HELD_OUT:], order[:HELD_OUT]
    return images[train], labels[train], images[test], labels[test]


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


def train(data, epochs, batch, seed):
    """Weights, loss curve, and the accuracy on digits that it has not seen."""
    images, labels, *unseen = split(data, seed)
    generator = torch.Generator().manual_seed(seed)
    net = mih.DigitClassifier(generator=generator)
    loss = train_classifier(net, images, labels, epochs, batch=batch, generator=generator)
    accuracy = np.array(net.accuracy(*unseen))
    return weights_of(net) | {"loss": loss.numpy(), "accuracy": accuracy}


def trained(data, seed=0):
    """A classifier, and its loss curve, accuracy and seconds."""
    arrays = kept(train, {"data": data, **DATA[data], "seed": seed}, CODE)
    return with_weights(mih.DigitClassifier(), arrays)


def measure_against(unseen):
    """A function of generated digits (n, 1, 28, 28): how far they are from real, unseen ones."""
    classifier, _ = trained("mnist")
    real = classifier.features(unseen)

    def measure(images):
        features = classifier.features(images)
        density, coverage = mih.density_coverage(real, features)
        classes = torch.bincount(classifier.classes(images), minlength=10)
        return {
            "frechet": mih.frechet_distance(real, features),
            "density": density,
            "coverage": coverage,
            "classes": classes / len(images),
        }

    return measure


def make_classifier(name, data, seed=0):
    """Train a classifier and keep it, with its accuracy in the record."""
    net, arrays = trained(data, seed)
    accuracy, seconds = (float(arrays[what]) for what in ("accuracy", "seconds"))
    known = {"training": {"data": data, **DATA[data]}, "accuracy": accuracy, "schedule": None}
    save(name, {"loss": arrays["loss"]}, seed=seed, seconds=seconds, net=net, **known)


RECIPES = {f"{data}-classifier": (make_classifier, f"{data}-classifier", data) for data in DATA}
