"""The loop of generations: against closed forms, by hand, and in a process that is killed."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import slow_generations
import torch
from conftest import refusal

import mih_utils as mih
from mih_utils import gaussian_refit, recursion

ROOT = Path(__file__).resolve().parents[1]


FITTED = []  # one entry for every fit_gaussian; lists that a function names are no part of it
STOP = []  # exceptions that the next fits raise


def fit_gaussian(data, generator):
    """Maximum likelihood, one Gaussian for each column."""
    FITTED.append(len(data))
    if STOP:
        raise STOP.pop()
    return data.mean(dim=0), data.std(dim=0, correction=0)


def draw_gaussian(model, n, generator):
    mean, std = model
    noise = torch.randn(n, *mean.shape, dtype=mean.dtype, generator=generator)
    return mih.Samples(mean + std * noise, hal=noise.flatten(1)[:, 0].abs())


def all_kept(model, drawn, kept):
    return {"x": kept.x}


def fit_both(model, drawn, kept):
    return {"mean": model[0], "variance": model[1].square()}


def real(n=10, columns=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, columns, generator=generator, dtype=torch.float64)


def run(data=None, generations=3, fit=fit_gaussian, draw=draw_gaussian, **settings):
    """All generations, quietly."""
    data = real() if data is None else data
    return list(recursion.run(data, fit, draw, generations, **{"progress": False, **settings}))


def same(one, other):
    """Whether generations are equal but for the time they took."""
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.number, a.memory, a.metrics.keys()) == (b.number, b.memory, b.metrics.keys())
        assert a.x.equal(b.x)
        assert a.hal.equal(b.hal)
        for name, value in a.metrics.items():
            assert torch.as_tensor(value).equal(torch.as_tensor(b.metrics[name]))
    return True


# What each generation learns from


def trace(protocol, generations=4, n=5):
    """The training set of each generation, where generation g leaves points of the value g + 1."""
    seen = []

    def fit(data, generator):
        seen.append(data[:, 0].tolist())
        return float(len(seen))

    def draw(model, n, generator):
        return torch.full((n, 1), model)

    run(torch.zeros(n, 1), generations, fit, draw, protocol=protocol)
    return seen


def test_replace_forgets():
    assert trace("replace") == [[float(g)] * 5 for g in range(4)]


def test_accumulate_keeps_the_real_data_and_all_since():
    assert trace("accumulate") == [
        [float(k) for k in range(g + 1) for _ in range(5)] for g in range(4)
    ]


def test_subsamples_are_as_large_as_the_data_and_from_all_of_it():
    seen = trace("accumulate-subsample", generations=4, n=400)
    assert [len(points) for points in seen] == [400] * 4
    for g, points in enumerate(seen):
        counts = torch.tensor(points).long().bincount(minlength=4)
        assert counts[g + 1 :].sum() == 0
        assert (counts[: g + 1] - 400 / (g + 1)).abs().max() < 5 * 400**0.5 / 2


def z_scores(values, expected, repeats=-1):
    """How many standard errors the mean over the last axis is from what is expected."""
    error = values.std(dim=repeats) / math.sqrt(values.shape[repeats])
    return (values.mean(dim=repeats) - expected) / error


@pytest.mark.parametrize("protocol", ["replace", "accumulate"])
def test_the_loop_agrees_with_the_closed_forms(protocol):
    """Each column of the data is a repeat of its own."""
    n, fits = 10, 6
    records = run(real(n, 4000), fits, protocol=protocol, measure=fit_both)
    variance, mean = (torch.stack([r.metrics[k] for r in records]) for k in ("variance", "mean"))
    expected = gaussian_refit.expected_variance(n, fits, protocol=protocol)[1:]
    assert z_scores(variance, expected).abs().max() < 4
    drift = gaussian_refit.variance_of_mean(n, fits, protocol=protocol)[1:]
    assert z_scores(mean.square(), drift).abs().max() < 4
    other = gaussian_refit.expected_variance(n // 2, fits, protocol=protocol)[1:]
    assert z_scores(variance, other).abs().max() > 4


def test_the_loop_with_subsamples_agrees_with_its_closed_form():
    """Which rows are chosen is the same in all columns, so here a seed is a repeat."""
    n, fits, found = 10, 4, []
    for seed in range(60):
        records = run(
            real(n, 300, 100 + seed),
            fits,
            protocol="accumulate-subsample",
            measure=fit_both,
            seed=seed,
        )
        found.append(torch.stack([r.metrics["variance"].mean() for r in records]))
    found = torch.stack(found, dim=1)
    expected = gaussian_refit.expected_variance(n, fits, protocol="accumulate-subsample")[1:]
    assert z_scores(found, expected).abs().max() < 4
    replaced = gaussian_refit.expected_variance(n, fits, protocol="replace")[1:]
    assert z_scores(found, replaced).abs().max() > 10


# One Gaussian, simulated and in closed form


@pytest.mark.parametrize("protocol", recursion.PROTOCOLS)
@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("n", [3, 10, 40])
def test_simulation_agrees_with_the_closed_forms(protocol, unbiased, n):
    settings = {"protocol": protocol, "unbiased": unbiased}
    means, variances = gaussian_refit.simulate(
        n, 5, repeats=3000, generator=torch.Generator().manual_seed(n), **settings
    )
    assert means[0].abs().max() == 0 and variances[0].eq(1).all()
    expected = gaussian_refit.expected_variance(n, 5, **settings)
    assert z_scores(variances[1:], expected[1:]).abs().max() < 4
    drift = gaussian_refit.variance_of_mean(n, 5, **settings)
    assert z_scores(means[1:].square(), drift[1:]).abs().max() < 4
    if protocol == "replace":
        logs = gaussian_refit.expected_log_variance(n, 5, unbiased=unbiased)
        assert z_scores(variances[1:].log(), logs[1:]).abs().max() < 4


@pytest.mark.parametrize("protocol", recursion.PROTOCOLS)
def test_simulation_tells_a_wrong_formula(protocol):
    """One that forgets n - 1, takes the other estimator, or the other protocol."""
    generator = torch.Generator().manual_seed(1)
    settings = {"protocol": protocol}
    means, variances = gaussian_refit.simulate(
        5, 5, repeats=20_000, generator=generator, **settings
    )
    others = [name for name in recursion.PROTOCOLS if name != protocol]
    wrong = [
        gaussian_refit.expected_variance(5, 5, protocol=protocol, unbiased=True),
        gaussian_refit.expected_variance(4, 5, protocol=protocol),
        *(gaussian_refit.expected_variance(5, 5, protocol=other) for other in others),
    ]
    for formula in wrong:
        assert z_scores(variances[1:], formula[1:]).abs().max() > 4
    for formula in (gaussian_refit.variance_of_mean(5, 5, protocol=other) for other in others):
        assert z_scores(means[1:].square(), formula[1:]).abs().max() > 4
    if protocol == "replace":
        logs = gaussian_refit.expected_log_variance(5, 5)
        assert z_scores(variances[1:].log(), logs[1:] + math.log(5 / 4)).abs().max() > 4


def test_closed_forms_have_their_known_values():
    g = gaussian_refit
    assert g.expected_variance(10, 2)[2] == pytest.approx(0.81)
    assert g.expected_variance(10, 7, unbiased=True).tolist() == [1] * 8
    assert g.variance_of_mean(10, 7, unbiased=True)[7] == pytest.approx(0.7)
    for n, limit in ((10, 0.8434), (100, 0.9836)):
        product = g.expected_variance(n, 20_000, protocol="accumulate")[-1]
        assert product == pytest.approx(limit, abs=1e-4)
        root = math.pi / math.sqrt(n)
        assert product == pytest.approx(math.sin(root) / root, abs=1e-5)
    for protocol in ("replace", "accumulate"):  # what the variance loses, the mean has drifted
        lost = 1 - g.expected_variance(10, 9, protocol=protocol)
        assert g.variance_of_mean(10, 9, protocol=protocol).allclose(lost)
    # psi(1/2) = -euler - 2 log 2 and n = 2
    expected = -np.euler_gamma - 2 * math.log(2) - math.log(1 / 2)
    assert g.expected_log_variance(2, 3, unbiased=True)[3] == pytest.approx(3 * expected)
    # the first fit is the same everywhere
    for protocol in recursion.PROTOCOLS:
        assert g.expected_variance(5, 1, protocol=protocol)[1] == pytest.approx(0.8)
        assert g.variance_of_mean(5, 1, protocol=protocol)[1] == pytest.approx(0.2)


def test_thousands_of_repeats_take_a_second_or_two():
    start = time.process_time()
    gaussian_refit.simulate(10, 20, repeats=4000)
    assert time.process_time() - start < 2


# What is kept


def candidates(hal, n, memory=None, keep=None, seed=0):
    """What `keep` keeps of candidates that are numbered and have the given Hal, again and again."""
    hal, drawn = torch.tensor(hal), []

    def draw_candidates(m):
        rows = torch.arange(sum(drawn), sum(drawn) + m)
        drawn.append(m)
        return mih.Samples(rows[:, None].float(), hal=hal[rows % len(hal)])

    memory = {} if memory is None else memory
    kept = keep(draw_candidates, n, memory, torch.Generator().manual_seed(seed))
    assert len(kept.x) == n
    assert kept.hal.equal(hal[kept.x[:, 0].long() % len(hal)])  # each with its own
    return kept.x[:, 0].tolist(), drawn, memory


def test_everything_draws_no_more_than_needed():
    assert candidates([3.0, 1, 2], 3, keep=recursion.everything)[:2] == ([0, 1, 2], [3])


def test_lowest_hal_keeps_the_lowest():
    kept, drawn, _ = candidates([5.0, 1, 4, 2, 3, 0], 4, keep=recursion.lowest_hal(0.5))
    assert drawn == [6]
    assert kept == [5, 1, 3, 4]


def test_the_authors_draw_102500_for_100000():
    hal = torch.rand(102_500, generator=torch.Generator().manual_seed(0)).tolist()
    for keep in (recursion.lowest_hal(), recursion.at_random()):
        assert candidates(hal, 100_000, keep=keep)[1] == [102_500]


def test_at_random_knows_nothing_of_hal():
    counts = torch.zeros(20)
    for seed in range(300):
        kept, drawn, _ = candidates(
            list(map(float, range(20))), 10, keep=recursion.at_random(1.0), seed=seed
        )
        assert drawn == [20] and len(set(kept)) == 10
        counts[torch.tensor(kept).long()] += 1
    assert (counts - 150).abs().max() < 5 * math.sqrt(75)


def test_a_threshold_is_set_once_and_removes_its_share():
    hal = torch.randperm(1000, generator=torch.Generator().manual_seed(0)).tolist()
    keep = recursion.below_first(removed=0.1)
    kept, drawn, memory = candidates(hal, 900, keep=keep)
    first = torch.tensor(hal)[: drawn[0]].sort().values
    assert memory["threshold"] == first[-99]  # a tenth of 990 candidates is removed, with it
    assert all(hal[int(i) % 1000] < memory["threshold"] for i in kept)
    assert drawn[0] == 990 and sum(drawn) == pytest.approx(1000, abs=5)
    assert candidates(hal, 10, {"threshold": 500.0}, keep)[2] == {"threshold": 500.0}


def test_a_threshold_may_be_chosen_by_the_truth():
    keep = recursion.below_first(lambda first: float(first.hal[first.x[:, 0] < 2].min()))
    kept, _, memory = candidates([7.0, 6, 1, 2, 9, 3], 5, keep=keep)
    assert memory == {"threshold": 6.0}
    assert kept == [2, 3, 5, 8, 9]


def test_a_threshold_that_retains_nothing_is_refused():
    with refusal("threshold", "0.5, which retains 0 of"):
        candidates([1.0, 2.0], 100, {"threshold": 0.5}, recursion.below_first())


@pytest.mark.parametrize("keep", [recursion.lowest_hal(), recursion.below_first()])
def test_filters_need_hal(keep):
    with refusal("draw's hal", "None"):
        run(keep=keep, draw=lambda model, n, generator: draw_gaussian(model, n, generator).x)


@pytest.mark.parametrize(
    "make", [recursion.lowest_hal, recursion.at_random, lambda e: recursion.below_first(removed=e)]
)
def test_filters_refuse(make):
    for bad in (0, -0.1, math.nan, "0.1"):
        with refusal("removed" if make.__name__ == "<lambda>" else "extra", repr(bad)):
            make(bad)


def test_calibrated_on_generation_0_and_used_in_all():
    records = run(real(200, 1), 4, keep=recursion.below_first(removed=0.2))
    threshold = mih.choose_threshold(records[0].hal[:240], 0.2)
    for record in records:
        assert record.memory == {"threshold": threshold}
        assert (record.hal < threshold).sum() >= 200


# One record for each generation


def test_a_record_says_what_a_generation_was_like():
    def measure(model, drawn, kept):
        assert drawn.x.shape == (12, 3) and kept.x.shape == (10, 3)
        assert {tuple(x) for x in kept.x.tolist()} < {tuple(x) for x in drawn.x.tolist()}
        return {"numpy": np.float32(2), "whole": 3, "sheet": kept.x[:2], "one": torch.tensor(4.0)}

    records = run(measure=measure, keep=recursion.lowest_hal(0.2), shown=4)
    assert [record.number for record in records] == [0, 1, 2]
    for record in records:
        assert record.x.shape == (4, 3)
        assert record.hal.shape == (12,)
        assert 0 < record.seconds < 60
        assert type(record.metrics["numpy"]) is float and record.metrics["whole"] == 3
        assert record.metrics["sheet"].shape == (2, 3)
    assert run(shown=99)[0].x.shape == (10, 3)


def test_what_is_shown_are_any_of_those_left():
    """A filter may leave its samples in the order of their Hal."""
    records = run(real(400, 2), keep=recursion.lowest_hal(0.2), measure=all_kept, shown=100)
    for record in records:
        left = {tuple(x): rank for rank, x in enumerate(record.metrics["x"].tolist())}
        ranks = [left[tuple(x)] for x in record.x.tolist()]
        assert len(set(ranks)) == 100
        assert 150 < sum(ranks) / 100 < 250
        assert np.corrcoef(ranks, np.arange(100))[0, 1] < 0.4


def test_a_generation_comes_when_it_is_done():
    fitted = []

    def fit(data, generator):
        fitted.append(len(fitted))
        return fit_gaussian(data, generator)

    for record in recursion.run(real(), fit, draw_gaussian, 4, progress=False):
        assert fitted == list(range(record.number + 1))


def test_progress_is_shown_if_wanted(capsys):
    run(progress=True)
    shown = capsys.readouterr()
    assert "generations" in shown.err and not shown.out
    run()
    assert capsys.readouterr() == ("", "")


# Seeds


def test_the_seed_decides():
    assert same(run(seed=1), run(seed=1))
    assert not run(seed=1)[0].x.equal(run(seed=2)[0].x)


def test_generations_have_generators_of_their_own():
    seeds = {recursion.generator_of(s, g).initial_seed() for s in range(30) for g in range(30)}
    assert len(seeds) == 900
    assert (
        recursion.generator_of(3, 4).initial_seed() == recursion.generator_of(3, 4).initial_seed()
    )


def test_runs_of_a_seed_share_the_first_model_and_its_candidates():
    one, other = (
        run(keep=keep, measure=fit_both, protocol=protocol)
        for keep, protocol in (
            (recursion.lowest_hal(), "replace"),
            (recursion.at_random(), "accumulate"),
        )
    )
    assert one[0].hal.equal(other[0].hal)
    assert one[0].metrics["mean"].equal(other[0].metrics["mean"])
    assert not one[1].metrics["mean"].equal(other[1].metrics["mean"])


# Stopping and going on


FILTERED = {"keep": recursion.below_first(removed=0.1), "measure": fit_both}


@pytest.mark.parametrize("protocol", recursion.PROTOCOLS)
@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, protocol, stop_after):
    settings = {"protocol": protocol, "folder": tmp_path / "new" / "run", **FILTERED}
    whole = run(generations=5, **{**settings, "folder": None})
    unfinished = recursion.run(real(), fit_gaussian, draw_gaussian, 5, progress=False, **settings)
    first = [next(unfinished) for _ in range(stop_after)]
    unfinished.close()
    assert same(first, whole[:stop_after])
    torch.manual_seed(5)  # the global generator plays no part
    assert same(run(generations=5, **settings), whole)

    FITTED.clear()
    again = run(generations=5, **settings)
    assert same(again, whole)
    assert [a.seconds for a in again] == [r.seconds for r in run(generations=5, **settings)]
    assert not FITTED  # nothing was left to do


def test_an_error_loses_no_finished_generation(tmp_path):
    unfinished = recursion.run(
        real(), fit_gaussian, draw_gaussian, 4, folder=tmp_path, progress=False
    )
    with pytest.raises(KeyboardInterrupt):
        for generation in unfinished:
            if generation.number == 1:
                STOP.append(KeyboardInterrupt())
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert same(run(generations=4, folder=tmp_path), run(generations=4))


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def breaks(content, path):
        Path(path).write_bytes(b"half a generation")
        raise OSError("disk full")

    run(generations=2, folder=tmp_path)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(torch, "save", breaks)
        run(generations=4, folder=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert same(run(generations=4, folder=tmp_path), run(generations=4))
    assert len(list(tmp_path.iterdir())) == 4  # nothing else is left


def test_a_file_holds_no_more_than_is_left(tmp_path):
    """A view, of whose memory all would be stored."""

    def draw(model, n, generator):
        many = torch.randn(1000 * n, 3, dtype=torch.float64, generator=generator)
        return mih.Samples(many[:n], hal=many[:n, 0].abs())

    def measure(model, drawn, kept):
        return {"sheet": kept.x[:2]}

    run(draw=draw, measure=measure, folder=tmp_path)
    assert all(path.stat().st_size < 10_000 for path in tmp_path.iterdir())


SLOW = """
import sys
import slow_generations

