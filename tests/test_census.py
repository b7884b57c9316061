"""The censuses of bridges and modes: constructed points, brute force, closed forms, an area."""

import math

import numpy as np
import pytest
import torch
from conftest import refusal
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate

import mih_utils as mih

STD = 0.01
GRID = mih.GaussianMixture.grid(3, spacing=1, std=STD)  # modes 0, 1, 2 are the left column
LINE = mih.GaussianMixture.line([1, 2, 3], std=0.05)
ROOT = math.sqrt(2)


def census(*points, mixture=GRID, **settings):
    return mih.bridge_census(mixture, torch.tensor(points, dtype=torch.float64), **settings)


def put_on(found):
    """The pair of modes that each point is put on, or None."""
    return [tuple(found.pairs[i].tolist()) if i >= 0 else None for i in found.pair.tolist()]


@pytest.mark.parametrize(
    ("point", "pair"),
    [
        ((-1, -0.5), (0, 1)),
        ((-1, -0.93), (0, 1)),
        ((-1, 0.3), (1, 2)),
        ((0.5, 1), (5, 8)),
        ((-1 + 2.9 * STD, -0.5), (0, 1)),
        ((-1 - 2.9 * STD, -0.5), (0, 1)),
        ((-1 - 3.1 * STD, -0.5), None),  # beyond reach
        ((-0.7, -0.7), (0, 4)),  # a diagonal of one square
        ((-0.7 + 2.9 * STD / ROOT, -0.7 - 2.9 * STD / ROOT), (0, 4)),
        ((-0.7 + 3.1 * STD / ROOT, -0.7 - 3.1 * STD / ROOT), None),
        ((-0.7, -0.3), (1, 3)),  # the other diagonal
        ((-0.5, -0.25), (1, 6)),  # a knight's move: longer, where no shorter one is
        ((-1, -1.07), None),  # on the line through a column, but past its end
        ((2, 0), None),
    ],
)
def test_a_point_is_put_on_its_segment(point, pair):
    found = census(point)
    assert put_on(found) == [pair]
    assert found.hallucinated.tolist() == [True]
    assert found.nowhere == (pair is None)
    assert found.mass.sum() == (pair is not None)
    assert found.total == 1


@pytest.mark.parametrize(
    ("point", "along"),
    [
        ((-1, -0.75), 0.25),  # counted from the pair's first mode
        ((-1 + 2 * STD, 0.3), 0.3),  # beside the segment
        ((-0.5, -0.25), None),
    ],
)
def test_how_far_along_its_segment_a_point_lies(point, along):
    found = census(point)
    first, second = GRID.means[found.pairs[found.pair[0]]]
    if along is None:  # a knight's move: by projection
        direction = second - first
        along = float((torch.tensor(point) - first) @ direction / direction.square().sum())
    assert float(found.along[0]) == pytest.approx(along)


def test_points_on_no_segment_are_nowhere_along_one():
    assert census((2, 0), (-1, -1)).along.isnan().all()


def test_past_the_end_of_a_segment_the_mode_itself_is_what_is_near():
    beside = (-1 - 2.5 * STD, -1)
    assert put_on(census(beside, k=2)) == [(0, 1)]  # the first of the shortest from mode 0
    assert put_on(census(beside, k=2, reach=2.4)) == [None]


def test_points_near_a_mode_are_no_hallucinations():
    found = census((-1, -1 + 5.9 * STD), (-1, -1 + 6.1 * STD), (0, 0))
    assert found.hallucinated.tolist() == [False, True, False]
    assert put_on(found) == [None, (0, 1), None]
    assert (found.total, found.nowhere) == (1, 0)
    assert census((-1, -1 + 5.9 * STD), k=5).total == 1


def test_a_long_segment_along_short_ones_never_wins():
    """The column from 0 over 1 to 2 has a segment of length 2 all along it."""
    along = torch.stack([-torch.ones(101), torch.linspace(-0.9, 0.9, 101)], dim=1).double()
    along[:, 0] += 2 * STD * torch.sin(torch.arange(101))
    found = mih.bridge_census(GRID, along)
    pairs = dict(zip(map(tuple, found.pairs.tolist()), found.mass.tolist(), strict=True))
    assert pairs[0, 2] == 0
    assert pairs[0, 1] + pairs[1, 2] == found.total > 90


def test_pairs_come_shortest_first_in_distances_between_neighbours():
    tall = mih.GaussianMixture([[0, 0], [0, 6], [2, 0]], std=STD)
    found = census((1, 0), mixture=tall)
    assert found.pairs.tolist() == [[0, 2], [0, 1], [1, 2]]
    assert found.length.tolist() == pytest.approx([1, 3, math.hypot(2, 6) / 2])
    of_grid = census((0.5, 0))
    assert len(of_grid.pairs) == 36
    assert (of_grid.length.diff() >= 0).all()
    means = GRID.means[of_grid.pairs]
    torch.testing.assert_close((means[:, 0] - means[:, 1]).norm(dim=1), of_grid.length)
    neighbours = of_grid.pairs[of_grid.length < 1.01].tolist()
    assert len(neighbours) == 12
    assert neighbours == sorted(neighbours)  # of equal length, in the order of the modes


