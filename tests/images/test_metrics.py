"""Distances between sets of points: closed forms, scipy, and cases made by hand."""

import math

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

import mih_utils as mih


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)


# Fréchet distance


def by_scipy(a, b):
    """The formula as it is written, with scipy's root of a matrix."""
    a, b = a.double().numpy(), b.double().numpy()
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    root = linalg.sqrtm(first @ second).real
    shift = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(shift + np.trace(first + second - 2 * root))


@pytest.mark.parametrize("d", [1, 2, 8, 40])
def test_frechet_distance_is_that_of_scipy(d):
    a = normal(300, d, 0) @ normal(d, d, 1)
    b = normal(200, d, 2) @ normal(d, d, 3) + 0.3
    assert mih.frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-8)
    assert mih.frechet_distance(b, a) == pytest.approx(mih.frechet_distance(a, b), rel=1e-9)


def whitened(n, d, seed=0):
    """Points whose mean is 0 and whose covariance is the identity, exactly."""
    x = normal(n, d, seed)
    x = x - x.mean(dim=0)
    return torch.linalg.qr(x).Q * math.sqrt(n - 1)


@given(
    st.lists(st.floats(0, 10), min_size=3, max_size=3),
    st.lists(st.floats(0, 10), min_size=3, max_size=3),
    st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
def test_frechet_distance_of_gaussians_along_the_axes(widths, others, shift):
    """|shift|^2 + sum (s - t)^2, whatever widths are 0."""
    widths, others, shift = (torch.tensor(v, dtype=torch.float64) for v in (widths, others, shift))
    found = mih.frechet_distance(whitened(50, 3) * widths, whitened(70, 3, 1) * others + shift)
    expected = shift.square().sum() + (widths - others).square().sum()
    assert found == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


def test_frechet_distance_knows_rotations_and_scales():
    x, y = normal(100, 4) * torch.arange(1, 5), normal(80, 4, 1) + 1
    turn = torch.linalg.qr(normal(4, 4, 2)).Q
    expected = mih.frechet_distance(x, y)
    assert mih.frechet_distance(x @ turn + 3, y @ turn + 3) == pytest.approx(expected)
    assert mih.frechet_distance(10 * x, 10 * y) == pytest.approx(100 * expected)
    assert mih.frechet_distance(x, x) == pytest.approx(0, abs=1e-12)
    # covariances that do not commute
    a, b = whitened(60, 2), whitened(60, 2, 1)
    c, s = math.cos(0.5), math.sin(0.5)
    first, second = torch.diag(torch.tensor([4.0, 1.0]).double()), torch.tensor([[c, s], [-s, c]])
    b = b @ torch.diag(torch.tensor([3.0, 0.5]).double()) @ second.double()
    assert mih.frechet_distance(a @ first, b) == pytest.approx(by_scipy(a @ first, b), rel=1e-9)


@pytest.mark.parametrize("smallest", [1e-3, 1e-8, 0.0])
def test_frechet_distance_of_nearly_singular_covariances(smallest):
    """Features that hardly vary, or copy each other, and widths over eight orders."""
    widths = torch.cat([torch.ones(4), torch.full((4,), smallest)]).double()
    turn = torch.linalg.qr(normal(8, 8, 3)).Q
    a, b = whitened(90, 8) * widths @ turn, whitened(90, 8, 1) * 2 * widths @ turn + 100
    expected = 8 * 100**2 + widths.square().sum()
    assert mih.frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-12)
    shifted = mih.frechet_distance(a, b - 100)
    assert shifted == pytest.approx(float(widths.square().sum()), rel=1e-9)
    copied = torch.cat([a, a], dim=1)
    assert mih.frechet_distance(copied, torch.cat([b, b], dim=1)) == pytest.approx(2 * expected)


def test_frechet_distance_of_fewer_points_than_dimensions():
    a, b = normal(6, 20), normal(9, 20, 1) + 1
    assert mih.frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-5)
    assert mih.frechet_distance(a.float(), b) == pytest.approx(mih.frechet_distance(a, b), 1e-5)


