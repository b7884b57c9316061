"""The toy network is the paper's, its shortcuts change nothing, and the exact denoiser is exact."""

import math

import pytest
import torch
from conftest import refusal
from torch.nn import functional as F

import mih_utils as mih

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(1000)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)


def toy(dim=1, width=8, steps=20, dtype=torch.float64, **settings):
    generator = torch.Generator().manual_seed(0)
    return mih.ToyDenoiser(dim, width, steps=steps, generator=generator, **settings).to(dtype)


def points(n, dim=1):
    return torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def plain_forward(net, x_t, t):
    """The network as it is described: every row embeds its own t, nothing in place, no tables."""
    w = dict(net.state_dict())
    half = w["time_in.weight"].shape[1] // 2
    frequency = torch.tensor([10_000 ** (-i / half) for i in range(half)], dtype=x_t.dtype)
    angle = t.reshape(-1, 1).to(x_t.dtype) * frequency
    h = F.linear(x_t, w["x_in.weight"], w["x_in.bias"])
    for _ in range(net.blocks):
        time = torch.cat([angle.sin(), angle.cos()], dim=1)
        time = F.leaky_relu(F.linear(time, w["time_in.weight"], w["time_in.bias"]), 0.02)
        time = F.linear(time, w["time_out.weight"], w["time_out.bias"])
        inner = F.layer_norm(h, h.shape[1:], w["norm_in.weight"], w["norm_in.bias"])
        inner = F.linear(F.leaky_relu(inner, 0.02), w["linear_in.weight"]) + time
        inner = F.layer_norm(inner, h.shape[1:], w["norm_out.weight"], w["norm_out.bias"])
        inner = F.leaky_relu(inner, 0.02)
        h = h + F.linear(inner, w["linear_out.weight"], w["linear_out.bias"])
    return F.linear(h, w["x_out.weight"], w["x_out.bias"])


@pytest.mark.parametrize(("dim", "count"), [(1, 66_817), (2, 66_817 + 128 + 129)])
def test_number_of_parameters_is_the_papers(dim, count):
    assert sum(weight.numel() for weight in mih.ToyDenoiser(dim).parameters()) == count


@pytest.mark.parametrize("n", [1, 7, 21, 100], ids=lambda n: f"{n} rows, 20 steps")
@pytest.mark.parametrize("dim", [1, 3])
def test_forward_is_that_of_the_plain_network(dim, n):
    """With more rows than steps the embedding is looked up in a table, with fewer it is not."""
    net, x_t = toy(dim, width=32), points(n, dim)
    t = torch.arange(n) % 20
    close = {"rtol": 1e-5, "atol": 1e-5}  # the sinusoids are made in float32
    torch.testing.assert_close(net(x_t, t), plain_forward(net, x_t, t), **close)


