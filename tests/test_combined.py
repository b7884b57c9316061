"""Denoisers made of others: the smoothed one against quadrature, and who is asked when."""

import numpy as np
import pytest
import torch
from conftest import refusal
from scipy import stats
from torch import nn

import mih_utils as mih

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
PLANE = mih.GaussianMixture([[0.0, 0.0], [1.0, 0.5]], std=0.1)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)


def points(n, dim=1):
    return 2 + torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


# Smoothed

CUT = stats.truncnorm(-3, 3)  # the weight: a Gaussian, cut off at three widths


def panels(count):
    """Nodes and weights of Gauss and Legendre in many panels from -3 to 3, times the Gaussian."""
    node, weight = np.polynomial.legendre.leggauss(5)
    middles = (np.arange(count) + 0.5) * 6 / count - 3
    u = (middles[:, None] + node * 3 / count).ravel()
    return u, np.tile(weight * 3 / count, count) * CUT.pdf(u)


@pytest.mark.parametrize("width", [0.05, 0.3])
@pytest.mark.parametrize("t", [0, 5, 30])
def test_it_is_the_mean_over_a_gaussian(width, t):
    x_t, t = points(4), torch.tensor(t)
    found = mih.SmoothedDenoiser(EXACT, width, nodes=401)(x_t, t)
    u, weight = map(torch.from_numpy, panels(400))
    effect = float((found - EXACT(x_t, t)).abs().max())
    assert effect > 1e-5
    for x, answer in zip(x_t, found, strict=True):
        expected = weight @ EXACT(x + width * u[:, None], t)
        torch.testing.assert_close(answer, expected, rtol=0, atol=0.02 * effect)


@pytest.mark.parametrize("t", [3, 20])
def test_it_is_the_mean_over_a_gaussian_in_the_plane(t):
    exact, t = mih.ExactDenoiser(PLANE, SCHEDULE), torch.tensor(t)
    x_t = torch.tensor([[0.4, 0.1], [0.6, 0.5], [-0.2, 0.3]], dtype=torch.float64)
    found = mih.SmoothedDenoiser(exact, 0.2, nodes=201)(x_t, t)
    u, weight = panels(20)
    effect = float((found - exact(x_t, t)).abs().max())
    assert effect > 1e-3
    offsets = torch.from_numpy(np.stack(np.meshgrid(u, u, indexing="ij"), axis=-1).reshape(-1, 2))
    both = torch.from_numpy(np.outer(weight, weight).ravel())
    for row, answer in zip(x_t, found, strict=True):
        expected = both @ exact(row + 0.2 * offsets, t)
        torch.testing.assert_close(answer, expected, rtol=0, atol=0.02 * effect)


@pytest.mark.parametrize("nodes", [7, 41])
def test_a_linear_denoiser_is_left_as_it_is(nodes):
    """The mean of a Gaussian's weights is 0, and they add up to 1; squares gain its variance."""
    x_t, t = points(5, 2), torch.tensor(3)
    linear = mih.SmoothedDenoiser(lambda x, t: 2 * x - 1, 0.3, nodes)
    torch.testing.assert_close(linear(x_t, t), 2 * x_t - 1, rtol=1e-12, atol=1e-12)
    square = mih.SmoothedDenoiser(lambda x, t: x**2, 0.3, nodes)
    gained = (square(x_t, t) - x_t**2) / 0.3**2
    torch.testing.assert_close(gained, torch.full_like(x_t, CUT.var()), rtol=0.03, atol=0)


def test_width_nothing_changes_nothing():
    x_t = points(5)
    for t in (torch.tensor(3), torch.arange(5), torch.tensor([3])):
        found = mih.SmoothedDenoiser(EXACT, 0.0)(x_t, t)
        torch.testing.assert_close(found, EXACT(x_t, t), rtol=1e-12, atol=1e-12)