for record in slow_generations.run(sys.argv[1]):
    print("done", flush=True)
"""


def test_a_killed_process_loses_nothing_finished(tmp_path, capsys):
    """SIGKILL in the middle of the third generation."""
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    here = os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": here}, stdout=subprocess.PIPE, text=True
    ) as process:
        lines = [process.stdout.readline().strip() for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL
    assert lines == ["fitting", "done", "fitting", "done", "fitting"]
    assert len(list(tmp_path.glob("*.pt"))) == 2
    resumed = list(slow_generations.run(tmp_path))
    assert capsys.readouterr().out.split() == ["fitting"] * 3
    assert same(resumed, list(slow_generations.run(None)))


def other_fit(data, generator):
    return data.median(dim=0).values, data.std(dim=0, correction=0)


def other_draw(model, n, generator):
    out = draw_gaussian(model, n, generator)
    return mih.Samples(2 * out.x, hal=out.hal)


def scaled_fit(scale):
    return lambda data, generator: (scale * data.mean(dim=0), data.std(dim=0, correction=0))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"protocol": "accumulate"},
        {"keep": recursion.lowest_hal(0.5)},
        {"keep": recursion.at_random(0.2)},
        {"data": real(seed=1)},
        {"fit": other_fit},
        {"draw": other_draw},
        {"measure": fit_both},
        {"shown": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_folder_of_another_run_is_refused(tmp_path, change):
    good = {"folder": tmp_path, "keep": recursion.lowest_hal(0.2)}
    run(**good)
    (name,) = change
    message = f"^folder is '{re.escape(str(tmp_path))}'.* another {name}: use another folder$"
    with pytest.raises(ValueError, match=message):
        run(**{**good, **change})


def test_two_lambdas_are_told_apart(tmp_path):
    """They have one name, and differ in what they do, or in a number that they close over."""
    keep = [lambda draw, n, memory, g: draw(n), lambda draw, n, memory, g: draw(n)]
    keep[1] = lambda draw, n, memory, g: mih.Samples(draw(n).x.flip(0), hal=draw(n).hal)
    run(keep=keep[0], fit=scaled_fit(1.0), folder=tmp_path)
    assert same(*(run(keep=keep[0], fit=scaled_fit(1.0), folder=f) for f in (tmp_path, None)))
    with refusal("folder", "another keep"):
        run(keep=keep[1], fit=scaled_fit(1.0), folder=tmp_path)
    with refusal("folder", "another fit"):
        run(keep=keep[0], fit=scaled_fit(2.0), folder=tmp_path)


def test_a_damaged_folder_is_refused(tmp_path):
    run(folder=tmp_path)
    (tmp_path / "generation-001.pt").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"folder .*generation-001\.pt: use another folder"):
        run(folder=tmp_path)


# With a network


def test_a_diffusion_model_trained_on_its_own_samples(tmp_path):
    mixture = mih.GaussianMixture.line([1, 2, 3], std=0.05)
    schedule = mih.Schedule.linear(20, 0.02, 0.5)

    def fit(data, generator):
        net = mih.ToyDenoiser(dim=1, width=16, steps=20, generator=generator)
        checkpoint = mih.Checkpoint(tmp_path / f"{generator.initial_seed()}.pt")
        settings = {"batch": 64, "progress": False, "observe": [checkpoint]}
        mih.train(net, data, schedule, 20, generator=generator, **settings)
        return net

    def draw(net, n, generator):
        settings = {"observe": [mih.Hal(last=5)], "progress": False, "generator": generator}
        return mih.sample(net, schedule.ddpm(), n, (1,), **settings)

    def measure(net, drawn, kept):
        return {"hallucinated": mih.mode_census(mixture, kept.x).hallucinated}

    data = mixture.sample(200, torch.Generator().manual_seed(0))
    settings = {"keep": recursion.lowest_hal(), "measure": measure, "folder": tmp_path / "run"}
    records = run(data, 3, fit, draw, **settings)
    assert all(record.hal.shape == (205,) for record in records)
    assert all(0 <= record.metrics["hallucinated"] <= 1 for record in records)
    assert len(list(tmp_path.glob("*.pt"))) == 3
    assert same(run(data, 3, fit, draw, **settings), records)


def test_the_loop_runs_where_the_data_lie():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    for protocol in recursion.PROTOCOLS:
        placed = []

        def draw(model, n, generator, placed=placed):
            placed.append(generator.device.type)
            mean, std = model
            x = mean + std * torch.randn(n, 3, device="cuda", generator=generator)
            return mih.Samples(x, hal=x[:, 0].abs())

        data = real().float().cuda()
        records = run(data, 3, draw=draw, protocol=protocol, keep=recursion.below_first())
        assert set(placed) == {"cuda"}
        assert records[0].x.device.type == records[0].hal.device.type == "cpu"


# Bad input


@pytest.mark.parametrize(
    "change, named, value",
    [
        ({"data": [1.0]}, "data", "[1.0]"),
        ({"data": torch.zeros(0, 3)}, "data", "(0, 3)"),
        ({"data": torch.zeros(3, 3).long()}, "data", "int64"),
        ({"generations": 0}, "generations", "0"),
        ({"protocol": "forget"}, "protocol", "'forget'"),
        ({"shown": 0}, "shown", "0"),
        ({"seed": -1}, "seed", "-1"),
        ({"draw": lambda m, n, g: torch.zeros(n, 4)}, "shape of what draw gives", "(10, 4)"),
        ({"draw": lambda m, n, g: torch.zeros(n - 1, 3)}, "shape of what draw gives", "(9, 3)"),
        ({"draw": lambda m, n, g: torch.full((n, 3), math.nan)}, "what draw gives", "not finite"),
        ({"keep": lambda draw, n, memory, g: draw(n + 1)}, "shape of what keep gives", "(11, 3)"),
    ],
)
def test_run_refuses(change, named, value):
    with refusal(named, value):
        run(**change)


def test_run_refuses_before_it_is_iterated():
    with refusal("protocol", "'forget'"):
        recursion.run(real(), fit_gaussian, draw_gaussian, 3, protocol="forget")


@pytest.mark.parametrize(
    "change, named, value",
    [
        ({"n": 1}, "n", "1"),
        ({"fits": 0}, "fits", "0"),
        ({"protocol": "forget"}, "protocol", "'forget'"),
    ],
)
def test_closed_forms_refuse(change, named, value):
    for function in (
        gaussian_refit.simulate,
        gaussian_refit.expected_variance,
        gaussian_refit.variance_of_mean,
    ):
        with refusal(named, value):
            function(**{"n": 10, "fits": 3, **change})


# Widths by the exact score


@pytest.mark.parametrize("variance", ["large", "small"])
def test_the_width_by_hand_is_that_of_the_exact_density(variance):
    """A lone mode: the whole density is known, and so is its width."""
    std = 0.05
    mixture, schedule = mih.GaussianMixture.line([0.0], std), mih.Schedule.linear(300, 3e-3, 0.3)
    chain = schedule.ddpm(variance=variance)
    grid = torch.linspace(-0.6, 0.6, 4001, dtype=torch.float64)
    density = mih.exact_density(mih.ExactDenoiser(mixture, schedule), chain, grid, progress=False)
    spacing = float(grid[1] - grid[0])
    width = float((density.p * density.grid**2).sum() * spacing) ** 0.5
    found = mih.width_by_exact_chain(std, chain)
    assert found == pytest.approx(width / std, rel=1e-3)
    assert abs(found - 1) > 0.01  # or there would be nothing to tell


def test_widths_go_on_from_each_other():
    chain = mih.Schedule.linear(200, 5e-3, 0.2).ddpm()
    widths = recursion.exact_widths(0.1, chain, 3)
    assert len(widths) == 4 and widths[0] == 1
    for before, after in pairwise(widths):
        assert after == pytest.approx(before * mih.width_by_exact_chain(0.1 * before, chain))
    for bad in (0, -1.0, math.inf):
        with refusal("std", str(bad)):
            mih.width_by_exact_chain(bad, chain)
    with refusal("generations", "0"):
        recursion.exact_widths(0.1, chain, 0)