def test_frechet_distance_hides_a_lost_mode_and_coverage_does_not():
    """Two modes in six are lost, and the Gaussian around all six stays as it was."""
    angle = torch.arange(6) * math.pi / 3
    ring = torch.stack([angle.cos(), angle.sin()], dim=1)
    real = ring.repeat(300, 1) + 0.02 * torch.randn(1800, 2, generator=seeded())
    # each pair of neighbours in a triangle has the same second moments as all six
    lost = ring[::2].repeat(600, 1) + 0.02 * torch.randn(1800, 2, generator=seeded(1))
    assert mih.frechet_distance(real, lost) < 1e-3
    density, coverage = mih.density_coverage(real, lost)
    assert coverage == pytest.approx(0.5, abs=0.02)
    assert density > 0.9


# Density and coverage


def test_density_and_coverage_by_hand():
    """Real points 0, 1, 3, 10; the balls to the nearest other reach 1, 1, 2, 7."""
    real = torch.tensor([[0.0], [1], [3], [10]])
    for generated, density, coverage in [
        ([0.5, 0.5], 2, 2 / 4),  # in the balls of 0 and 1
        ([2.5, 20], (1 / 2), 1 / 4),  # in the ball of 3 (and 20 in none)
        ([3.5, 2.9], 3 / 2, 2 / 4),  # both in that of 3, and one in that of 10
        ([-50, 50], 0, 0),
        ([2, 1], 1, 2 / 4),  # in those of 3 and of 1; and on the edges of others
    ]:
        found = mih.density_coverage(real, torch.tensor(generated)[:, None].float(), k=1)
        assert found == (pytest.approx(density), pytest.approx(coverage)), generated
    # balls to the second nearest: 3, 2, 3, 9
    assert mih.density_coverage(real, torch.tensor([[1.5], [2.5]]), k=2) == (2, 1)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_copies_of_the_data_have_density_1_and_coverage_1(k):
    x = normal(1500, 6).float()  # more than one block
    assert mih.density_coverage(x, x, k) == (1, 1)
    assert mih.density_coverage(x + 1000, x + 1000, k) == (1, 1)


@pytest.mark.parametrize(("n", "m", "k"), [(200, 200, 5), (300, 100, 3)])
def test_equal_distributions_have_the_expected_density_and_coverage(n, m, k):
    """A ball stays empty if the k nearest of the other n - 1 + m points are all real."""
    found = torch.tensor(
        [mih.density_coverage(normal(n, 3, 2 * i), normal(m, 3, 2 * i + 1), k) for i in range(60)],
        dtype=torch.float64,
    )
    empty = math.prod((n - 1 - i) / (n - 1 + m - i) for i in range(k))
    error = found.std(dim=0) / math.sqrt(len(found))
    # a generated point is among the k nearest of m + n - 1 as often as any other
    expected = torch.tensor([1.0, 1 - empty], dtype=torch.float64)
    assert ((found.mean(dim=0) - expected).abs() < 4 * error + 0.03 * (expected == 1)).all()
    assert 1 - empty == pytest.approx(1 - (n / (n + m)) ** k, abs=5 / n)


def test_blocks_change_nothing(monkeypatch):
    real, generated = normal(50, 4), normal(70, 4, 1)
    whole = mih.density_coverage(real, generated, 3)
    monkeypatch.setattr("mih_utils.images.metrics.BLOCK", 7)
    assert mih.density_coverage(real, generated, 3) == whole


# Bad input


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda x: mih.frechet_distance(x[:, 0], x), "a.shape", "(9,)"),
        (lambda x: mih.frechet_distance(x, x[:1]), "b.shape", "(1, 2)"),
        (lambda x: mih.frechet_distance(x, x[:, :1]), "b.shape", "(9, 1)"),
        (lambda x: mih.frechet_distance(x.long(), x), "a.dtype", "int64"),
        (lambda x: mih.frechet_distance(x, x / 0 * 0), "b", "not finite"),
        (lambda x: mih.frechet_distance(x.tolist(), x), "a.shape", "list"),
        (lambda x: mih.density_coverage(x, x, 0), "k", "0"),
        (lambda x: mih.density_coverage(x, x, 9), "real.shape", "(9, 2)"),
        (lambda x: mih.density_coverage(x, x[:, :1]), "generated.shape", "(9, 1)"),
    ],
)
def test_metrics_refuse(call, name, value):
    with refusal(name, value):
        call(normal(9, 2))


def test_metrics_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    real, generated = normal(300, 5), normal(200, 5, 1)
    one = mih.frechet_distance(real.cuda(), generated)
    assert one == pytest.approx(mih.frechet_distance(real, generated))
    assert mih.density_coverage(real.cuda(), generated) == mih.density_coverage(real, generated)
