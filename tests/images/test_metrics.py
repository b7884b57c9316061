"""Distances between samples and densities: closed forms, scipy, and cases made by hand."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, linalg, stats

import mih_utils as mih

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)


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


# Modes


def test_a_census_of_modes_by_hand():
    mixture = mih.GaussianMixture([[0.0, 0], [10, 0], [0, 10]], std=1, weights=[0.5, 0.25, 0.25])
    x = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [10, 2], [5, 5], [0, 0]])
    found = mih.mode_census(mixture, x, k=3)
    assert found.hallucinated == pytest.approx(1 / 6)
    assert found.share.tolist() == pytest.approx([0.8, 0.2, 0])
    assert found.alive == 2
    assert found.entropy == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2))
    assert found.width[:2].tolist() == pytest.approx([math.sqrt(3 / 4), math.sqrt(2)])
    assert found.width[2].isnan()


def test_a_mode_lives_on_a_tenth_of_its_weight():
    mixture = mih.GaussianMixture.line([0, 10], std=1, weights=[0.9, 0.1])
    for alive, few in ((2, 11), (1, 9)):
        x = torch.tensor([0.0] * (1000 - few) + [10.0] * few)[:, None]
        assert mih.mode_census(mixture, x).alive == alive


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_a_census_of_the_data_itself(scale):
    """Nothing is hallucinated, all modes live, the entropy is log K, the widths are right."""
    grid = mih.GaussianMixture.grid(3, spacing=2, std=0.05)
    wider = mih.GaussianMixture(grid.means, scale * grid.std)
    found = mih.mode_census(grid, wider.sample(40_000, seeded()), k=8)
    assert found.alive == 9
    assert found.entropy == pytest.approx(math.log(9), abs=1e-3)
    error = 4 / math.sqrt(2 * 2 * 40_000 / 9)
    assert (found.width / scale - 1).abs().max() < error
    outside = math.exp(-(8**2) / (2 * scale**2))
    assert found.hallucinated == pytest.approx(outside, abs=4 * math.sqrt(outside / 40_000) + 1e-9)


def test_a_census_of_nothing_but_hallucinations():
    found = mih.mode_census(MIX, torch.full((5, 1), 1.5))
    assert (found.hallucinated, found.alive, found.entropy) == (1, 0, 0)
    assert found.width.isnan().all()


# Densities in one dimension


@cache
def pushed(points=512):
    """What the exact score generates for the mixture, on a short chain: not the mixture itself."""
    schedule = mih.Schedule.linear(100, 5e-3, 0.3)
    grid = torch.linspace(0, 4, points)
    return mih.exact_density(mih.ExactDenoiser(MIX, schedule), schedule, grid, progress=False)


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
    assert mih.total_variation(same, MIX) == pytest.approx(0, abs=1e-12)
    assert mih.kl_divergence(same, MIX) == pytest.approx(0, abs=1e-9)
    assert mih.kl_divergence(MIX, same) == pytest.approx(0, abs=1e-9)
    assert mih.total_variation(same, same) == 0


@given(st.floats(0.01, 3), st.floats(0.7, 1.5))
def test_distances_of_two_gaussians(shift, width):
    """Closed forms; the total variation of two of one width is 2 Phi(shift/2) - 1."""
    one = mih.GaussianMixture.line([0.0], std=1.0)
    other = mih.GaussianMixture.line([shift], std=1.0)
    moved = as_density(other, -12, 15, 3001)
    expected = 2 * stats.norm.cdf(shift / 2) - 1
    assert mih.total_variation(moved, one) == pytest.approx(expected, abs=1e-4)
    assert mih.total_variation(one, moved) == mih.total_variation(moved, one)
    wide = mih.GaussianMixture.line([shift], std=width)
    kl = math.log(width) + (1 + shift**2) / (2 * width**2) - 0.5  # of `one` from `wide`
    assert mih.kl_divergence(as_density(one, -12, 15, 3001), wide) == pytest.approx(kl, abs=1e-3)
    # a computed density is not known below 1e-16
    assert mih.kl_divergence(one, as_density(wide, -30, 30, 6001)) == pytest.approx(kl, abs=0.01)


def test_distances_of_a_generated_density_are_those_of_quadrature():
    density = pushed()
    x, p = density.grid.numpy(), density.p.numpy()
    q = np.exp(MIX.log_prob(density.grid[:, None]).numpy())
    expected = integrate.trapezoid(np.abs(p - q), x) / 2
    assert 0.005 < expected < 0.5
    assert mih.total_variation(density, MIX) == pytest.approx(expected, rel=0.01)
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.nansum(np.where(p > 0, p * np.log(p / q), 0)) * (x[1] - x[0])
    assert mih.kl_divergence(density, MIX) == pytest.approx(kl, rel=0.02)
    finer = pushed(2048)
    assert mih.total_variation(finer, MIX) == pytest.approx(expected, rel=0.01)


def test_a_mode_more_or_less():
    """A third of the mass moves; what that costs in nats depends on who lacks the mode."""
    two, three = mih.GaussianMixture.line([1, 2], std=0.05), MIX
    lost = as_density(two)
    assert mih.total_variation(lost, three) == pytest.approx(1 / 3, abs=1e-6)
    assert mih.kl_divergence(lost, three) == pytest.approx(math.log(1.5), abs=1e-3)
    assert 5 < mih.kl_divergence(three, lost) < 100  # without the bound it would be infinite
    # a mode that was made up lies 20 std from the nearest: 1/3 · 20²/2 nats
    made_up = as_density(three)
    expected = 20**2 / 2 / 3 - math.log(3 / 2)
    assert mih.kl_divergence(made_up, two) == pytest.approx(expected, abs=0.6)


def test_divergence_from_far_away_is_finite_and_right():
    """100 std off the truth's mass in the cells is 1e-2170, which no number but its log holds."""
    far = as_density(mih.GaussianMixture.line([4.0], std=0.02), n=8001)
    found = mih.kl_divergence(far, mih.GaussianMixture.line([2.0], std=0.02))
    assert found == pytest.approx(100**2 / 2, abs=1)


def test_mass_beyond_the_grid_counts():
    one = mih.GaussianMixture.line([0.0], std=1.0)
    narrow = as_density(one, -1, 1, 201)
    outside = 2 * stats.norm.sf(1 + 0.005)
    assert narrow.lost == pytest.approx(outside)  # mass that went nowhere is half a difference
    assert mih.total_variation(narrow, one) == pytest.approx(outside / 2, abs=1e-6)


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
        (lambda x: mih.mode_census(MIX, x), "x.shape", "(9, 2)"),
        (lambda x: mih.mode_census(MIX, x[:0, :1]), "x.shape", "(0, 1)"),
        (lambda x: mih.mode_census(MIX, x[:, :1], k=0), "k", "0"),
        (lambda x: mih.total_variation(MIX, MIX), "p and q", "mixtures"),
        (lambda x: mih.kl_divergence(pushed(), pushed(2048)), "grids of p and q", "different"),
        (
            lambda x: mih.total_variation(pushed(), mih.GaussianMixture.grid(2, 1, 0.1)),
            "mixture.dim",
            "2",
        ),
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
    x = MIX.sample(500, seeded())
    assert mih.mode_census(MIX, x.cuda()).entropy == mih.mode_census(MIX, x).entropy
