"""The images: a triangle, a square and a pentagon, each in a column of its own."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..._checks import require, require_count

SHAPES = ("triangle", "square", "pentagon", "none")  # the columns' order; none: no shape of these
# The width of each row of pixels, centred. At 64 px they have 65, 64 and 70 pixels.
ROWS = {
    64: ((1, 1, 3, 3, 5, 5, 7, 9, 9, 11, 11), (8,) * 8, (1, 5, 7, 9, 9, 9, 9, 7, 7, 7)),
    32: ((1, 3, 5, 7), (4,) * 4, (1, 3, 5, 5, 3)),
    16: ((1, 3, 5), (3,) * 3, (1, 3, 5, 5, 3)),
}


def templates(size: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the three shapes as pictures of 0 and 1, each (height, width), as tight as it is.

    size: of the image that they belong into, 64, 32 or 16.
    """
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


def largest_column(values: Tensor) -> Tensor:
    """Average values over each of the three columns, and return the largest average: (n,).

    values: one for each pixel, (n, 1, size, size).
    """
    ok = values.ndim == 4 and values.shape[1] == 1 and values.shape[3] >= 3
    require(ok, "values.shape", tuple(values.shape), "of form (n, 1, size, size)")
    height, width = values.shape[2], values.shape[3] // 3
    columns = F.avg_pool2d(values[..., : 3 * width], (height, width))
    return columns.flatten(1).amax(dim=1)
