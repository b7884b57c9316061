"""The generated density in the plane: against closed forms, one dimension, and samples."""

import math

import numpy as np
import pytest
import torch
from conftest import Double, refusal
from scipy import stats

import mih_utils as mih
from mih_utils import density_2d

SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
WHOLE = SCHEDULE.ddpm()
VARIANCES = pytest.mark.parametrize("variance", ["large", "small"])
STD = 0.1
MIX = mih.GaussianMixture([[-1, -0.6], [-1, 0.8], [0.5, -0.6], [0.5, 0.8]], STD)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)
BLURRED = mih.ExactDenoiser(mih.GaussianMixture(MIX.means, 1.5 * STD), SCHEDULE)


def grid(n=81, low=-2.0, high=2.0):
    return torch.linspace(low, high, n, dtype=torch.float64)


def density(net, chain=WHOLE, on=None, **settings):
    on = grid() if on is None else on
    return mih.exact_density_2d(net, chain, on, progress=False, **settings)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def smoothed_line(means):
    """The exact denoiser of modes on a line, but its staircase smoothed, as a network's is."""
    exact = mih.ExactDenoiser(mih.GaussianMixture.line(means, STD), SCHEDULE)

    @Double
    def net(x_t, t):
        shifts = torch.linspace(-0.2, 0.2, 5, dtype=x_t.dtype)
        return torch.stack([exact(x_t + shift, t) for shift in shifts]).mean(dim=0)

    return net


@Double
def swirling(x_t, t):
    """Blurs the modes, errs in both coordinates at once, and treats no two directions alike."""
    x, y = x_t.unbind(dim=1)
    error = torch.stack([torch.sin(2 * y + x), torch.cos(x - y) + 0.5 * torch.sin(3 * x)], dim=1)
    return BLURRED(x_t, t) + 0.15 * error


def turned(net, degrees):
    """The denoiser of the same problem, its plane turned."""
    turn = rotation(degrees)
    return Double(lambda x_t, t: net(x_t @ turn, t) @ turn.T)


def rotation(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


# One Gaussian: the chain is linear, and mean and covariance follow a recursion


def tilted(mean, covariance):
    """The exact denoiser of one Gaussian of any covariance."""
    mean, covariance = (torch.tensor(v, dtype=torch.float64) for v in (mean, covariance))

    @Double
    def net(x_t, t):
        alpha_bar = SCHEDULE.alpha_bar[t]
        noised = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(2)
        offset = x_t - alpha_bar.sqrt() * mean
        return (1 - alpha_bar).sqrt() * torch.linalg.solve(noised, offset.T).T

    return net


def generated_normal(mean, covariance, steps, variance):
    """Mean and covariance that its chain generates: textbook formulas."""
    times = np.linspace(99, 0, steps).round().astype(int)[::-1]
    alpha_bar = np.cumprod(1 - SCHEDULE.beta.numpy())[times]
    centre, spread, one = np.zeros(2), np.eye(2), np.eye(2)
    for t in reversed(range(len(alpha_bar))):
        now, before = alpha_bar[t], alpha_bar[t - 1] if t else 1.0
        beta, alpha = 1 - now / before, now / before
        shrink = math.sqrt(now) * covariance @ np.linalg.inv(now * covariance + (1 - now) * one)
        of_x0 = math.sqrt(before) * beta / (1 - now)
        of_x_t = math.sqrt(alpha) * (1 - before) / (1 - now)
        slope = of_x0 * shrink + of_x_t * one
        centre = slope @ centre + of_x0 * (mean - shrink @ mean * math.sqrt(now))
        added = beta if variance == "large" else beta * (1 - before) / (1 - now)
        spread = slope @ spread @ slope.T + (added if t else 0.0) * one
    return centre, spread


@pytest.mark.filterwarnings("ignore:.*wider grid")  # a wide Gaussian's tail, 7e-6
@pytest.mark.parametrize("steps", [100, 25])
@VARIANCES
@pytest.mark.parametrize("covariance", [[[0.04, 0], [0, 0.04]], [[0.09, 0.04], [0.04, 0.03]]])
def test_one_gaussian_follows_the_covariance_recursion(covariance, variance, steps):
    mean, chain = [0.5, -0.3], SCHEDULE.ddpm(steps, variance)
    found = density(tilted(mean, covariance), chain)
    centre, spread = generated_normal(np.array(mean), np.array(covariance), steps, variance)
    offset, mass = found.points.numpy() - centre, found.mass.numpy()
    spacing = float(found.grid[1] - found.grid[0])
    in_cells = spread + spacing**2 / 12 * np.eye(2)  # as if a cell's mass lay in its middle
    width = spread.diagonal().max()
    np.testing.assert_allclose(mass @ offset, 0, atol=2e-3 * math.sqrt(width))
    np.testing.assert_allclose((mass * offset.T) @ offset, in_cells, rtol=0, atol=3e-3 * width)
    assert abs(spread - covariance).max() > 0.01 * width  # not the data's: the chain's
    p = stats.multivariate_normal(centre, in_cells).pdf(found.points)
    np.testing.assert_allclose(found.p.numpy().ravel(), p, rtol=0, atol=0.08 * p.max())
    squares = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(spread), offset)
    for k in (2, 3, 4, 5):
        far = squares > k**2
        assert mass[far].sum() == pytest.approx(p[far].sum() * spacing**2, rel=0.04)