def test_weights_are_added_up_where_counts_would_be():
    points = [(-1, -0.5), (-1, -0.4), (-0.7, -0.7), (2, 2), (0, 0)]
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    found = census(*points, weight=weight)
    pairs = dict(zip(map(tuple, found.pairs.tolist()), found.mass.tolist(), strict=True))
    assert pairs[0, 1] == pytest.approx(0.3)
    assert pairs[0, 4] == pytest.approx(0.3)
    assert found.nowhere == pytest.approx(0.4)
    assert found.total == pytest.approx(1.0)
    assert found.between(1, 1.01) == pytest.approx(0.3)
    assert found.between(1.01) == pytest.approx(0.3)
    assert found.between(1) == pytest.approx(0.6)
    assert found.between(1.01, 1.02) == 0
    counted = census(*points)
    assert counted.mass.sum() == 3
    assert counted.between(1, 1.01) == pytest.approx(2 / 4)


def test_between_has_its_lower_end_and_not_its_upper():
    tall = mih.GaussianMixture([[0, 0], [0, 6], [2, 0]], std=STD)
    found = census((1, 0), (0, 3), mixture=tall)
    assert found.between(1, 3) == 0.5
    assert found.between(3, 4) == 0.5
    assert found.between(1, 3.1) == 1


def test_without_hallucinations_there_is_no_share():
    found = census((0, 0), (1, 1))
    assert (found.total, found.between(0), found.nowhere) == (0, 0, 0)
    nothing = mih.bridge_census(GRID, torch.zeros(0, 2))
    assert nothing.total == 0


def by_brute_force(mixture, x, k, reach):
    """For each point: the lengths of the segments in reach, from 2,001 points of each."""
    along = np.linspace(0, 1, 2001)[:, None]
    means = mixture.means.numpy()
    found = []
    for point in x.numpy():
        near = []
        if np.linalg.norm(means - point, axis=1).min() > k * mixture.std:
            for i, a in enumerate(means):
                for j in range(i + 1, len(means)):
                    away = np.linalg.norm(a + along * (means[j] - a) - point, axis=1).min()
                    if away <= reach * mixture.std:
                        near.append((np.linalg.norm(means[j] - a), (i, j)))
        found.append(near)
    return found


MODES = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3)),
    min_size=2,
    max_size=5,
    unique=True,
)
coordinates = st.floats(-3.5, 3.5)
POINTS = st.lists(st.tuples(coordinates, coordinates, coordinates), min_size=1, max_size=10)


@given(MODES, POINTS, st.sampled_from([1, 2]), st.floats(0.2, 1.4), st.floats(0.2, 1.4))
def test_the_census_is_that_of_brute_force(modes, points, dim, k, reach):
    modes = sorted({mode[:dim] for mode in modes})
    assume(len(modes) > 1)
    mixture = mih.GaussianMixture(modes, std=1)
    x = torch.tensor([point[:dim] for point in points], dtype=torch.float64)
    found = mih.bridge_census(mixture, x, k=k, reach=reach)
    strict, loose = (by_brute_force(mixture, x, k, reach + off) for off in (-1e-3, 1e-3))
    for pair, surely, perhaps in zip(put_on(found), strict, loose, strict=True):
        if pair is None:
            assert not surely
        else:
            length = {p: length for length, p in perhaps}[pair]
            assert all(length <= other + 1e-9 for other, _ in surely)
    assert float(found.mass.sum()) + found.nowhere == pytest.approx(found.total)
    assert found.total == int(found.hallucinated.sum())
    assert found.mass.tolist() == [float((found.pair == i).sum()) for i in range(len(found.pairs))]
    assert (found.pair[~found.hallucinated] == -1).all()


@pytest.mark.parametrize("degrees", [30, 45, 90, 137])
def test_turning_everything_changes_nothing(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    x = 1.3 * (2 * torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0)).double() - 1)
    turned = mih.GaussianMixture(GRID.means @ turn.T, STD)
    weight = x[:, 0] + 2
    here = mih.bridge_census(GRID, x, weight=weight)
    there = mih.bridge_census(turned, x @ turn.T, weight=weight)
    assert here.total == pytest.approx(there.total)
    assert here.nowhere == pytest.approx(there.nowhere)
    # segments of equal length may cross, and either of them may come first
    torch.testing.assert_close(there.length, here.length)
    for low, high in [(1, 1.01), (1.01, 1.5), (2.01, 4)]:
        assert here.between(low, high) == pytest.approx(there.between(low, high))
        assert here.between(low, high) > 0
    short = torch.stack([here.length[here.pair] < 1.01, there.length[there.pair] < 1.01])
    pairs = here.pairs[here.pair], there.pairs[there.pair]
    assert torch.equal(short[0], short[1])
    assert torch.equal(pairs[0][short[0]], pairs[1][short[1]])


