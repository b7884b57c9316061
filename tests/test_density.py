"""The generated density: against closed forms, samples, and itself on finer grids."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import Double, refusal
from scipy import stats
from scipy.special import ndtri

import mih_utils as mih
from mih_utils.density import _density

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(200, 5e-3, 0.2)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)
WHOLE = SCHEDULE.ddpm()
INFINITY = math.inf


def grid(n=1024, low=-1.0, high=5.0):
    return torch.linspace(low, high, n, dtype=torch.float64)


@Double
def perturbed(x_t, t):
    """Errs as a network does, so that mass gets between the modes."""
    return EXACT(x_t, t) + 0.1 * torch.sin(3 * x_t + 0.01 * t)


@Double
def smoothed(x_t, t):
    """The exact denoiser's staircase, smoothed over a fifth of a unit."""
    shifts = torch.linspace(-0.2, 0.2, 9, dtype=x_t.dtype)
    return torch.stack([EXACT(x_t + shift, t) for shift in shifts]).mean(dim=0)


@Double
def folding(x_t, t):
    """Its last map goes up and down."""
    return EXACT(x_t, t) + 2.0 * torch.sin(40 * x_t) * (t < 3)


def density(net=EXACT, chain=WHOLE, on=None):
    return mih.exact_density(net, chain, grid() if on is None else on, progress=False)


def sampled(net, n, chain=WHOLE, **settings):
    generator = torch.Generator().manual_seed(0)
    out = mih.sample(net, chain, n, (1,), generator=generator, progress=False, **settings)
    return out.x[:, 0].double()


# One Gaussian: the chain is linear, and mean and variance follow a recursion


def levels(steps):
    """alpha_bar that a chain of so many steps visits, the cleanest first."""
    times = np.linspace(199, 0, steps).round().astype(int)[::-1]
    return np.cumprod(1 - SCHEDULE.beta.numpy())[times]


def generated_normal(mean, std, alpha_bar, variance_of_steps):
    """Mean and std that the exact denoiser generates for N(mean, std^2): textbook formulas."""
    centre, variance = 0.0, 1.0
    for t in reversed(range(len(alpha_bar))):
        now, before = alpha_bar[t], alpha_bar[t - 1] if t else 1.0
        beta, alpha = 1 - now / before, now / before
        shrink = math.sqrt(now) * std**2 / (now * std**2 + 1 - now)  # slope of E[x0 | x_t]
        of_x0 = math.sqrt(before) * beta / (1 - now)
        of_x_t = math.sqrt(alpha) * (1 - before) / (1 - now)
        slope = of_x0 * shrink + of_x_t
        centre = slope * centre + of_x0 * (mean - shrink * math.sqrt(now) * mean)
        added = beta if variance_of_steps == "large" else beta * (1 - before) / (1 - now)
        variance = slope**2 * variance + (added if t else 0.0)
    return centre, math.sqrt(variance)


