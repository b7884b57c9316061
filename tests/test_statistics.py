"""Intervals and trends against scipy."""

import math

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import mih_utils as mih


def shuffler(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seeds", [1, 3])
def test_rank_correlation_is_that_of_scipy(seeds):
    rng = np.random.default_rng(seeds)
    settings = rng.permutation(6).astype(float) ** 2
    rates = np.round(settings[:, None] / 9 + rng.normal(size=(6, seeds)), 0)  # with ties
    correlation, _ = mih.trend(
        torch.tensor(settings), torch.tensor(rates), shuffles=10, generator=shuffler()
    )
    expected = stats.spearmanr(np.repeat(settings, seeds), rates.ravel()).statistic
    assert correlation == pytest.approx(expected, abs=1e-9)


def test_p_value_is_that_of_all_permutations():
    """Five settings, one seed: the 120 orders can be gone through."""
    rng = np.random.default_rng(1)
    settings, rates = np.arange(5.0), rng.normal(size=5) + 0.4 * np.arange(5)
    _, p = mih.trend(
        torch.tensor(settings),
        torch.tensor(rates)[:, None],
        shuffles=40_000,
        generator=shuffler(),
    )

    def correlation(order):
        return stats.spearmanr(settings, order).statistic

    exact = stats.permutation_test(
        (rates,), correlation, permutation_type="pairings", n_resamples=np.inf
    )
    assert p == pytest.approx(exact.pvalue, abs=0.01)


def test_only_rates_of_one_seed_are_shuffled_together():
    """A seed that is higher everywhere is no trend, and hides none."""
    rates = torch.arange(5.0)[:, None] * 1e-3 + torch.tensor([0.0, 100.0, 200.0])
    _, p = mih.trend(torch.arange(5.0), rates, generator=shuffler())
    assert p < 1e-3


def test_without_a_trend_p_is_evenly_spread():
    g = shuffler(5)
    found = [
        mih.trend(torch.arange(4.0), torch.randn(4, 3, generator=g), shuffles=200, generator=g)[1]
        for _ in range(300)
    ]
    assert stats.kstest(found, "uniform").pvalue > 1e-3


def test_same_generator_same_answer():
    rates = torch.randn(5, 2, generator=shuffler(3))
    one, two = (mih.trend(torch.arange(5.0), rates, generator=shuffler(4)) for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    "change, named, value",
    [
        ({"rates": torch.zeros(5)}, "shapes of settings and rates", "(5,) and (5,)"),
        ({"rates": torch.zeros(4, 2)}, "shapes of settings and rates", "(5,) and (4, 2)"),
        ({"settings": torch.ones(5)}, "settings", "[1.0, 1.0"),
        ({"shuffles": 0}, "shuffles", "0"),
    ],
)
def test_trend_refuses(change, named, value):
    good = {"settings": torch.arange(5.0), "rates": torch.rand(5, 2), "generator": shuffler()}
    with refusal(named, value):
        mih.trend(**{**good, **change})


# The interval of a share


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_the_interval_is_that_of_wilson(n, share):
    count = round(share * n)
    expected = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    assert mih.share_interval(count, n) == pytest.approx(
        (expected.low, expected.high), rel=1e-5, abs=1e-9
    )


def test_an_interval_stays_between_none_and_all():
    low, high = mih.share_interval(0, 20)
    assert low == 0 < high < 0.2
    assert mih.share_interval(20, 20) == pytest.approx((1 - high, 1))
    low, high = mih.share_interval(2.5, 10)  # weights need not be whole
    assert mih.share_interval(2, 10)[0] < low < 0.25 < high < mih.share_interval(3, 10)[1]


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: mih.share_interval(0, 0), "n", "0"),
        (lambda: mih.share_interval(1, -1), "n", "-1"),
        (lambda: mih.share_interval(-1, 10), "count", "-1"),
        (lambda: mih.share_interval(11, 10), "count", "11"),
        (lambda: mih.share_interval(math.nan, 10), "count", "nan"),
    ],
)
def test_an_interval_refuses(call, name, value):
    with refusal(name, value):
        call()