@pytest.mark.parametrize(("k", "reach"), [(6, 3), (5, 2)])
def test_points_everywhere_share_out_as_the_areas_do(k, reach):
    """Four bridges, each a strip without what the discs around its two modes cover."""
    std = 0.04
    square = mih.GaussianMixture.grid(2, spacing=1, std=std)
    line = (torch.arange(1200, dtype=torch.float64) + 0.5) / 1200 * 2 - 1  # the box is 2 wide
    found = mih.bridge_census(square, torch.cartesian_prod(line, line), k=k, reach=reach)
    radius, half = k * std, reach * std
    covered, _ = integrate.quad(lambda y: math.sqrt(radius**2 - y**2), -half, half)
    strips = 4 * (2 * half - 2 * covered)
    everywhere = 4 - 4 * math.pi * radius**2
    assert found.total * (2 / 1200) ** 2 == pytest.approx(everywhere, rel=1e-3)
    assert found.between(1, 1.01) == pytest.approx(strips / everywhere, rel=5e-3)
    assert (found.mass[:4] / found.mass[:4].sum()).tolist() == pytest.approx([0.25] * 4, rel=5e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_either_precision_gives_the_same_census(dtype):
    x = 1.3 * (2 * torch.rand(5000, 2, generator=torch.Generator().manual_seed(0)) - 1)
    found = mih.bridge_census(GRID, x.to(dtype))
    assert found.length.dtype == dtype
    reference = mih.bridge_census(GRID, x.double())
    assert found.total == reference.total
    assert float((found.mass - reference.mass).abs().max()) <= 1


def test_three_dimensions():
    cube = mih.GaussianMixture([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 1]], std=STD)
    found = census((0, 0, 0.5), (0, 0.5, 0.5), (0.5, 0.5, 0.5), (0.5, 0.1, 0.2), mixture=cube)
    assert put_on(found) == [(0, 1), (1, 2), (0, 3), None]


# Bad input


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"k": 0}, "k", "0"),
        ({"k": -1}, "k", "-1"),
        ({"k": math.nan}, "k", "nan"),
        ({"k": "six"}, "k", "six"),
        ({"reach": 0}, "reach", "0"),
        ({"reach": math.inf}, "reach", "inf"),
        ({"weight": torch.ones(3)}, "weight.shape", "(3,)"),
        ({"weight": torch.ones(2, 1)}, "weight.shape", "(2, 1)"),
        ({"mixture": mih.GaussianMixture([[0, 0]], 1)}, "mixture", "1 modes"),
        ({"mixture": mih.GaussianMixture.line([1, 2], 1)}, "x.shape", "(2, 2)"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(settings, name, value):
    with refusal(name, value):
        census((0, 0), (1, 1), **settings)


# Modes


def test_a_census_of_modes_by_hand():
    mixture = mih.GaussianMixture([[0.0, 0], [10, 0], [0, 10]], std=1, weights=[0.5, 0.25, 0.25])
    x = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [10, 2], [5, 5], [0, 0]])
    found = mih.mode_census(mixture, x, k=3)
    assert found.hallucinated == pytest.approx(1 / 6)
    assert found.shares.tolist() == pytest.approx([0.8, 0.2, 0])
    assert found.alive == 2
    assert found.entropy == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2))
    assert found.widths[:2].tolist() == pytest.approx([math.sqrt(3 / 4), math.sqrt(2)])
    assert found.widths[2].isnan()


def test_a_mode_lives_on_a_tenth_of_its_weight():
    mixture = mih.GaussianMixture.line([0, 10], std=1, weights=[0.9, 0.1])
    for alive, few in ((2, 11), (1, 9)):
        x = torch.tensor([0.0] * (1000 - few) + [10.0] * few)[:, None]
        assert mih.mode_census(mixture, x).alive == alive


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_a_census_of_the_data_itself(scale):
    """Nothing is hallucinated, all modes live, the entropy is log K, the widths are right."""
    grid = mih.GaussianMixture.grid(3, spacing=2, std=0.05)
    wider = mih.GaussianMixture(grid.means, scale * grid.std)
    found = mih.mode_census(grid, wider.sample(40_000, torch.Generator().manual_seed(0)), k=8)
    assert found.alive == 9
    assert found.entropy == pytest.approx(math.log(9), abs=1e-3)
    error = 4 / math.sqrt(2 * 2 * 40_000 / 9)
    assert (found.widths / scale - 1).abs().max() < error
    outside = math.exp(-(8**2) / (2 * scale**2))
    assert found.hallucinated == pytest.approx(outside, abs=4 * math.sqrt(outside / 40_000) + 1e-9)


def test_a_census_of_nothing_but_hallucinations():
    found = mih.mode_census(LINE, torch.full((5, 1), 1.5))
    assert (found.hallucinated, found.alive, found.entropy) == (1, 0, 0)
    assert found.widths.isnan().all()


@pytest.mark.parametrize(
    ("x", "k", "name", "value"),
    [
        (torch.zeros(9, 2), 6, "x.shape", "(9, 2)"),
        (torch.zeros(0, 1), 6, "x.shape", "(0, 1)"),
        (torch.zeros(9, 1), 0, "k", "0"),
    ],
)
def test_a_census_of_modes_refuses(x, k, name, value):
    with refusal(name, value):
        mih.mode_census(LINE, x, k=k)