@pytest.mark.parametrize("steps", [200, 60, 20])
@pytest.mark.parametrize("variance", ["large", "small"])
@pytest.mark.parametrize(("mean", "std"), [(2.0, 0.05), (0.5, 0.3)])
def test_one_gaussian_follows_the_variance_recursion(mean, std, variance, steps):
    exact = mih.ExactDenoiser(mih.GaussianMixture.line([mean], std), SCHEDULE)
    chain = SCHEDULE.ddpm(steps, variance)
    found = density(exact, chain, grid(1024, mean - 3, mean + 3))
    centre, spread = generated_normal(mean, std, levels(steps), variance)
    assert abs(spread / std - 1) > 1e-3  # not the width of the data: of the chain
    for k in (0.5, 1, 2, 3, 4, 5, 6):
        expected = stats.norm.sf(k)  # 1e-9 for k = 6
        left = found.mass_between(-INFINITY, centre - k * spread)
        right = found.mass_between(centre + k * spread, INFINITY)
        assert left == pytest.approx(expected, rel=1e-2)
        assert right == pytest.approx(expected, rel=1e-2)
    middle = (found.nodes[1:] + found.nodes[:-1]) / 2
    assert float(found.mass @ middle) == pytest.approx(centre, abs=1e-4 * spread)
    second = float(found.mass @ (middle - centre) ** 2)
    assert second == pytest.approx(spread**2, rel=1e-3)
    if abs(centre - mean) < 1e-3 * std and spread < 1.5 * std:  # or 6 std would cut it
        widths = found.widths(mih.GaussianMixture.line([mean], std))
        assert widths.tolist() == pytest.approx([spread / std], rel=1e-2)
    width = spread / float(found.grid[1] - found.grid[0])
    if width > 8:  # a cell is then short beside the bump
        p = stats.norm.pdf(found.grid.numpy(), centre, spread)
        np.testing.assert_allclose(found.p.numpy(), p, rtol=0, atol=p.max() / width**2)
    assert found.monotone
    assert abs(found.lost) < 1e-9


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_one_gaussian_with_less_noise(eta):
    """The closed form of DDIM: x_{t-1} = x[t] x_t + noise[t] eps + eta * posterior std * z."""
    mean, std = 1.0, 0.2
    exact = mih.ExactDenoiser(mih.GaussianMixture.line([mean], std), SCHEDULE)
    found = density(exact, SCHEDULE.ddim(eta=eta), grid(1024, -1, 3))
    alpha_bar = np.cumprod(1 - SCHEDULE.beta.numpy())
    centre, variance = 0.0, 1.0
    for t in reversed(range(len(SCHEDULE))):
        now, before = alpha_bar[t], alpha_bar[t - 1] if t else 1.0
        added = eta**2 * (1 - before) / (1 - now) * (1 - now / before)
        total = now * std**2 + 1 - now
        slope_x0, slope_noise = math.sqrt(now) * std**2 / total, math.sqrt(1 - now) / total
        slope = math.sqrt(before) * slope_x0 + math.sqrt(1 - before - added) * slope_noise
        centre = math.sqrt(before) * mean + slope * (centre - math.sqrt(now) * mean)
        variance = slope**2 * variance + added
    for k in (1, 3, 5):
        edge = centre + k * math.sqrt(variance)
        assert found.mass_between(edge, INFINITY) == pytest.approx(stats.norm.sf(k), rel=1e-2)


# Against samples


def chi_square(found, x, edges):
    """p-value of the samples x under a density, counted in cells."""
    expected = 1e-9 + len(x) * np.array([found.mass_between(*cell) for cell in pairwise(edges)])
    counts = np.histogram(x.numpy(), edges)[0]
    return stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue


CHAINS = {
    "large": SCHEDULE.ddpm(50),
    "small": SCHEDULE.ddpm(50, variance="small"),
    "half the noise": SCHEDULE.ddim(50, eta=0.5),
    "deterministic": SCHEDULE.ddim(50),
}


@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("net", [perturbed, smoothed])
def test_samples_have_the_density(net, kind):
    found = density(net, CHAINS[kind])
    x = sampled(net, 20_000, CHAINS[kind])
    fortieths = np.arange(1, 40) / 40
    edges = [
        -INFINITY,
        *np.interp(fortieths, found.p.cumsum(0) / found.p.sum(), found.grid),
        INFINITY,
    ]
    assert chi_square(found, x, edges) > 1e-3
    # so small a difference as that to another chain would be noticed
    other = density(net, CHAINS["small" if kind != "small" else "large"])
    assert chi_square(other, x, edges) < 1e-6


@pytest.mark.filterwarnings("ignore:.*wider grid")  # so short a training scatters
def test_a_network_has_the_density_that_it_samples():
    net = mih.ToyDenoiser(width=32, steps=200, generator=torch.Generator().manual_seed(0))
    data = MIX.sample(2000, torch.Generator().manual_seed(1))
    mih.train(
        net,
        data,
        SCHEDULE,
        100,
        batch=256,
        generator=torch.Generator().manual_seed(2),
        progress=False,
    )
    chain = SCHEDULE.ddpm(40)
    found = density(net, chain, grid(low=-4, high=8))
    edges = np.concatenate([[-INFINITY], np.linspace(0.4, 3.6, 20), [INFINITY]])
    assert chi_square(found, sampled(net, 20_000, chain), edges) > 0.01


