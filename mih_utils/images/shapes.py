"""The paper's images: a triangle, a square and a pentagon, each in a column of its own.

And the census that finds, in generated images, what the data never has: a shape twice in its
column, a shape out of its column, something that is no shape, or nothing at all.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .._checks import require, require_count, require_number

SHAPES = ("triangle", "square", "pentagon", "none")  # the columns' order; none: no shape of these
NONE = 3
# The width of each row of pixels, centred. At 64 px they have 65, 64 and 70 pixels.
ROWS = {
    64: ((1, 1, 3, 3, 5, 5, 7, 9, 9, 11, 11), (8,) * 8, (1, 5, 7, 9, 9, 9, 9, 7, 7, 7)),
    32: ((1, 3, 5, 7), (4,) * 4, (1, 3, 5, 5, 3)),
    16: ((1, 3, 5), (3,) * 3, (1, 3, 5, 5, 3)),
}
FAINTEST = 0.3  # brightness, 0 … 1, from which a pixel belongs to a component
CRUMB = 0.1  # what is left over beside a shape counts from this share of its pixels on
MARGIN = 2  # pixels left free around a component that is compared with the shapes
BLOCK = 500  # images looked at together, which bounds the memory


def templates(size: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """The shapes of the columns as pictures of 0 and 1, each (height, width) as tight as it is."""
    require(size in ROWS, "size", size, f"one of {', '.join(map(str, sorted(ROWS)))}")
    return tuple(
        torch.tensor(
            [[abs(2 * x + 1 - max(rows)) < row for x in range(max(rows))] for row in rows]
        ).float()
        for rows in ROWS[size]
    )


def dataset(n: int, size: int = 64, *, generator: torch.Generator | None = None) -> Tensor:
    """Draw n images: (n, 1, size, size), float32, shapes 1 on a background of -1.

    The image has three columns, size // 3 pixels wide, for triangle, square and pentagon. Each
    shape is there with probability one half, at a random place of its column; images with none
    are dropped. They lie on the generator's device (default: the CPU).
    """
    require_count("n", n)
    device = generator.device if generator is not None else torch.device("cpu")
    images = torch.full((n, 1, size, size), -1.0, device=device)
    # without the blanks, the seven ways to have shapes are equally likely: the bits of 1 … 7
    present = torch.randint(1, 8, (n,), device=device, generator=generator)
    for k, template in enumerate(templates(size)):
        height, width = template.shape
        top = torch.randint(size - height + 1, (n,), device=device, generator=generator)
        left = torch.randint(size // 3 - width + 1, (n,), device=device, generator=generator)
        image = (present >> k & 1).nonzero()
        row, column = template.to(device).nonzero().T
        images[image, 0, top[image] + row, k * (size // 3) + left[image] + column] = 1.0
    return images


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
        """What is wrong with each image, in words, or "possible": n of them."""
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
    n, size, width = len(images), images.shape[-1], images.shape[-1] // 3
    found = [_components(block[:, 0], least) for block in images.split(BLOCK)]
    for i, parts in enumerate(found):
        parts.image += i * BLOCK
    image, shape, place, box, confidence = vars(_Parts.joined(found)).values()

    column = ((place[:, 1] + box[:, 1] / 2) / width).long().clamp(0, 2)
    counts = torch.zeros(n, 3, 4, dtype=torch.long, device=images.device)
    counts.index_put_((image, column, shape), torch.ones_like(image), accumulate=True)
    left = shape * width  # of its own column
    low = torch.stack([torch.zeros_like(left), left], dim=1)
    high = torch.stack([torch.full_like(left, size), left + width], dim=1) - box
    outside = ((place < low - 1) | (place > high + 1)).any(dim=1) & (shape != NONE)
    return Census(
        image=image,
        column=column,
        shape=shape,
        place=place,
        confidence=confidence,
        counts=counts,
        repeated=(counts.diagonal(dim1=1, dim2=2) > 1).any(dim=1),
        wrong_column=torch.bincount(image[outside], minlength=n) > 0,
        malformed=(counts[:, :, NONE] > 0).any(dim=1),
        blank=counts.sum(dim=(1, 2)) == 0,
    )


@dataclass
class _Parts:
    """Components, one a row: what Census says of them, and the height and width of their box."""

    image: Tensor
    shape: Tensor
    place: Tensor
    box: Tensor
    confidence: Tensor

    @classmethod
    def joined(cls, some: list["_Parts"]) -> "_Parts":
        """All of them, image after image."""
        both = cls(*map(torch.cat, zip(*(vars(parts).values() for parts in some), strict=True)))
        return both[both.image.argsort(stable=True)]

    def __getitem__(self, chosen: Tensor) -> "_Parts":
        return _Parts(*(part[chosen] for part in vars(self).values()))


def _components(images: Tensor, least: float) -> _Parts:
    """What is in images, (n, size, size)."""
    bank = _Bank(images.shape[-1], images.device)
    # the brightness that no shape explains yet
    rest = F.pad((images.float() + 1) / 2, (1 + MARGIN, bank.side) * 2)
    parts, pixels, label = bank.compare(rest)
    good = parts.confidence >= least
    found = [parts[good]]
    rest[pixels[good[label]].unbind(dim=1)] = 0
    bad = todo = parts.image[~good].unique()
    while len(todo):
        taken = bank.take_out(rest, todo, least)
        found.append(taken)
        todo = taken.image
    parts, pixels, label = bank.compare(rest[bad])
    mass = torch.zeros_like(parts.confidence)
    mass.index_add_(0, label, rest[bad][pixels.unbind(dim=1)])
    parts.image = bad[parts.image]
    parts.shape[parts.confidence < least] = NONE
    return _Parts.joined([*found, parts[mass > CRUMB * bank.area.min()]])


class _Bank:
    """Each shape moved by -1 … 1 in half pixels, to compare images with.

    Images have a margin here: 1 + MARGIN pixels before and `side` behind.
    """

    def __init__(self, size: int, device: torch.device):
        shapes = templates(size)
        self.side = side = 2 * MARGIN + max(max(shape.shape) for shape in shapes)
        moves = [(down / 2, across / 2) for down in range(-2, 3) for across in range(-2, 3)]
        pictures = []
        for shape in shapes:
            height, width = shape.shape
            around = (MARGIN, side - MARGIN - width, MARGIN, side - MARGIN - height)
            pictures += [_moved(F.pad(shape, around), *move) for move in moves]
        self.pictures = torch.stack(pictures).to(device)  # (B, side, side)
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

    def compare(self, brightness: Tensor) -> tuple[_Parts, Tensor, Tensor]:
        """Components as the shapes they are nearest to; their pixels (P, 3), and whose each is."""
        pixels = (brightness > FAINTEST).nonzero()
        label = _label(pixels, brightness.shape)
        first, label, count = label.unique(return_inverse=True, return_counts=True)
        each = label[:, None].expand(-1, 3)
        corner = pixels[first].scatter_reduce(0, each, pixels, "amin")
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
        return _Parts(image, self.shape[best], place, self.box[best], confidence), pixels, label

    def take_out(self, rest: Tensor, todo: Tensor, least: float) -> _Parts:
        """From each image of `todo`, take the shape that fits best, if all of it is there."""
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
        return _Parts(todo, self.shape[which], place, self.box[which], confidence)[good]

    def windows(self, image: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Index of the windows, (P, side, side), that a shape at a place would be the middle of."""
        step = torch.arange(self.side, device=image.device)
        row, column = (place + 1)[:, :, None].unbind(dim=1)
        return image[:, None, None], (row + step)[:, :, None], (column + step)[:, None, :]


def _label(pixels: Tensor, shape: torch.Size) -> Tensor:
    """The first pixel of the component that each of the pixels, (P, 3), belongs to: (P,)."""
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
    """A picture moved by whole or half pixels, the latter by bilinear interpolation."""
    for dim, by in enumerate((down, across)):
        picture = (picture.roll(math.floor(by), dim) + picture.roll(math.ceil(by), dim)) / 2
    return picture
