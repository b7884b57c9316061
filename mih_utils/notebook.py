"""What every chapter says and does in the same way: its set-up, its verdicts, its shares."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .artifacts import Artifact
from .statistics import share_interval


@dataclass(frozen=True)
class Profile:
    """How much a chapter computes itself, and where."""

    full: bool
    """Whether it trains everything anew, at the paper's scale; else it loads artifacts."""
    device: str
    """Where large networks are trained: "cuda" or "cpu"."""

    def network(self, stored: Artifact) -> nn.Module:
        """Return the artifact's network; in the full profile, train it anew on the device."""
        return stored.retrained(device=self.device) if self.full else stored.net

    def table(self, rows: Sequence[Sequence[str]]):
        """Show what is done in which profile; rows of (what, in quick, in full)."""
        from . import markdown_table

        here = ["this run", "" if self.full else "✓", "✓" if self.full else ""]
        header = ["", "profile quick", "profile full (`MIH_PROFILE=full`)"]
        return markdown(markdown_table(header, [*map(list, rows), here]))


def notebook_setup() -> Profile:
    """Set the book's style, read the profile from $MIH_PROFILE, and say in a line what runs where.

    The profile is quick or full; anything else is refused.
    """
    from . import __version__, use_style

    name = os.environ.get("MIH_PROFILE", "quick")
    if name not in ("quick", "full"):
        raise ValueError(f"MIH_PROFILE is {name!r}, but it must be 'quick' or 'full'")
    use_style()
    full = name == "full"
    profile = Profile(full, "cuda" if full and torch.cuda.is_available() else "cpu")
    # two threads that wait for one another are several times slower beside any busy process
    torch.set_num_threads(1)
    place = torch.cuda.get_device_name() if profile.device == "cuda" else "the CPU"
    print(f"mih_utils {__version__}, torch {torch.__version__}, on {place}, profile {name}")
    return profile


def markdown(text: str):
    """Show text as Markdown in a notebook; outside one, give it back as it is."""
    try:
        from IPython.display import Markdown
    except ImportError:
        return text
    return Markdown(text)


def percent(share: float, interval: tuple[float, float]) -> str:
    """Write a share with its interval: percent(0.951, (0.93, 0.97)) is "95.1% (93.0% – 97.0%)"."""
    low, high = interval
    return f"{share:.1%} ({low:.1%} – {high:.1%})"


def percent_of(chosen: Tensor) -> str:
    """Write the share of a tensor of bool, (n,), that is true, with its 95% interval."""
    return percent(float(chosen.float().mean()), share_interval(int(chosen.sum()), len(chosen)))