@pytest.mark.parametrize("net", [EXACT, perturbed, smoothed])
def test_ddim_is_a_push_of_points(net):
    """Without noise the whole chain is one map; the quantiles of the start land where mass does."""
    n, chain = 20_000, SCHEDULE.ddim(60)
    start = torch.from_numpy(ndtri((np.arange(n) + 0.5) / n))[:, None]
    landed = sampled(net, n, chain, x_T=start)
    found = density(net, chain)
    assert abs(found.lost) < 1e-12
    for low, high in [(-9, 0.9), (0.9, 1.0), (1.0, 1.5), (1.2, 1.8), (1.9, 2.1), (2.95, 9)]:
        share = float(((landed > low) & (landed < high)).double().mean())
        assert found.mass_between(low, high) == pytest.approx(share, abs=3 / n)
    rising = bool((landed.diff() >= 0).all())
    assert found.monotone == rising


# Folds


def test_a_folding_chain_says_so_and_keeps_its_masses():
    chain = SCHEDULE.ddpm(50)
    found, n = density(folding, chain), 200_000
    assert not found.monotone
    assert density(EXACT, chain).monotone
    x = sampled(folding, n, chain)
    for low, high in [(-9, 0.9), (0.9, 1.0), (1.0, 1.5), (1.5, 2.02), (2.02, 9)]:
        share = float(((x > low) & (x < high)).double().mean())
        error = 4 * math.sqrt(share * (1 - share) / n) + 1e-4
        assert found.mass_between(low, high) == pytest.approx(share, abs=error)
    assert float(found.p.sum() * found.grid.diff()[0]) == pytest.approx(1, abs=1e-6)


def test_folding_ddim_keeps_its_masses():
    n, chain = 50_000, SCHEDULE.ddim(50)
    start = torch.from_numpy(ndtri((np.arange(n) + 0.5) / n))[:, None]
    landed = sampled(folding, n, chain, x_T=start)
    found = density(folding, chain)
    assert not found.monotone
    assert (landed.diff() < 0).any()
    for low, high in [(-9, 0.9), (0.9, 1.0), (1.0, 2.02), (2.02, 9)]:
        share = float(((landed > low) & (landed < high)).double().mean())
        assert found.mass_between(low, high) == pytest.approx(share, abs=1e-3)
    edges = torch.cat([found.grid, found.grid[-1:] + found.grid.diff()[0]])
    edges = (edges - found.grid.diff()[0] / 2).numpy()
    counted = np.histogram(landed.numpy(), edges[::32])[0] / n
    mass = found.p.numpy() * float(found.grid.diff()[0])
    np.testing.assert_allclose(mass.reshape(-1, 32).sum(axis=1), counted, atol=5e-3)


def test_a_fold_with_a_flat_top_is_collected_on_both_sides():
    nodes = torch.tensor([0.0, 1.0, 2.0, 2.0, 2.0, 0.0], dtype=torch.float64)
    mass = torch.tensor([0.1, 0.2, 0.05, 0.05, 0.6], dtype=torch.float64)
    found = _density(nodes, mass, torch.tensor([0.5, 1.5, 2.5], dtype=torch.float64))
    assert not found.monotone
    assert found.mass_between(-1, 1) == pytest.approx(0.1 + 0.3)
    assert found.mass_between(1, 3) == pytest.approx(0.2 + 0.1 + 0.3)
    assert float(found.p[0]) == pytest.approx(0.1 + 0.3)
    assert float(found.p[1:].sum()) == pytest.approx(0.2 + 0.1 + 0.3)


@Double
def snapping(x_t, t):
    """A denoiser whose x0_hat is the nearest mode itself: all mass ends on three points."""
    alpha_bar = SCHEDULE.alpha_bar[t]
    nearest = (x_t / alpha_bar.sqrt()).round().clamp(1, 3)
    return (x_t - alpha_bar.sqrt() * nearest) / (1 - alpha_bar).sqrt()


@pytest.mark.parametrize("chain", [WHOLE, SCHEDULE.ddim()])
def test_mass_that_ends_on_a_point_is_counted(chain):
    found = density(snapping, chain)
    assert found.mass_between(-INFINITY, INFINITY) == pytest.approx(1, abs=1e-6)
    assert sum(found.mass_between(m - 1e-3, m + 1e-3) for m in (1, 2, 3)) == pytest.approx(
        1, abs=1e-2
    )
    assert float(found.p.sum() * found.grid.diff()[0]) == pytest.approx(1, abs=1e-6)


