"""Which of these images were never possible? A game for chapter 3."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..._checks import require
from ...images.shapes import FAINTEST, NONE, SHAPES, Census, templates
from ..figures import draw_images
from .page import html_page, png_sheet
from .shapes import brightness, greys
from .words import listed


@dataclass
class Game:
    """Images to be judged by tapping, then the verdicts on them. Show it as the value of a cell.

    images: (n, 1, size, size) in [-1, 1]; impossible: n truths; verdicts: n of them in words;
    boxes: for each image, what is wrong with it, as (top, left, height, width) in pixels; said:
    what each image shows, for those who do not see it.
    """

    images: Tensor
    impossible: list[bool]
    verdicts: list[str]
    boxes: list[list[list[float]]]
    said: list[str]
    title: str
    task: str
    columns: int = 3
    name: str = "possible"
    alt: str = field(init=False)

    def __post_init__(self):
        self.alt = f"Game: {self.title} {len(self.images)} images to judge, and their verdicts."

    def figure(self):
        """Draw the images as a matplotlib figure, without the verdicts."""
        return draw_images(self.images, 6, split=self.columns)

    def _repr_html_(self) -> str:
        cards = [
            {"impossible": bad, "verdict": verdict, "boxes": boxes, "alt": said}
            for bad, verdict, boxes, said in zip(
                self.impossible, self.verdicts, self.boxes, self.said, strict=True
            )
        ]
        spec = {
            "id": self.name,
            "title": self.title,
            "task": self.task,
            "size": self.images.shape[-1],
            "columns": self.columns,
            "sheet": png_sheet(greys(brightness(self.images))),
            "cards": cards,
        }
        return html_page("game", spec, self.alt, self.figure())


def possible_or_not(images: Tensor, census: Census) -> Game:
    """Let the reader find the images that the data cannot have.

    images: (n, 1, size, size) in [-1, 1], a dozen or two; census: what `shapes.census` found in
    them. The reader taps those that they call impossible; then each image gets its verdict, and a
    box around every part that breaks the rule.
    """
    n = len(images)
    ok = images.ndim == 4 and n > 0
    require(ok, "images.shape", tuple(images.shape), "of form (n, 1, size, size), n above 0")
    judged = len(census.hallucinated)
    require(judged == n, "census", f"of {judged} images", f"of the {n} images")
    bad = census.hallucinated.tolist()
    return Game(
        images,
        bad,
        census.verdicts(),
        [_faults(images, census, i) for i in range(n)],
        [_description(census.counts[i]) for i in range(n)],
        "Which of these were never possible?",
        "Tap every image that the rule cannot have drawn.",
    )


def _description(counts: Tensor) -> str:
    """What is in the columns of an image: counts of SHAPES, (3, 4)."""
    columns = []
    for where, row in zip(("left", "middle", "right"), counts.tolist(), strict=True):
        names = (*SHAPES[:NONE], "something unclear")
        seen = [
            f"{k} {name}{'s' * (k > 1 and i < NONE)}"
            for i, (k, name) in enumerate(zip(row, names, strict=True))
            if k
        ]
        columns.append(f"{where} {listed(seen) or 'nothing'}")
    return ", ".join(columns)


def _faults(images: Tensor, census: Census, i: int) -> list[list[float]]:
    """The boxes around what is wrong in image i: repeated, out of its column, or no shape."""
    size = images.shape[-1]
    width, boxes = size // 3, []
    for j in (census.image == i).nonzero()[:, 0].tolist():
        shape, column, place = int(census.shape[j]), int(census.column[j]), census.place[j].tolist()
        if shape == NONE:
            boxes.append(_outline(images[i, 0], place))
            continue
        height, across = templates(size)[shape].shape
        inside = shape * width - 1 <= place[1] <= (shape + 1) * width - across + 1
        if not inside or census.counts[i, column, shape] > 1:
            boxes.append([*place, height, across])
    return boxes


def _outline(image: Tensor, place: list[float]) -> list[float]:
    """The box around the bright pixels that hang together with the one nearest to a place."""
    bright = ((image.cpu() + 1) / 2 > FAINTEST).numpy()
    pixels = np.argwhere(bright)
    if not len(pixels):
        return [*place, 1, 1]
    start = pixels[np.abs(pixels - np.array(place)).sum(axis=1).argmin()]
    found = np.zeros_like(bright)
    found[tuple(start)] = True
    while True:
        around = torch.nn.functional.max_pool2d(
            torch.from_numpy(found)[None].float(), 3, stride=1, padding=1
        )[0].numpy()
        grown = (around > 0) & bright
        if (grown == found).all():
            break
        found = grown
    rows, columns = np.nonzero(found)
    top, left = int(rows.min()), int(columns.min())
    return [top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1]