# Two coordinates that know nothing of each other: the product of two densities in one dimension


def cells(net, chain, on):
    """Mass of the cell around each grid point, computed in one dimension."""
    line = torch.linspace(-3, 3, 2048, dtype=torch.float64)
    found = mih.exact_density(net, chain, line, progress=False)
    half = float(on[1] - on[0]) / 2
    return torch.tensor([found.mass_between(c - half, c + half) for c in on.tolist()]).double()


@VARIANCES
def test_separate_coordinates_have_the_product_of_their_densities(variance):
    across, up = smoothed_line([-1, 0.5]), smoothed_line([-0.6, 0.8])

    @Double
    def net(x_t, t):
        return torch.cat([across(x_t[:, :1], t), up(x_t[:, 1:], t)], dim=1)

    chain = SCHEDULE.ddpm(variance=variance)
    found = density(net, chain)
    mass_x, mass_y = (cells(one, chain, found.grid) for one in (across, up))
    expected = torch.outer(mass_x, mass_y).flatten()
    assert float((found.mass - expected).abs().sum()) / 2 < 0.01
    for k in (4, 5, 6):
        outside = float(expected[MIX.distance(found.points) > k].sum())
        assert outside > 5e-4
        assert found.mass_outside(MIX, k) == pytest.approx(outside, rel=0.03)


def test_the_exact_chain_leaves_next_to_nothing_far_from_the_modes():
    """By one dimension 2e-14; from so many steps of rounding and grids no more than 1e-7 comes."""
    assert density(EXACT).mass_outside(MIX, 8) < 1e-7


# Samples


def chi_square(found, x, blocks=7):
    """p-value of the samples x under a density, counted in square blocks of cells."""
    edges = torch.cat([found.grid, found.grid[-1:] + found.grid.diff()[:1]])
    edges = (edges - found.grid.diff()[0] / 2).numpy()[::blocks]
    counts = np.histogram2d(*x.T.numpy(), bins=edges)[0].ravel()
    n = len(found.grid) // blocks
    mass = found.mass.reshape(n, blocks, n, blocks).sum(dim=(1, 3)).numpy().ravel()
    often = len(x) * mass > 5
    counts = np.append(counts[often], len(x) - counts[often].sum())
    expected = len(x) * np.append(mass[often], 1 - mass[often].sum())
    return stats.chisquare(counts, expected).pvalue


