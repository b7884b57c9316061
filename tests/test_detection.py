"""The detector's report: against scikit-learn, closed forms, and itself on many draws."""

import math

import numpy as np
import pytest
import torch
from conftest import double, refusal
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

import mih_utils as mih

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)
CHAIN = SCHEDULE.respaced(20)


@double
def perturbed(x_t, t):
    """Errs as a network does."""
    return EXACT(x_t, t) + 0.1 * torch.sin(3 * x_t + 0.01 * t)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def overlapping(n_bad, n_good, apart, seed=0):
    """Hal ~ N(apart, 1) of hallucinations and N(0, 1) of others, mixed up; the truth."""
    generator = seeded(seed)
    hallucinated = torch.randperm(n_bad + n_good, generator=generator) < n_bad
    noise = torch.randn(n_bad + n_good, generator=generator, dtype=torch.float64)
    return noise + apart * hallucinated, hallucinated


def report(hal, hallucinated, seed=1, resamples=20, **settings):
    return mih.detection_report(
        hal, hallucinated, resamples=resamples, generator=seeded(seed), **settings
    )


# The curve and its area


@pytest.mark.parametrize("digits", [9, 1, 0], ids=["no ties", "ties", "many ties"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_curve_and_area_are_those_of_scikit_learn(digits, dtype):
    hal, hallucinated = overlapping(70, 300, apart=1.2)
    hal = hal.round(decimals=digits).to(dtype)
    assert (len(hal.unique()) < len(hal)) == (digits < 9)
    found = report(hal, hallucinated)
    fpr, tpr, _ = metrics.roc_curve(hallucinated, hal, drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rate.numpy(), fpr, atol=1e-12)
    np.testing.assert_allclose(found.true_positive_rate.numpy(), tpr, atol=1e-12)
    assert found.auc == pytest.approx(metrics.roc_auc_score(hallucinated, hal))


def test_two_equal_values_are_half_a_win():
    hal = torch.tensor([1.0, 1, 1, 1])
    found = report(hal, torch.tensor([True, False, True, False]))
    assert (found.auc, found.removed, found.retained, found.threshold) == (0.5, 1, 0, 1)
    assert found.auc_interval == (0.5, 0.5)
    apart = torch.tensor([2.0, 1, 2, 1])
    found = report(apart, torch.tensor([True, False, True, False]))
    assert (found.auc, found.removed, found.retained, found.threshold) == (1, 1, 1, 2)
    assert report(-apart, torch.tensor([True, False, True, False])).auc == 0


@pytest.mark.parametrize("apart", [0.0, 1.0, 3.0])
def test_area_between_two_normal_distributions(apart):
    hal, hallucinated = overlapping(20_000, 20_000, apart)
    found = report(hal, hallucinated, resamples=30)
    assert found.auc == pytest.approx(stats.norm.cdf(apart / math.sqrt(2)), abs=0.01)
    assert found.auc_interval[0] < found.auc < found.auc_interval[1]
    width = found.auc_interval[1] - found.auc_interval[0]
    assert 0 < width < 0.02


# The threshold, and what it does to samples it has not seen


@pytest.mark.parametrize("apart", [1.0, 3.0])
@pytest.mark.parametrize("wanted", [0.5, 0.95, 0.99])
def test_removed_and_retained_are_those_of_the_known_overlap(apart, wanted):
    hal, hallucinated = overlapping(20_000, 20_000, apart)
    found = report(hal, hallucinated, removed=wanted)
    threshold = apart + stats.norm.ppf(1 - wanted)
    density = stats.norm.pdf(threshold - apart)
    assert found.threshold == pytest.approx(
        threshold, abs=4 * math.sqrt(wanted * (1 - wanted) / 10_000) / density
    )
    assert found.removed == pytest.approx(wanted, abs=0.02)
    assert found.retained == pytest.approx(stats.norm.cdf(threshold), abs=0.02)
    for value, (low, high) in [
        (found.removed, found.removed_interval),
        (found.retained, found.retained_interval),
    ]:
        assert low <= value <= high


def test_the_threshold_comes_from_one_half_and_its_shares_from_the_other():
    """Whatever the split, what both halves lose is what all samples lose."""
    hal, hallucinated = overlapping(61, 91, apart=1.0)
    bad, good = hal[hallucinated], hal[~hallucinated]
    for seed in range(20):
        found = report(hal, hallucinated, seed=seed, resamples=1)
        # 31 hallucinations are chosen on, of which 1 may be missed; 30 and 45 others are held out
        removed, retained = found.removed * 30, found.retained * 45
        assert removed == pytest.approx(round(removed))
        assert retained == pytest.approx(round(retained))
        assert float(found.threshold) in bad.tolist()
        assert int((bad >= found.threshold).sum()) == 30 + round(removed)
        assert 0 <= int((good < found.threshold).sum()) - round(retained) <= 46


def test_a_report_on_noise_is_honest():
    """Ten hallucinations that Hal knows nothing of. A threshold below the lowest of five removes
    all five; of the five held out it removes five in six, as a sixth would be the lowest as often
    as any, and it retains one in six of the others."""
    removed, retained = [], []
    for seed in range(300):
        found = report(*overlapping(10, 100, apart=0.0, seed=seed), seed=seed, resamples=1)
        removed.append(found.removed)
        retained.append(found.retained)
    for shares, expected in ((removed, 5 / 6), (retained, 1 / 6)):
        error = 4 * np.std(shares) / math.sqrt(len(shares))
        assert error < 0.06
        assert np.mean(shares) == pytest.approx(expected, abs=error)


def test_intervals_cover_the_truth_as_often_as_they_say():
    apart, repeats = 1.5, 100
    threshold = apart + stats.norm.ppf(0.2)
    truth = {
        "auc": stats.norm.cdf(apart / math.sqrt(2)),
        "removed": 0.8,
        "retained": stats.norm.cdf(threshold),
    }
    covered = dict.fromkeys(truth, 0)
    for seed in range(repeats):
        hal, hallucinated = overlapping(200, 200, apart, seed)
        found = report(hal, hallucinated, seed=seed, removed=0.8, resamples=100)
        for name, value in truth.items():
            low, high = getattr(found, f"{name}_interval")
            covered[name] += low <= value <= high
    for name, times in covered.items():
        assert 87 <= times <= 100, name
    assert min(covered.values()) < 100  # not by being endless


def test_intervals_are_as_wide_as_two_halves_scatter():
    """One half moves the threshold, the other is counted: the variances of two shares add up."""
    found = report(*overlapping(4000, 4000, 1.0), removed=0.8, resamples=400)
    expected = 2 * 1.96 * math.sqrt(2 * 0.8 * 0.2 / 2000)
    assert np.diff(found.removed_interval)[0] == pytest.approx(expected, rel=0.15)


def test_the_areas_interval_is_as_wide_as_ranks_scatter():
    """Where Hal knows nothing, the area is Mann and Whitney's U over n m: variance known."""
    n, m = 300, 900
    found = report(*overlapping(n, m, 0.0), resamples=400)
    expected = 2 * 1.96 * math.sqrt((n + m + 1) / (12 * n * m))
    assert np.diff(found.auc_interval)[0] == pytest.approx(expected, rel=0.15)


def test_more_samples_make_narrower_intervals():
    few, many = (report(*overlapping(n, n, 1.0), resamples=100) for n in (200, 20_000))
    for name in ("auc_interval", "removed_interval", "retained_interval"):
        ratio = np.diff(getattr(few, name)) / np.diff(getattr(many, name))
        assert 5 < ratio < 20  # the root of 100


def test_a_generator_decides_and_the_global_one_is_left_alone():
    hal, hallucinated = overlapping(50, 100, apart=1.0)
    before = torch.get_rng_state()
    first, again, other = (report(hal, hallucinated, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.threshold == again.threshold
    for name in ("removed_interval", "retained_interval", "auc_interval"):
        assert getattr(first, name) == getattr(again, name)
        assert getattr(first, name) != getattr(other, name)
    assert first.auc == other.auc  # of all samples, whatever the halves
    torch.manual_seed(3)
    one = mih.detection_report(hal, hallucinated, resamples=1)
    assert mih.detection_report(hal, hallucinated, resamples=1).threshold != one.threshold


def test_order_of_the_samples_and_what_they_hang_on_do_not_matter():
    hal, hallucinated = overlapping(50, 100, apart=1.0)
    shuffled = torch.randperm(150, generator=seeded(5))
    assert report(hal[shuffled], hallucinated[shuffled]).auc == report(hal, hallucinated).auc
    assert report(hal.requires_grad_(), hallucinated).true_positive_rate.requires_grad is False


hals = st.lists(st.integers(0, 30).map(float), min_size=1, max_size=60)
shares = st.one_of(st.floats(0.01, 1), st.integers(1, 20).map(lambda k: k / 20))


@given(hals, shares)
def test_threshold_is_the_highest_that_removes_enough(hals, wanted):
    hal = torch.tensor(hals, dtype=torch.float64)
    threshold = mih.choose_threshold(hal, wanted)
    removed = sum(h >= threshold for h in hals)
    assert threshold in hals
    assert removed >= wanted * len(hals) - 1e-6
    for higher in {h for h in hals if h > threshold}:
        assert sum(h >= higher for h in hals) < wanted * len(hals) + 1e-6


@pytest.mark.parametrize("n", [20, 40, 100, 1000])
def test_a_share_that_comes_out_even_is_met_exactly(n):
    """Although 1 - 0.95 is a little more than a twentieth, 1 - 0.9 a little less than a tenth."""
    hal = torch.arange(n).double()
    for removed, missed in (
        (0.95, n // 20),
        (0.9, n // 10),
        (0.7, 3 * n // 10),
        (1, 0),
        (1e-12, n - 1),
    ):
        assert mih.choose_threshold(hal, removed) == missed


# Hal of stored predictions


@pytest.mark.parametrize("window", [(0, 1), (0, 5), (3, 17)])
def test_hal_is_what_the_sampler_streams(window):
    out = mih.sample(
        perturbed,
        CHAIN,
        40,
        (1,),
        window=window,
        keep=range(*window),
        generator=seeded(),
        progress=False,
    )
    torch.testing.assert_close(mih.hal(out.x0_hat), out.hal, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 4, 4)])
def test_hal_is_a_population_variance_over_the_steps(shape):
    x0_hat = 300 + torch.randn(7, 5, *shape, generator=seeded())
    expected = x0_hat.double().numpy().var(axis=0).reshape(5, -1).mean(axis=1)
    found = mih.hal(x0_hat)
    assert found.shape == (5,)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    assert mih.hal(x0_hat[:1]).tolist() == [0] * 5


# Drawing until enough are below


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


def below(n, threshold, net=perturbed, seed=0, **settings):
    settings = {"window": (0, 5), "generator": seeded(seed), "progress": False} | settings
    return mih.sample_below(net, CHAIN, n, (1,), threshold=threshold, **settings)


def drawn_at_once(n, seed=10):
    return mih.sample(
        perturbed, CHAIN, n, (1,), window=(0, 5), generator=seeded(seed), progress=False
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
    once = mih.sample(
        perturbed, CHAIN, 300, (1,), window=(0, 5), generator=seeded(), progress=False
    )
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
    once = mih.sample(
        perturbed, CHAIN, 100, (1,), window=(0, 5), generator=seeded(1), progress=False
    )
    kept = once.hal < threshold  # the first round is that draw
    assert torch.equal(first.x[: kept.sum()], once.x[kept])
    assert torch.equal(first.hal[: kept.sum()], once.hal[kept])


def test_settings_are_those_of_sample():
    small, drawn = below(50, 1e9, eta=0.5, fixed_large=False)
    once = mih.sample(
        perturbed, CHAIN, 50, (1,), eta=0.5, fixed_large=False, generator=seeded(), progress=False
    )
    assert drawn == 50
    assert torch.equal(small.x, once.x)


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

HAL, TRUTH = torch.arange(6.0), torch.arange(6) > 3


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: mih.detection_report([1.0, 2.0], TRUTH), "hal", "[1.0, 2.0]"),
        (lambda: mih.detection_report(HAL[:, None], TRUTH), "hal", "6, 1"),
        (lambda: mih.detection_report(HAL / 0, TRUTH), "hal", "6"),
        (lambda: mih.detection_report(HAL, TRUTH.float()), "hallucinated", "float32"),
        (lambda: mih.detection_report(HAL, [True] * 6), "hallucinated", "True"),
        (lambda: mih.detection_report(HAL, TRUTH[:5]), "hallucinated.shape", "(5,)"),
        (lambda: mih.detection_report(HAL, HAL > 4), "hallucinated", "1 hallucinations and 5"),
        (lambda: mih.detection_report(HAL, HAL > 0), "hallucinated", "5 hallucinations and 1"),
        (lambda: mih.detection_report(HAL, HAL > 9), "hallucinated", "0 hallucinations"),
        (lambda: mih.detection_report(HAL, TRUTH, removed=0), "removed", "0"),
        (lambda: mih.detection_report(HAL, TRUTH, removed=95), "removed", "95"),
        (lambda: mih.detection_report(HAL, TRUTH, resamples=0), "resamples", "0"),
        (lambda: mih.detection_report(HAL, TRUTH, resamples=2.5), "resamples", "2.5"),
        (lambda: mih.hal(torch.zeros(5, 3)), "x0_hat.shape", "(5, 3)"),
        (lambda: mih.hal(torch.zeros(0, 3, 1)), "x0_hat.shape", "(0, 3, 1)"),
        (lambda: below(0, 1.0), "n", "0"),
        (lambda: below(2.5, 1.0), "n", "2.5"),
        (lambda: below(5, 0), "threshold", "0"),
        (lambda: below(5, math.nan), "threshold", "nan"),
        (lambda: below(5, 1.0, window=(5, 5)), "window", "(5, 5)"),
        (lambda: below(5, 1.0, keep=[0]), "settings", "keep"),
        (lambda: below(5, 1.0, x_T=torch.zeros(5, 1)), "settings", "x_T"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call, name, value):
    with refusal(name, value):
        call()
