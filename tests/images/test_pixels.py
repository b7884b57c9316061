"""Shades of grey: there and back, whatever stands before the pixels."""

import numpy as np
import pytest
import torch
from conftest import refusal

import mih_utils as mih


@pytest.mark.parametrize("before", [(), (5,), (2, 3)])
def test_shades_come_back(before):
    shades = np.random.default_rng(0).integers(0, 16, (*before, 8, 6)).astype(np.uint8)
    images = mih.from_shades(shades)
    assert images.shape == (*before, 1, 8, 6) and images.dtype == torch.float32
    assert images.squeeze(-3).numpy() == pytest.approx(shades / 7.5 - 1)
    back = mih.to_shades(images + 0.06)  # less than half a shade
    assert back.dtype == np.uint8 and (back == shades).all()


def test_what_is_too_bright_is_white():
    images = torch.tensor([[-9.0, -1, 1, 9]])[None]
    assert mih.to_shades(images).tolist() == [[0, 0, 15, 15]]


def test_other_forms_are_refused():
    with refusal("images.shape", "(2, 8, 8)"):
        mih.to_shades(torch.zeros(2, 8, 8))
    with refusal("shades.shape", "(8,)"):
        mih.from_shades(torch.zeros(8))
