"""Intervals, areas and trends against scipy."""

import itertools
import math

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import mih_utils as mih
from mih_utils.statistics import auc_interval


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


# The area under the ROC curve


numbers = st.lists(st.integers(0, 12).map(float), min_size=1, max_size=40).map(torch.tensor)


@given(numbers, numbers)
def test_the_area_is_the_share_of_pairs_won(bad, good):
    pairs = [(b > g) + (b == g) / 2 for b in bad.tolist() for g in good.tolist()]
    assert mih.auc(bad, good) == pytest.approx(np.mean(pairs))
    u = stats.mannwhitneyu(bad.numpy(), good.numpy()).statistic
    assert mih.auc(bad, good) == pytest.approx(u / len(pairs))
    assert mih.auc(good, bad) == pytest.approx(1 - mih.auc(bad, good))


@given(numbers, numbers)
def test_the_area_is_that_under_the_curve(bad, good):
    x, y = mih.roc(bad, good)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (x.diff() >= 0).all() and (y.diff() >= 0).all()
    assert float(torch.trapezoid(y, x)) == pytest.approx(mih.auc(bad, good))
    values = sorted({*bad.tolist(), *good.tolist()}, reverse=True)
    for i, value in enumerate(values, 1):
        assert float(y[i]) == pytest.approx(float((bad >= value).double().mean()))
        assert float(x[i]) == pytest.approx(float((good >= value).double().mean()))


