"""The mixture is exact: against scipy, autograd, finite differences and numerical integration."""

import math

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation
from scipy.special import logsumexp

import mih_utils as mih

LEVELS = [1.0, 0.99, 0.5, 1e-2, 1e-6]
LINE = mih.GaussianMixture.line([1, 2, 3], std=0.05, weights=[1, 2, 5])
PLANE = mih.GaussianMixture([[0, 0], [1, -1], [0.5, 2]], std=0.3, weights=[3, 1, 2])
SPACE = mih.GaussianMixture(np.arange(20).reshape(4, 5) / 7, std=0.7)
MIXTURES = pytest.mark.parametrize("mix", [LINE, PLANE, SPACE], ids=["1d", "2d", "5d"])


def noised_points(mix, alpha_bar, n=40):
    """Points that the noised mixture makes likely, and some farther out."""
    g = torch.Generator().manual_seed(1)
    x0 = mix.means[torch.randint(len(mix.means), (n,), generator=g)]
    spread = math.sqrt(alpha_bar * mix.std**2 + 1 - alpha_bar)
    far = torch.linspace(0.1, 6, n, dtype=torch.float64)[:, None]
    noise = torch.randn(n, mix.dim, dtype=torch.float64, generator=g)
    return math.sqrt(alpha_bar) * x0 + spread * far * noise


def scipy_log_prob(mix, x, alpha_bar):
    variance = alpha_bar * mix.std**2 + 1 - alpha_bar
    modes = [
        stats.multivariate_normal(mean.numpy() * math.sqrt(alpha_bar), variance).logpdf(x.numpy())
        for mean in mix.means
    ]
    return torch.from_numpy(logsumexp(np.stack(modes), axis=0, b=mix.weights.numpy()[:, None]))


@MIXTURES
@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_log_prob_is_that_of_scipy(mix, alpha_bar):
    x = noised_points(mix, alpha_bar)
    expected = scipy_log_prob(mix, x, alpha_bar)
    torch.testing.assert_close(mix.log_prob(x, alpha_bar), expected, rtol=1e-11, atol=1e-11)


@MIXTURES
@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_score_is_the_gradient_of_log_prob(mix, alpha_bar):
    x = noised_points(mix, alpha_bar).requires_grad_()
    (by_autograd,) = torch.autograd.grad(mix.log_prob(x, alpha_bar).sum(), x)
    score = mix.score(x.detach(), alpha_bar)
    torch.testing.assert_close(score, by_autograd, rtol=1e-9, atol=1e-9)


@MIXTURES
@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_score_is_that_of_finite_differences(mix, alpha_bar):
    x = noised_points(mix, alpha_bar)
    h = 1e-4 * math.sqrt(alpha_bar * mix.std**2 + 1 - alpha_bar)
    for axis, step in enumerate(h * torch.eye(mix.dim, dtype=torch.float64)):
        up, down = (scipy_log_prob(mix, x + s * step, alpha_bar) for s in (1, -1))
        slope = (up - down) / (2 * h)
        torch.testing.assert_close(
            mix.score(x, alpha_bar)[:, axis], slope, rtol=1e-5, atol=1e-6 / h
        )


@MIXTURES
@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_tweedie(mix, alpha_bar):
    x = noised_points(mix, alpha_bar)
    expected = (x + (1 - alpha_bar) * mix.score(x, alpha_bar)) / math.sqrt(alpha_bar)
    tolerance = 1e-12 / math.sqrt(alpha_bar)
    torch.testing.assert_close(
        mix.posterior_mean(x, alpha_bar), expected, rtol=1e-9, atol=tolerance
    )


