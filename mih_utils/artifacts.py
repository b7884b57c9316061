"""Artifacts: small committed results of long computations, verified before use.

An artifact is a pair of files: NAME.npz with arrays (and the weights of a net, if there is one),
and NAME.json, the record of how they came about, with the sha256 of the first.
"""

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ._checks import require
from .denoisers import ToyDenoiser
from .images.classifier import DigitClassifier
from .images.unet import UNet
from .mixture import GaussianMixture
from .schedule import Schedule
from .targets import VelocityTarget
from .training import train

WEIGHTS = "net."  # arrays whose names begin so are the weights of the net


class ArtifactError(RuntimeError):
    """An artifact is missing or not what its record says; the message tells how to remake it."""


class Arrays(dict):
    """Arrays by name. One that was left out of a chapter's copy is asked for in vain, by name."""

    def __init__(self, arrays: dict[str, np.ndarray], left_out: list[str], artifact: str):
        super().__init__(arrays)
        self.left_out, self.artifact = left_out, artifact

    def __missing__(self, name):
        if name in self.left_out:
            raise ArtifactError(
                f"array {name!r} of artifact {self.artifact!r} was left out of this copy, because "
                "the chapter does not read it; a checkout of the project has it"
            )
        raise KeyError(name)


@dataclass
class Artifact:
    """A verified artifact. What its record does not describe raises an ArtifactError."""

    record: dict
    """Recipe, configuration, seed, versions, seconds, sha256."""
    arrays: dict[str, np.ndarray]
    """Its arrays, but for the weights."""
    weights: dict[str, np.ndarray]
    """The weights of its net, if it has one."""

    @property
    def mixture(self) -> GaussianMixture:
        """Build the mixture that the net was trained on."""
        return GaussianMixture(**self._config("mixture"))

    @property
    def schedule(self) -> Schedule:
        """Build the schedule that the net was trained on."""
        return Schedule.linear(**self._config("schedule"))

    @property
    def net(self) -> ToyDenoiser | VelocityTarget | DigitClassifier:
        """Build the trained network, on the CPU, in float32, in evaluation mode.

        Every call builds a new one from the verified weights: what is done to one (`.double()`,
        `.to(device)`, more training) changes no other.
        """
        config, denoiser = self.record["config"], None
        if not self.weights and "left_out" in self.record:
            raise ArtifactError(
                f"the weights of artifact {self.record['name']!r} were left out of this copy, "
                "because the chapter does not use its net; a checkout of the project has them"
            )
        unused = torch.Generator()  # so that torch's global generator stays as it was
        if "unet" in config:
            net = UNet(**{"steps": len(self.schedule)} | config["unet"], generator=unused)
            denoiser = VelocityTarget(net, self.schedule)
        elif "classifier" in config:
            net = DigitClassifier(**config["classifier"], generator=unused)
        else:
            net = ToyDenoiser(**self._config("net"), generator=unused)
        net.load_state_dict({name: torch.tensor(w) for name, w in self.weights.items()})
        return (denoiser or net).eval()

    def retrained(
        self,
        epochs: int = 10_000,
        batch: int = 10_000,
        device: torch.device | str = "cpu",
        progress: bool = True,
    ) -> ToyDenoiser:
        """Train a new network on as many points of the mixture; by default as long as the paper.

        The training runs on the device; the network comes back on the CPU. Stopping it raises a
        KeyboardInterrupt: no half-trained network comes back.
        """
        mixture, points = self.mixture, self._config("training")["points"]
        net = ToyDenoiser(**self._config("net"), generator=torch.Generator().manual_seed(0))
        generator = torch.Generator(device).manual_seed(0)
        train(
            net.to(device),
            mixture.sample(points, generator),
            self.schedule,
            max(1, epochs * points // batch),
            batch=batch,
            progress=progress,
            generator=generator,
        )
        return net.cpu()

    def _config(self, part: str) -> dict:
        if part not in self.record["config"]:
            raise ArtifactError(f"artifact {self.record['name']!r} has no {part}")
        return self.record["config"][part]


def folder() -> Path:
    """Find the artifacts: in $MIH_ARTIFACTS, or inside the installed package, or beside it."""
    if "MIH_ARTIFACTS" in os.environ:
        return Path(os.environ["MIH_ARTIFACTS"])
    package = Path(__file__).resolve().parent
    installed = package / "artifacts"
    return installed if installed.is_dir() else package.parent / "artifacts"


def artifact(name: str) -> Artifact:
    """Load an artifact after checking its sha256. Nothing in the files is executed.

    A missing or damaged one raises an ArtifactError that says how to make it again.
    """
    require_name(name)
    data, note = folder() / f"{name}.npz", folder() / f"{name}.json"
    remake = f"`python tools/artifacts.py {name}` in a checkout of the project makes it again"
    if not (data.is_file() and note.is_file()):
        there = ", ".join(sorted(path.stem for path in folder().glob("*.json"))) or "none"
        raise ArtifactError(f"no artifact {name!r} in {folder()} (there: {there}); {remake}")
    try:
        record = json.loads(note.read_text(encoding="utf-8"))
        expected, _ = str(record["sha256"]), record["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{note} is not a record of an artifact; {remake}") from error
    content = data.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ArtifactError(
            f"{data} is damaged: its sha256 is {found[:12]}…, its record says {expected[:12]}…; "
            f"{remake}"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    weights = {key.removeprefix(WEIGHTS): a for key, a in arrays.items() if key.startswith(WEIGHTS)}
    arrays = {key: a for key, a in arrays.items() if not key.startswith(WEIGHTS)}
    return Artifact(record, Arrays(arrays, record.get("left_out", []), name), weights)


def require_name(name: str) -> None:
    """Require a name that an artifact can have."""
    ok = isinstance(name, str) and name.replace("-", "").isalnum()
    require(ok, "name", name, "letters, digits and hyphens")
