"""Explorers: figures with controls that work in a page without kernel, network or library.

Everything an explorer can show is computed in Python and stored in the page; a script draws what
the controls ask for. Where scripts do not run, as in an untrusted notebook, a static picture of the
starting position stays.
"""

import itertools
import re
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import numpy as np

from ..._checks import require
from .fallback import draw_explorer
from .page import html_page, packed


@dataclass
class Control:
    """One control. Its positions are numbered; `ticks` says what each means, in words."""

    label: str
    ticks: list[str]
    start: int = 0
    kind: ClassVar[str]

    def __post_init__(self):
        positions = len(self.ticks)
        ok = 0 <= self.start < positions
        require(ok, "start", self.start, f"0 … {positions - 1}, a position of {self.label!r}")

    @property
    def name(self) -> str:
        """The label as it stands in addresses."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")

    def spec(self) -> dict:
        """What the page needs to know of it."""
        return asdict(self) | {"kind": self.kind, "name": self.name, "size": len(self.ticks)}


@dataclass
class Slider(Control):
    """A slider, for what has an order; time runs from noise on its left to data on its right."""

    values: list[float] | None = None
    """The positions as numbers, if a panel lets the reader drag this slider."""
    play: bool = False
    """Whether a button beside it steps through the positions."""
    play_from: int = 0
    """Where playing starts: the first position at which there is something to see."""
    marks: list = field(default_factory=list)
    """Positions where something happens, marked on the track; a list of them for each position of
    the control `marks_by`, if there is one."""
    marks_by: int | None = None
    marked: str = ""
    """What happens there, for the legend."""
    marks_role: str = "hallucination"
    kind = "slider"


@dataclass
class Buttons(Control):
    """A button for each position, for categories."""

    kind = "buttons"


@dataclass
class Choices(Control):
    """A list to choose from, for more categories than buttons have room for."""

    kind = "list"


@dataclass
class Thumbnails(Control):
    """A small picture for each position, out of `array`: bytes, (positions, height, width)."""

    array: str = ""
    kind = "thumbnails"


@dataclass
class Chip:
    """A button that sets an instructive state: a position for each of some controls."""

    label: str
    at: dict[int, int]


@dataclass
class Said:
    """A sentence for each combination of positions of the controls in `by`, the last fastest."""

    by: list[int]
    words: list[str]


@dataclass
class Line:
    """A line, or dots, that follow controls: arrays whose last axis runs along the line.

    The axes before it follow the controls named in `by` (for y) and `xby` (for x). `rows` draws
    several neighbours along the first of them at once; `flag`, an array with one number for each
    position of that control, paints a row as a hallucination where it is 1. `span`, an array of
    (start, stop) for the positions of the controls in `span_by`, draws only that part of the line.

    role: "exact", "learned", "data" or "hallucination"; everything else is "ink" or "grey", and
    told apart by `dash` (lengths in pixels) or `marker` (circle, square, triangle, pentagon,
    diamond). `points` draws dots instead, of radius `width`, and `hollow` rings. `trail` is a
    control beyond whose first position the dots show where they came from. `bells` draws a normal
    density for each number: its mean in x, its standard deviation in y. `fill` fills the area down
    to `floor`. An `unlisted` line is not in the legend.
    """

    x: str
    y: str
    role: str
    label: str = ""
    by: list[int] = field(default_factory=lambda: [0])
    xby: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=lambda: [0])
    flag: str | None = None
    span: str | None = None
    span_by: list[int] = field(default_factory=lambda: [0])
    points: bool = False
    hollow: bool = False
    marker: str = "circle"
    trail: int | None = None
    bells: bool = False
    dash: tuple[float, ...] = ()
    fill: bool = False
    floor: float = 0.0
    ends: bool = False
    width: float = 2.0
    unlisted: bool = False


@dataclass
class Picks:
    """Segments [x, y, x, y] of a panel that can be clicked: the i-th sets `control` to i + 1."""

    control: int
    segments: list[list[float]]
    widths: list[float]


@dataclass
class Panel:
    """One set of axes: ranges, names, lines, alternative text.

    `marks` shows where the modes are: bands {axis, low, high} or circles {x, y, radius}. Ranges
    and names for y may be nested lists, one level for each of the controls in `y_by` and
    `ylabel_by`. On a logarithmic axis everything is given as log10.
    """

    title: str
    xlabel: str
    ylabel: str | list
    x: tuple[float, float]
    y: tuple[float, float] | list
    lines: list[Line]
    alt: str
    marks: list[dict] = field(default_factory=list)
    drag: str | None = None
    """The axis, "x" or "y", along which dragging over the panel moves the first control."""
    square: bool = False
    """Whether both axes have one scale; their ranges must then be equally long."""
    wide: bool = False
    """Whether the panel takes a row of its own."""
    y_by: list[int] = field(default_factory=list)
    ylabel_by: list[int] = field(default_factory=list)
    xlog: bool = False
    ylog: bool = False
    xwhole: bool = False
    """Whether only whole numbers mean something along x."""
    cursor: str | None = None
    """An array of one number for each position of the controls in `cursor_by`: a line there."""
    cursor_by: list[int] = field(default_factory=lambda: [0])
    picks: Picks | None = None
    kind: str = "panel"

    def check(self, arrays: dict) -> None:
        """Raise a ValueError if a square panel is not square."""
        ok = not self.square or np.isclose(np.ptp(self.x), np.ptp(self.y))
        require(ok, "a square panel's x and y", (self.x, self.y), "ranges of one length")


@dataclass
class Picture:
    """A grey picture that follows the controls in `by`, its pixels drawn as squares.

    name: of an array of bytes, (positions of each of these controls, height, width). columns: a
    marker for each of the picture's columns, equally wide, drawn below it.
    """

    title: str
    name: str
    by: list[int]
    alt: str
    columns: list[str] = field(default_factory=list)
    wide: bool = False
    kind: str = "picture"

    def check(self, arrays: dict) -> None:
        """Raise a ValueError if its array is not of bytes along its controls."""
        array, axes = arrays[self.name], len(self.by) + 2
        ok = array.dtype == np.uint8 and array.ndim == axes > 2
        found = f"{array.ndim} axes of {array.dtype}"
        require(ok, f"the array {self.name!r}", found, f"{axes} axes of uint8")


@dataclass
class Piles:
    """Counts as piles of squares: one pile for each number along the last axis of an array.

    labels: of the piles, "\\n" begins a new line; hollow: which are drawn as outlines.
    """

    title: str
    name: str
    by: list[int]
    labels: list[str]
    roles: list[str]
    hollow: list[bool]
    alt: str
    wide: bool = False
    kind: str = "piles"

    def check(self, arrays: dict) -> None:
        """Raise a ValueError if there is not a label, a role and a fill for each pile."""
        piles = arrays[self.name].shape[-1]
        ok = len(self.labels) == len(self.roles) == len(self.hollow) == piles
        require(ok, "labels", self.labels, f"{piles} of them, as many as roles and hollow")


@dataclass
class Explorer:
    """Controls, panels, and sentences for each state. Show it as the value of a cell.

    name: of the explorer in addresses; title: what it finds, as a sentence; alt: what a reader who
    sees nothing is told first.
    """

    name: str
    title: str
    controls: list[Control]
    panels: list[Panel | Picture | Piles]
    arrays: dict[str, np.ndarray]
    said: list[Said]
    alt: str
    legend: list[dict] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)

    def __post_init__(self):
        sizes = [len(control.ticks) for control in self.controls]
        for said in self.said:
            combinations = int(np.prod([sizes[control] for control in said.by]))
            ok = len(said.words) == combinations
            found = f"{len(said.words)} sentences"
            require(ok, "said", found, f"{combinations}, one a position")
        for chip in self.chips:
            ok = all(0 <= position < sizes[control] for control, position in chip.at.items())
            require(ok, f"the chip {chip.label!r}", chip.at, f"positions below {sizes}")
        for panel in self.panels:
            panel.check(self.arrays)

    @property
    def readout(self) -> list[str]:
        """What is said in each state, in the order of the positions, the last control fastest."""
        sizes = [range(len(control.ticks)) for control in self.controls]
        return [self.sentence(list(at)) for at in itertools.product(*sizes)]

    def sentence(self, at: list[int]) -> str:
        """Return what is said at these positions of the controls."""
        sizes = [len(control.ticks) for control in self.controls]
        found = []
        for said in self.said:
            place = 0
            for control in said.by:
                place = place * sizes[control] + at[control]
            found.append(said.words[place])
        return " ".join(filter(None, found))

    def figure(self):
        """Draw the starting position as a matplotlib figure."""
        return draw_explorer(self, [control.start for control in self.controls])

    def _repr_html_(self) -> str:
        spec = {
            "id": self.name,
            "title": self.title,
            "controls": [control.spec() for control in self.controls],
            "panels": [asdict(panel) for panel in self.panels],
            "arrays": {name: packed(array) for name, array in self.arrays.items()},
            "said": [asdict(said) for said in self.said],
            "legend": self.legend,
            "chips": [asdict(chip) for chip in self.chips],
        }
        return html_page("explorer", spec, self.alt, self.figure())
