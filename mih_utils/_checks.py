"""One way to refuse bad input: say which argument, what it was, and what would be right."""

import math
import numbers

import torch

from ._device import parts_of


def require(condition: bool, argument: str, value: object, expected: str) -> None:
    """Raise a ValueError that names the argument, its value and what it must be."""
    if not condition:
        raise ValueError(f"{argument} is {value!r}, but it must be {expected}")


def is_whole(value: object) -> bool:
    """Whether a value is a whole number (and not a truth value)."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def require_count(argument: str, value: int) -> None:
    """Require a whole number of at least 1."""
    require(is_whole(value) and value >= 1, argument, value, "a whole number of at least 1")


def require_number(
    argument: str, value: float, above: float = -math.inf, at_most: float = math.inf
) -> None:
    """Require a finite number in the interval (above, at_most]."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    right = number and math.isfinite(value) and above < value <= at_most
    expected = "a finite number"
    expected += f" above {above:g}" if above > -math.inf else ""
    expected += f", at most {at_most:g}" if at_most < math.inf else ""
    require(right, argument, value, expected)


def require_points(argument: str, x: torch.Tensor, dim: int) -> None:
    """Require a tensor of floating-point points, shape (n, dim)."""
    require(isinstance(x, torch.Tensor), argument, type(x).__name__, "a torch.Tensor")
    ok = x.ndim == 2 and x.shape[1] == dim
    require(ok, f"{argument}.shape", tuple(x.shape), f"of form (n, {dim})")
    require(x.is_floating_point(), f"{argument}.dtype", x.dtype, "a floating-point dtype")


def require_known_times(argument: str, net, times) -> None:
    """Require that a net that says which t it knows knows all of these whole numbers."""
    for part in parts_of(net):
        known = getattr(part, "known_steps", None)
        if known is not None:
            unknown = [t for t in times if isinstance(t, int) and t not in known]
            expected = f"made of the {len(known)} steps that the net was built for"
            require(not unknown, argument, f"one with t = {unknown[:1]}", expected)


def require_generator(generator: torch.Generator | None, device: torch.device) -> None:
    """Require that a generator lies where the numbers are wanted."""
    if generator is not None:
        require(
            isinstance(generator, torch.Generator),
            "generator",
            type(generator).__name__,
            "a torch.Generator",
        )
        found, expected = str(generator.device), f"on {device}, where the computation runs"
        same = generator.device.type == device.type or device.type == "meta"
        require(same, "generator.device", found, expected)