# Accuracy


@pytest.mark.parametrize("variance", ["large", "small"])
@pytest.mark.parametrize("net", [EXACT, perturbed, smoothed])
def test_half_the_spacing_changes_little(net, variance):
    chain = SCHEDULE.ddpm(variance=variance)
    coarse, fine = (density(net, chain, grid(n)) for n in (2048, 4095))
    for found in (coarse, fine):
        assert found.lost == pytest.approx(0, abs=1e-6)
        assert float(found.mass.sum()) == pytest.approx(1, abs=1e-6)
        assert float(found.p.sum() * found.grid.diff()[0]) == pytest.approx(1, abs=1e-6)
    for k in (4, 5, 6, 8):
        outside = fine.mass_outside(MIX, k)
        if outside > 1e-8:
            assert coarse.mass_outside(MIX, k) == pytest.approx(outside, rel=0.02)
    if net is not EXACT:
        assert fine.mass_outside(MIX, 6) > 1e-5


def test_half_the_spacing_changes_little_without_noise():
    coarse, fine = (density(smoothed, SCHEDULE.ddim(50), grid(n)) for n in (2048, 4095))
    for k in (4, 6):
        outside = fine.mass_outside(MIX, k)
        assert outside > 1e-3
        assert coarse.mass_outside(MIX, k) == pytest.approx(outside, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "steps"), [("line123-net", 1000), ("line1245-net", 100)])
def test_half_the_spacing_changes_little_for_a_committed_network(name, steps):
    a = mih.artifact(name)
    chain, high = a.schedule.ddpm(steps), float(a.mixture.means.max()) + 2
    coarse, fine = (density(a.net, chain, grid(n, -1, high)) for n in (1024, 2047))
    assert fine.lost == pytest.approx(0, abs=1e-6)
    for k in (5, 6, 8):
        outside = fine.mass_outside(a.mixture, k)
        assert outside > 1e-8
        assert coarse.mass_outside(a.mixture, k) == pytest.approx(outside, rel=0.02)


ORACLE = {
    (1000, 1e-3, 0.2): (3e-7, 2e-8, 1e-9),
    (200, 1e-3, 0.2): (7e-6, 2e-6, 1e-7),
    (50, 0.02, 0.9): (2e-2, 1.6e-2, 7e-3),
    (1000, 1e-4, 0.02): (7e-7, 3e-9, 3e-14),
}


@pytest.mark.parametrize("linear", ORACLE)
def test_the_exact_chain_leaves_what_was_measured_before(linear):
    """Mass outside 5, 6 and 8 std, known to one digit from another program."""
    schedule = mih.Schedule.linear(*linear)
    found = density(mih.ExactDenoiser(MIX, schedule), schedule.ddpm(), grid(2048))
    for k, expected in zip((5, 6, 8), ORACLE[linear], strict=True):
        if expected > 1e-12:
            assert found.mass_outside(MIX, k) == pytest.approx(expected, rel=0.35)
        else:
            assert 0 <= found.mass_outside(MIX, k) < 1e-12
    if len(schedule) == 1000:  # half-way between the modes there is next to nothing
        assert found.mass_between(1.49, 1.51) < 1e-9


# What a Density says


def test_masses_add_up():
    found = density(perturbed, SCHEDULE.ddpm(50))
    cuts = [-INFINITY, 0.75, 0.91, 1.0, 1.5001, 2.7, INFINITY]
    parts = [found.mass_between(low, high) for low, high in pairwise(cuts)]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(1 - found.lost, abs=1e-12)
    assert found.mass_between(1.5, 1.5) == 0
    spacing = found.grid.diff()[0]
    for low, high in [(100, 300), (400, 500)]:  # whole cells of the grid
        edges = float(found.grid[low] - spacing / 2), float(found.grid[high] - spacing / 2)
        mass = float(found.p[low:high].sum() * spacing)
        assert found.mass_between(*edges) == pytest.approx(mass, rel=1e-6)


