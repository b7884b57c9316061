"""The laboratory: a network that trains in the page, with no kernel, network or library.

Its parts are JavaScript modules in viz/js/lab, which node imports for the tests. Here they become
one script: those that compute as one function, whose text is also what the worker runs, and those
that show as another.
"""

import base64
import html
import io
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLORS

_HERE = Path(__file__).parents[1] / "js" / "lab"
# Each module after those that it imports from.
_COMPUTING = ["kernel_bytes", "kernel", "rng", "mixture", "chain", "network", "training"]
_COMPUTING += ["density", "engine"]
_SHOWING = ["settings", "axes", "panels", "demo", "share", "page", "handles", "connect", "main"]
_ALT = (
    "A small network trains in the page: the density it generates, with mass between the modes "
    "of the data that falls as it learns, beside the exact answer"
)


class Laboratory:
    """The value of a cell, or a part of a page: shows itself as HTML that needs nothing else."""

    def __init__(self):
        self.recorded = json.loads((_HERE / "recorded.json").read_text(encoding="utf-8"))

    def _repr_html_(self) -> str:
        return f"{self.markup(f'<style>{style()}</style>', f'<script>{script()}</script>')}"

    def markup(self, before: str = "", after: str = "") -> str:
        """The element itself; a page that has `style()` and `script()` once needs no more."""
        stored = json.dumps(self.recorded).replace("<", "\\u003c")
        alt = html.escape(_ALT, quote=True)
        return (
            f'<div class="mih-lab" role="group" aria-label="{alt}">{before}'
            f'<img class="lab-fallback" alt="{alt}" src="data:image/png;base64,{self._png()}">'
            f'<script type="application/json">{stored}</script>{after}</div>'
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


def style() -> str:
    """The style sheet of the laboratory."""
    return (_HERE / "lab.css").read_text(encoding="utf-8")


def script() -> str:
    """All modules as one script, which starts every laboratory on the page."""
    computing, names = zip(*map(_module, _COMPUTING), strict=True)
    showing = "\n".join(_module(name)[0] for name in _SHOWING)
    offered = ", ".join(name for some in names for name in some)
    return (
        '(function () {\n"use strict";\nfunction computing() {\n"use strict";\n'
        + "\n".join(computing)
        + f"\nreturn {{ {offered} }};\n}}\nconst {{ {offered} }} = computing();\n{showing}\n"
        + "startLaboratories(`(${computing})().serve(self);`);\n})();"
    )


def _module(name: str) -> tuple[str, list[str]]:
    """A module's text without imports, exports, comments and indents; and the names it exports."""
    text = (_HERE / f"{name}.js").read_text(encoding="utf-8")
    names = re.findall(r"^export (?:function\*?|class|const) (\w+)", text, re.M)
    text = re.sub(r"^import .*\n", "", text, flags=re.M)
    text = re.sub(r"^export ", "", text, flags=re.M)
    text = re.sub(r"^\s*//.*\n", "", text, flags=re.M)
    text = re.sub(r"  // .*$", "", text, flags=re.M)
    return re.sub(r"^\s+", "", text, flags=re.M), names


def _unpacked(text: str, low: float, high: float) -> np.ndarray:
    """Numbers that were stored as bytes between low and high."""
    return low + (high - low) * np.frombuffer(base64.b64decode(text), np.uint8) / 255
