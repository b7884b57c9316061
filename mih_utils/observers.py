"""What watches a training: an average of the weights, the excess loss, a file to go on from."""

import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ._checks import require, require_count, require_number
from ._fingerprint import digest
from .denoisers import Denoiser
from .training import Training


class TrainingObserver:
    """Watches a training: it is called after every step. The other two are there if it needs them.

    What lies in `state`, a dict of numbers, lists and tensors, is kept by a checkpoint.
    """

    state: dict | None = None

    def start(self, training: Training) -> None:
        """Get ready, before the first step."""
        self.state = {}

    def __call__(self, training: Training) -> None:
        """Look at the training after a step."""

    def finish(self, training: Training) -> None:
        """Tidy up, after the last step or an interrupt."""


class EMA(TrainingObserver):
    """Give the net, in the end, the exponential moving average of its weights.

    decay: of the average, 0.999 say; less in the first steps, so that it forgets where it began.
    """

    def __init__(self, decay: float):
        require_number("decay", decay, above=0)
        require(decay < 1, "decay", decay, "below 1")
        self.decay = decay

    def start(self, training: Training) -> None:
        weights = training.net.parameters()
        self.state = {"average": [weight.detach().clone() for weight in weights]}

    @torch.no_grad()
    def __call__(self, training: Training) -> None:
        decay = min(self.decay, training.done / (training.done + 9))
        for mean, weight in zip(self.state["average"], training.net.parameters(), strict=True):
            mean.lerp_(weight, 1 - decay)

    @torch.no_grad()
    def finish(self, training: Training) -> None:
        for mean, weight in zip(self.state["average"], training.net.parameters(), strict=True):
            weight.copy_(mean)


class ExcessLoss(TrainingObserver):
    """Measure, about fifty times, the mean squared distance to the exact denoiser's noise.

    The loss itself cannot reach zero; its excess over the exact denoiser's loss can. Afterwards
    `steps` says when it was measured, and `excess`, (len(steps),), what it was.
    """

    def __init__(self, exact: Denoiser, times: int = 50):
        require_count("times", times)
        self.exact, self.times = exact, times

    def start(self, training: Training) -> None:
        self.state = {"steps": [], "excess": []}
        device = training.loss.device
        self.there = self.exact.to(device) if hasattr(self.exact, "to") else self.exact

    @torch.no_grad()
    def __call__(self, training: Training) -> None:
        done, steps = training.done, training.steps
        if done % max(1, steps // self.times) == 0 or done == steps:
            x_t, t, _ = training.batch
            self.state["excess"].append(F.mse_loss(training.net(x_t, t), self.there(x_t, t)))
            self.state["steps"].append(done)

    @property
    def steps(self) -> list[int]:
        """Steps after which the excess was measured."""
        return self.state["steps"]

    @property
    def excess(self) -> Tensor:
        """The excess loss there: (len(steps),), on the CPU."""
        return torch.stack(self.state["excess"]).cpu() if self.state["excess"] else torch.zeros(0)


class Checkpoint(TrainingObserver):
    """Keep a training in a file: every few minutes, at its end, and when it is interrupted.

    The same training, started again, goes on from the file: with a generator to the same bits on
    the same machine. One with other data or settings refuses it by name. It stands last among the
    observers.

    path: of the file. every: seconds between two writings.
    """

    def __init__(self, path: str | Path, every: float = 180):
        self.path, self.every = Path(path), every

    def start(self, training: Training) -> None:
        last = training.observers[-1] is self
        require(last, "observe", training.observers, "a list with its Checkpoint at the end")
        self.state, self.kept = {}, time.monotonic()
        random = training.generator.get_state() if training.generator else None
        self.identity = {name: digest(value) for name, value in training.settings.items()}
        self.identity["net and its first weights"] = digest(
            [repr(training.net), training.net.state_dict()]
        )
        self.identity["generator"] = digest(random)
        others = [(type(o).__name__, vars(o) | {"state": None}) for o in training.observers[:-1]]
        self.identity["observers"] = digest(others)
        self.random = random
        if self.path.is_file():
            self._restore(training)

    def __call__(self, training: Training) -> None:
        self.random = training.generator.get_state() if training.generator else None
        if time.monotonic() - self.kept > self.every:
            self._write(training)

    def finish(self, training: Training) -> None:
        self._write(training)

    def _restore(self, training: Training) -> None:
        try:
            stored = torch.load(self.path, map_location="cpu", weights_only=True)
            found = stored["identity"]
        except Exception as error:
            raise ValueError(
                f"checkpoint {self.path} is damaged or of another version: delete it to start anew"
            ) from error
        other = [name for name, value in self.identity.items() if found.get(name) != value]
        expected = f"of this training: it has another {', another '.join(other)}; use another file"
        require(not other, "checkpoint", str(self.path), expected)
        for name in ("net", "optimiser", "annealing"):
            getattr(training, name).load_state_dict(stored[name])
        if training.generator:
            training.generator.set_state(stored["generator"])
        device = training.loss.device
        for observer, state in zip(training.observers, stored["observers"], strict=True):
            observer.state = _moved(state, device)
        training.loss.copy_(stored["loss"])
        training.done, training.seconds = stored["done"], stored["seconds"]
        self.random = stored["generator"]

    def _write(self, training: Training) -> None:
        names = ("net", "optimiser", "annealing")
        stored = {name: getattr(training, name).state_dict() for name in names}
        stored |= {"identity": self.identity, "generator": self.random, "loss": training.loss}
        stored |= {"done": training.done, "seconds": training.seconds}
        stored["observers"] = [observer.state for observer in training.observers]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        torch.save(stored, partial)
        partial.replace(self.path)
        self.kept = time.monotonic()


def _moved(state, device):
    """A copy of numbers, lists and tensors with the tensors on a device."""
    if isinstance(state, torch.Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {name: _moved(value, device) for name, value in state.items()}
    return [_moved(value, device) for value in state] if isinstance(state, list) else state
