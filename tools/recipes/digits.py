"""Chapter 5: classifiers of real digits, on whose features generated ones are compared."""

import numpy as np
import torch

import mih_utils as mih

from .common import PACKAGE, kept

CODE = [*(PACKAGE / f"{name}.py" for name in ("classifier", "digits")), __file__]
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


def train(data, epochs, batch, seed):
    """Weights, loss curve, and the accuracy on digits that it has not seen."""
    images, labels, *unseen = split(data, seed)
    generator = torch.Generator().manual_seed(seed)
    net = mih.DigitClassifier(generator=generator)
    loss = mih.train_classifier(net, images, labels, epochs, batch=batch, generator=generator)
    weights = {f"net.{name}": weight.numpy() for name, weight in net.state_dict().items()}
    accuracy = np.array(net.accuracy(*unseen))
    return weights | {"loss": loss.numpy(), "accuracy": accuracy}


def make_classifier(name, data, seed=0):
    """Train a classifier and keep it, with its accuracy in the record."""
    arrays = kept(train, {"data": data, **DATA[data], "seed": seed}, CODE)
    seconds, accuracy = float(arrays.pop("seconds")), float(arrays.pop("accuracy"))
    mih.save_artifact(
        name,
        arrays,
        recipe=f"python tools/artifacts.py {name}",
        config={
            "classifier": mih.DigitClassifier().config,
            "training": {"data": data, **DATA[data]},
            "accuracy": accuracy,
        },
        seed=seed,
        seconds=seconds,
    )


RECIPES = {f"{data}-classifier": (make_classifier, f"{data}-classifier", data) for data in DATA}