def test_gaps_are_the_intervals_far_from_every_mode():
    found = density(perturbed, SCHEDULE.ddpm(50))
    gaps = found.gap_masses(MIX, 6)
    expected = [(-INFINITY, 0.7), (1.3, 1.7), (2.3, 2.7), (3.3, INFINITY)]
    assert gaps == pytest.approx([found.mass_between(*gap) for gap in expected], rel=1e-9)
    assert found.mass_outside(MIX, 6) == pytest.approx(sum(gaps))
    assert found.bridge_mass(MIX, 6) == pytest.approx(gaps[1] + gaps[2])
    assert len(found.gap_masses(MIX, 11)) == 2  # neighbours touch: only the outsides are left
    unordered = mih.GaussianMixture.line([3, 1, 2], std=0.05)
    assert found.gap_masses(unordered, 6) == pytest.approx(gaps)


def test_mass_off_the_grid_is_reported_as_lost():
    with pytest.warns(UserWarning, match="wider grid"):
        found = density(perturbed, SCHEDULE.ddpm(50), grid(1024, 1.2, 1.8))
    assert found.lost > 0.1
    assert float(found.mass.sum()) + found.lost == pytest.approx(1, abs=1e-12)


def test_a_density_is_made_of_ordinary_tensors():
    for chain in (SCHEDULE.ddpm(20), SCHEDULE.ddim(20)):
        found = density(chain=chain)
        for tensor in (found.grid, found.p, found.nodes, found.mass):
            assert tensor.dtype == torch.float64
            tensor *= 2.0  # a tensor of torch.inference_mode would refuse this
            assert (tensor.requires_grad_() ** 2).sum().requires_grad


@pytest.mark.parametrize("chain", [SCHEDULE.ddpm(20), SCHEDULE.ddim(20)])
def test_a_plain_function_computes_as_the_grid_does(chain):
    def net(x_t, t):
        assert (x_t.dtype, x_t.device.type, t.shape) == (torch.float64, "cpu", ())
        return EXACT(x_t, t)

    found = mih.exact_density(net, chain, grid(), progress=False)
    assert torch.equal(found.p, density(chain=chain).p)


@pytest.mark.filterwarnings("ignore:.*wider grid")
def test_a_net_is_asked_as_it_is_when_it_samples():
    net = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Dropout(0.5))
    net.forward = lambda x_t, t: net[1](net[0](x_t))
    one, two = (density(net, SCHEDULE.ddpm(20)) for _ in range(2))
    assert torch.equal(one.p, two.p)
    assert net.training and net[1].training


def test_the_grid_is_given_back_whatever_its_dtype():
    single = grid().float()
    found = density(chain=SCHEDULE.ddpm(20), on=single)
    assert torch.equal(found.grid, single.double())
    assert found.p.shape == single.shape


# Devices


@pytest.mark.parametrize("make", [SCHEDULE.ddpm, SCHEDULE.ddim])
def test_no_step_waits_for_the_device(host_syncs, make):
    counts = []
    for steps in (20, 60):
        with host_syncs() as syncs:  # one stretch of DDIM's start may need one round more
            density(chain=make(steps))
        counts.append(syncs.count)
    assert abs(counts[1] - counts[0]) < 10


# What is read from a density


def test_each_mode_has_its_width():
    """Three narrow bumps by hand: the second is twice as wide as the truth, the third is lost."""
    nodes = torch.linspace(0, 4, 40_001, dtype=torch.float64)
    middle = (nodes[1:] + nodes[:-1]) / 2
    mass = sum(
        torch.from_numpy(stats.norm.pdf(middle.numpy(), m, s)) for m, s in ((1, 0.05), (2, 0.1))
    )
    found = mih.Density(grid(16), grid(16), nodes, mass / mass.sum(), 0.0, monotone=True)
    widths = found.widths(mih.GaussianMixture.line([1, 2, 8], 0.05))
    cut = stats.truncnorm(-3, 3).std()  # 6 true widths are 3 of the wide bump
    assert widths[:2].tolist() == pytest.approx([1, 2 * cut], rel=1e-4)
    assert widths[2].isnan()


