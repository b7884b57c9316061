"""The schedule: against diffusers, the textbook formulas, and what must hold for every schedule."""

import math

import numpy as np
import pytest
import torch
from conftest import refusal
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

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
    for kind, variance in (("fixed_small", "small"), ("fixed_large", "large")):
        chain = schedule.ddpm(variance=variance)
        found = torch.tensor([step.std for step in chain], dtype=torch.float64).square().flip(0)
        scheduler = diffusers_schedule(steps, start, end, kind)
        expected = torch.stack([scheduler._get_variance(t) for t in range(steps)])
        torch.testing.assert_close(found[1:], expected[1:], rtol=1e-10, atol=0)
        assert found[0] == 0  # diffusers writes 1e-20, or beta


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
    for table in (schedule.beta, schedule.alpha_bar):
        assert table.dtype == torch.float64
    assert float(schedule.alpha_bar[-1]) == pytest.approx(0.4**10, rel=1e-6)


def test_a_batch_to_train_on_is_noised_to_the_t_that_is_told():
    schedule, n = mih.Schedule.linear(100, 5e-3, 0.3), 20_000
    x0 = torch.arange(2.0 * n).reshape(n, 2)
    x_t, t, noise = schedule.training_batch(x0, torch.Generator().manual_seed(0))
    assert torch.equal(x_t, schedule.add_noise(x0, t, noise))
    counts = torch.bincount(t, minlength=100)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3  # every step as often
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3
    again = schedule.training_batch(x0, torch.Generator().manual_seed(0))
    assert torch.equal(again[0], x_t)


# Properties of every schedule

betas = st.lists(st.floats(1e-5, 0.95), min_size=1, max_size=30).map(
    lambda values: torch.tensor([*values, 0.998], dtype=torch.float64)
)


@given(betas)
def test_signal_falls(beta):
    schedule = mih.Schedule(beta)
    assert (schedule.alpha_bar > 0).all()
    assert (schedule.alpha_bar.diff() < 0).all()


# Device, bad input


def test_to_moves_every_table(device):
    moved = mih.Schedule.linear(100, 0.01, 0.3).to(device)
    assert len(moved) == 100
    for table in (moved.beta, moved.alpha_bar):
        assert table.device.type == device.type
        assert table.dtype == torch.float64
        assert table.shape == (100,)


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
