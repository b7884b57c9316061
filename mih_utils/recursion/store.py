"""Finished generations, kept in memory or in a folder, so that a stopped run goes on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .._checks import require
from .._fingerprint import digest


@dataclass
class Generation:
    """What one generation was like."""

    number: int
    """0 is the first model, which was fitted to the real data."""
    metrics: dict[str, float | Tensor]
    """What `measure` gave."""
    x: Tensor
    """Some of the samples that it left to later ones: (shown, *shape), on the CPU."""
    hal: Tensor | None
    """Hal of all candidates that it drew, kept or not, on the CPU: (drawn,)."""
    memory: dict[str, float]
    """What `keep` remembers, such as its threshold."""
    seconds: float
    """To fit, draw and measure."""


class GenerationStore:
    """The generations of one run, each with the samples that it left to later ones.

    With a folder every generation has a file there, written whole or not at all. Without one only
    the last generation is known.
    """

    def __init__(self, folder: str | Path | None, settings: dict):
        """settings: all that the generations depend on, by name; a folder of others is refused."""
        self.folder = None if folder is None else Path(folder)
        self.identity = {name: digest(value) for name, value in settings.items()} if folder else {}
        self.last: tuple[Generation, Tensor] | None = None

    def __contains__(self, number: int) -> bool:
        """Tell whether a generation is in the folder."""
        return self.folder is not None and self.path(number).is_file()

    def save(self, generation: Generation, kept: Tensor) -> None:
        """Keep a generation and the samples that it left, (n, *shape)."""
        self.last = generation, kept
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(generation.number)
        partial = path.with_suffix(".partial")
        torch.save({"identity": self.identity, "kept": plain(kept), **vars(generation)}, partial)
        partial.replace(path)

    def load(self, number: int, device: torch.device) -> tuple[Generation, Tensor]:
        """Return a generation and the samples that it left, these on the device.

        A file of another run is a ValueError that names what is another there.
        """
        if self.last and self.last[0].number == number:
            return self.last
        path = self.path(number)
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
            identity, kept = stored.pop("identity"), stored.pop("kept")
        except Exception as error:
            raise ValueError(
                f"folder {self.folder} is of another version, or damaged in {path.name}: "
                "use another folder"
            ) from error
        other = [name for name, value in self.identity.items() if identity.get(name) != value]
        expected = f"of this run; in it is another {', another '.join(other)}: use another folder"
        require(not other, "folder", str(self.folder), expected)
        return Generation(**stored), kept.to(device)

    def path(self, number: int) -> Path:
        """Name the file of a generation."""
        return self.folder / f"generation-{number:03d}.pt"


def plain(value) -> float | Tensor:
    """Make a number, or a tensor on the CPU that owns its memory: of a view, all would be kept."""
    return value.detach().cpu().clone() if isinstance(value, Tensor) else float(value)
