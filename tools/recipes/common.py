"""What the recipes share: trainings and other long results, kept once they are finished.

Finished parts lie in _build/artifacts under a name made of everything they depend on: their
settings, torch's version and the code that computed them. A recipe that was stopped goes on there.
"""

import ast
import hashlib
import io
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

import mih_utils as mih
from mih_utils.artifacts import WEIGHTS, folder, require_name

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "_build" / "artifacts"
PACKAGE = ROOT / "mih_utils"
KINDS = {mih.ToyDenoiser: "net", mih.UNet: "unet", mih.DigitClassifier: "classifier"}
SCHEDULE = {"steps": 1000, "beta_start": 1e-3, "beta_end": 0.2}


def code_of(*modules):
    """The files that these modules of the package reach by imports: what a result depends on."""
    left, found = [PACKAGE / f"{name.replace('.', '/')}.py" for name in modules], set()
    while left:
        file = left.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                room = file.parents[node.level - 1] / (node.module or "").replace(".", "/")
                left += [room.with_suffix(".py"), *(room / f"{one.name}.py" for one in node.names)]
    return sorted(found)


TRAINING_CODE = code_of("training", "observers", "denoisers")


def key_of(settings, code):
    """A name for a result that depends on these settings and on the code in these files."""
    key = hashlib.sha256(json.dumps([settings, torch.__version__], sort_keys=True).encode())
    for file in code:
        key.update(Path(file).read_bytes())
    return key.hexdigest()[:16]


def kept(compute, settings, code):
    """compute(**settings), a dict of arrays, or what it gave before; `code` are its files."""
    path = CACHE / f"{key_of(settings, code)}.npz"
    if not path.is_file():
        start = time.perf_counter()
        result = compute(**settings)
        seconds = time.perf_counter() - start
        CACHE.mkdir(parents=True, exist_ok=True)
        own = f"{platform.node()}-{os.getpid()}"  # another process may be at the same
        partial = path.with_suffix(f".{own}.npz")
        np.savez(partial, seconds=np.array(seconds), **result)
        partial.rename(path)
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def save_artifact(
    name: str,
    arrays: dict[str, np.ndarray],
    *,
    recipe: str,
    config: dict,
    seed: int | list[int],
    seconds: float,
    net: mih.ToyDenoiser | mih.VelocityTarget | mih.DigitClassifier | None = None,
    half: bool = False,
) -> Path:
    """Write an artifact and its record; returns the path of the record.

    arrays: to store, by name. recipe: the command that makes it. config: what the recipe used, as
    plain values; its parts "mixture", "schedule" and "net" (or "unet", "classifier") rebuild the
    objects of these names. half: store the weights as float16, which takes half the room.
    """
    require_name(name)
    if net is not None:
        net = getattr(net, "net", net)  # out of its VelocityTarget
        arrays = {**arrays, **weights_of(net, half)}
        config = {**config, KINDS[type(net)]: net.config}
    for key, array in arrays.items():
        if np.asarray(array).dtype == object:
            raise ValueError(f"arrays[{key!r}] has objects, which would have to be pickled")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    record = {
        "name": name,
        "recipe": recipe,
        "config": config,
        "seed": seed,
        "package_version": mih.__version__,
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


def train_toy(means, std, weights, points, steps, batch, seed):
    """The weights and the curves of a toy network trained on a mixture."""
    generator = torch.Generator().manual_seed(seed)
    mixture = mih.GaussianMixture(means, std, weights)
    schedule = mih.Schedule.linear(**SCHEDULE)
    net = mih.ToyDenoiser(dim=mixture.dim, generator=generator)
    excess = mih.ExcessLoss(mih.ExactDenoiser(mixture, schedule))
    data = mixture.sample(points, generator)
    settings = {"batch": batch, "observe": [excess], "generator": generator}
    history = mih.train(net, data, schedule, steps, **settings)
    curves = {
        "loss": history.loss.numpy(),
        "excess": excess.excess.numpy(),
        "excess_steps": np.array(excess.steps),
    }
    return curves | weights_of(net)


def weights_of(net, half=False):
    """The weights of a network as arrays, to be kept; half: as float16."""
    weights = {name: w.cpu().half() if half else w.cpu() for name, w in net.state_dict().items()}
    return {WEIGHTS + name: w.numpy() for name, w in weights.items()}


def with_weights(net, arrays):
    """The network with the weights that are among the arrays, and the other arrays."""
    weights = {name for name in arrays if name.startswith(WEIGHTS)}
    stored = {name.removeprefix(WEIGHTS): torch.from_numpy(arrays[name]) for name in weights}
    net.load_state_dict(stored)
    return net.eval(), {name: a for name, a in arrays.items() if name not in weights}


def trained(mixture, points, steps, batch, seed):
    """A toy network trained on a mixture, its curves, and the seconds it took: (net, arrays, s)."""
    settings = {"means": mixture.means.tolist(), "std": mixture.std}
    settings |= {"weights": mixture.weights.tolist(), "points": points, "steps": steps}
    arrays = kept(train_toy, settings | {"batch": batch, "seed": seed}, TRAINING_CODE)
    seconds = float(arrays.pop("seconds"))
    return *with_weights(mih.ToyDenoiser(dim=mixture.dim), arrays), seconds


def save(name, arrays, mixture=None, *, seed, seconds, net=None, half=False, **config):
    """Write the artifact of the recipe of this name; mixture and schedule go into its record.

    schedule=None: there is none.
    """
    known = {"schedule": SCHEDULE}
    if mixture is not None:
        data = {"means": mixture.means.tolist(), "std": mixture.std}
        known = {"mixture": data, **known}
    save_artifact(
        name,
        arrays,
        recipe=f"python tools/artifacts.py {name}",
        config={key: value for key, value in {**known, **config}.items() if value is not None},
        seed=seed,
        seconds=seconds,
        net=net,
        half=half,
    )


def save_net(name, mixture, points, steps, batch, seed):
    """Train one network and keep it with its curves as an artifact."""
    net, curves, seconds = trained(mixture, points, steps, batch, seed)
    training = {"points": points, "steps": steps, "batch": batch}
    save(name, curves, mixture, seed=seed, seconds=seconds, net=net, training=training)


def net_name(data, seed):
    """Name of the artifact with the network of a seed."""
    return f"{data}-net" if seed == 0 else f"{data}-net-{seed}"
