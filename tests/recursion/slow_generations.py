"""A run of generations that a test kills, and goes on with in another process."""

import time

import torch

from mih_utils import Samples, recursion


def fit(data, generator):
    print("fitting", flush=True)
    time.sleep(0.2)
    return data.mean(dim=0), data.std(dim=0, correction=0)


def draw(model, n, generator):
    noise = torch.randn(n, 3, dtype=torch.float64, generator=generator)
    return Samples(model[0] + model[1] * noise, hal=noise[:, 0].abs())


def measure(model, drawn, kept):
    return {"mean": model[0], "variance": model[1].square()}


def run(folder):
    noise = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    settings = {"keep": recursion.below_first(removed=0.1), "measure": measure}
    return recursion.run(noise, fit, draw, 5, folder=folder, progress=False, **settings)
