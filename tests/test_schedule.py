"""The schedule: against diffusers, the textbook formulas, and what must hold for every schedule."""

import math

import numpy as np
import pytest
import torch
from conftest import refusal
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

import mih_utils as mih

LINEAR = [(1000, 1e-3, 0.2), (1000, 1e-4, 0.02), (200, 1e-3, 0.2), (50, 0.02, 0.9)]
LINEAR_SCHEDULES = pytest.mark.parametrize(("steps", "start", "end"), LINEAR)


def diffusers_schedule(steps, start, end, variance="fixed_small"):
    """diffusers' scheduler; it makes its tables in float32, so they are made again in float64."""
    scheduler = DDPMScheduler(steps, start, end, "linear", variance_type=variance)
    scheduler.betas = torch.linspace(start, end, steps, dtype=torch.float64)
    scheduler.alphas = 1.0 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, dim=0)
    return scheduler


@LINEAR_SCHEDULES
def test_tables_are_those_of_diffusers(steps, start, end):
    schedule = mih.Schedule.linear(steps, start, end)
    double = diffusers_schedule(steps, start, end)
    assert schedule.beta.dtype == schedule.alpha_bar.dtype == torch.float64
    torch.testing.assert_close(schedule.beta, double.betas, rtol=1e-15, atol=0)
    torch.testing.assert_close(schedule.alpha_bar, double.alphas_cumprod, rtol=1e-12, atol=0)
    untouched = DDPMScheduler(steps, start, end, "linear")
    torch.testing.assert_close(schedule.beta.float(), untouched.betas, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        schedule.alpha_bar.float(), untouched.alphas_cumprod, rtol=1e-3, atol=0
    )


@LINEAR_SCHEDULES
def test_both_variances_are_those_of_diffusers(steps, start, end):
    schedule = mih.Schedule.linear(steps, start, end)
    variances = {"fixed_small": schedule.posterior_variance, "fixed_large": schedule.beta}
    for kind, found in variances.items():
        scheduler = diffusers_schedule(steps, start, end, kind)
        expected = torch.stack([scheduler._get_variance(t) for t in range(steps)])
        torch.testing.assert_close(found[1:], expected[1:], rtol=1e-10, atol=0)
    assert schedule.posterior_variance[0] == 0  # diffusers writes 1e-20


def test_add_noise_is_that_of_diffusers():
    schedule = mih.Schedule.linear(1000)
    g = torch.Generator().manual_seed(0)
    for shape in [(50, 1), (50, 3, 4, 4)]:
        x0, noise = torch.randn(2, *shape, dtype=torch.float64, generator=g)
        t = torch.randint(1000, (50,), generator=g)
        expected = diffusers_schedule(*LINEAR[0]).add_noise(x0, noise, t)
        torch.testing.assert_close(schedule.add_noise(x0, t, noise), expected, rtol=1e-12, atol=0)
        at_seven = schedule.add_noise(x0, torch.tensor(7), noise)
        torch.testing.assert_close(
            at_seven, schedule.add_noise(x0, torch.full((50,), 7), noise), rtol=0, atol=0
        )
        assert schedule.add_noise(x0.float(), t, noise.float()).dtype == torch.float32


def test_noised_data_has_the_variance_promised():
    schedule, n = mih.Schedule.linear(1000), 200_000
    g = torch.Generator().manual_seed(1)
    x0, noise = 0.3 * torch.randn(n, 1, generator=g), torch.randn(n, 1, generator=g)
    for t in (0, 50, 300):
        alpha_bar = math.prod(1 - b for b in np.linspace(1e-3, 0.2, 1000)[: t + 1])
        expected = alpha_bar * 0.09 + 1 - alpha_bar
        found = float(schedule.add_noise(x0, torch.tensor(t), noise).var())
        assert found == pytest.approx(expected, rel=5 * math.sqrt(2 / n))