@VARIANCES
def test_samples_have_the_density(variance):
    chain, n = SCHEDULE.ddpm(variance=variance), 20_000
    found = density(swirling, chain, grid(161))
    out = mih.sample(swirling, chain, n, (2,), progress=False, generator=seeded())
    assert chi_square(found, out.x) > 1e-3
    # so small a difference as that to another chain, or swapped coordinates, would be noticed
    other = SCHEDULE.ddpm(variance="small" if variance == "large" else "large")
    other = density(swirling, other, grid(161))
    assert chi_square(other, out.x) < 1e-6
    assert chi_square(found, out.x.flip(1)) < 1e-6
    for k in (4.2, 5.2):
        mass = found.mass_outside(MIX, k)
        error = 4 * math.sqrt(mass * (1 - mass) / n)
        assert mass > error
        assert float((MIX.distance(out.x) > k).double().mean()) == pytest.approx(mass, abs=error)


# The turned problem has the turned answer


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_turns_the_grid(quarters):
    chain = SCHEDULE.ddpm(25)
    found, there = (density(net, chain) for net in (swirling, turned(swirling, 90 * quarters)))
    # torch turns rows (here: the first coordinate) into columns the other way round
    torch.testing.assert_close(there.p, found.p.rot90(quarters), rtol=1e-6, atol=1e-9)
    assert not torch.allclose(found.p.rot90(1), found.p, rtol=0.1, atol=0.1)


def test_half_a_quarter_turn_turns_modes_and_bridges():
    """The grid is not turned with the problem; what it says is the same up to its cells."""
    of_modes, of_bridges = [], []
    for degrees, net in ((0, swirling), (45, turned(swirling, 45))):
        mixture = mih.GaussianMixture(MIX.means @ rotation(degrees).T, STD)
        found = density(net, on=grid(161))
        of_modes.append(torch.bincount(mixture.nearest(found.points)[0], weights=found.mass))
        census = mih.bridge_census(mixture, found.points, k=4, weight=found.mass)
        of_bridges.append(torch.zeros(4, 4, dtype=torch.float64))
        of_bridges[-1][tuple(census.pairs.T)] = census.mass
    torch.testing.assert_close(of_modes[1], of_modes[0], rtol=0.01, atol=0)
    torch.testing.assert_close(of_bridges[1], of_bridges[0], rtol=0.05, atol=2e-4)
    assert of_modes[0].max() > 1.5 * of_modes[0].min()
    assert of_bridges[0].sum() > 0.01


# Accuracy


def test_a_finer_grid_has_the_same_mass_in_the_same_cells():
    coarse = density(swirling)
    third = 0.05 / 3
    fine = density(swirling, on=grid(3 * 81, -2 - third, 2 + third))
    mass = fine.mass.reshape(81, 3, 81, 3).sum(dim=(1, 3)).flatten()
    assert float((mass - coarse.mass).abs().sum()) / 2 < 0.01
    for k in (4, 5, 6):
        outside = float(mass[MIX.distance(coarse.points) > k].sum())
        assert outside > 1e-3
        assert coarse.mass_outside(MIX, k) == pytest.approx(outside, rel=0.02)


def test_half_the_spacing_changes_little():
    """A cell counts whole: no radius k * STD may run through the middles of many."""
    coarse, fine = (density(swirling, on=grid(n)) for n in (161, 321))
    for k in (4.2, 5.2, 6.2):
        assert fine.mass_outside(MIX, k) > 1e-3
        assert coarse.mass_outside(MIX, k) == pytest.approx(fine.mass_outside(MIX, k), rel=0.03)


def test_finer_steps_change_little():
    chain = SCHEDULE.ddpm(50)
    found, finer = density(swirling, chain), density(swirling, chain, finer=2)
    assert float((finer.mass - found.mass).abs().sum()) / 2 < 0.01
    assert not torch.equal(finer.p, found.p)
    for k in (4.2, 5.2):
        outside = finer.mass_outside(MIX, k)
        assert outside > 1e-3
        assert found.mass_outside(MIX, k) == pytest.approx(outside, rel=0.1)


