"""The reverse chain: against the textbook, diffusers' numbers of noise, and as a value."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st

import mih_utils as mih

LINEAR = [(1000, 1e-3, 0.2), (1000, 1e-4, 0.02), (200, 1e-3, 0.2), (50, 0.02, 0.9)]
SCHEDULE = mih.Schedule.linear(100, 0.01, 0.3)


def levels(chain):
    """alpha_bar of each step, the noisiest first."""
    return torch.tensor([step.signal for step in chain], dtype=torch.float64).square()


@pytest.mark.parametrize(("steps", "start", "end"), LINEAR)
@pytest.mark.parametrize("variance", ["large", "small"])
def test_reverse_step_is_the_posterior_of_the_textbook(steps, start, end, variance):
    """Ho et al. 2020, eq. 7, with x0 replaced by the x0_hat that the noise stands for."""
    chain = mih.Schedule.linear(steps, start, end).ddpm(variance=variance)
    beta = np.linspace(start, end, steps)
    alpha_bar = np.cumprod(1 - beta)
    x_t, noise = 0.7, -1.3
    assert [step.t for step in chain] == list(range(steps))[::-1]
    for step in chain:
        t = step.t
        before = alpha_bar[t - 1] if t else 1.0
        x0_hat = (x_t - math.sqrt(1 - alpha_bar[t]) * noise) / math.sqrt(alpha_bar[t])
        mean = (
            math.sqrt(before) * beta[t] * x0_hat + math.sqrt(1 - beta[t]) * (1 - before) * x_t
        ) / (1 - alpha_bar[t])
        spread = beta[t] if variance == "large" else beta[t] * (1 - before) / (1 - alpha_bar[t])
        assert step.x * x_t + step.noise * noise == pytest.approx(mean, rel=1e-9, abs=1e-9)
        assert step.mean(x_t, noise) == pytest.approx(mean, rel=1e-9, abs=1e-9)
        assert step.std == pytest.approx(math.sqrt(spread) if t else 0, rel=1e-9)
        seen = (x_t - step.sigma * noise) / step.signal
        assert seen == pytest.approx(x0_hat, rel=1e-9)
        assert step.x0_hat(x_t, noise) == pytest.approx(x0_hat, rel=1e-9)


# Fewer steps


@pytest.mark.parametrize("steps", [3, 7, 50, 333, 999, 1000])
@pytest.mark.parametrize("make", ["ddpm", "ddim"])
def test_a_chain_of_fewer_steps_visits_the_noise_levels_of_the_schedule(steps, make):
    parent = mih.Schedule.linear(1000, 1e-4, 0.02)
    chain = getattr(parent, make)(steps)
    kept = chain.times.tolist()[::-1]
    assert len(chain) == len(set(kept)) == steps
    assert kept == sorted(kept)
    assert kept[-1] == 999
    assert kept[0] == 0
    torch.testing.assert_close(levels(chain).flip(0), parent.alpha_bar[kept], rtol=1e-9, atol=0)
    assert max(np.diff(kept)) - min(np.diff(kept)) <= 1  # evenly, up to rounding
    assert getattr(parent, make)().times.tolist() == list(range(1000))[::-1]


@pytest.mark.parametrize("steps", [1, 2])
def test_one_or_two_steps_are_the_first_and_the_last_level(steps):
    parent = mih.Schedule.linear(1000, 1e-4, 0.02)
    kept = parent.ddpm(steps).times.tolist()
    assert kept == [999, 0][:steps]
    torch.testing.assert_close(
        levels(parent.ddpm(steps)), parent.alpha_bar[kept], rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_steps_too_far_apart_to_compute_are_refused(steps):
    """Between two such steps x would grow a millionfold and more, and rounding errors with it."""
    with pytest.raises(ValueError, match=f"^steps is {steps}, but it must be"):
        mih.Schedule.linear(1000).ddpm(steps)


@pytest.mark.parametrize("steps", [None, 20])
def test_all_of_ddims_noise_is_ddpms_with_the_small_variance(steps):
    assert SCHEDULE.ddim(steps, eta=1) == SCHEDULE.ddpm(steps, variance="small")
    for eta in (0.0, 0.5, 0.999):
        assert SCHEDULE.ddim(steps, eta) != SCHEDULE.ddim(steps, 1.0)
    large, small = SCHEDULE.ddpm(steps, "large"), SCHEDULE.ddpm(steps, "small")
    assert large != small
    assert [replace(step, std=0.0) for step in large] == [replace(step, std=0.0) for step in small]


# Properties of the chains of every schedule

betas = st.lists(st.floats(1e-5, 0.95), min_size=1, max_size=30).map(
    lambda values: torch.tensor([*values, 0.998], dtype=torch.float64)
)


def columns(chain):
    """x, noise and std of each step, the cleanest first: (T,) each."""
    rows = [(step.x, step.noise, step.std) for step in chain]
    return torch.tensor(rows[::-1], dtype=torch.float64).unbind(dim=1)


@given(betas)
def test_the_variances_are_in_order(beta):
    schedule = mih.Schedule(beta)
    large, small = (columns(schedule.ddpm(variance=v))[2].square() for v in ("large", "small"))
    assert (small >= 0).all()
    assert (small <= schedule.beta * (1 + 1e-9)).all()
    torch.testing.assert_close(large[1:], schedule.beta[1:], rtol=1e-9, atol=0)
    assert large[0] == small[0] == 0


@given(betas, st.floats(0, 1))
def test_reverse_steps_keep_the_marginals(beta, eta):
    """Given the true noise, every eta leads from one noised density to the one before it."""
    schedule = mih.Schedule(beta)
    x, noise, std = columns(schedule.ddim(eta=eta))
    before = torch.cat([torch.ones(1, dtype=torch.float64), schedule.alpha_bar[:-1]])
    signal = x * schedule.alpha_bar.sqrt()
    spread = (x * (1 - schedule.alpha_bar).sqrt() + noise).square() + std**2
    torch.testing.assert_close(signal, before.sqrt(), rtol=1e-9, atol=1e-12)
    scale = 1e-9 * float(x.square().max())
    torch.testing.assert_close(spread, 1 - before, rtol=1e-6, atol=scale)
    expected = eta * (schedule.beta * (1 - before) / (1 - schedule.alpha_bar)).sqrt()
    torch.testing.assert_close(std, expected, rtol=1e-9, atol=1e-15)


@given(betas, st.data())
def test_fewer_steps_are_picked_from_the_schedule(beta, data):
    parent = mih.Schedule(beta)
    steps = data.draw(st.integers(1, len(parent)))
    chain = parent.ddpm(steps)
    assert len(set(chain.times.tolist())) == steps
    # alpha_bar is a product of 1 - beta, each of which is rounded to about 1e-16
    expected = parent.alpha_bar[chain.times]
    torch.testing.assert_close(levels(chain), expected, rtol=1e-9, atol=1e-15)


# A chain is a value


def test_equal_chains_are_equal_and_can_be_looked_up():
    chain, same = SCHEDULE.ddpm(20), mih.Schedule.linear(100, 0.01, 0.3).ddpm(20)
    assert chain == same
    assert chain is not same
    assert {chain: "found"}[same] == "found"
    assert chain != SCHEDULE.ddpm(21)
    assert chain != mih.Schedule.linear(100, 0.01, 0.31).ddpm(20)
    with pytest.raises(AttributeError):
        chain.steps = ()
    with pytest.raises(AttributeError):
        chain[0].std = 0.0


def test_a_chain_does_not_depend_on_where_its_schedule_lies():
    moved = mih.Schedule.linear(100, 0.01, 0.3).to("cpu")
    moved.beta = moved.beta.float().double()
    chain = moved.ddpm(20)
    assert chain == mih.Schedule(moved.beta).ddpm(20)
    assert all(isinstance(v, float | int) for step in chain for v in vars(step).values())


def test_a_chain_is_gone_through_from_noise_to_data():
    chain = SCHEDULE.ddim(20)
    assert len(chain) == len(list(chain)) == 20
    assert [step.left for step in chain] == list(range(20))[::-1]
    assert chain[0] == next(iter(chain))
    assert (chain[0].t, chain[0].left, chain[-1].t, chain[-1].left) == (99, 19, 0, 0)
    assert chain.times.tolist() == [step.t for step in chain]
    assert chain.times.dtype == torch.int64
    signal = [step.signal for step in chain]
    assert signal == sorted(signal)
    assert repr(chain) == "Chain(20 steps, t = 99 … 0)"


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_the_last_steps_are_a_chain_of_their_own(steps):
    chain = SCHEDULE.ddpm(20)
    last = chain.last(steps)
    assert isinstance(last, mih.Chain)
    assert list(last) == list(chain)[20 - steps :]
    assert (last == chain) == (steps == 20)
    assert (last[-1].left, last[0].left) == (0, steps - 1)


def test_steps_by_hand_are_a_chain_too():
    """Of any real t, as a continuous schedule has: the formulas are those of eq. 12."""
    steps = [mih.Step(t / 2, left, 1.0, -0.1, 0.2, 0.8, 0.6) for left, t in ((1, 3), (0, 1))]
    chain = mih.Chain(tuple(steps))
    assert chain.times.tolist() == [1.5, 0.5]
    x_t, eps = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -0.5])
    torch.testing.assert_close(chain[0].mean(x_t, eps), torch.tensor([0.95, 2.05]))
    torch.testing.assert_close(chain[0].x0_hat(x_t, eps), torch.tensor([0.875, 2.875]))


# Bad input

STEP = mih.Step(0, 0, 1.0, 0.0, 0.0, 1.0, 0.1)


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: SCHEDULE.ddpm(0), "steps", "0"),
        (lambda: SCHEDULE.ddpm(101), "steps", "101"),
        (lambda: SCHEDULE.ddim(0), "steps", "0"),
        (lambda: SCHEDULE.ddim(2.5), "steps", "2.5"),
        (lambda: SCHEDULE.ddim(101), "steps", "101"),
        (lambda: SCHEDULE.ddim(eta=-0.1), "eta", "-0.1"),
        (lambda: SCHEDULE.ddim(eta=1.1), "eta", "1.1"),
        (lambda: SCHEDULE.ddim(eta="DDIM"), "eta", "DDIM"),
        (lambda: SCHEDULE.ddim(eta=math.nan), "eta", "nan"),
        (lambda: SCHEDULE.ddpm(variance="fixed_large"), "variance", "fixed_large"),
        (lambda: SCHEDULE.ddpm(variance=True), "variance", "True"),
        (lambda: SCHEDULE.ddpm(20).last(0), "steps", "0"),
        (lambda: SCHEDULE.ddpm(20).last(21), "steps", "21"),
        (lambda: mih.Chain(()), "left", "[]"),
        (lambda: mih.Chain((STEP, STEP)), "left", "[0, 0]"),
        (lambda: mih.Chain((STEP, replace(STEP, left=1))), "left", "[0, 1]"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call, name, value):
    with refusal(name, value):
        call()