@LINEAR_SCHEDULES
@pytest.mark.parametrize("fixed_large", [True, False])
def test_reverse_step_is_the_posterior_of_the_textbook(steps, start, end, fixed_large):
    """Ho et al. 2020, eq. 7, with x0 replaced by the x0_hat that the noise stands for."""
    schedule = mih.Schedule.linear(steps, start, end)
    coefficients = schedule.reverse_steps(fixed_large=fixed_large)
    beta = np.linspace(start, end, steps)
    alpha_bar = np.cumprod(1 - beta)
    x_t, noise = 0.7, -1.3
    for t in range(steps):
        before = alpha_bar[t - 1] if t else 1.0
        x0_hat = (x_t - math.sqrt(1 - alpha_bar[t]) * noise) / math.sqrt(alpha_bar[t])
        mean = (
            math.sqrt(before) * beta[t] * x0_hat + math.sqrt(1 - beta[t]) * (1 - before) * x_t
        ) / (1 - alpha_bar[t])
        variance = beta[t] if fixed_large else beta[t] * (1 - before) / (1 - alpha_bar[t])
        found = coefficients.x[t] * x_t + coefficients.noise[t] * noise
        assert found == pytest.approx(mean, rel=1e-9, abs=1e-9)
        assert coefficients.std[t] == pytest.approx(math.sqrt(variance) if t else 0, rel=1e-9)
        seen = (x_t - coefficients.sigma[t] * noise) / coefficients.signal[t]
        assert seen == pytest.approx(x0_hat, rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 50, 333, 999, 1000])
def test_respaced_chain_visits_the_noise_levels_of_its_parent(steps):
    parent = mih.Schedule.linear(1000, 1e-4, 0.02)
    chain = parent.respaced(steps)
    kept = chain.timesteps.tolist()
    assert len(chain) == len(set(kept)) == steps
    assert kept == sorted(kept)
    assert kept[-1] == 999
    assert kept[0] == (0 if steps > 1 else 999)
    torch.testing.assert_close(chain.alpha_bar, parent.alpha_bar[kept], rtol=1e-9, atol=0)
    if steps > 1:  # evenly, up to rounding
        assert max(np.diff(kept)) - min(np.diff(kept)) <= 1
    assert parent.timesteps.tolist() == list(range(1000))


