"""A chain as matrices, and what the recursion on the line does with samples: independent checks."""

import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from scipy import stats

import mih_utils as mih

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from recipes import detector_large, recursion_line, when
from recipes.push import Push, best_detector

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(60, 5e-3, 0.4)
GOALS = [when.inside(intervals) for intervals in when.targets(MIX)]


class Blunt:
    """The exact denoiser of wider modes: it puts a visible mass everywhere."""

    def __init__(self, width):
        self.exact = mih.ExactDenoiser(mih.GaussianMixture.line([1, 2, 3], std=width), SCHEDULE)
        self.known_steps, self.dtype, self.device = range(60), torch.float64, torch.device("cpu")

    def __call__(self, x_t, t):
        return self.exact(x_t, t)


@cache
def both_ways(width=0.15):
    push = Push(Blunt(width), SCHEDULE.ddpm(), 0, 4)
    return push, push.forwards(), push.backwards(*GOALS)


def test_forwards_it_ends_where_the_exact_density_does():
    _, f, b = both_ways()
    density = mih.exact_density(
        Blunt(0.15), SCHEDULE.ddpm(), torch.linspace(0, 4, 2048), progress=False
    )
    expected = [sum(density.mass_between(*i) for i in goal) for goal in when.targets(MIX)]
    assert (f[0] @ b[0]).tolist() == pytest.approx(expected, rel=1e-3)
    assert float(f[0].sum()) == pytest.approx(1, abs=1e-9)


def test_density_times_chance_is_the_same_before_every_step():
    _, f, b = both_ways()
    masses = torch.stack([f[k] @ b[k] for k in range(60)])
    torch.testing.assert_close(masses, masses[:1].expand_as(masses), rtol=1e-3, atol=0)


def test_a_swap_is_what_the_switched_denoiser_generates():
    _, f, b = both_ways()
    sharp = Push(Blunt(0.05), SCHEDULE.ddpm(), 0, 4)
    late = sharp.backwards(*GOALS)
    switched = mih.SwitchedDenoiser(Blunt(0.15), Blunt(0.05), below=8)
    grid = torch.linspace(0, 4, 2048)
    density = mih.exact_density(switched, SCHEDULE.ddpm(), grid, progress=False)
    between = sum(density.mass_between(*i) for i in when.targets(MIX)[0])
    assert float(f[7] @ late[7][:, 0]) == pytest.approx(between, rel=2e-2)
    window = when.swapped(sharp, f, {"net": b, "exact": late}, 0, 8)
    assert float(window[0]) == pytest.approx(between, rel=2e-2)


def test_the_chance_is_what_samples_from_there_do():
    push, _, b = both_ways()
    x = torch.full((20_000, 1), float(push.axis(9)[60]))
    chain = SCHEDULE.ddpm().last(10)
    generator = torch.Generator().manual_seed(0)
    out = mih.sample(
        Blunt(0.15), chain, len(x), (1,), x_T=x.double(), progress=False, generator=generator
    )
    ended = int(GOALS[2](out.x).sum())
    low, high = mih.share_interval(ended, len(x))
    assert low - 0.01 < float(b[9][60, 2]) < high + 0.01


def test_the_best_detector_of_two_kinds_of_points():
    mass, chance = torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.8])
    area, retained = best_detector(mass.double(), chance.double())
    # pairs of a bad and a good point: 0.64 in order, 0.32 tied, 0.04 turned round
    assert area == pytest.approx(0.64 + 0.16)
    assert retained == pytest.approx(0)  # 95% of the bad are only had with both kinds


def test_starts_from_the_middle_of_a_chain_end_as_the_whole_chain_does(monkeypatch):
    monkeypatch.setattr(detector_large, "NOISE_ONLY", 60)
    generator = torch.Generator().manual_seed(1)
    x = detector_large.starts(Blunt(0.15), SCHEDULE.ddpm(), MIX, 4000, generator).double()
    x, hal = detector_large.last_steps(Blunt(0.15), SCHEDULE.ddpm(), x, generator)
    whole = mih.sample(
        Blunt(0.15), SCHEDULE.ddpm(), 4000, (1,), progress=False, generator=generator
    )
    assert stats.ks_2samp(x[:, 0].numpy(), whole.x[:, 0].numpy()).pvalue > 1e-3
    assert hal.shape == (4000, len(detector_large.WINDOWS)) and bool((hal >= 0).all())


def test_samples_with_hal_come_from_the_computed_density(monkeypatch):
    monkeypatch.setattr(recursion_line, "CHAIN", {"steps": 60, "beta_start": 5e-3, "beta_end": 0.4})
    model = recursion_line.modelled(Blunt(0.15))
    generator = torch.Generator().manual_seed(2)
    with_hal = recursion_line.draw_with_hal(model, 4000, generator)
    plain = recursion_line.draw(model, 4000, generator)
    assert with_hal.hal.shape == (4000,)
    assert stats.ks_2samp(with_hal.x[:, 0].numpy(), plain[:, 0].numpy()).pvalue > 1e-3


def candidates(x):
    return lambda n: mih.Samples(x[:n])


def test_the_oracle_drops_what_is_between_and_sharp_keeps_only_that():
    generator = torch.Generator().manual_seed(3)
    x = MIX.sample(1025, generator)
    x[:20] = 1.5
    x[20:30] = 4.5  # beyond, but not between
    kept = recursion_line.oracle(candidates(x), 1000, {}, generator).x
    assert len(kept) == 1000 and not recursion_line.between(kept).any()
    blurred = x + 0.1 * torch.randn(x.shape, generator=generator)
    anew = recursion_line.sharp(candidates(blurred), 1025, {}, generator).x
    far = MIX.distance(blurred) > 6
    assert anew[far].equal(blurred[far])
    mode, _ = MIX.nearest(anew[~far])
    inside = anew[~far] - MIX.means[mode].float()
    assert float(inside.std()) == pytest.approx(0.05, rel=0.1)