def test_the_areas_interval_is_that_of_delong():
    """The formula of DeLong et al. 1988 over all pairs, on the scale of log odds."""
    g = shuffler(2)
    bad, good = 1 + torch.randn(40, generator=g).double(), torch.randn(70, generator=g).double()
    wins = (bad[:, None] > good).double().numpy()
    area = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / 40 + wins.mean(axis=0).var(ddof=1) / 70
    half = stats.norm.ppf(0.975) * math.sqrt(variance) / (area * (1 - area))
    odds = math.log(area / (1 - area)) + np.array([-half, half])
    expected = 1 / (1 + np.exp(-odds))
    assert auc_interval(bad, good) == pytest.approx(expected, rel=1e-6)
    low, high = auc_interval(-bad, -good)
    assert (1 - high, 1 - low) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("apart", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(("n", "m"), [(15, 60), (200, 200)])
def test_the_areas_interval_covers_it_as_often_as_it_says(apart, n, m):
    truth, repeats, covered, g = stats.norm.cdf(apart / math.sqrt(2)), 400, 0, shuffler(n)
    for _ in range(repeats):
        low, high = auc_interval(apart + torch.randn(n, generator=g), torch.randn(m, generator=g))
        assert 0 <= low < high <= 1
        covered += low <= truth <= high
    assert stats.binom.cdf(covered, repeats, 0.93) > 1e-3
    assert covered < repeats


def test_without_scatter_the_areas_interval_is_that_of_a_share():
    apart = torch.arange(8.0), torch.arange(100.0, 130.0)
    assert auc_interval(apart[1], apart[0]) == mih.share_interval(8, 8)
    assert auc_interval(*apart) == mih.share_interval(0, 8)
    assert auc_interval(torch.tensor([1.0]), torch.tensor([1.0, 1.0])) == mih.share_interval(0.5, 1)


def test_whatever_is_made_on_the_way_lies_where_the_numbers_do():
    """With a default device on which nothing has numbers, a tensor of another device shows."""
    bad, good = torch.tensor([3.0, 1, 2, 2]), torch.tensor([1.0, 0, 2])
    expected = *mih.roc(bad, good), mih.auc(bad, good), auc_interval(bad, good)
    with torch.device("meta"):
        found = *mih.roc(bad, good), mih.auc(bad, good), auc_interval(bad, good)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert found[2:] == expected[2:]
    # tensors without numbers are followed until the number of thresholds would have to be known
    with pytest.raises(NotImplementedError, match="nonzero"):
        mih.roc(bad.to("meta"), good.to("meta"))


GOOD = torch.arange(3.0)


@pytest.mark.parametrize("ask", [mih.roc, mih.auc, auc_interval])
@pytest.mark.parametrize(
    ("bad", "good", "name", "value"),
    [
        (GOOD[:0], GOOD, "bad", "[0]"),
        (GOOD, GOOD[:0], "good", "[0]"),
        (GOOD[:, None], GOOD, "bad", "[3, 1]"),
        ([1.0], GOOD, "bad", "[1.0]"),
        (torch.tensor([1.0, math.nan]), GOOD, "bad", "nan"),
        (GOOD, torch.tensor([1.0, math.nan]), "good", "nan"),
    ],
)
def test_numbers_that_cannot_be_compared_are_refused(ask, bad, good, name, value):
    with refusal(name, value):
        ask(bad, good)


@pytest.mark.parametrize(
    ("count", "n"),
    [(0, 5), (5, 5), (1, 2), (3, 1000), (85, 85), (979_123, 1_000_000), (1000, 2_000_000)],
)
def test_exact_binomial_interval_is_that_of_scipy(count, n):
    expected = stats.binomtest(count, n).proportion_ci(method="exact")
    assert mih.binomial_interval(count, n) == pytest.approx(tuple(expected), rel=1e-9)


def test_exact_binomial_interval_covers_at_least_as_often_as_it_says():
    for p in (0.01, 0.3, 0.97):
        ends = [mih.binomial_interval(count, 40) for count in range(41)]
        covered = [low <= p <= high for low, high in ends]
        assert stats.binom.pmf(range(41), 40, p) @ covered >= 0.95


@pytest.mark.parametrize(("count", "n"), [(-1, 5), (6, 5), (0.5, 5)])
def test_a_count_outside_is_refused(count, n):
    with refusal("count", str(count)):
        mih.binomial_interval(count, n)


@pytest.mark.parametrize(("settings", "seeds"), [(3, 3), (5, 2), (6, 10), (8, 2)])
def test_page_s_test_is_that_of_scipy(settings, seeds):
    rng = np.random.default_rng(settings)
    rates = rng.normal(size=(settings, seeds)) + 0.3 * np.arange(settings)[:, None]
    expected = stats.page_trend_test(rates.T, method="exact")
    found = mih.page_trend(torch.tensor(rates))
    assert found == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


def test_page_s_test_with_ties_goes_through_all_orders():
    rates = torch.tensor([1.0, 2.0, 2.0, 5.0])[:, None]
    level = {1.0: 1, 2.0: 2.5, 5.0: 4}
    sums = [
        sum(j * level[r] for j, r in enumerate(order, 1))
        for order in itertools.permutations(rates[:, 0].tolist())
    ]
    found = mih.page_trend(rates)
    assert found == pytest.approx((29.5, np.mean(np.array(sums) >= 29.5)))


def test_page_s_test_cannot_be_moved_by_a_seed_that_is_higher_everywhere():
    rates = torch.rand(5, 3, generator=shuffler())
    assert mih.page_trend(rates) == mih.page_trend(rates + torch.tensor([0.0, 10.0, 100.0]))
    assert mih.page_trend(torch.arange(4.0)[:, None].expand(4, 2))[1] == pytest.approx(1 / 24**2)


@pytest.mark.parametrize("shape", [(1, 3), (11, 2), (4, 0), (4,)])
def test_page_s_test_refuses_other_forms(shape):
    with pytest.raises(ValueError, match="rates"):
        mih.page_trend(torch.zeros(shape))


@pytest.mark.parametrize("n", [2, 3, 10, 200])
def test_interval_of_a_mean_is_student_s(n):
    values = np.random.default_rng(n).normal(size=n)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    found = mih.mean_interval(torch.from_numpy(values))
    assert found == pytest.approx((values.mean(), low, high), rel=1e-8)