def test_points_drawn_from_a_density_have_it():
    found = density(perturbed)
    x = found.sample(200_000, torch.Generator().manual_seed(0))
    assert x.shape == (200_000, 1)
    assert x.dtype == torch.float32
    for low, high in pairwise([-1, 0.9, 1.0, 1.2, 1.5, 1.98, 2.5, 3.05, 5]):
        expected = found.mass_between(low, high)
        share = float(((x >= low) & (x < high)).double().mean())
        assert abs(share - expected) < 4.5 * (expected * (1 - expected) / len(x)) ** 0.5 + 1e-5
    again = found.sample(200_000, torch.Generator().manual_seed(0))
    assert again.equal(x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_points_are_drawn_where_the_generator_lies():
    x = density(perturbed).sample(20_000, torch.Generator("cuda").manual_seed(0))
    assert x.device.type == "cuda"
    assert float(x.mean()) == pytest.approx(2, abs=0.1)


def test_points_of_a_folded_density_lie_where_its_mass_is():
    found = density(folding)
    assert not found.monotone
    x = found.sample(50_000, torch.Generator().manual_seed(1))[:, 0].double().sort().values
    below = torch.tensor([found.mass_between(-INFINITY, float(q)) for q in x[::5000]])
    assert (below - torch.arange(0, 50_000, 5000) / 50_000).abs().max() < 0.012


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("chain", [SCHEDULE.ddpm(50), SCHEDULE.ddim(50)])
def test_a_gpu_gives_the_density_of_the_cpu(chain):
    here, there = (density(net, chain) for net in (EXACT, EXACT.to("cuda")))
    torch.testing.assert_close(there.p.cpu(), here.p, rtol=1e-6, atol=1e-9)
    assert there.mass_outside(MIX, 4) == pytest.approx(here.mass_outside(MIX, 4), rel=1e-6)


# Bad input


def mixed(quiet):
    """The chain without noise at some t."""
    return mih.Chain(tuple(replace(s, std=0.0) if s.t in quiet else s for s in WHOLE))


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"on": torch.linspace(0, 4, 8)}, "grid", "8"),
        ({"on": torch.zeros(4, 50)}, "grid", "4, 50"),
        ({"on": [0.0, 1.0]}, "grid", "list"),
        ({"on": torch.linspace(4, 0, 100)}, "grid", ""),
        ({"on": torch.linspace(0, 2, 100) ** 2}, "grid", ""),
        ({"on": torch.ones(100)}, "grid", ""),
        ({"on": torch.full((100,), math.nan)}, "grid", ""),
        ({"on": torch.linspace(-1, 5, 32)}, "grid", "32 points"),
        ({"chain": SCHEDULE.ddim(eta=0.001)}, "grid", "1024 points"),
        ({"net": mih.ToyDenoiser(steps=50)}, "chain", "t = [199]"),
        ({"chain": mixed({0, 5})}, "chain", "t = [5]"),
        ({"chain": mixed(set(range(200)) - {7})}, "chain", "t = [199]"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(settings, name, value):
    with refusal(name, value):
        density(**settings)


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda d: d.sample(0), "n", "0"),
        (lambda d: d.widths(mih.GaussianMixture([[0, 0]], 1)), "x", "1"),
        (lambda d: d.mass_between(2, 1), "low", "2"),
        (lambda d: d.mass_between(math.nan, 1), "low", "nan"),
        (lambda d: d.mass_outside(MIX, 0), "k", "0"),
        (lambda d: d.mass_outside(MIX, -2), "k", "-2"),
        (lambda d: d.gap_masses(MIX, math.nan), "k", "nan"),
        (lambda d: d.mass_outside(mih.GaussianMixture([[0, 0]], 1), 6), "mixture.dim", "2"),
    ],
)
def test_bad_questions_are_refused_by_name_and_value(call, name, value):
    found = density(chain=SCHEDULE.ddpm(20))
    with refusal(name, value):
        call(found)


def test_a_last_step_without_noise_is_no_mixture():
    """Every chain's last step is one."""
    assert density(chain=SCHEDULE.ddpm(20)) is not None
    assert mixed({0}) == WHOLE


@pytest.mark.filterwarnings("ignore:.*wider grid")
def test_a_finer_grid_as_asked_for_is_enough():
    chain = SCHEDULE.ddpm(20, variance="small")
    with pytest.raises(ValueError, match="points") as refusal:
        density(chain=chain, on=grid(64))
    needed = max(int(n) for n in str(refusal.value).replace(",", " ").split() if n.isdigit())
    assert density(chain=chain, on=grid(needed)).lost < 1e-3
