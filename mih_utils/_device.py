"""Where a denoiser computes, and how to use that place well."""

import copy
import functools
import importlib.util
import math
import os
import shutil
import warnings
from contextlib import contextmanager

import torch
from torch import nn

CPU_ROWS = 1024  # the activations of so many rows of a toy network stay in a CPU's cache,
GPU_ROWS = 131_072  # and so many fill a GPU
# A row of more numbers (an image) counts as several rows. On a GPU that keeps the activations of
# 512 images of 64 pixels, in a U-Net of 64 channels, below 12 GB.
CPU_NUMBERS_PER_ROW, GPU_NUMBERS_PER_ROW = 128, 16


def device_and_dtype(denoiser, *hints) -> tuple[torch.device, torch.dtype]:
    """Return the device and dtype that a denoiser computes in.

    Its weights' or its own; a plain function has neither, and gets those of the first hint that is
    a tensor or a generator, or else float32 on the CPU.
    """
    parts = parts_of(denoiser)
    for part in parts:
        for weight in getattr(part, "parameters", lambda: ())():
            return weight.device, weight.dtype
    givers = [*parts, *hints]
    device = next((giver.device for giver in givers if hasattr(giver, "device")), "cpu")
    dtypes = (giver.dtype for giver in givers if hasattr(giver, "dtype"))
    dtype = next((dtype for dtype in dtypes if dtype.is_floating_point), torch.float32)
    return torch.device(device), dtype


def parts_of(denoiser) -> list:
    """Return the denoisers that one is made of, which it names in `parts`; or else itself."""
    if not hasattr(denoiser, "parts"):
        return [denoiser]
    return [inner for part in denoiser.parts for inner in parts_of(part)]


def moved(thing, device: torch.device | str):
    """Copy an object, with everything in it that can move on another device.

    Its tables are float64; Apple's GPU has none, so there they become float32.
    """
    double = torch.float32 if torch.device(device).type == "mps" else torch.float64

    def move(value):
        if isinstance(value, torch.Tensor):
            return value.to(device, double if value.dtype == torch.float64 else value.dtype)
        if isinstance(value, list):
            return [move(one) for one in value]
        return value.to(device) if hasattr(value, "to") else value

    copied = copy.copy(thing)
    vars(copied).update({name: move(value) for name, value in vars(thing).items()})
    return copied


def block_sizes(n: int, shape: tuple[int, ...], device: torch.device) -> list[int]:
    """Cut n rows of the given shape into nearly equal blocks that the device works on best."""
    on_gpu = device.type not in ("cpu", "meta")
    rows, numbers = (GPU_ROWS, GPU_NUMBERS_PER_ROW) if on_gpu else (CPU_ROWS, CPU_NUMBERS_PER_ROW)
    rows = max(1, rows // math.ceil(math.prod(shape) / numbers))
    blocks = math.ceil(n / rows)
    return [n // blocks + (i < n % blocks) for i in range(blocks)]


@functools.cache
def keep_freed_memory() -> None:
    """Have Linux's C library keep the memory that a step frees, for the next step.

    It gives freed memory back to the system beyond a limit, which grows with the largest block that
    was ever freed (up to 32 MiB). Without this a block of 1,024 rows pays for 480 fresh pages at
    every step, a tenth of the time.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def compiled(net):
    """Put `net` under torch.compile; where there is no compiler, warn and return `net` itself."""
    on_gpu = device_and_dtype(net)[0].type == "cuda"
    compilers = (os.environ.get("CXX", "g++"), "g++", "clang++", "cl")
    if on_gpu and importlib.util.find_spec("triton"):
        return torch.compile(net)
    if not on_gpu and any(shutil.which(name) for name in compilers):
        return torch.compile(net)
    warnings.warn(
        "compile=True needs a C++ compiler (CPU) or triton (GPU); going on without it",
        stacklevel=2,
    )
    return net


@contextmanager
def initial_weights(
    net: nn.Module, generator: torch.Generator | None, *, from_one_number: bool = True
):
    """Draw the first weights of all layers that `net` gets inside from the generator.

    Their distribution is torch's own: uniform, within 1 / sqrt(inputs of the layer). Without a
    generator torch draws them, from its global one; with one, the global one stays as it was. They
    are drawn on the CPU, wherever the generator lies.

    from_one_number: take one number from the generator, as the seed of another that draws the
        weights. The toy network draws them from the generator itself, if that lies on the CPU.
        (The stored networks began so, and training is chaotic: both ways have to stay.)
    """
    with torch.random.fork_rng(devices=[], enabled=generator is not None):
        yield
    if generator is None:
        return
    if from_one_number or generator.device.type != "cpu":
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        generator = torch.Generator().manual_seed(int(seed))
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            for weight in layer.parameters():
                drawn = torch.empty(weight.shape, dtype=weight.dtype, device="cpu")
                with torch.no_grad():
                    weight.copy_(drawn.uniform_(-bound, bound, generator=generator))


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has instructions of its own for bfloat16: without, it is slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known = device.type == "cpu" and torch.backends.mkldnn.is_available()
    return known and torch.ops.mkldnn._is_mkldnn_bf16_supported()


@contextmanager
def evaluating(net):
    """Put a network into evaluation mode (no dropout) inside, and as it was afterwards."""
    nets = [part for part in parts_of(net) if isinstance(part, nn.Module)]
    modes = [(module, module.training) for each in nets for module in each.modules()]
    for each in nets:
        each.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
