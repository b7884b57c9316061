"""Distances between densities: closed forms, quadrature, and cases made by hand."""

import math
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

import mih_utils as mih

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from recipes.divergences import kl_divergence, total_variation

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)


@cache
def pushed(points=512):
    """What the exact score generates for the mixture, on a short chain: not the mixture itself."""
    schedule = mih.Schedule.linear(100, 5e-3, 0.3)
    grid = torch.linspace(0, 4, points)
    exact = mih.ExactDenoiser(MIX, schedule)
    return mih.exact_density(exact, schedule.ddpm(), grid, progress=False)


def as_density(mixture, low=-1.0, high=5.0, n=4001):
    """A mixture in the form of a computed density."""
    grid = torch.linspace(low, high, n, dtype=torch.float64)
    half = (grid[1] - grid[0]) / 2
    edges = torch.cat([grid - half, grid[-1:] + half])
    parts = [stats.norm.cdf(edges.numpy(), float(m), mixture.std) for m in mixture.means[:, 0]]
    mass = np.diff(np.average(parts, axis=0, weights=mixture.weights.numpy()))
    mass = torch.from_numpy(mass)
    return mih.Density(grid, mass / (2 * half), edges, mass, 1 - float(mass.sum()), True)


def test_a_mixture_is_no_distance_from_itself():
    same = as_density(MIX)
    assert total_variation(same, MIX) == pytest.approx(0, abs=1e-12)
    assert kl_divergence(same, MIX) == pytest.approx(0, abs=1e-9)
    assert kl_divergence(MIX, same) == pytest.approx(0, abs=1e-9)
    assert total_variation(same, same) == 0


@given(st.floats(0.01, 3), st.floats(0.7, 1.5))
def test_distances_of_two_gaussians(shift, width):
    """Closed forms; the total variation of two of one width is 2 Phi(shift/2) - 1."""
    one = mih.GaussianMixture.line([0.0], std=1.0)
    other = mih.GaussianMixture.line([shift], std=1.0)
    moved = as_density(other, -12, 15, 3001)
    expected = 2 * stats.norm.cdf(shift / 2) - 1
    assert total_variation(moved, one) == pytest.approx(expected, abs=1e-4)
    assert total_variation(one, moved) == total_variation(moved, one)
    wide = mih.GaussianMixture.line([shift], std=width)
    kl = math.log(width) + (1 + shift**2) / (2 * width**2) - 0.5  # of `one` from `wide`
    assert kl_divergence(as_density(one, -12, 15, 3001), wide) == pytest.approx(kl, abs=1e-3)
    # a computed density is not known below 1e-16 in a cell of 0.01: what that takes from the KL
    x = np.linspace(-30, 30, 6001)
    unknown = math.log(1e-16 / 0.01) - stats.norm.logpdf(x, shift, width)
    kl -= integrate.trapezoid(stats.norm.pdf(x) * unknown.clip(min=0), x)
    assert kl_divergence(one, as_density(wide, -30, 30, 6001)) == pytest.approx(kl, abs=2e-3)


def test_distances_of_a_generated_density_are_those_of_quadrature():
    density = pushed()
    x, p = density.grid.numpy(), density.p.numpy()
    q = np.exp(MIX.log_prob(density.grid[:, None]).numpy())
    expected = integrate.trapezoid(np.abs(p - q), x) / 2
    assert 0.005 < expected < 0.5
    assert total_variation(density, MIX) == pytest.approx(expected, rel=0.01)
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.nansum(np.where(p > 0, p * np.log(p / q), 0)) * (x[1] - x[0])
    assert kl_divergence(density, MIX) == pytest.approx(kl, rel=0.02)
    finer = pushed(2048)
    assert total_variation(finer, MIX) == pytest.approx(expected, rel=0.01)


def test_a_mode_more_or_less():
    """A third of the mass moves; what that costs in nats depends on who lacks the mode."""
    two, three = mih.GaussianMixture.line([1, 2], std=0.05), MIX
    lost = as_density(two)
    assert total_variation(lost, three) == pytest.approx(1 / 3, abs=1e-6)
    assert kl_divergence(lost, three) == pytest.approx(math.log(1.5), abs=1e-3)
    assert 5 < kl_divergence(three, lost) < 100  # without the bound it would be infinite
    # a mode that was made up lies 20 std from the nearest: 1/3 · 20²/2 nats
    made_up = as_density(three)
    expected = 20**2 / 2 / 3 - math.log(3 / 2)
    assert kl_divergence(made_up, two) == pytest.approx(expected, abs=0.6)


def test_divergence_from_far_away_is_finite_and_right():
    """100 std off the truth's mass in the cells is 1e-2170, which no number but its log holds."""
    far = as_density(mih.GaussianMixture.line([4.0], std=0.02), n=8001)
    found = kl_divergence(far, mih.GaussianMixture.line([2.0], std=0.02))
    assert found == pytest.approx(100**2 / 2, abs=1)


def test_mass_beyond_the_grid_counts():
    one = mih.GaussianMixture.line([0.0], std=1.0)
    narrow = as_density(one, -1, 1, 201)
    outside = 2 * stats.norm.sf(1 + 0.005)
    assert narrow.lost == pytest.approx(outside)  # mass that went nowhere is half a difference
    assert total_variation(narrow, one) == pytest.approx(outside / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: total_variation(MIX, MIX), "p and q", "mixtures"),
        (lambda: kl_divergence(pushed(), pushed(2048)), "grids of p and q", "different"),
        (
            lambda: total_variation(pushed(), mih.GaussianMixture.grid(2, 1, 0.1)),
            "mixture.dim",
            "2",
        ),
    ],
)
def test_divergences_refuse(call, name, value):
    with refusal(name, value):
        call()
