"""Recipes that take hours: what they would store, from runs that are made up and cost nothing."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mih_utils as mih

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from recipes import (
    floor,
    law,
    points,
    recursion_digits,
    recursion_grid,
    recursion_shapes,
    shapes_seeds,
    steepness,
    trends_2d,
)

import artifacts


@pytest.fixture
def stored(monkeypatch):
    """Recipes find the same made-up result for every run; what they save is collected here."""
    arrays = {}

    def use(module, run):
        asked = []

        def kept(compute, settings, code):
            asked.append(settings)
            return {"seconds": np.array(2.0), **run}

        def save(name, found, mixture=None, *, seed, seconds, **config):
            assert name in artifacts.RECIPES and seconds > 0
            arrays.update(found)

        monkeypatch.setattr(module, "kept", kept)
        monkeypatch.setattr(module, "save", save)
        return asked

    yield arrays, use
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_steepness_has_six_settings_and_three_seeds(stored):
    arrays, use = stored
    run = {"middle": np.array(0.1), "between": np.array(0.2), "widths": np.ones(3)}
    asked = use(steepness, run | {"slopes": np.ones(8)})
    steepness.make_steepness()
    assert arrays["distance/middle"].shape == arrays["std/between"].shape == (6, 3)
    assert arrays["std/widths"].shape == (6, 3, 3) and arrays["distance/exact_slopes"].shape == (
        6,
        8,
    )
    assert len(asked) == 2 * 6 * 5


def test_trends_ask_the_exact_score_once_a_setting(stored):
    arrays, use = stored
    asked = use(trends_2d, {what: np.array(1.0) for what in trends_2d.MEASURES})
    trends_2d.make_trends()
    assert arrays["chain/middle"].shape == (6, 3) and arrays["imbalance/exact_width"].shape == (6,)
    exact = [settings for settings in asked if settings["seed"] is None]
    assert len(exact) == sum(map(len, trends_2d.FACTORS.values()))
    assert {(one["points"], one["steps"]) for one in exact} == {(100_000, 40_000)}
    assert {s["chain"] for s in asked} == set(trends_2d.FACTORS["chain"])


def test_the_floor_is_a_box_of_widths_steps_and_seeds(stored):
    arrays, use = stored
    asked = use(floor, {what: np.array(1.0) for what in floor.MEASURES})
    floor.make_floor()
    shape = (len(floor.WIDTHS), len(floor.STEPS), len(floor.SEEDS))
    assert arrays["between"].shape == shape and (arrays["slope"] == 1).all()
    assert 0 < arrays["exact_between"] < 1e-7
    assert len({tuple(settings.values()) for settings in asked}) == np.prod(shape)


def test_points_share_the_runs_that_are_in_both_arms(stored):
    arrays, use = stored
    run = {what: np.array(1.0) for what in ("between", "outside", "middle")}
    asked = use(points, run | {"widths": np.ones(3)})
    points.make_points()
    assert arrays["fixed epochs/between"].shape == (6, len(points.SEEDS))
    assert len(asked) == 11 * len(points.SEEDS)


def test_the_law_looks_at_every_network_of_the_sweep_over_points(monkeypatch):
    every = law.settings()
    assert len(every) == len({tuple(one.values()) for one in every}) == 33
    swept = [settings for _, settings in points.jobs()]
    assert all(one in swept for one in every)


def test_shapes_have_their_faults_by_kind(stored, monkeypatch):
    arrays, use = stored
    run = {"x": np.zeros((128, 32, 32)), "faults": np.zeros((128, 4), dtype=bool)}
    use(shapes_seeds, run)
    monkeypatch.setattr(shapes_seeds, "network", lambda seed: (None, 1.0))
    shapes_seeds.make_seeds()
    seeds = len(shapes_seeds.SEEDS)
    assert arrays["faults"].shape == (seeds, shapes_seeds.SAMPLES, 4)
    assert arrays["exact/faults"].shape == (2048, 4)
    assert not arrays["real/faults"].any()  # the census finds no fault in real images


def test_lineages_of_the_grid_start_from_the_first_good_seeds(monkeypatch):
    middle = {10: 0.001, 11: 0.02, 12: 0.004, 13: 0.005, 14: 0.0, 15: 0.001, 16: 0.002, 17: 0.001}
    monkeypatch.setattr(recursion_grid, "first_middle", middle.__getitem__)
    seeds, tried = recursion_grid.good_seeds()
    assert seeds == [10, 12, 14, 15, 16]
    assert tried == {seed: middle[seed] for seed in range(10, 17)}


def test_what_a_filter_of_digits_dropped_is_what_it_did_not_keep():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(9, 1, 4, 4, generator=generator)
    lost = recursion_digits.dropped(drawn, drawn[[7, 0, 3, 5, 8]])
    assert torch.equal(lost, drawn[[1, 2, 4, 6]])


def test_typical_shapes_are_near_the_median_of_the_first_generation():
    def candidates(center):
        def draw(n):
            hal = center + torch.arange(n) / n
            return mih.Samples(hal[:, None, None, None], hal=hal)

        return draw

    memory = {}
    first = recursion_shapes.typical(candidates(0.0), 9, memory, None)
    assert len(first.x) == 9 and memory == {"median": pytest.approx(0.4)}
    later = recursion_shapes.typical(candidates(5.0), 9, memory, None)
    assert memory == {"median": pytest.approx(0.4)}
    assert later.x.flatten().tolist() == pytest.approx([5 + i / 10 for i in range(9)])