def test_the_last_step_in_many_blocks_is_that_in_one(monkeypatch):
    chain = SCHEDULE.ddpm(25)
    found = density(swirling, chain)
    monkeypatch.setattr(density_2d, "ROWS", 700)
    torch.testing.assert_close(density(swirling, chain).p, found.p, rtol=1e-9, atol=1e-12)


def test_a_plain_function_computes_as_the_axis_does():
    chain = SCHEDULE.ddpm(25)
    found = mih.exact_density_2d(swirling.net, chain, grid(), progress=False)  # without a dtype
    assert torch.equal(found.p, density(swirling, chain).p)


class Single(torch.nn.Module):
    """A denoiser made to compute in float32, as a network does."""

    def __init__(self, net):
        super().__init__()
        self.net, self.weight = net, torch.nn.Parameter(torch.zeros(1))

    def forward(self, x_t, t):
        assert (x_t.dtype, x_t.shape[1:], t.shape) == (self.weight.dtype, (2,), ())
        return self.net(x_t, t)


def test_a_network_computes_in_its_own_precision_and_the_density_in_double():
    chain = SCHEDULE.ddpm(25)
    single, doubled = density(Single(swirling), chain), density(swirling, chain)
    assert single.p.dtype == torch.float64
    torch.testing.assert_close(single.p, doubled.p, rtol=1e-3, atol=1e-3)
    assert not torch.equal(single.p, doubled.p)


# What a Density2D says


def test_masses_are_those_of_the_cells_around_the_points():
    found = density(swirling, SCHEDULE.ddpm(25))
    spacing = float(found.grid[1] - found.grid[0])
    assert found.points.shape == (81 * 81, 2)
    assert float(found.mass.sum()) == pytest.approx(1 - found.lost, abs=1e-12)
    assert found.lost == pytest.approx(0, abs=1e-5)
    assert found.p.min() >= 0
    at = 20 * 81 + 7
    assert found.points[at].tolist() == [found.grid[20], found.grid[7]]
    assert float(found.mass[at]) == pytest.approx(float(found.p[20, 7]) * spacing**2)
    centre = found.mass @ found.points  # more of it lies to the left and above
    expected = [float((found.p.sum(dim) @ found.grid) * spacing**2) for dim in (1, 0)]
    assert centre.tolist() == pytest.approx(expected)


