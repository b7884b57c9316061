"""Fingerprints of data, settings and code, so that a stored result is taken for no other."""

import hashlib
import types

import torch


def digest(value) -> str:
    """Return a short name for a value: equal for equal values, and different for others.

    Tensors count with all their numbers, and functions with their code, defaults and what they
    close over, so that two lambdas are told apart.
    """
    found = hashlib.sha256()
    _add(found, value, set())
    return found.hexdigest()[:16]


def _add(found, value, seen: set) -> None:
    if isinstance(value, torch.Tensor):
        found.update(f"{value.dtype}{tuple(value.shape)}".encode())
        if value.device.type != "meta":
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, dict):
        found.update(b"{")
        for name in value:
            found.update(str(name).encode())
            _add(found, value[name], seen)
    elif isinstance(value, list | tuple | set | frozenset):
        found.update(b"[")
        for one in sorted(value, key=repr) if isinstance(value, set | frozenset) else value:
            _add(found, one, seen)
    elif isinstance(value, types.FunctionType):
        if id(value) not in seen:  # a function may close over itself
            seen.add(id(value))
            _add(found, value.__code__, seen)
            _add(found, [value.__defaults__, value.__kwdefaults__], seen)
            _add(found, [cell.cell_contents for cell in value.__closure__ or ()], seen)
    elif isinstance(value, types.CodeType):
        found.update(value.co_code)
        _add(found, [value.co_names, value.co_consts], seen)
    elif isinstance(value, str | bytes | bool | int | float | complex | type(None)):
        found.update(repr(value).encode())
    else:
        found.update(f"{type(value).__module__}.{type(value).__qualname__}".encode())
        if id(value) not in seen and hasattr(value, "__dict__"):
            seen.add(id(value))
            _add(found, vars(value), seen)