@pytest.mark.parametrize("n", [1, 7, 21, 100])
def test_one_t_for_all_is_the_same_t_for_each(n):
    net, x_t = toy(), points(n)
    for t in (0, 13, 19):
        shared = net(x_t, torch.tensor(t))
        each = net(x_t, torch.full((n,), t))
        torch.testing.assert_close(shared, each, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(net(x_t, torch.tensor([t])), each, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n", [1, 7, 100])
def test_a_whole_t_is_the_same_as_a_float(n):
    """As a float it may lie anywhere: the embedding is computed, not looked up."""
    net, x_t = toy(width=32), points(n)
    t = torch.arange(n) % 20
    close = {"rtol": 1e-6, "atol": 1e-6}
    for dtype in (torch.float32, torch.float64):
        torch.testing.assert_close(net(x_t, t.to(dtype)), net(x_t, t), **close)
    torch.testing.assert_close(net(x_t, torch.tensor(7.0)), net(x_t, torch.tensor(7)), **close)
    between = t + 0.37
    expected = plain_forward(net, x_t, between)
    torch.testing.assert_close(net(x_t, between), expected, rtol=1e-5, atol=1e-5)
    assert net(x_t, torch.tensor(1e4)).isfinite().all()  # no step of the table


@pytest.mark.parametrize("n", [5, 30], ids=["rows", "table"])
def test_gradients_are_those_of_the_plain_network(n):
    """What is done in place must not reach into the backward pass."""
    net, x_t = toy(width=16), points(n)
    t, target = torch.arange(n) % 20, points(n)
    F.mse_loss(net(x_t, t), target).backward()
    weights = {name: w.detach().requires_grad_() for name, w in net.named_parameters()}
    plain = toy(width=16)
    plain.state_dict = lambda: weights
    loss = F.mse_loss(plain_forward(plain, x_t, t), target)
    expected = torch.autograd.grad(loss, weights.values())
    for (name, weight), grad in zip(net.named_parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, grad, rtol=1e-4, atol=1e-6, msg=name)


def test_gradient_with_respect_to_x():
    net, t = toy(), torch.tensor(7)
    assert torch.autograd.gradcheck(lambda x: net(x, t), points(4).requires_grad_())


def test_a_generator_decides_the_weights_and_the_global_one_is_left_alone():
    before = torch.get_rng_state()
    first, again = toy().state_dict(), toy().state_dict()
    other = mih.ToyDenoiser(1, 8, steps=20, generator=torch.Generator().manual_seed(9)).state_dict()
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        if not name.startswith("norm"):
            assert not torch.equal(weight.float(), other[name])
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_from_a_generator_are_distributed_as_those_of_torch():
    ours = mih.ToyDenoiser(generator=torch.Generator().manual_seed(0)).state_dict()
    torch.manual_seed(0)
    for name, weight in mih.ToyDenoiser().state_dict().items():
        if weight.numel() > 1000:
            assert float(ours[name].std() / weight.std()) == pytest.approx(1, rel=0.02)
            assert float(ours[name].abs().max() / weight.abs().max()) == pytest.approx(1, rel=0.01)


def test_state_dict_goes_round():
    net = toy(dtype=torch.float32)
    copy = mih.ToyDenoiser(**net.config)
    copy.load_state_dict(net.state_dict())
    x_t = points(5).float()
    assert torch.equal(net(x_t, torch.tensor(3)), copy(x_t, torch.tensor(3)))
    assert not any("sinusoid" in name for name in net.state_dict())


@pytest.mark.parametrize("t", [torch.tensor(3), torch.arange(5), torch.arange(20).repeat(2)])
def test_compiles_as_one_graph(t):
    net = toy()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    x_t = points(max(5, t.numel()))
    torch.testing.assert_close(compiled(x_t, t), net(x_t, t), rtol=1e-12, atol=1e-12)


# The exact denoiser


@pytest.mark.parametrize("t", [0, 10, 100, 400, 999])
def test_exact_denoiser_predicts_the_expected_noise(t):
    """E[noise | x_t] by numerical integration over x0."""
    alpha_bar = math.prod(1 - (1e-3 + (0.2 - 1e-3) * s / 999) for s in range(t + 1))
    x0 = torch.linspace(0, 4, 20_001, dtype=torch.float64)
    x_t = math.sqrt(alpha_bar) * torch.tensor([[0.9], [2.2], [3.1]], dtype=torch.float64)
    noise = (x_t - math.sqrt(alpha_bar) * x0) / math.sqrt(1 - alpha_bar)
    weight = MIX.log_prob(x0[:, None]).exp() * torch.exp(-0.5 * noise**2)
    expected = (weight * noise).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
    for given in (torch.tensor(t), torch.full((3,), t)):
        torch.testing.assert_close(EXACT(x_t, given), expected, rtol=1e-8, atol=1e-10)


def test_exact_denoiser_is_the_scaled_score_row_by_row():
    t, x_t = torch.tensor([0, 5, 50, 500, 999]), points(5)
    alpha_bar = SCHEDULE.alpha_bar[t]
    expected = -(1 - alpha_bar).sqrt()[:, None] * MIX.score(x_t, alpha_bar)
    torch.testing.assert_close(EXACT(x_t, t), expected, rtol=1e-12, atol=0)
    assert EXACT(x_t.float(), t).dtype == torch.float32


def test_exact_denoiser_computes_in_float64_where_its_schedule_lies(device):
    there = EXACT.to(device)
    assert (there.device.type, there.dtype) == (device.type, torch.float64)
    assert (EXACT.device.type, EXACT.dtype) == ("cpu", torch.float64)
    x_t = points(5).to(device)
    assert there(x_t, torch.tensor(3, device=device)).device.type == device.type


def test_exact_denoiser_compiles_as_one_graph():
    compiled = torch.compile(lambda x, t: EXACT(x, t), backend="eager", fullgraph=True)
    x_t, t = points(5), torch.tensor(30)
    torch.testing.assert_close(compiled(x_t, t), EXACT(x_t, t), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", [1000, 50])
def test_x0_hat_of_the_exact_denoiser_is_the_posterior_mean(steps):
    chain, x_t = SCHEDULE.ddpm(steps), points(6)
    for number in (-1, -4, -21):
        t = chain[number].t
        expected = MIX.posterior_mean(x_t, float(SCHEDULE.alpha_bar[t]))
        for found in (
            mih.predict_x0(EXACT, x_t, t, SCHEDULE),
            chain[number].x0_hat(x_t, EXACT(x_t, torch.tensor(t))),
        ):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


# Bad input


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: mih.ToyDenoiser(dim=0), "dim", "0"),
        (lambda: mih.ToyDenoiser(width=-2), "width", "-2"),
        (lambda: mih.ToyDenoiser(width=7), "width", "7"),
        (lambda: mih.ToyDenoiser(blocks=0), "blocks", "0"),
        (lambda: mih.ToyDenoiser(steps=1.5), "steps", "1.5"),
        (lambda: toy()(torch.zeros(3), torch.tensor(0)), "x_t.shape", "(3,)"),
        (lambda: toy()(torch.zeros(3, 2), torch.tensor(0)), "x_t.shape", "(3, 2)"),
        (lambda: EXACT(torch.zeros(3, 2), torch.tensor(0)), "x.shape", "(3, 2)"),
        (lambda: mih.predict_x0(EXACT, points(2), 1000, SCHEDULE), "t", "1000"),
        (lambda: mih.predict_x0(EXACT, points(2), -1, SCHEDULE), "t", "-1"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call, name, value):
    with refusal(name, value):
        call()
