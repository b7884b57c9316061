"""Fingerprints of data, settings and code, so that a stored result is taken for no other."""

import functools
import hashlib
import types

import numpy as np
import torch

PLAIN = str | bytes | bool | int | float | complex | type(None)


def digest(value) -> str:
    """Return a short name for a value: equal for equal values, and different for others.

    Tensors count with all their numbers. Functions count with their code and defaults, what they
    close over, and the plain values and functions of their module that they name; so two lambdas
    are told apart, and a setting that a function reads counts too.
    """
    found = hashlib.sha256()
    _add(found, value, set())
    return found.hexdigest()[:16]


def _add(found, value, seen: set) -> None:
    if isinstance(value, torch.Tensor):
        found.update(f"{value.dtype}{tuple(value.shape)}".encode())
        if value.device.type != "meta":
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, np.ndarray):
        found.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
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
            _add(found, _named_globals(value), seen)
    elif isinstance(value, types.MethodType):
        _add(found, [value.__func__, value.__self__], seen)
    elif isinstance(value, functools.partial):
        _add(found, [value.func, value.args, value.keywords], seen)
    elif isinstance(value, types.BuiltinFunctionType):
        found.update(value.__qualname__.encode())
    elif isinstance(value, types.CodeType):
        found.update(value.co_code)
        _add(found, [value.co_names, value.co_consts], seen)
    elif isinstance(value, PLAIN):
        found.update(repr(value).encode())
    else:
        found.update(f"{type(value).__module__}.{type(value).__qualname__}".encode())
        if id(value) not in seen and hasattr(value, "__dict__"):
            seen.add(id(value))
            _add(found, vars(value), seen)


def _named_globals(function: types.FunctionType) -> dict:
    """Find the plain values, and the functions of the same module, that a function names."""
    known, found = function.__globals__, {}
    for name in function.__code__.co_names:
        value = known.get(name)
        own = isinstance(value, types.FunctionType) and value.__globals__ is known
        if name in known and (own or isinstance(value, PLAIN)):
            found[name] = value
    return found
