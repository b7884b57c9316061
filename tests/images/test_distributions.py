"""The exact distributions of images, against sums over every image written out."""

import math
from itertools import product

import pytest
import torch
from conftest import refusal

import mih_utils as mih

SHAPES = mih.ShapesDistribution(16)
LEVELS = (0.003, 0.05, 0.3, 0.9, 0.999)


def every_image():
    """All images of 16 pixels and their probabilities, drawn by hand: (N, 1, 16, 16), (N,)."""
    columns = []
    for k, shape in enumerate(mih.shapes.templates(16)):
        height, width = shape.shape
        empty = torch.full((16, 16), False)
        states = [(empty, 1.0)]
        places = list(product(range(16 - height + 1), range(5 - width + 1)))
        for top, left in places:
            image = empty.clone()
            image[top : top + height, 5 * k + left : 5 * k + left + width] = shape.bool()
            states.append((image, 1 / len(places)))
        columns.append(states)
    some = [states for states in product(*columns) if any(image.any() for image, _ in states)]
    images = torch.stack([a | b | c for (a, _), (b, _), (c, _) in some])
    chance = torch.tensor([math.prod(p for _, p in states) for states in some]).double()
    return 2.0 * images[:, None].double() - 1, chance / chance.sum()


IMAGES, CHANCE = every_image()


def noised(alpha_bar, n=6, seed=0, images=IMAGES):
    generator = torch.Generator().manual_seed(seed)
    x0 = images[torch.randint(len(images), (n,), generator=generator)]
    noise = torch.randn(x0.shape, dtype=x0.dtype, generator=generator)
    return math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * noise


def log_density(x_t, alpha_bar, images=IMAGES, chance=CHANCE):
    """Log density of the noised images, up to a constant: (n, N) terms of the sum."""
    gap = (x_t[:, None] - math.sqrt(alpha_bar) * images).square().flatten(2).sum(dim=2)
    return chance.log() - gap / (2 * (1 - alpha_bar))


def brute_mean(x_t, alpha_bar, images=IMAGES, chance=CHANCE):
    weights = log_density(x_t, alpha_bar, images, chance).softmax(dim=1)
    return torch.einsum("nk,kchw->nchw", weights, images)


def test_all_images_are_those_of_the_dataset():
    """The list has as many as there should be, and each drawn image is in it."""
    assert len(IMAGES) == (14 * 1 + 1) * (14 * 3 + 1) * (12 * 1 + 1) - 1
    drawn = mih.shapes.dataset(300, 16, generator=torch.Generator().manual_seed(0))
    known = {image.numpy().tobytes() for image in IMAGES > 0}
    assert all(image.numpy().tobytes() in known for image in drawn > 0)


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_shapes_posterior_is_the_sum_over_all_images(alpha_bar):
    x_t = noised(alpha_bar)
    torch.testing.assert_close(SHAPES.posterior_mean(x_t, alpha_bar), brute_mean(x_t, alpha_bar))


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_places_are_the_marginals_of_the_posterior(alpha_bar):
    """Here the square's: the chance that it is there, and where."""
    x_t = noised(alpha_bar)
    posterior = log_density(x_t, alpha_bar).softmax(dim=1)
    squares = SHAPES.places(x_t, alpha_bar)[1]
    assert squares.shape == (6, 14, 3)
    for top, left in product(range(14), range(3)):
        there = IMAGES[:, 0, top : top + 3, 5 + left : 8 + left].amin(dim=(1, 2)) > 0
        expected = posterior[:, there].sum(dim=1)
        torch.testing.assert_close(squares[:, top, left], expected)


def test_without_signal_the_posterior_is_the_prior():
    """Of the seven ways to have shapes, four have a given one."""
    for places in mih.ShapesDistribution(64).places(torch.zeros(1, 1, 64, 64), 1e-12):
        torch.testing.assert_close(places.sum(), torch.tensor(4 / 7).double())
        assert places.amax() - places.amin() < 1e-9


