"""A second device that needs no hardware: tensors on it have numbers, and mix with no others.

    with second_device() as device:
        net.to(device)
        torch.randn(3, device=device, generator=second_generator())

Its tensors are computed on the CPU; what differs is where they say that they are. An operation that
mixes them with tensors of the CPU, or a generator with tensors of the other device, raises a
RuntimeError, as CUDA does. It is called "xpu", which is no device of the machines that test this.
"""

from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

SECOND = torch.device("xpu", 0)
CPU = torch.device("cpu")
# May copy from one device to the other, or only read where a tensor is.
CROSSING = ("copy_", "__get__", "__set__", "__repr__", "_has_compatible_shallow_copy_type")
# Index with a tensor: an index may lie on the CPU, whatever is indexed.
INDEXING = ("__getitem__", "__setitem__")


class OnSecond(Tensor):
    """A tensor that says it is on the second device."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def device(self):
        return SECOND

    @property
    def is_cpu(self):
        return False


class GeneratorOnSecond(torch.Generator):
    """A generator that says it is on the second device."""

    @property
    def device(self):
        return SECOND


class _IsGenerator(type):
    def __instancecheck__(cls, value, generator=torch.Generator):
        return isinstance(value, generator)


class EitherGenerator(metaclass=_IsGenerator):
    """Stands for torch.Generator: makes one on the device that is asked for."""

    def __new__(cls, device="cpu", generator=torch.Generator):
        return GeneratorOnSecond() if is_second(device) else generator(device)


def second_generator(seed=0):
    """A seeded generator on the second device."""
    return GeneratorOnSecond().manual_seed(seed)


@contextmanager
def second_device():
    """The second device exists inside."""
    kept = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # so that weights can move
    try:
        with _Devices(), mock.patch.object(torch, "Generator", EitherGenerator):
            yield SECOND
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(kept)


def place(value):
    """Where a tensor or generator is: SECOND or the CPU."""
    return SECOND if isinstance(value, OnSecond | GeneratorOnSecond) else CPU


class _Devices(TorchFunctionMode):
    """Sees every call of torch, and keeps the two devices apart."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name in ("to", "cpu", "cuda") and isinstance(args[0], Tensor):
            return self.moved(name, func, args, kwargs)
        tensors = [value for value in flat((args, kwargs)) if isinstance(value, Tensor)]
        wanted = SECOND if is_second(kwargs.get("device")) else None
        if wanted or "device" in kwargs:
            wanted = wanted or CPU
            kwargs["device"] = "cpu"
        here = wanted or self.common_place(name, tensors)
        self.check_generator(kwargs.get("generator"), here)
        if name == "numpy" and here == SECOND:
            raise TypeError("can't convert a tensor of the second device to numpy")
        return put(func(*args, **kwargs), here, name)

    def common_place(self, name, tensors):
        """Where all of the tensors are; single numbers may come from the CPU, as in torch."""
        if name in CROSSING or name in INDEXING:
            return place(tensors[0]) if tensors else CPU
        places = {place(tensor) for tensor in tensors if tensor.ndim or place(tensor) == SECOND}
        if len(places) > 1:
            raise RuntimeError(
                f"{name}: expected all tensors to be on the same device, but found at least two "
                f"devices, {SECOND} and cpu"
            )
        return places.pop() if places else CPU

    def check_generator(self, generator, here):
        if generator is not None and place(generator) != here:
            raise RuntimeError(
                f"expected a {here.type!r} generator but found {place(generator).type!r}"
            )

    def moved(self, name, func, args, kwargs):
        """What .to and .cpu give: a tensor of the wanted device and dtype."""
        tensor, *rest = args
        target = place(tensor)
        if name != "to":
            target = CPU
        plain = []
        for value in [*rest, *([kwargs.pop("device")] if "device" in kwargs else [])]:
            if isinstance(value, Tensor):
                target = place(value)
                plain.append(value.dtype)
            elif isinstance(value, str | torch.device):
                target = SECOND if is_second(value) else CPU
            elif isinstance(value, torch.dtype):
                plain.append(value)
        result = func(tensor, *plain, **kwargs) if name == "to" and (plain or kwargs) else tensor
        if place(result) == target:
            return result
        return result.as_subclass(OnSecond if target == SECOND else Tensor)


def is_second(device):
    """Whether a device, or a dict with one, is the second."""
    device = device.get("device") if isinstance(device, dict) else device
    return device is not None and torch.device(device).type == SECOND.type


def flat(value):
    """All that is in nested lists, tuples and dicts."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from flat(one)
    elif isinstance(value, dict):
        yield from flat(list(value.values()))
    else:
        yield value


def put(value, here, name):
    """A result on the device where it was computed."""
    if isinstance(value, OnSecond) or here == CPU:
        return value
    if isinstance(value, torch.nn.Parameter):
        return value
    if isinstance(value, Tensor):
        return value.as_subclass(OnSecond)
    if type(value) in (list, tuple):
        return type(value)(put(one, here, name) for one in value)
    if isinstance(value, tuple):  # values and indices of a sort, say
        return type(value)([put(one, here, name) for one in value])
    return value
