"""Taking an image apart: its bright components, each compared with the three shapes."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .data import templates

NONE = 3  # the number of what is no shape
FAINTEST = 0.3  # brightness, 0 … 1, from which a pixel belongs to a component
CRUMB = 0.1  # what is left over beside a shape counts from this share of its pixels on
MARGIN = 2  # pixels left free around a component that is compared with the shapes


@dataclass
class Components:
    """P components of images, one a row: what Census says of them, and the size of their box."""

    image: Tensor
    """The image that each is in: (P,)."""
    shape: Tensor
    """The shape it is nearest to: (P,)."""
    place: Tensor
    """Row and column of that shape's upper left corner: (P, 2)."""
    box: Tensor
    """Height and width of that shape: (P, 2)."""
    confidence: Tensor
    """How near it is: (P,)."""

    def __getitem__(self, chosen: Tensor) -> "Components":
        return Components(
            image=self.image[chosen],
            shape=self.shape[chosen],
            place=self.place[chosen],
            box=self.box[chosen],
            confidence=self.confidence[chosen],
        )


def joined(some: list[Components]) -> Components:
    """Put components together, image after image."""
    together = Components(
        image=torch.cat([found.image for found in some]),
        shape=torch.cat([found.shape for found in some]),
        place=torch.cat([found.place for found in some]),
        box=torch.cat([found.box for found in some]),
        confidence=torch.cat([found.confidence for found in some]),
    )
    return together[together.image.argsort(stable=True)]


def components(images: Tensor, least: float) -> Components:
    """Find what is in images around [-1, 1], (n, size, size).

    A component with less confidence than `least` is taken apart: shapes that fit are taken out of
    it one by one, and what is then left over is no shape.
    """
    matcher = ShapeMatcher(images.shape[-1], images.device)
    # the brightness that no shape explains yet
    rest = F.pad((images.float() + 1) / 2, (1 + MARGIN, matcher.side) * 2)
    whole = matcher.compare(rest)
    good = whole.found.confidence >= least
    shapes = [whole.found[good]]
    rest[whole.pixels[good[whole.label]].unbind(dim=1)] = 0
    bad = todo = whole.found.image[~good].unique()
    while len(todo):
        taken = matcher.take_out(rest, todo, least)
        shapes.append(taken)
        todo = taken.image
    left = matcher.compare(rest[bad])
    mass = torch.zeros_like(left.found.confidence)
    mass.index_add_(0, left.label, rest[bad][left.pixels.unbind(dim=1)])
    left.found.image = bad[left.found.image]
    left.found.shape[left.found.confidence < least] = NONE
    return joined([*shapes, left.found[mass > CRUMB * matcher.area.min()]])


class Comparison(NamedTuple):
    """Components beside the shapes they are nearest to."""

    found: Components
    pixels: Tensor
    """Image, row and column of each bright pixel: (B, 3)."""
    label: Tensor
    """The component that each of these pixels belongs to: (B,)."""


