"""One way to refuse bad input: say which argument, what it was, and what would be right."""

import torch


def require(condition: bool, argument: str, value: object, expected: str) -> None:
    """Raise a ValueError that names the argument, its value and what it must be."""
    if not condition:
        raise ValueError(f"{argument} is {value!r}, but it must be {expected}")


def require_points(argument: str, x: torch.Tensor, dim: int) -> None:
    """Require a tensor of points, shape (n, dim)."""
    require(isinstance(x, torch.Tensor), argument, type(x).__name__, "a torch.Tensor")
    require(
        x.ndim == 2 and x.shape[1] == dim,
        f"{argument}.shape",
        tuple(x.shape),
        f"of form (n, {dim})",
    )


def require_count(argument: str, value: int) -> None:
    """Require a whole number of at least 1."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    require(whole and value >= 1, argument, value, "a whole number of at least 1")