@pytest.mark.parametrize("alpha_bar", [0.999, 0.9, 0.5, 0.01])
def test_posterior_mean_is_the_integral(alpha_bar):
    x0 = np.linspace(0, 4, 40_001)
    x_t = noised_points(LINE, alpha_bar)
    prior = np.exp(scipy_log_prob(LINE, torch.from_numpy(x0)[:, None], 1.0).numpy())
    likelihood = stats.norm.pdf(x_t.numpy(), math.sqrt(alpha_bar) * x0, math.sqrt(1 - alpha_bar))
    joint = prior * likelihood
    known = joint.sum(axis=1) > 1e-200  # elsewhere the integral itself underflows
    assert known.sum() > 25
    expected = (joint * x0).sum(axis=1)[known] / joint.sum(axis=1)[known]
    found = LINE.posterior_mean(x_t, alpha_bar)[known, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_between_equal_modes_everything_is_symmetric():
    mix = mih.GaussianMixture.line([-1, 1], std=0.05)
    middle = torch.zeros(1, 1)
    assert mix.score(middle, 0.7).item() == pytest.approx(0, abs=1e-6)
    assert mix.posterior_mean(middle, 0.7).item() == pytest.approx(0, abs=1e-6)
    assert mix.log_prob(middle).item() == pytest.approx(stats.norm(1, 0.05).logpdf(0), rel=1e-4)


@pytest.mark.parametrize("std", [0.5, 0.05, 0.01, 1e-3, 1e-4])
@pytest.mark.parametrize("alpha_bar", [1.0, 0.5])
def test_single_precision_is_enough_for_narrow_modes(std, alpha_bar):
    mix = mih.GaussianMixture.line([0], std)
    spread = math.sqrt(alpha_bar * std**2 + 1 - alpha_bar)
    x = (spread * torch.linspace(-5, 5, 11))[:, None]
    for method in (mix.log_prob, mix.score, mix.posterior_mean):
        expected = method(x.double(), alpha_bar)
        torch.testing.assert_close(method(x, alpha_bar).double(), expected, rtol=1e-5, atol=1e-9)


def test_one_noise_level_for_each_row():
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    x = torch.linspace(-1, 2, 2 * len(LEVELS), dtype=torch.float64).reshape(-1, 2)
    for method in (PLANE.log_prob, PLANE.score, PLANE.posterior_mean):
        alone = [method(row[None], level) for row, level in zip(x, LEVELS, strict=True)]
        for given_as in (levels, levels[:, None]):
            torch.testing.assert_close(method(x, given_as), torch.cat(alone), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("alpha_bar", [1.0, 0.9, 1e-6])
@pytest.mark.parametrize("far", [1e3, 1e4, 1e6])
def test_far_tails_are_those_of_the_outer_mode(far, alpha_bar, dtype):
    x = torch.tensor([[-far], [far]], dtype=dtype)
    signal, variance = math.sqrt(alpha_bar), alpha_bar * LINE.std**2 + 1 - alpha_bar
    nearest = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    offset = x.double() - signal * nearest
    if alpha_bar > 0.5:  # else the modes are too near each other for one of them to win
        for found, expected in (
            (LINE.score(x, alpha_bar), -offset / variance),
            (LINE.posterior_mean(x, alpha_bar), nearest + signal * LINE.std**2 / variance * offset),
            (LINE.log_prob(x, alpha_bar)[:, None], -(offset**2) / (2 * variance)),
        ):
            torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0)
    for found in (LINE.score, LINE.posterior_mean, LINE.log_prob):
        assert found(x, alpha_bar).isfinite().all()


def test_weights_are_shares():
    assert LINE.weights.tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert mih.GaussianMixture.line([1, 2], std=1).weights.tolist() == [0.5, 0.5]


def test_samples_have_the_distribution_of_the_mixture():
    x = LINE.sample(50_000, torch.Generator().manual_seed(2))[:, 0].numpy()

    def cdf(value):
        below = [stats.norm.cdf(value, mean, LINE.std) for mean in (1, 2, 3)]
        return np.dot([1 / 8, 2 / 8, 5 / 8], below)

    assert stats.kstest(x, cdf).pvalue > 0.01
    assert stats.kstest(x + 0.002, cdf).pvalue < 0.01  # the test would notice so small a shift


@MIXTURES
def test_moments_of_samples(mix):
    n = 100_000
    x = mix.sample(n, torch.Generator().manual_seed(3)).double()
    mean = mix.weights @ mix.means
    centred = mix.means - mean
    covariance = centred.T @ (mix.weights[:, None] * centred)
    covariance += mix.std**2 * torch.eye(mix.dim, dtype=torch.float64)
    error = 5 * float(covariance.diagonal().max()) / math.sqrt(n)
    assert x.shape == (n, mix.dim)
    torch.testing.assert_close(
        x.mean(dim=0), mean, rtol=0, atol=error / covariance.diagonal().max().sqrt().item()
    )
    torch.testing.assert_close(
        x.T.cov().reshape(covariance.shape), covariance, rtol=0, atol=2 * error
    )


def test_distance_is_to_the_nearest_mode_in_std():
    x = torch.tensor([[0.0, 0.6], [1.0, -1.0], [0.5, 2.3]])
    torch.testing.assert_close(PLANE.distance(x), torch.tensor([2.0, 0.0, 1.0]), atol=1e-6, rtol=0)


@MIXTURES
def test_nearest_is_that_of_a_tree(mix):
    x = noised_points(mix, 0.5)
    distance, mode = cKDTree(mix.means.numpy()).query(x.numpy())
    found_mode, found_distance = mix.nearest(x)
    assert found_mode.tolist() == mode.tolist()
    assert len(set(mode)) == len(mix.means)  # each is nearest to some
    np.testing.assert_allclose(found_distance.numpy(), distance / mix.std, rtol=1e-12)
    assert torch.equal(mix.distance(x), found_distance)


# Modes on a grid


def test_a_grid_is_numbered_column_by_column_from_the_bottom_left():
    mix = mih.GaussianMixture.grid(3, spacing=2, std=0.1, weights=range(1, 10))
    expected = [[x, y] for x in (-2, 0, 2) for y in (-2, 0, 2)]
    assert mix.means.tolist() == expected
    assert (mix.std, mix.dim) == (0.1, 2)
    assert mix.weights.tolist() == pytest.approx([k / 45 for k in range(1, 10)])
    assert mih.GaussianMixture.grid(2, spacing=3, std=1).means[1].tolist() == [-1.5, 1.5]
    assert mih.GaussianMixture.grid(1, spacing=3, std=1).means.tolist() == [[0, 0]]


@pytest.mark.parametrize("make", [mih.GaussianMixture.grid, mih.GaussianMixture.diamond])
@pytest.mark.parametrize("side", [2, 4, 5])
def test_nearest_modes_of_grid_and_diamond_are_one_spacing_apart(make, side):
    mix = make(side, spacing=1.3, std=0.1)
    lengths = pdist(mix.means.numpy())
    assert len(mix.means) == side**2
    assert lengths.min() == pytest.approx(1.3)
    assert np.isclose(lengths, 1.3).sum() == 2 * side * (side - 1)  # the edges of a lattice
    assert lengths.max() == pytest.approx(1.3 * (side - 1) * math.sqrt(2))
    assert mix.means.mean(dim=0).tolist() == pytest.approx([0, 0], abs=1e-12)


def test_a_diamond_is_the_grid_turned_by_45_degrees():
    weights = [1, 2, 3, 4]
    grid = mih.GaussianMixture.grid(2, spacing=2, std=0.1, weights=weights)
    diamond = mih.GaussianMixture.diamond(2, spacing=2, std=0.1, weights=weights)
    turn = Rotation.from_euler("z", 45, degrees=True).as_matrix()[:2, :2]
    np.testing.assert_allclose(diamond.means.numpy(), grid.means.numpy() @ turn.T, atol=1e-12)
    assert (diamond.std, diamond.weights.tolist()) == (grid.std, grid.weights.tolist())
    # left and right, bottom and top: no two neighbours at one height
    root = math.sqrt(2)
    expected = [[0, -root], [-root, 0], [root, 0], [0, root]]
    np.testing.assert_allclose(diamond.means.numpy(), expected, atol=1e-12)


def test_the_papers_modes_have_the_papers_scale():
    scale = math.sqrt(0.05**2 + 8)
    grid = mih.GaussianMixture.grid(5, spacing=2, std=0.05).standardised()
    raw = [[x, y] for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]
    np.testing.assert_allclose(grid.means.numpy(), np.array(raw) / scale, atol=1e-12)
    assert grid.std == pytest.approx(0.05 / scale)
    diamond = mih.GaussianMixture.diamond(5, spacing=2**0.5, std=0.05).standardised()
    scale = math.sqrt(0.05**2 + 4)
    assert diamond.std == pytest.approx(0.05 / scale)
    assert pdist(diamond.means.numpy()).min() == pytest.approx(math.sqrt(2) / scale)


@MIXTURES
def test_standardised_has_mean_zero_and_variance_one(mix):
    there = mix.standardised()
    mean = there.weights @ there.means
    second = there.weights @ there.means.square() + there.std**2  # of each coordinate
    assert mean.tolist() == pytest.approx([0] * mix.dim, abs=1e-12)
    assert float((second - mean.square()).mean()) == pytest.approx(1)
    x = there.sample(100_000, torch.Generator().manual_seed(3)).double()
    assert x.mean(dim=0).tolist() == pytest.approx([0] * mix.dim, abs=0.02)
    assert float(x.var(dim=0).mean()) == pytest.approx(1, abs=0.02)


@MIXTURES
def test_standardised_is_moved_and_scaled_as_a_whole(mix):
    there = mix.standardised()
    x = noised_points(mix, 0.99)
    scale = mix.std / there.std
    moved = (x - mix.weights @ mix.means) / scale
    density = there.log_prob(moved) - mix.dim * math.log(scale)  # change of variables
    torch.testing.assert_close(density, mix.log_prob(x), rtol=1e-9, atol=1e-9)
    assert there.weights.tolist() == mix.weights.tolist()
    again = there.standardised()
    torch.testing.assert_close(again.means, there.means, rtol=1e-12, atol=1e-12)


def test_a_generator_decides_and_the_global_one_is_left_alone():
    before = torch.get_rng_state()
    first, again = (LINE.sample(9, torch.Generator().manual_seed(4)) for _ in range(2))
    other = LINE.sample(9, torch.Generator().manual_seed(5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert LINE.sample(9).shape == (9, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_device_and_dtype_of_the_points_are_kept(device, dtype):
    x = torch.zeros(4, 2, device=device, dtype=dtype)
    alpha_bar = torch.full((4,), 0.5, device=device)
    for level in (0.5, alpha_bar):
        for found in (PLANE.log_prob, PLANE.score, PLANE.posterior_mean):
            assert (found(x, level).device, found(x, level).dtype) == (x.device, dtype)
    assert (PLANE.distance(x).device, PLANE.distance(x).dtype) == (x.device, dtype)
    assert (PLANE.nearest(x)[0].device, PLANE.nearest(x)[0].dtype) == (x.device, torch.int64)


# Properties of every mixture

numbers = st.floats(-5, 5)
line_mixtures = st.builds(
    lambda modes, std: mih.GaussianMixture.line(
        [mean for mean, _ in modes], std, [weight for _, weight in modes]
    ),
    st.lists(st.tuples(numbers, st.floats(0.05, 20)), min_size=1, max_size=5),
    st.floats(0.02, 2),
)
alpha_bars = st.floats(1e-3, 0.9999)
points = st.lists(st.floats(-30, 30), min_size=1, max_size=20).map(
    lambda values: torch.tensor(sorted(values), dtype=torch.float64)[:, None]
)


@given(line_mixtures, alpha_bars, points)
def test_posterior_mean_rises_with_x(mix, alpha_bar, x):
    """Its slope is sqrt(alpha_bar) Var(x0 | x_t) / (1 - alpha_bar), a variance: never negative."""
    assert (mix.posterior_mean(x, alpha_bar).diff(dim=0) >= -1e-9).all()


@given(line_mixtures, alpha_bars, points)
def test_posterior_mean_is_a_mode_average_shrunk_towards_x(mix, alpha_bar, x):
    """Taking out the pull of x leaves an average of the modes, so it lies among them."""
    shrink = math.sqrt(alpha_bar) * mix.std**2 / (alpha_bar * mix.std**2 + 1 - alpha_bar)
    average = (mix.posterior_mean(x, alpha_bar) - shrink * x) / (1 - shrink * math.sqrt(alpha_bar))
    room = 1e-9 / (1 - shrink * math.sqrt(alpha_bar))
    assert (average >= mix.means.min() - room).all()
    assert (average <= mix.means.max() + room).all()


@given(line_mixtures, alpha_bars, points)
def test_log_prob_is_between_its_largest_mode_and_the_peak(mix, alpha_bar, x):
    variance = alpha_bar * mix.std**2 + 1 - alpha_bar
    peak = -0.5 * math.log(2 * math.pi * variance)
    squares = (x - math.sqrt(alpha_bar) * mix.means[:, 0]) ** 2
    largest = (mix.weights.log() + peak - squares / (2 * variance)).amax(dim=1)
    found = mix.log_prob(x, alpha_bar)
    assert (found >= largest - 1e-9).all()
    assert (found <= peak + 1e-9).all()


@given(line_mixtures, alpha_bars, points, numbers)
def test_moving_the_modes_moves_everything(mix, alpha_bar, x, shift):
    moved = mih.GaussianMixture(mix.means + shift, mix.std, mix.weights)
    there = x + math.sqrt(alpha_bar) * shift
    close = {"rtol": 1e-6, "atol": 1e-6}
    for method, offset in (("log_prob", 0.0), ("score", 0.0), ("posterior_mean", shift)):
        found, expected = (
            getattr(moved, method)(there, alpha_bar),
            getattr(mix, method)(x, alpha_bar),
        )
        torch.testing.assert_close(found, expected + offset, **close)


# Bad input

ONE = torch.zeros(3, 1)


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: mih.GaussianMixture.line([1, 2], std=-1), "std", "-1"),
        (lambda: mih.GaussianMixture.line([1, 2], std=0), "std", "0"),
        (lambda: mih.GaussianMixture.line([1, 2], std=math.nan), "std", "nan"),
        (lambda: mih.GaussianMixture.line([1, 2], std="thin"), "std", "thin"),
        (lambda: mih.GaussianMixture.line([1, 2], std=True), "std", "True"),
        (lambda: LINE.score(torch.zeros(3, 1).long(), 0.5), "x.dtype", "int64"),
        (lambda: mih.GaussianMixture.line([1, 2], std=math.inf), "std", "inf"),
        (lambda: mih.GaussianMixture.line([], std=1), "means", "(0, 1)"),
        (lambda: mih.GaussianMixture([1, 2], std=1), "means", "(2,)"),
        (lambda: mih.GaussianMixture.line([1, math.nan], std=1), "means", "nan"),
        (lambda: mih.GaussianMixture.line([1, 2], 1, [1]), "weights", "(1,)"),
        (lambda: mih.GaussianMixture.line([1, 2], 1, [1, 0]), "weights", "0.0"),
        (lambda: mih.GaussianMixture.line([1, 2], 1, [1, -2]), "weights", "-2"),
        (lambda: mih.GaussianMixture.line([1, 2], 1, [1, math.inf]), "weights", "inf"),
        (lambda: mih.GaussianMixture.grid(0, 1, 1), "side", "0"),
        (lambda: mih.GaussianMixture.grid(2.5, 1, 1), "side", "2.5"),
        (lambda: mih.GaussianMixture.grid(2, -1, 1), "spacing", "-1"),
        (lambda: mih.GaussianMixture.grid(2, math.nan, 1), "spacing", "nan"),
        (lambda: mih.GaussianMixture.grid(2, 1, 0), "std", "0"),
        (lambda: mih.GaussianMixture.grid(2, 1, 1, [1, 2]), "weights.shape", "(2,)"),
        (lambda: mih.GaussianMixture.diamond(0, 1, 1), "side", "0"),
        (lambda: mih.GaussianMixture.diamond(2, 0, 1), "spacing", "0"),
        (lambda: mih.GaussianMixture.diamond(2, 1, 1, [1, 0, 1, 1]), "weights", "0.0"),
        (lambda: PLANE.nearest(ONE), "x.shape", "(3, 1)"),
        (lambda: PLANE.nearest(torch.zeros(3, 2).long()), "x.dtype", "int64"),
        (lambda: LINE.sample(0), "n", "0"),
        (lambda: LINE.sample(2.5), "n", "2.5"),
        (lambda: LINE.sample(True), "n", "True"),
        (lambda: LINE.log_prob(torch.zeros(3)), "x.shape", "(3,)"),
        (lambda: LINE.log_prob(torch.zeros(3, 2)), "x.shape", "(3, 2)"),
        (lambda: PLANE.score(ONE, 0.5), "x.shape", "(3, 1)"),
        (lambda: PLANE.distance(ONE), "x.shape", "(3, 1)"),
        (lambda: LINE.posterior_mean([[1.0]], 0.5), "x", "list"),
        (lambda: LINE.score(ONE, 0), "alpha_bar", "0"),
        (lambda: LINE.score(ONE, 1.5), "alpha_bar", "1.5"),
        (lambda: LINE.score(ONE, math.nan), "alpha_bar", "nan"),
        (lambda: LINE.score(ONE, torch.ones(2)), "alpha_bar.shape", "(2, 1)"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call, name, value):
    with refusal(name, value):
        call()
