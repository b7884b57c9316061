"""The laboratory: a network that trains in the page, with no kernel, network or library.

Its parts are JavaScript modules in viz/js/lab, which node imports for the tests and viz/assets.py
joins to one script. Here: its element, and the picture that stands there without scripts.
"""

import base64
import html
import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ..assets import lab_script, lab_style
from ..style import COLORS

_HERE = Path(__file__).parents[1] / "js" / "lab"
_ALT = (
    "A small network trains in the page: the density it generates, with mass between the modes "
    "of the data that falls as it learns, beside the exact answer"
)


class Laboratory:
    """The value of a cell, or a part of a page: shows itself as HTML that needs nothing else."""

    def __init__(self):
        self.recorded = json.loads((_HERE / "recorded.json").read_text(encoding="utf-8"))

    def _repr_html_(self) -> str:
        stored = json.dumps(self.recorded).replace("<", "\\u003c")
        alt = html.escape(_ALT, quote=True)
        return (
            f'<div class="mih-lab" role="group" aria-label="{alt}">'
            f'<style data-mih="lab-style">{lab_style()}</style>'
            f'<img class="lab-fallback" alt="{alt}" src="data:image/png;base64,{self._png()}">'
            f'<script type="application/json">{stored}</script>'
            f'<script data-mih="lab-script">{lab_script()}</script></div>'
        )

    def figure(self) -> plt.Figure:
        """The end of the stored training as a matplotlib figure."""
        low, high = self.recorded["range"]
        last, exact = self.recorded["frames"][-1], self.recorded["exact"]
        figure, (gap, stairs) = plt.subplots(1, 2, figsize=(9.2, 3.4))
        for found, role, label in ((exact, "exact", "exact answer"), (last, "learned", "network")):
            p = 10 ** _unpacked(found["p"], -9, 2)
            x = low + (high - low) * (np.arange(len(p)) + 0.5) / len(p)
            gap.plot(x, p, color=COLORS[role], label=label)
        gap.set(yscale="log", ylim=(1e-7, 30), xlabel="x", ylabel="generated density")
        gap.legend(loc="lower left")
        guesses = {"exact": self.recorded["stairs"]["exact"], "learned": last["stairs"]}
        for role, packed in guesses.items():
            y = _unpacked(packed, low, high)
            stairs.plot(np.linspace(low, high, len(y)), y, color=COLORS[role])
        stairs.set(xlabel="noised point, rescaled", ylabel="guess of the clean one")
        return figure

    def _png(self) -> str:
        figure = self.figure()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=80, metadata={"Software": None})
        plt.close(figure)
        return base64.b64encode(buffer.getvalue()).decode()


def laboratory() -> Laboratory:
    """A laboratory in which the reader trains a network: show it as the value of a cell."""
    return Laboratory()


def _unpacked(text: str, low: float, high: float) -> np.ndarray:
    """Numbers that were stored as bytes between low and high."""
    return low + (high - low) * np.frombuffer(base64.b64decode(text), np.uint8) / 255