def test_respacing_a_respaced_chain_still_tells_the_original_t():
    parent = mih.Schedule.linear(1000)
    twice = parent.respaced(200).respaced(20)
    assert twice.timesteps[-1] == 999
    torch.testing.assert_close(
        twice.alpha_bar, parent.alpha_bar[twice.timesteps], rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_steps_too_far_apart_to_compute_are_refused(steps):
    """Between two such steps x would grow a millionfold and more, and rounding errors with it."""
    with pytest.raises(ValueError, match=f"^steps is {steps}, but it must be"):
        mih.Schedule.linear(1000).respaced(steps)


@pytest.mark.parametrize(
    ("steps", "start", "end"), [(100, 1e-4, 0.02), (1, 0.5, 0.5), (50, 1e-3, 0.2)]
)
def test_signal_left_at_the_end_is_refused_with_its_size(steps, start, end):
    left = math.prod(math.sqrt(1 - beta) for beta in np.linspace(start, end, steps))
    assert left > 0.05
    with pytest.raises(ValueError, match="alpha_bar") as refusal:
        mih.Schedule.linear(steps, start, end)
    assert f"{left:.3f}"[:-1] in str(refusal.value)


@pytest.mark.parametrize("beta", [torch.full((10,), 0.6), [0.6] * 10, np.full(10, 0.6)])
def test_tables_are_float64_whatever_beta_is(beta):
    schedule = mih.Schedule(beta)
    for table in (schedule.beta, schedule.alpha_bar, schedule.posterior_variance):
        assert table.dtype == torch.float64
    assert float(schedule.alpha_bar[-1]) == pytest.approx(0.4**10, rel=1e-6)


def test_variance_beta_is_for_the_whole_noise_only():
    for eta in (0.0, 0.5, 0.999):
        assert SCHEDULE.reverse_steps(eta, True) == SCHEDULE.reverse_steps(eta, False)
    assert SCHEDULE.reverse_steps(1, True) != SCHEDULE.reverse_steps(1, False)


# Properties of every schedule

betas = st.lists(st.floats(1e-5, 0.95), min_size=1, max_size=30).map(
    lambda values: torch.tensor([*values, 0.998], dtype=torch.float64)
)


@given(betas)
def test_signal_falls_and_the_variances_are_in_order(beta):
    schedule = mih.Schedule(beta)
    assert (schedule.alpha_bar > 0).all()
    assert (schedule.alpha_bar.diff() < 0).all()
    assert (schedule.posterior_variance >= 0).all()
    assert (schedule.posterior_variance <= schedule.beta * (1 + 1e-9)).all()


@given(betas, st.floats(0, 1))
def test_reverse_steps_keep_the_marginals(beta, eta):
    """Given the true noise, every eta leads from one noised density to the one before it."""
    schedule = mih.Schedule(beta)
    c = schedule.reverse_steps(eta, fixed_large=False)
    before = torch.cat([torch.ones(1, dtype=torch.float64), schedule.alpha_bar[:-1]])
    x, noise, std = (torch.tensor(v, dtype=torch.float64) for v in (c.x, c.noise, c.std))
    signal = x * schedule.alpha_bar.sqrt()
    spread = (x * (1 - schedule.alpha_bar).sqrt() + noise).square() + std**2
    torch.testing.assert_close(signal, before.sqrt(), rtol=1e-9, atol=1e-12)
    scale = 1e-9 * float(x.square().max())
    torch.testing.assert_close(spread, 1 - before, rtol=1e-6, atol=scale)
    expected = eta * schedule.posterior_variance.sqrt()
    torch.testing.assert_close(std, expected, rtol=1e-9, atol=1e-15)


@given(betas, st.data())
def test_respacing_picks_from_the_chain(beta, data):
    parent = mih.Schedule(beta)
    steps = data.draw(st.integers(1, len(parent)))
    chain = parent.respaced(steps)
    assert len(set(chain.timesteps.tolist())) == steps
    # alpha_bar is a product of 1 - beta, each of which is rounded to about 1e-16
    expected = parent.alpha_bar[chain.timesteps]
    torch.testing.assert_close(chain.alpha_bar, expected, rtol=1e-9, atol=1e-15)


# Device, bad input


def test_to_moves_every_table(device):
    moved = mih.Schedule.linear(100, 0.01, 0.3).respaced(10).to(device)
    assert len(moved) == 10
    for table in (moved.beta, moved.alpha_bar, moved.posterior_variance, moved.timesteps):
        assert table.device.type == device.type
        assert table.dtype == (torch.int64 if table is moved.timesteps else torch.float64)
        assert table.shape == (10,)


SCHEDULE = mih.Schedule.linear(100, 0.01, 0.3)


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: mih.Schedule.linear(0), "steps", "0"),
        (lambda: mih.Schedule.linear(-3), "steps", "-3"),
        (lambda: mih.Schedule.linear(10.0), "steps", "10.0"),
        (lambda: mih.Schedule.linear(1000, 0), "beta_start", "0"),
        (lambda: mih.Schedule.linear(1000, math.nan), "beta_start", "nan"),
        (lambda: mih.Schedule.linear(1000, 0.3, 0.2), "beta_end", "0.2"),
        (lambda: mih.Schedule.linear(1000, 0.1, 1.0), "beta_end", "1.0"),
        (lambda: mih.Schedule(torch.zeros(0)), "beta.shape", "(0,)"),
        (lambda: mih.Schedule(torch.full((2, 2), 0.9)), "beta.shape", "(2, 2)"),
        (lambda: mih.Schedule(torch.tensor([0.5, 1.0])), "beta", "1.0"),
        (lambda: mih.Schedule(torch.tensor([0.9, -0.1])), "beta", "-0.1"),
        (lambda: mih.Schedule(torch.tensor([0.9, math.nan])), "beta", "nan"),
        (lambda: mih.Schedule.linear(1000, "a"), "beta_start", "'a'"),
        (lambda: mih.Schedule([0.5, 0.998], torch.arange(3)), "timesteps", "(3,)"),
        (lambda: mih.Schedule([0.5, 0.998], [0.0, 1.0]), "timesteps", "float"),
        (lambda: SCHEDULE.respaced(0), "steps", "0"),
        (lambda: SCHEDULE.respaced(101), "steps", "101"),
        (lambda: SCHEDULE.reverse_steps(eta=-0.1), "eta", "-0.1"),
        (lambda: SCHEDULE.reverse_steps(eta=1.1), "eta", "1.1"),
        (
            lambda: SCHEDULE.add_noise(torch.zeros(3, 1), torch.zeros(3).long(), torch.zeros(3)),
            "noise.shape",
            "(3,)",
        ),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call, name, value):
    with refusal(name, value):
        call()
