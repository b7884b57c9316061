"""What the parts of the retraining share: their scale, where they compute, and what they leave.

A part is a function of the work that returns plain numbers. Each leaves a record in the folder,
with its numbers, time, memory and device, and is not done again as long as that is there.
"""

import json
import platform
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import mih_utils as mih


@dataclass(frozen=True)
class Scale:
    """How large everything is: by default the paper's, where that is known."""

    line_points: int = 20_000
    grid_points: int = 100_000
    epochs: int = 10_000
    batch: int = 10_000
    seeds: tuple = (0, 1, 2)
    line_grid: int = 2048
    plane_spacing: float = 0.5  # of the grid for exact densities, in widths of a mode
    chain: int = 1000
    line_samples: int = 2_000_000
    grid_samples: int = 600_000
    images: int = 5000
    pixels: int = 64
    channels: int = 64
    image_chain: int = 250
    image_steps: int = 16_000
    image_batch: int = 64
    drawn: int = 2048
    digits: int = 60_000
    unseen: int = 10_000
    digit_steps: int = 4000
    digit_batch: int = 128
    digit_chain: int = 50
    generations: int = 4


PAPER = Scale()
TINY = Scale(
    line_points=40,
    grid_points=50,
    epochs=3,
    batch=20,
    seeds=(0, 1),
    line_grid=128,
    plane_spacing=8,
    chain=20,
    line_samples=400,
    grid_samples=400,
    images=12,
    pixels=32,
    channels=8,
    image_chain=12,
    image_steps=3,
    image_batch=4,
    drawn=8,
    digits=16,
    unseen=16,
    digit_steps=2,
    digit_batch=4,
    digit_chain=4,
    generations=2,
)


@dataclass(frozen=True)
class Work:
    """Where a retraining computes and keeps what it has, and how large it is."""

    folder: Path
    device: str = "cpu"
    scale: Scale = PAPER
    progress: bool = True

    def generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(seed)

    def checkpoint(self, name: str) -> mih.Checkpoint:
        return mih.Checkpoint(self.folder / f"{name}.pt")

    def keep_net(self, name: str, net: torch.nn.Module) -> None:
        """Write the weights; the checkpoint of the training is needed no more."""
        partial = self.folder / f"{name}.weights.partial"
        torch.save({k: w.cpu() for k, w in net.state_dict().items()}, partial)
        partial.replace(self.folder / f"{name}.weights")
        (self.folder / f"{name}.pt").unlink(missing_ok=True)

    def stored_net(self, name: str, net: torch.nn.Module) -> torch.nn.Module:
        """Fill a network with the weights of a training that is finished; returns it."""
        net.load_state_dict(torch.load(self.folder / f"{name}.weights", weights_only=True))
        return net.to(self.device).eval()

    def record(self, name: str) -> dict | None:
        """What a finished part left; None if it is not finished, or was done at another scale."""
        path = self.folder / f"{name}.json"
        found = json.loads(path.read_text(encoding="utf8")) if path.is_file() else None
        same = found and found["scale"] == json.loads(json.dumps(asdict(self.scale)))
        return found if same else None

    def run(self, name: str, part) -> dict:
        """Do a part, or take what it left; returns its record."""
        found = self.record(name)
        if found:
            return found
        self.folder.mkdir(parents=True, exist_ok=True)
        on_gpu = self.device.startswith("cuda")
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        start = time.monotonic()
        numbers = part(self)
        record = {
            "part": name,
            "numbers": numbers,
            "seconds": round(time.monotonic() - start, 1),
            "memory_mb": round(peak_memory(on_gpu) / 1e6),
            "device": torch.cuda.get_device_name() if on_gpu else f"CPU ({platform.machine()})",
            "torch": torch.__version__,
            "package_version": mih.__version__,
            "scale": asdict(self.scale),
        }
        partial = self.folder / f"{name}.json.partial"
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf8")
        partial.replace(self.folder / f"{name}.json")
        return record


def peak_memory(on_gpu: bool) -> int:
    """Most bytes ever held: of the GPU in this part, or by this process in all its life."""
    if on_gpu:
        return torch.cuda.max_memory_allocated()
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else 1024 * found