def test_all_three_absent_is_impossible():
    """An image without shapes, nearly without noise: at least one must be there all the same."""
    places = SHAPES.places(torch.full((1, 1, 16, 16), -1.0), 0.99)
    presence = torch.stack([p.sum() for p in places])
    torch.testing.assert_close(presence.sum(), torch.tensor(1.0).double())


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_empirical_posterior_is_the_sum_over_its_images(alpha_bar):
    few = IMAGES[::50]
    empirical = mih.EmpiricalDistribution(few.float())
    x_t = noised(alpha_bar, images=few)
    uniform = torch.full((len(few),), 1 / len(few)).double()
    expected = brute_mean(x_t, alpha_bar, few, uniform)
    torch.testing.assert_close(empirical.posterior_mean(x_t, alpha_bar), expected)
    weights = log_density(x_t, alpha_bar, few, uniform).softmax(dim=1)
    torch.testing.assert_close(empirical.posterior(x_t, alpha_bar), weights)


def test_empirical_distribution_is_a_mixture_of_narrow_modes():
    """The Gaussian mixture's score, found another way, tends to it; points need not be images."""
    points = torch.randn(7, 2, generator=torch.Generator().manual_seed(3))
    mixture = mih.GaussianMixture(points.tolist(), 1e-5)
    x_t = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    alpha_bar = torch.linspace(0.01, 0.99, 20).double()
    found = mih.EmpiricalDistribution(points).score(x_t, alpha_bar)
    torch.testing.assert_close(found, mixture.score(x_t, alpha_bar), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_score_is_the_gradient_of_the_log_density(alpha_bar):
    x_t = noised(alpha_bar, n=2).requires_grad_()
    log_p = log_density(x_t, alpha_bar).logsumexp(dim=1).sum()
    (expected,) = torch.autograd.grad(log_p, x_t)
    torch.testing.assert_close(SHAPES.score(x_t.detach(), alpha_bar), expected)


def test_exact_chain_draws_only_what_the_data_can_have():
    """The control: with the exact posterior, the same sampler never hallucinates."""
    schedule = mih.Schedule.linear(250, beta_start=4e-4, beta_end=0.08)
    exact = mih.ExactDenoiser(SHAPES, schedule)
    generator = torch.Generator().manual_seed(0)
    out = mih.sample(exact, schedule.ddpm(), 400, (1, 16, 16), progress=False, generator=generator)
    census = mih.shapes.census(out.x.float())
    assert not census.hallucinated.any()
    present = (census.counts.sum(dim=2) > 0).double().mean(dim=0)  # 4/7, each ± 0.025
    torch.testing.assert_close(present, torch.full((3,), 4 / 7).double(), atol=0.1, rtol=0)


@pytest.mark.parametrize("known", [SHAPES, mih.EmpiricalDistribution(IMAGES[:5])])
def test_refused_input(known):
    with refusal("x_t.shape", "(2, 16, 16)"):
        known.posterior_mean(torch.zeros(2, 16, 16), 0.5)
    for bad in (0.0, 1.0, math.nan):
        with refusal("alpha_bar", str(bad)):
            known.score(torch.zeros(2, 1, 16, 16), bad)
    with refusal("alpha_bar.shape", "3"):
        known.score(torch.zeros(2, 1, 16, 16), torch.full((3,), 0.5))
    with refusal("size", "20"):
        mih.ShapesDistribution(20)
    with refusal("images", "(0, 1)"):
        mih.EmpiricalDistribution(torch.zeros(0, 1))


@pytest.mark.parametrize("known", [SHAPES, mih.EmpiricalDistribution(IMAGES[:5])])
def test_a_sampling_loop_never_waits_for_a_value(host_syncs, known):
    schedule = mih.Schedule.linear(5, beta_start=0.3, beta_end=0.98)
    exact = mih.ExactDenoiser(known, schedule)
    with host_syncs() as syncs:
        exact(torch.zeros(3, 1, 16, 16), torch.tensor(2))
    assert syncs.count == 0


def test_float32_in_float32_out():
    x_t = noised(0.9).float()
    assert SHAPES.posterior_mean(x_t, 0.9).dtype == torch.float32
    torch.testing.assert_close(
        SHAPES.posterior_mean(x_t, 0.9).double(), SHAPES.posterior_mean(x_t.double(), 0.9)
    )