def test_mass_outside_is_that_of_the_cells_far_from_every_mode():
    grid = torch.tensor([-1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    p = torch.arange(16, dtype=torch.float64).reshape(4, 4)
    found = mih.Density2D(grid, p, 0.0)
    corners = mih.GaussianMixture([[-1, -1], [2, 2]], std=0.5)
    # within a distance of 1 of the modes: the two corners, and two points beside each
    assert found.mass_outside(corners, 2) == 120 - (0 + 1 + 4) - (15 + 14 + 11)
    assert found.mass_outside(corners, 1.9) == 120 - 15


def test_mass_off_the_grid_is_reported_as_lost():
    chain = SCHEDULE.ddpm(25)
    whole = density(swirling, chain)
    with pytest.warns(UserWarning, match="wider grid") as warned:
        found = density(swirling, chain, grid(41, -2, 0))
    assert warned[0].filename == __file__  # `density` above, which called it
    left = whole.grid < 0.025  # half the spacing farther than the last point
    inside = float(whole.p[left][:, left].sum()) * 0.05**2
    assert found.lost == pytest.approx(1 - inside, abs=0.02)
    assert found.lost > 0.5


def test_a_density_is_made_of_ordinary_tensors():
    found = density(EXACT, SCHEDULE.ddpm(20), grid(41).float())
    assert torch.equal(found.grid, grid(41).float().double())
    for tensor in (found.grid, found.p):
        assert tensor.dtype == torch.float64
        tensor *= 2.0  # a tensor of torch.inference_mode would refuse this
        assert (tensor.requires_grad_() ** 2).sum().requires_grad


def test_progress_is_shown_only_if_asked_for(capsys):
    chain = SCHEDULE.ddpm(20)
    density(EXACT, chain)
    assert capsys.readouterr() == ("", "")
    mih.exact_density_2d(EXACT, chain, grid(41))
    assert "exact density" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_density_of_the_cpu():
    chain = SCHEDULE.ddpm(25)
    here, there = (density(net, chain) for net in (EXACT, EXACT.to("cuda")))
    torch.testing.assert_close(there.p, here.p, rtol=1e-6, atol=1e-9)


# The width of a mode


def test_widths_are_those_of_gaussians_on_the_grid():
    """Two modes of known widths: cells add their own, and 6 std cut off nearly nothing."""
    modes = mih.GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], std=0.05)
    x = torch.arange(-2, 2, 0.02, dtype=torch.float64)
    wanted = torch.tensor([0.8, 1.5], dtype=torch.float64)
    p = torch.zeros(len(x), len(x), dtype=torch.float64)
    for mean, width in zip(modes.means, wanted * modes.std, strict=True):
        one = mih.GaussianMixture(mean[None], float(width))
        p += one.log_prob(torch.cartesian_prod(x, x)).exp().reshape(p.shape) / 2
    found = mih.Density2D(x, p, lost=0.0).widths(modes)
    torch.testing.assert_close(found, wanted, rtol=5e-3, atol=0)


def test_a_mode_that_is_not_generated_has_no_width():
    modes = mih.GaussianMixture([[-1.0, 0.0], [1.0, 0.0]], std=0.05)
    x = torch.arange(-2, 2, 0.02, dtype=torch.float64)
    one = mih.GaussianMixture(modes.means[:1], 0.05)
    p = one.log_prob(torch.cartesian_prod(x, x)).exp().reshape(len(x), -1) * (x < 0)[:, None]
    found = mih.Density2D(x, p, lost=0.0).widths(modes)
    assert found[0] == pytest.approx(1, rel=5e-3)
    assert found[1].isnan()


# Bad input


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"on": torch.linspace(0, 4, 8)}, "grid", "8"),
        ({"on": torch.zeros(50, 50)}, "grid", "50, 50"),
        ({"on": [0.0, 1.0]}, "grid", "list"),
        ({"on": torch.linspace(4, 0, 100)}, "grid", "not rising"),
        ({"on": torch.linspace(0, 2, 100) ** 2}, "grid", "uneven"),
        ({"on": torch.full((100,), math.nan)}, "grid", "uneven"),
        ({"chain": mih.Schedule([0.9999]).ddpm()}, "chain", "1 steps"),
        ({"chain": SCHEDULE.ddim()}, "chain", "t = [99]"),
        ({"chain": SCHEDULE.ddim(20)}, "chain", "t = [99]"),
        ({"finer": 0.4}, "finer", "0.4"),
        ({"finer": 0.999}, "finer", "0.999"),
        ({"finer": math.nan}, "finer", "nan"),
        ({"net": mih.ToyDenoiser(dim=2, steps=50)}, "chain", "t = [99]"),
        ({"net": mih.ToyDenoiser(dim=1, steps=100)}, "x_t.shape", ", 2)"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(settings, name, value):
    with refusal(name, value):
        density(**{"net": swirling} | settings)


def test_modes_that_are_not_in_the_plane_are_refused():
    found = mih.Density2D(grid(), torch.zeros(81, 81).double(), 1.0)
    with refusal("x.shape", "2)"):
        found.mass_outside(mih.GaussianMixture.line([1, 2], std=1), 6)
