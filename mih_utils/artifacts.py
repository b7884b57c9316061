"""Artifacts: small committed results of long computations, verified before use.

An artifact is a pair of files: NAME.npz with arrays (and the weights of a net, if there is one),
and NAME.json, the record of how they came about, with the sha256 of the first.
"""

import hashlib
import io
import json
import os
import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ._checks import require
from .denoisers import ToyDenoiser
from .images.classifier import DigitClassifier
from .images.unet import UNet
from .mixture import GaussianMixture
from .schedule import Schedule
from .training import train

WEIGHTS = "net."  # arrays whose names begin so are the weights of the net
KINDS = {"net": ToyDenoiser, "unet": UNet, "classifier": DigitClassifier}  # by their configuration


class ArtifactError(RuntimeError):
    """An artifact is missing or not what its record says; the message tells how to remake it."""


@dataclass
class Artifact:
    """A verified artifact. What its record does not describe raises an ArtifactError."""

    record: dict
    """Recipe, configuration, seed, versions, seconds, sha256."""
    arrays: dict[str, np.ndarray]
    """Its arrays, but for the weights."""
    weights: dict[str, np.ndarray]
    """The weights of its net, if it has one."""

    @cached_property
    def mixture(self) -> GaussianMixture:
        """The data it was trained on."""
        return GaussianMixture(**self._config("mixture"))

    @cached_property
    def schedule(self) -> Schedule:
        """The noise schedule."""
        return Schedule.linear(**self._config("schedule"))

    @cached_property
    def net(self) -> ToyDenoiser | UNet | DigitClassifier:
        """The trained network, on the CPU, in float32."""
        kind = next((kind for kind in KINDS if kind in self.record["config"]), "net")
        more = {"schedule": self.schedule} if kind == "unet" else {}
        net = KINDS[kind](**self._config(kind), **more)
        net.load_state_dict({name: torch.from_numpy(w) for name, w in self.weights.items()})
        return net.eval()

    def retrained(
        self, epochs: int = 10_000, batch: int = 10_000, device: torch.device | str = "cpu"
    ) -> ToyDenoiser:
        """A network trained anew on as many points of the mixture; by default for as long as the
        paper's. Training runs on the device, the network is returned on the CPU."""
        mixture, points = self.mixture, self._config("training")["points"]
        net = ToyDenoiser(**self._config("net"), generator=torch.Generator().manual_seed(0))
        generator = torch.Generator(device).manual_seed(0)
        data = mixture.sample(points, generator)
        train(
            net.to(device),
            data,
            self.schedule,
            max(1, epochs * points // batch),
            batch=batch,
            generator=generator,
        )
        return net.cpu()

    def _config(self, part: str) -> dict:
        if part not in self.record["config"]:
            raise ArtifactError(f"artifact {self.record['name']!r} has no {part}")
        return self.record["config"][part]


def folder() -> Path:
    """Where artifacts lie: $MIH_ARTIFACTS, or inside the installed package, or beside it."""
    if "MIH_ARTIFACTS" in os.environ:
        return Path(os.environ["MIH_ARTIFACTS"])
    package = Path(__file__).resolve().parent
    installed = package / "artifacts"
    return installed if installed.is_dir() else package.parent / "artifacts"


def artifact(name: str) -> Artifact:
    """Load an artifact after checking its sha256. Nothing in the files is executed."""
    _require_name(name)
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
    return Artifact(record, arrays, weights)


def save_artifact(
    name: str,
    arrays: dict[str, np.ndarray],
    *,
    recipe: str,
    config: dict,
    seed: int | list[int],
    seconds: float,
    net: ToyDenoiser | UNet | DigitClassifier | None = None,
    half: bool = False,
) -> Path:
    """Write an artifact and its record; returns the path of the record.

    arrays: to store, by name. recipe: the command that makes it. config: what the recipe used, as
    plain values; its parts "mixture", "schedule" and "net" (or "unet", "classifier") rebuild the
    objects of these names. half: store the weights as float16, which takes half the room.
    """
    from . import __version__

    _require_name(name)
    if net is not None:
        weights = {key: w.cpu().half() if half else w.cpu() for key, w in net.state_dict().items()}
        arrays = {**arrays, **{WEIGHTS + key: w.numpy() for key, w in weights.items()}}
        kind = next(kind for kind, network in KINDS.items() if isinstance(net, network))
        config = {**config, kind: net.config}
    for key, array in arrays.items():
        plain = np.asarray(array).dtype != object
        require(plain, f"arrays[{key!r}]", array, "of numbers: objects would have to be pickled")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    record = {
        "name": name,
        "recipe": recipe,
        "config": config,
        "seed": seed,
        "package_version": __version__,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "threads": torch.get_num_threads(),
        },
        "seconds": round(seconds),
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    note = (json.dumps(record, indent=2) + "\n").encode()
    folder().mkdir(parents=True, exist_ok=True)
    for path, content in ((f"{name}.npz", buffer.getvalue()), (f"{name}.json", note)):
        partial = folder() / f"{path}.partial"
        partial.write_bytes(content)
        partial.replace(folder() / path)
    return folder() / f"{name}.json"


def _require_name(name: str) -> None:
    ok = isinstance(name, str) and name.replace("-", "").isalnum()
    require(ok, "name", name, "letters, digits and hyphens")