class ShapeMatcher:
    """Each shape moved by -1 … 1 in half pixels, M pictures to compare components with.

    Images have a margin here: 1 + MARGIN pixels before and `side` behind.
    """

    def __init__(self, size: int, device: torch.device):
        """size: of the images, 64, 32 or 16."""
        shapes = templates(size)
        self.side = side = 2 * MARGIN + max(max(shape.shape) for shape in shapes)
        moves = [(down / 2, across / 2) for down in range(-2, 3) for across in range(-2, 3)]
        pictures = []
        for shape in shapes:
            height, width = shape.shape
            around = (MARGIN, side - MARGIN - width, MARGIN, side - MARGIN - height)
            pictures += [_moved(F.pad(shape, around), *move) for move in moves]
        self.pictures = torch.stack(pictures).to(device)  # (M, side, side)
        self.area = self.pictures.sum(dim=(1, 2))
        self.moves = torch.tensor(moves * 3, device=device)
        self.shape = torch.arange(3, device=device).repeat_interleave(len(moves))
        self.box = torch.tensor([shape.shape for shape in shapes], device=device)[self.shape]
        # all places need only the moves by less than a pixel; those inside the shape's own column:
        self.fine = ((self.moves >= 0) & (self.moves < 1)).all(dim=1).nonzero()[:, 0]
        left = torch.arange(size + MARGIN + 2, device=device) - 1 + self.moves[self.fine, 1:]
        left = left - self.shape[self.fine, None] * (size // 3)
        last = size // 3 - self.box[self.fine, 1:]
        self.own_column = ((left >= -0.5) & (left <= last + 0.5))[:, None, :]  # (F, 1, places)

    def compare(self, brightness: Tensor) -> Comparison:
        """Compare every component of the images with every picture, and take the nearest.

        brightness: 0 … 1, with the margin, (n, height, width).
        """
        pixels = (brightness > FAINTEST).nonzero()
        first, label, count = label_components(pixels, brightness.shape).unique(
            return_inverse=True, return_counts=True
        )
        corner = pixels[first].scatter_reduce(0, label[:, None].expand(-1, 3), pixels, "amin")
        image, place = corner[:, 0], corner[:, 1:] - 1 - MARGIN
        # a window around each component, without the others
        number = torch.full_like(brightness, -1, dtype=torch.long)
        number[pixels.unbind(dim=1)] = label
        at = self.windows(image, place)
        own = number[at] == torch.arange(len(first), device=label.device)[:, None, None]
        window = (brightness[at] * (own | (number[at] == -1))).flatten(1)
        beyond = count - own.sum(dim=(1, 2))  # its pixels outside of the window

        pictures = self.pictures.flatten(1)
        error = window.square().sum(dim=1, keepdim=True) + pictures.square().sum(dim=1)
        error = error - 2 * window @ pictures.T + beyond[:, None]
        confidence, best = (1 - error / self.area).max(dim=1)
        place = place + self.moves[best]
        nearest = Components(image, self.shape[best], place, self.box[best], confidence)
        return Comparison(nearest, pixels, label)

    def take_out(self, rest: Tensor, todo: Tensor, least: float) -> Components:
        """Take the shape that fits best out of each image rest[todo], if all of it is there.

        Changes rest, (n, height, width), where a shape is taken. Returns the shapes taken.
        """
        pictures = self.pictures[self.fine]
        # of all places at once: area - sum of (T - b)² where T > 0, so a larger shape fits better
        filters = torch.stack([2 * pictures, -(pictures > 0).float()], dim=1)
        brightness = torch.stack([rest[todo], rest[todo].square()], dim=1)
        constant = (pictures - pictures.square()).sum(dim=(1, 2))
        fit = F.conv2d(brightness, filters, constant).masked_fill(~self.own_column, -math.inf)
        best = fit.flatten(1).argmax(dim=1)
        which, *place = torch.unravel_index(best, fit.shape[1:])
        picture, place = pictures[which], torch.stack(place, dim=1) - 1
        at = self.windows(todo, place)
        lack = ((picture - rest[at]).clamp(min=0) * (picture > 0)).sum(dim=(1, 2))
        which = self.fine[which]
        confidence = 1 - lack / self.area[which]
        good = confidence >= least
        rest[tuple(index[good] for index in at)] -= picture[good]
        place = place + self.moves[which]
        return Components(todo, self.shape[which], place, self.box[which], confidence)[good]

    def windows(self, image: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Index the windows, (P, side, side), in whose middle a shape at that place would be."""
        step = torch.arange(self.side, device=image.device)
        row, column = (place + 1)[:, :, None].unbind(dim=1)
        return image[:, None, None], (row + step)[:, :, None], (column + step)[:, None, :]


def label_components(pixels: Tensor, shape: torch.Size) -> Tensor:
    """Find the first pixel of the component that each of the pixels, (B, 3), is in: (B,)."""
    n, height, width = shape
    image, row, column = pixels.T
    label = torch.arange(len(pixels) + 1, device=pixels.device)
    index = label.new_full((n, height, width), len(pixels))  # stands for: no such pixel
    index[image, row, column] = label[:-1]
    around = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    neighbours = torch.stack([index[image, row + y, column + x] for y, x in around])
    while True:  # each takes the smallest label around it, and then the label of that one
        smaller = torch.cat([label[neighbours].amin(dim=0), label[-1:]])
        smaller = smaller[smaller]
        if torch.equal(smaller, label):
            return label[:-1]
        label = smaller


def _moved(picture: Tensor, down: float, across: float) -> Tensor:
    """Move a picture by whole pixels, or by half ones (bilinear interpolation)."""
    for dim, by in enumerate((down, across)):
        picture = (picture.roll(math.floor(by), dim) + picture.roll(math.ceil(by), dim)) / 2
    return picture
