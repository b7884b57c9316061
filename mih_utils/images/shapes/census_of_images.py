"""The census that finds, in generated images, what the data never has.

That is a shape twice in its column, a shape out of its column, something that is no shape, or
nothing at all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..._checks import require, require_number
from .data import ROWS, SHAPES
from .matching import NONE, Components, components, joined

BLOCK = 500  # images looked at together, which bounds the memory


@dataclass
class Census:
    """What `census` found in n images: P components, and what is wrong with which image."""

    image: Tensor
    """The image that each component is in: (P,), ascending."""
    column: Tensor
    """The column that its middle is in, 0 … 2: (P,)."""
    shape: Tensor
    """Which of SHAPES it is: (P,); 3, "none", for what is merged, broken, blurred or faint."""
    place: Tensor
    """Row and column of its upper left corner in pixels, a shape's to half a pixel: (P, 2)."""
    confidence: Tensor
    """1 less the squared difference in brightness to the nearest shape, in pixels per pixel of that
    shape: (P,). 1 is perfect; one wrong pixel of 64 gives 1 - 1/64."""
    counts: Tensor
    """How many of SHAPES are in each column: (n, 3, 4)."""
    repeated: Tensor
    """Images with a shape twice in its column: (n,) bool."""
    wrong_column: Tensor
    """Images with a shape that is not inside its column: (n,) bool."""
    malformed: Tensor
    """Images with a component that is no shape: (n,) bool."""
    blank: Tensor
    """Images without any component: (n,) bool."""

    @property
    def hallucinated(self) -> Tensor:
        """Images that the data cannot have: (n,) bool."""
        return self.repeated | self.wrong_column | self.malformed | self.blank

    def verdicts(self) -> list[str]:
        """Say what is wrong with each image, in words, or "possible": n of them."""
        twice = (self.counts.diagonal(dim1=1, dim2=2) > 1).tolist()
        faults = zip(self.wrong_column, self.malformed, self.blank, strict=True)
        words = []
        for repeated, (misplaced, malformed, blank) in zip(twice, faults, strict=True):
            found = [f"two {s}s" for s, more in zip(SHAPES, repeated, strict=False) if more]
            found += ["wrong column"] * misplaced + ["malformed"] * malformed
            words.append(", ".join(found + ["nothing"] * blank) or "possible")
        return words


def census(images: Tensor, *, least: float = 0.87) -> Census:
    """Find every shape in images, and every image that the data cannot have.

    images: (n, 1, size, size) around [-1, 1], of a size that `dataset` knows.
    least: the confidence from which a component is a shape.

    A component hangs together (over corners, too) and is brighter than 0.3 on a scale from 0 to 1.
    It is compared with each shape, moved by half pixels. Shapes of neighbouring columns may touch:
    out of a component that is no shape, those that fit are taken one by one, and only what is left
    over is "none".
    """
    ok = images.ndim == 4 and images.shape[1] == 1 and images.shape[2] == images.shape[3]
    ok = ok and images.shape[-1] in ROWS
    require(
        ok, "images.shape", tuple(images.shape), "of form (n, 1, size, size), size 16, 32 or 64"
    )
    require_number("least", least, above=0, at_most=1)
    size, width = images.shape[-1], images.shape[-1] // 3
    parts = [components(block[:, 0], least) for block in images.split(BLOCK)]
    for i, part in enumerate(parts):
        part.image += i * BLOCK
    found = joined(parts)
    column = ((found.place[:, 1] + found.box[:, 1] / 2) / width).long().clamp(0, 2)
    counts = torch.zeros(len(images), 3, 4, dtype=torch.long, device=images.device)
    one = torch.ones_like(found.image)
    counts.index_put_((found.image, column, found.shape), one, accumulate=True)
    outside = found.image[_outside_its_column(found, size)]
    return Census(
        image=found.image,
        column=column,
        shape=found.shape,
        place=found.place,
        confidence=found.confidence,
        counts=counts,
        repeated=(counts.diagonal(dim1=1, dim2=2) > 1).any(dim=1),
        wrong_column=torch.bincount(outside, minlength=len(images)) > 0,
        malformed=(counts[:, :, NONE] > 0).any(dim=1),
        blank=counts.sum(dim=(1, 2)) == 0,
    )


def _outside_its_column(found: Components, size: int) -> Tensor:
    """Tell which components are a shape that is not inside its column, but for a pixel: (P,)."""
    left = found.shape * (size // 3)
    low = torch.stack([torch.zeros_like(left), left], dim=1)
    high = torch.stack([torch.full_like(left, size), left + size // 3], dim=1) - found.box
    beyond = (found.place < low - 1) | (found.place > high + 1)
    return beyond.any(dim=1) & (found.shape != NONE)
