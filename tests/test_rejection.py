"""Rejection: exactly as many samples as asked for, distributed as those of one big draw."""

import math

import pytest
import torch
from conftest import Double, refusal
from scipy import stats

import mih_utils as mih
from mih_utils.rejection import draw_below

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)
CHAIN = SCHEDULE.ddpm(20)


@Double
def perturbed(x_t, t):
    """Errs as a network does."""
    return EXACT(x_t, t) + 0.1 * torch.sin(3 * x_t + 0.01 * t)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Counted(torch.nn.Module):
    """Counts the samples drawn: the rows that reach the last step."""

    def __init__(self):
        super().__init__()
        self.drawn, self.calls = 0, 0

    def forward(self, x_t, t):
        if int(t) == 0:
            self.drawn += len(x_t)
            self.calls += 1
        return perturbed(x_t, t)


def below(n, threshold, net=perturbed, seed=0, chain=CHAIN, **settings):
    settings = {"generator": seeded(seed), "progress": False} | settings
    return mih.sample_below(net, chain, n, (1,), threshold=threshold, **settings)


def drawn_at_once(n, seed=10, observe=None, chain=CHAIN):
    observe = observe or [mih.Hal(last=5)]
    return mih.sample(
        perturbed, chain, n, (1,), observe=observe, generator=seeded(seed), progress=False
    )


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_exactly_n_samples_come_all_below_the_threshold(share):
    threshold = float(drawn_at_once(5000).hal.quantile(share))
    net = Counted()
    out, drawn = below(1000, threshold, net)
    assert out.x.shape == (1000, 1)
    assert out.hal.shape == (1000,)
    assert (out.hal < threshold).all()
    assert drawn == net.drawn >= 1000
    assert drawn == pytest.approx(1000 / share, rel=0.25)
    assert net.calls <= 10 + drawn / 1000  # in few rounds, not one by one


def test_without_rejection_it_is_one_draw():
    out, drawn = below(300, 1e9)
    once = drawn_at_once(300, seed=0)
    assert drawn == 300
    assert torch.equal(out.x, once.x)
    assert torch.equal(out.hal, once.hal)


def test_samples_below_are_distributed_as_those_of_one_big_draw():
    once = drawn_at_once(20_000)
    threshold = float(once.hal.quantile(0.3))
    out, _ = below(4000, threshold)
    kept = once.hal < threshold
    for found, expected, whole in (
        (out.x[:, 0], once.x[kept, 0], once.x[:, 0]),
        (out.hal, once.hal[kept], once.hal),
    ):
        assert stats.ks_2samp(found, expected).pvalue > 0.01
        assert stats.ks_2samp(found, whole).pvalue < 1e-6  # the filter makes a difference


def test_samples_below_go_with_their_hal_and_follow_the_generator():
    threshold = float(drawn_at_once(5000).hal.quantile(0.5))
    before = torch.get_rng_state()
    (first, _), (again, _), (other, _) = (below(100, threshold, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.x, again.x)
    assert torch.equal(first.hal, again.hal)
    assert not torch.equal(first.x, other.x)
    once = drawn_at_once(100, seed=1)
    kept = once.hal < threshold  # the first round is that draw
    assert torch.equal(first.x[: kept.sum()], once.x[kept])
    assert torch.equal(first.hal[: kept.sum()], once.hal[kept])


def test_settings_are_those_of_sample():
    chain = SCHEDULE.ddim(20, eta=0.5)
    found, drawn = below(50, 1e9, chain=chain)
    once = drawn_at_once(50, seed=0, chain=chain)
    assert drawn == 50
    assert torch.equal(found.x, once.x)


class LastJump:
    """A detector of a reader's own: how far x0_hat moves in the last step."""

    name = "jump"

    def __call__(self, moment, before):
        return moment.x0_hat if moment.left else (moment.x0_hat - before).flatten(1).norm(dim=1)


@pytest.mark.parametrize("by", [mih.Hal(last=3), mih.Hal(first=2, last=9), LastJump()])
def test_any_observer_can_reject(by):
    once = drawn_at_once(2000, seed=0, observe=[by])
    numbers = getattr(once, by.name)
    threshold = float(numbers.quantile(0.4))
    out, drawn = below(700, threshold, by=by)
    found = getattr(out, by.name)
    assert found.shape == (700,)
    assert (found < threshold).all()
    assert drawn == pytest.approx(700 / 0.4, rel=0.25)
    assert list(out.observed) == [by.name]
    with refusal("threshold", "of 2000"):
        below(2000, float(numbers.min()) / 2, by=by)


def test_samples_that_are_there_are_used_first():
    """`draw_below` is told what to draw; from enough samples it draws nothing."""
    x = torch.arange(10.0)[:, None]
    first = mih.Samples(x, doubt=x[:, 0])
    asked = []

    def draw(m):
        asked.append(m)
        return mih.Samples(100 + x[:m], doubt=torch.zeros(m))

    out, drawn = draw_below(draw, 4, 5.0, "doubt", first)
    assert (out.x[:, 0].tolist(), drawn, asked) == ([0, 1, 2, 3], 10, [])
    out, drawn = draw_below(draw, 7, 5.0, "doubt", first)
    assert asked == [4]  # half of 10 passed: for 2 more, 4
    assert (out.x[:, 0].tolist(), drawn) == ([0, 1, 2, 3, 4, 100, 101], 14)


def test_a_threshold_that_nothing_passes_is_refused():
    with refusal("threshold", "0 of 2000"):
        below(2000, 1e-30)
    threshold = float(drawn_at_once(20_000).hal.quantile(0.002))
    with refusal("threshold", "of 2000"):
        below(2000, threshold)


def test_one_sample_comes_too_however_many_are_rejected_before_it():
    threshold = float(drawn_at_once(5000).hal.quantile(0.5))
    for seed in range(10):
        out, drawn = below(1, threshold, seed=seed)
        assert out.x.shape == (1, 1)
        assert 1 <= drawn < 100


# Bad input


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: below(0, 1.0), "n", "0"),
        (lambda: below(2.5, 1.0), "n", "2.5"),
        (lambda: below(5, 0), "threshold", "0"),
        (lambda: below(5, math.nan), "threshold", "nan"),
        (lambda: below(5, 1.0, by=mih.Hal(last=21)), "chain", "20 steps"),
        (lambda: below(5, 1.0, by=lambda moment, before: None), "observe", "None"),
        (lambda: below(5, 1.0, x_T=torch.zeros(5, 1)), "settings", "x_T"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call, name, value):
    with refusal(name, value):
        call()
