"""Blocks of rows, and how much memory the full profile takes: estimated on the meta device."""

import math

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import mih_utils as mih
from mih_utils._device import block_sizes

T4 = 12e9  # bytes of its 16 GB that activations may take
CUDA = torch.device("cuda")
FULL = {"channels": 64}  # the full profile's U-Net: 64 pixels, batches of 128, 4,096 samples
BATCH, SAMPLES, SHAPE = 128, 4096, (1, 64, 64)


class Peak(TorchDispatchMode):
    """The most bytes that live at a time in what is computed inside; nothing is really computed."""

    def __init__(self):
        super().__init__()
        self.alive, self.bytes = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **kwargs or {})
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.alive = {key: kept for key, kept in self.alive.items() if not kept[0].expired()}
        self.bytes = max(self.bytes, sum(size for _, size in self.alive.values()))
        return result


def unet():
    schedule = mih.Schedule.linear(250, 4e-4, 0.08)
    return mih.VelocityTarget(mih.UNet(**FULL, steps=250), schedule).to("meta")


def test_the_peak_counts_what_lives_and_not_what_has_gone():
    with Peak() as peak:
        first = torch.zeros(1000, device="meta")  # 4,000 bytes
        for _ in range(5):
            second = first + 1
            del second
        third = (first + 1) * 2
    assert peak.bytes == 3 * 4000
    assert third.shape == (1000,)


def test_sampling_images_in_the_full_profile_fits_a_t4():
    rows = max(block_sizes(SAMPLES, SHAPE, CUDA))
    assert rows >= 256  # enough to fill it
    with torch.inference_mode(), Peak() as peak:
        unet()(torch.zeros(rows, *SHAPE, device="meta"), torch.tensor(3, device="meta"))
    assert 0.1 * T4 < peak.bytes < T4
    with torch.inference_mode(), Peak() as at_once:  # what it was before: all in one block
        unet()(torch.zeros(SAMPLES, *SHAPE, device="meta"), torch.tensor(3, device="meta"))
    assert at_once.bytes > 2 * T4


def test_training_on_images_in_the_full_profile_fits_a_t4():
    net = unet()
    with Peak() as peak:
        x_t = torch.zeros(BATCH, *SHAPE, device="meta")
        t = torch.zeros(BATCH, dtype=torch.long, device="meta")
        F.mse_loss(net(x_t, t), x_t).backward()
    assert 0.1 * T4 < peak.bytes < T4


@pytest.mark.parametrize("device", ["cpu", "cuda", "meta"])
@pytest.mark.parametrize("shape", [(1,), (2,), (1, 8, 8), (1, 32, 32), (3, 500, 500)])
@pytest.mark.parametrize("n", [1, 1024, 1025, 100_000])
def test_blocks_are_nearly_equal_and_none_is_too_large(n, shape, device):
    blocks = block_sizes(n, shape, torch.device(device))
    assert sum(blocks) == n and min(blocks) >= 1
    assert max(blocks) - min(blocks) <= 1
    numbers = max(blocks) * math.prod(shape)
    assert max(blocks) == 1 or numbers <= (2_200_000 if device == "cuda" else 131_072)


def test_blocks_of_points_keep_a_cpu_cache_and_fill_a_gpu():
    assert max(block_sizes(100_000, (2,), torch.device("cpu"))) in range(900, 1025)
    assert block_sizes(100_000, (2,), CUDA) == [100_000]
