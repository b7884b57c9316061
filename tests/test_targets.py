"""What a network predicts: against the definitions, trained, and with a continuous time."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

import mih_utils as mih

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.2)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Answers(nn.Module):
    """A network that knows the right answer: the velocity, or x0."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x_t, t):
        return self.answer


@pytest.mark.parametrize("shape", [(1,), (3, 4, 4)])
@pytest.mark.parametrize("each", [True, False], ids=["t of its own", "one t"])
def test_the_right_answer_becomes_the_noise(shape, each):
    x0, noise = torch.randn(2, 6, *shape, dtype=torch.float64, generator=seeded())
    t = torch.tensor([0, 3, 50, 98, 99, 7]) if each else torch.tensor(42)
    x_t = SCHEDULE.add_noise(x0, t, noise)
    alpha_bar = SCHEDULE.alpha_bar[t].reshape(-1, *[1] * len(shape))
    velocity = alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x0  # Salimans and Ho, eq. 11
    of_velocity = mih.VelocityTarget(Answers(velocity), SCHEDULE)
    of_x0 = mih.X0Target(Answers(x0), SCHEDULE)
    close = {"rtol": 1e-5, "atol": 1e-5}  # signal and sigma are kept in float32
    torch.testing.assert_close(of_velocity(x_t, t), noise, **close)
    torch.testing.assert_close(of_x0(x_t, t), noise, rtol=1e-4, atol=1e-4)
    assert of_velocity(x_t, t).dtype == torch.float64
    for target in (of_velocity, of_x0):
        assert target.known_steps == range(100)


@pytest.mark.parametrize("make", [mih.VelocityTarget, mih.X0Target])
def test_a_target_is_trained_and_sampled_as_any_net(make):
    """What is learned is the same noise, whichever way the network tells it."""
    net = make(mih.ToyDenoiser(width=64, steps=100, generator=seeded()), SCHEDULE)
    excess = mih.ExcessLoss(EXACT)
    settings = {"batch": 256, "generator": seeded(2), "progress": False, "observe": [excess]}
    mih.train(net, MIX.sample(2000, seeded(1)), SCHEDULE, 1200, **settings)
    first, last = excess.excess[:2].mean(), excess.excess[-10:].mean()
    assert float(last) < float(first) / 5
    out = mih.sample(net, SCHEDULE.ddpm(50), 500, (1,), progress=False, generator=seeded())
    assert float(MIX.distance(out.x).median()) < 3
    assert list(net.state_dict()) == [f"net.{name}" for name in net.net.state_dict()]


def test_it_stays_on_a_device_that_is_not_the_cpu(device):
    net = mih.VelocityTarget(mih.ToyDenoiser(steps=100), SCHEDULE).to(device)
    out = mih.sample(net, SCHEDULE.ddpm(10), 5, (1,), progress=False)
    assert out.x.device.type == device.type


# A continuous time


def levels(t):
    """signal and sigma at a real t in (0, 1): the cosine schedule."""
    return (math.pi / 2 * t).cos(), (math.pi / 2 * t).sin()


class Cosine:
    """A forward process without steps: all that `train` asks of a schedule."""

    def training_batch(self, x0, generator=None):
        t = 0.999 * torch.rand(len(x0), device=x0.device, generator=generator)
        noise = torch.randn(x0.shape, device=x0.device, generator=generator)
        signal, sigma = levels(t[:, None])
        return signal * x0 + sigma * noise, t, noise

    def to(self, device):
        return self


class ContinuousVelocity(mih.VelocityTarget):
    """The same formula, with signal and sigma of a real t."""

    def __init__(self, net):
        nn.Module.__init__(self)
        self.net = net

    def forward(self, x_t, t):
        signal, sigma = levels(t.reshape(-1, 1).float())
        return self.noise(self.net(x_t, 1000 * t), x_t, signal, sigma)


def exact(x_t, t):
    """E[noise | x_t] at a real t, from the mixture's score."""
    signal, sigma = levels(t.reshape(-1, 1).double())
    return -sigma.to(x_t) * MIX.score(x_t, signal.square())


def cosine_chain(steps):
    """DDIM's steps at real t, from x_{t-1} = signal' x0_hat + sigma' eps."""
    made, edges = [], torch.linspace(0.999, 0.0, steps + 1, dtype=torch.float64)
    for left, (now, after) in zip(range(steps)[::-1], pairwise(edges), strict=True):
        (signal, sigma), (signal_2, sigma_2) = levels(now), levels(after)
        x, noise = signal_2 / signal, sigma_2 - signal_2 * sigma / signal
        numbers = (float(v) for v in (x, noise, 0.0, signal, sigma))
        made.append(mih.Step(float(now), left, *numbers))
    return mih.Chain(tuple(made))


def test_a_continuous_time_trains_and_samples():
    net = ContinuousVelocity(mih.ToyDenoiser(width=64, generator=seeded()))
    excess = mih.ExcessLoss(exact)
    settings = {"batch": 256, "generator": seeded(2), "progress": False, "observe": [excess]}
    mih.train(net, MIX.sample(2000, seeded(1)), Cosine(), 1200, **settings)
    first, last = excess.excess[:2].mean(), excess.excess[-10:].mean()
    assert float(last) < float(first) / 5
    chain = cosine_chain(50)
    assert chain.times.is_floating_point()
    grid = torch.linspace(-2, 6, 1024, dtype=torch.float64)
    found = mih.exact_density(exact, chain, grid, progress=False)
    for mean in (1, 2, 3):
        assert found.mass_between(mean - 0.5, mean + 0.5) == pytest.approx(1 / 3, abs=0.02)
    out = mih.sample(net, chain, 500, (1,), progress=False, generator=seeded())
    assert float(MIX.distance(out.x).median()) < 3