def test_each_t_has_its_width():
    widths = torch.linspace(0.5, 0.0, 100)
    smooth, x_t = mih.SmoothedDenoiser(EXACT, widths), points(6)
    each = torch.tensor([0, 3, 99, 50, 3, 98])
    found = smooth(x_t, each)
    for row, t in enumerate(each):
        alone = mih.SmoothedDenoiser(EXACT, float(widths[t]))(x_t[row : row + 1], t)
        torch.testing.assert_close(found[row : row + 1], alone, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(smooth(x_t[row : row + 1], t), alone, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[2], EXACT(x_t[2:3], each[2])[0])
    assert not torch.allclose(found[1], EXACT(x_t[1:2], each[1])[0], rtol=0.01)
    for t in (3, 99):  # one t in a list of one, as networks take it too
        alone = smooth(x_t, torch.tensor(t))
        torch.testing.assert_close(smooth(x_t, torch.tensor([t])), alone, rtol=1e-12, atol=1e-12)


def test_smoothing_alone_fills_the_gaps():
    grid, masses = torch.linspace(-1, 5, 1024, dtype=torch.float64), []
    for width in (0.0, 0.02, 0.1):
        smooth = mih.SmoothedDenoiser(EXACT, width)
        density = mih.exact_density(smooth, SCHEDULE.ddpm(50), grid, progress=False)
        masses.append(density.mass_between(1.3, 1.7))
    assert masses[0] < masses[1] < masses[2]
    assert masses[2] > 10 * masses[0]


# Switched


class Asked(nn.Module):
    """Answers with a number, and notes at which t it was asked."""

    def __init__(self, number):
        super().__init__()
        self.number, self.times = nn.Parameter(torch.tensor(float(number))), []

    def forward(self, x_t, t):
        self.times.append(t.tolist())
        return self.number + 0 * x_t


def test_each_is_asked_in_its_part_of_the_chain():
    early, late = Asked(1), Asked(2)
    both = mih.SwitchedDenoiser(early=early, late=late, below=30)
    mih.sample(both, SCHEDULE.ddpm(), 3, (1,), progress=False)
    assert early.times == list(range(99, 29, -1))
    assert late.times == list(range(29, -1, -1))


def test_each_row_has_its_own_t():
    both = mih.SwitchedDenoiser(early=Asked(1), late=Asked(2), below=30)
    for shape in [(5, 1), (5, 2, 3)]:
        found = both(torch.zeros(shape), torch.tensor([0, 29, 30, 31, 99])).detach()
        assert found.shape == shape
        assert found.flatten(1)[:, 0].tolist() == [2, 2, 1, 1, 1]
    assert both(torch.zeros(5, 1), torch.tensor([29])).unique().tolist() == [2]
    assert float(both(torch.zeros(1, 1), torch.tensor(29.9)).detach()) == 2


@pytest.mark.parametrize("below", [0, 17, 100])
def test_a_chain_of_both_is_one_after_the_other(below):
    """Sampled in two parts by hand: the first denoiser's x_t is where the second begins."""
    net = mih.ToyDenoiser(steps=100, generator=torch.Generator().manual_seed(0)).double()
    both, x = mih.SwitchedDenoiser(net, EXACT, below), points(20)
    found = mih.sample(both, SCHEDULE.ddim(), 20, (1,), x_T=x, progress=False).x
    for t in reversed(range(100)):
        now = SCHEDULE.alpha_bar[t]
        before = SCHEDULE.alpha_bar[t - 1] if t else torch.tensor(1.0)
        with torch.no_grad():
            eps = (EXACT if t < below else net)(x, torch.tensor(t))
        x = before.sqrt() * (x - (1 - now).sqrt() * eps) / now.sqrt() + (1 - before).sqrt() * eps
    torch.testing.assert_close(found, x, rtol=1e-9, atol=1e-9)


# Where they compute


def test_they_compute_as_their_parts_do(device):
    there = EXACT.to(device)
    net = mih.ToyDenoiser(steps=100)
    for made in (
        mih.SmoothedDenoiser(there, 0.1),
        mih.SwitchedDenoiser(there, there, 5),
        mih.SwitchedDenoiser(there, mih.SmoothedDenoiser(there, 0.1), 5),
    ):
        out = mih.sample(made, SCHEDULE.ddpm(10), 7, (1,), progress=False)
        assert (out.x.device.type, out.x.dtype) == (device.type, torch.float64)
    for made in (mih.SwitchedDenoiser(EXACT, net, 5), mih.SwitchedDenoiser(net, EXACT, 5)):
        out = mih.sample(made, SCHEDULE.ddpm(10), 7, (1,), progress=False)
        assert out.x.dtype == torch.float32  # a network cannot choose, the exact denoiser can
    plain = mih.SmoothedDenoiser(lambda x_t, t: x_t, 0.1)
    start = torch.zeros(7, 1, dtype=torch.float64, device=device)
    out = mih.sample(plain, SCHEDULE.ddpm(10), 7, (1,), x_T=start, progress=False)
    assert (out.x.device.type, out.x.dtype) == (device.type, torch.float64)


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: mih.SmoothedDenoiser(EXACT, -0.1), "width", "-0.1"),
        (lambda: mih.SmoothedDenoiser(EXACT, float("nan")), "width", "nan"),
        (lambda: mih.SmoothedDenoiser(EXACT, torch.ones(2, 2)), "width", "1."),
        (lambda: mih.SmoothedDenoiser(EXACT, 0.1, nodes=6), "nodes", "6"),
        (lambda: mih.SmoothedDenoiser(EXACT, 0.1, nodes=41.0), "nodes", "41.0"),
        (
            lambda: mih.SmoothedDenoiser(EXACT, 0.1)(torch.zeros(2, 1, 8, 8), torch.tensor(0)),
            "x_t.shape",
            "(2, 1, 8, 8)",
        ),
        (lambda: mih.SwitchedDenoiser(EXACT, EXACT, below="late"), "below", "late"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call, name, value):
    with refusal(name, value):
        call()
