"""The U-Net is the layers it is described as, and trains, averages and samples as any net does."""

import sys
from itertools import product
from pathlib import Path

import pytest
import torch
from conftest import refusal
from torch.nn import functional as F

import mih_utils as mih

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from recipes.common import save_artifact

SCHEDULE = mih.Schedule.linear(20, 0.02, 0.6)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def denoiser(**settings):
    """A U-Net that predicts the noise through the velocity."""
    return mih.VelocityTarget(mih.UNet(**{"steps": len(SCHEDULE)} | settings), SCHEDULE)


def unet(dtype=torch.float64, **settings):
    """A tiny one whose zero-initialised layers have weights, so that all of it is seen."""
    net = denoiser(**{"channels": 8, "generator": seeded()} | settings).to(dtype)
    g = seeded(1)
    for weight in net.parameters():
        if weight.abs().max() == 0:
            torch.nn.init.normal_(weight, std=0.2, generator=g)
    return net


def images(n, size=16, colours=1, dtype=torch.float64, seed=2):
    return torch.randn(n, colours, size, size, dtype=dtype, generator=seeded(seed))


def plain_forward(net, x_t, t):
    """The layers one after the other, from the weights; every row embeds its own t."""
    w = dict(net.net.named_parameters())
    config = net.net.config

    def linear(h, name):
        return F.linear(h, w[f"{name}.weight"], w[f"{name}.bias"])

    def conv(h, name, padding=1):
        return F.conv2d(h, w[f"{name}.weight"], w[f"{name}.bias"], padding=padding)

    def norm(h, name):
        groups = h.reshape(len(h), 8, -1)
        groups = groups - groups.mean(dim=2, keepdim=True)
        groups = groups / (groups.square().mean(dim=2, keepdim=True) + 1e-5).sqrt()
        scale, shift = w[f"{name}.weight"], w[f"{name}.bias"]
        return groups.reshape(h.shape) * scale[:, None, None] + shift[:, None, None]

    def silu(h):
        return h * torch.sigmoid(h)

    def block(h, name):
        inner = conv(silu(norm(h, f"{name}.norm_in")), f"{name}.first")
        inner = inner + linear(time, f"{name}.time")[:, :, None, None]
        inner = conv(silu(norm(inner, f"{name}.norm_out")), f"{name}.last")
        around = conv(h, f"{name}.around", 0) if f"{name}.around.weight" in w else h
        return around + inner

    half = config["channels"] // 2
    frequency = torch.tensor([10_000 ** (-i / half) for i in range(half)], dtype=x_t.dtype)
    angle = t.expand(len(x_t)).reshape(-1, 1).to(x_t.dtype) * frequency
    time = torch.cat([angle.sin(), angle.cos()], dim=1)
    time = silu(linear(silu(linear(time, "embed_time.0")), "embed_time.2"))

    p = config["patch"]  # each patch's pixels become channels, row by row
    patches = torch.cat([x_t[:, [c], i::p, j::p] for c, i, j in corners(config)], dim=1)
    h, kept = conv(patches, "x_in"), []
    for level in range(len(config["multipliers"])):
        if level:
            h = (h[..., ::2, :] + h[..., 1::2, :]) / 2
            h = (h[..., ::2] + h[..., 1::2]) / 2
        h = block(h, f"down.{level}")
        kept.append(h)
    h = block(h, "middle_in")
    if config["attention"]:
        c = h.shape[1]
        rows = norm(h, "attention.norm").flatten(2).transpose(1, 2)
        q, k, v = linear(rows, "attention.queries_keys_values").split(c, dim=2)
        rows = torch.softmax(q @ k.transpose(1, 2) / c**0.5, dim=2) @ v
        h = h + linear(rows, "attention.last").transpose(1, 2).reshape(h.shape)
    h = block(h, "middle_out")
    for level in reversed(range(len(kept))):
        h = block(torch.cat([h, kept[level]], dim=1), f"up.{level}")
        if level:
            h = h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    h = conv(silu(norm(h, "norm_out")), "x_out")
    velocity = torch.empty_like(x_t)
    for k, (c, i, j) in enumerate(corners(config)):
        velocity[:, c, i::p, j::p] = h[:, k]
    alpha_bar = SCHEDULE.alpha_bar[t].expand(len(x_t)).reshape(-1, 1, 1, 1)
    # noise and x0 of x_t = signal x0 + sigma noise with v = signal noise - sigma x0
    return (1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * velocity


def corners(config):
    """Colour, row and column in the patch of each of its numbers."""
    return product(range(config["colours"]), *[range(config["patch"])] * 2)


SETTINGS = [
    {},
    {"patch": 2, "colours": 2},
    {"attention": False},
    {"multipliers": (2,)},
    {"colours": 3, "multipliers": (1, 3)},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_it_is_the_layers_one_after_the_other(settings):
    net = unet(**settings)
    x_t = images(3, colours=net.net.config["colours"]).requires_grad_()
    t = torch.tensor([0, 7, 19])
    found, expected = net(x_t, t), plain_forward(net, x_t, t)
    assert found.shape == x_t.shape
    close = {"rtol": 1e-5, "atol": 1e-5}  # the sinusoids are made in float32
    torch.testing.assert_close(found, expected, **close)
    target = images(3, colours=net.net.config["colours"], seed=5)
    wanted = [x_t, *net.parameters()]
    gradients = [torch.autograd.grad(F.mse_loss(y, target), wanted) for y in (found, expected)]
    for mine, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, plain, **close)


def test_gradients_are_those_of_finite_differences():
    net, x_t, t = unet(), images(2, 8), torch.tensor([3, 12])
    loss = net(x_t, t).square().sum()
    loss.backward()
    g = seeded(3)
    for name, weight in net.named_parameters():
        direction = torch.randn(weight.shape, dtype=weight.dtype, generator=g)
        values = []
        with torch.no_grad():
            for step in (1e-5, -2e-5):
                weight += step * direction
                values.append(float(net(x_t, t).square().sum()))
            weight += 1e-5 * direction
        slope = float((weight.grad * direction).sum())
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-4, abs=1e-6), name


def test_one_t_for_all_is_the_same_t_for_each():
    net, x_t = unet(), images(3)
    for t in (0, 19):
        each = net(x_t, torch.full((3,), t))
        for shared in (torch.tensor(t), torch.tensor([t])):
            torch.testing.assert_close(net(x_t, shared), each, rtol=1e-12, atol=1e-12)


def test_rows_do_not_mix():
    net, x_t, t = unet(), images(4), torch.tensor([0, 3, 9, 19])
    whole = net(x_t, t)
    for row in range(4):
        torch.testing.assert_close(net(x_t[row : row + 1], t[row]), whole[row : row + 1])


@pytest.mark.parametrize("size", [16, 32, 64, (16, 24)])
def test_any_size_that_can_be_halved_goes_in(size):
    height, width = size if isinstance(size, tuple) else (size, size)
    net = mih.UNet(channels=8)
    with torch.no_grad():
        out = net(torch.zeros(2, 1, height, width), torch.tensor(3))
    assert out.shape == (2, 1, height, width)
    assert out.dtype == torch.float32


def test_it_has_the_promised_number_of_parameters_and_begins_with_nothing():
    net = denoiser(generator=seeded())
    assert 0.6e6 < sum(weight.numel() for weight in net.parameters()) < 0.8e6
    x_t = images(2, dtype=torch.float32)
    with torch.no_grad():  # no velocity: only x_t, scaled
        found = net(x_t, torch.tensor(3))
    torch.testing.assert_close(found, x_t * (1 - SCHEDULE.alpha_bar[3]).sqrt().float())


def test_the_generator_decides_and_the_global_one_is_left_alone():
    before = torch.get_rng_state()
    first, same, other = (mih.UNet(channels=8, generator=seeded(s)) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(first.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.x_in.weight, other.x_in.weight)
    torch.manual_seed(5)
    drawn = mih.UNet(channels=8)
    assert not torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(mih.UNet(channels=8).x_in.weight, drawn.x_in.weight)


def test_its_config_builds_it_again():
    net = unet(torch.float32, attention=False, multipliers=(1, 2))
    again = mih.VelocityTarget(mih.UNet(**net.net.config), SCHEDULE)
    again.load_state_dict(net.state_dict())
    assert torch.equal(
        again(images(1).float(), torch.tensor(2)), net(images(1).float(), torch.tensor(2))
    )


def test_bfloat16_is_near_float32_and_only_inside(monkeypatch):
    low, high = unet(torch.float32), unet(torch.float32, autocast=False)
    monkeypatch.setattr("mih_utils.images.unet.has_bfloat16", lambda device: True)
    x_t, t = images(2, dtype=torch.float32), torch.tensor([2, 11])
    found, expected = low(x_t, t), high(x_t, t)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert (found - expected).square().mean() < 1e-3 * expected.square().mean()
    assert torch.equal(low.double()(x_t.double(), t), high.double()(x_t.double(), t))
    monkeypatch.setattr("mih_utils.images.unet.has_bfloat16", lambda device: False)
    assert torch.equal(low.float()(x_t, t), high.float()(x_t, t))


# Training and sampling


def train(net, steps, **settings):
    settings = {"batch": 16, "progress": False, "generator": seeded(3)} | settings
    data = mih.shapes.dataset(32, 16, generator=seeded(4))
    return mih.train(net, data, SCHEDULE, steps, **settings)


def test_a_few_steps_lower_the_loss_and_it_samples():
    net = denoiser(channels=8, generator=seeded())
    history = train(net, 60, lr=5e-3)
    # without velocity, and with pixels of ±1, the squared error is alpha_bar on average
    assert float(history.loss[0]) == pytest.approx(float(SCHEDULE.alpha_bar.mean()), abs=0.15)
    assert float(history.loss[-10:].mean()) < 0.4 * float(SCHEDULE.alpha_bar.mean())
    assert next(net.parameters()).dtype == torch.float32
    settings = {"observe": [mih.Hal(last=5)], "generator": seeded(), "progress": False}
    out = mih.sample(net, SCHEDULE.ddpm(), 3, (1, 16, 16), **settings)
    assert out.x.shape == (3, 1, 16, 16)
    assert out.hal.shape == (3,)


@pytest.mark.parametrize("stop_at", [None, 5])
def test_the_average_of_the_weights_is_that_of_a_loop_by_hand(monkeypatch, stop_at):
    seen, step = [], torch.optim.Adam.step
    net = denoiser(channels=8, multipliers=(1,), generator=seeded())
    start = [w.detach().clone() for w in net.parameters()]

    def watched(self, *args, **kwargs):
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        step(self, *args, **kwargs)
        seen.append([w.detach().clone() for w in net.parameters()])

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    train(net, 12, observe=[mih.EMA(0.5)], stoppable=True)
    assert len(seen) == (stop_at or 12)
    for i, weight in enumerate(net.parameters()):
        mean = start[i]
        for done, weights in enumerate(seen, 1):
            decay = min(0.5, done / (done + 9))
            mean = decay * mean + (1 - decay) * weights[i]
        torch.testing.assert_close(weight.detach(), mean)
    assert not torch.equal(seen[-1][0], next(net.parameters()).detach())


def test_training_goes_on_from_its_checkpoint(monkeypatch, tmp_path):
    path = tmp_path / "sub" / "training.pt"
    whole = toy()
    expected = train(whole, 8, observe=[mih.EMA(0.9)])

    def kept():
        return [mih.EMA(0.9), mih.Checkpoint(path, every=0)]  # after each step

    class Stopped(Exception):
        """Power cut."""

    calls, forward = [], mih.UNet.forward

    def cut(self, x_t, t):
        calls.append(1)
        if len(calls) == 4:
            raise Stopped
        return forward(self, x_t, t)

    with monkeypatch.context() as patch:
        patch.setattr(mih.UNet, "forward", cut)
        with pytest.raises(Stopped):
            train(toy(), 8, observe=kept())
    net = toy()
    found = train(net, 8, observe=kept())
    assert torch.equal(found.loss, expected.loss)
    for a, b in zip(net.parameters(), whole.parameters(), strict=True):
        assert torch.equal(a, b)
    # and a finished one is not trained again
    monkeypatch.setattr(mih.UNet, "forward", None)
    again = toy()
    finished = train(again, 8, observe=kept())
    assert torch.equal(finished.loss, expected.loss)
    assert finished.seconds >= found.seconds > 0
    assert torch.equal(again.net.x_out.weight, whole.net.x_out.weight)
    assert [p.name for p in path.parent.iterdir()] == ["training.pt"]
    with refusal("checkpoint", "training.pt"):
        train(toy(), 9, observe=kept())


def toy(seed=0):
    return denoiser(channels=8, multipliers=(1, 1), generator=seeded(seed))


@pytest.mark.parametrize("half", [False, True])
def test_an_artifact_builds_it_again(tmp_path, monkeypatch, half):
    monkeypatch.setenv("MIH_ARTIFACTS", str(tmp_path))
    net, chain = unet(torch.float32), {"steps": 20, "beta_start": 0.02, "beta_end": 0.6}
    config = {"schedule": chain}
    save_artifact(
        "some-unet", {}, recipe="make it", config=config, seed=0, seconds=1, net=net, half=half
    )
    a = mih.artifact("some-unet")
    assert a.record["config"] == config | {"unet": net.net.config}
    assert {w.dtype.name for w in a.weights.values()} == {"float16" if half else "float32"}
    for name, weight in a.net.state_dict().items():
        expected = net.state_dict()[name]
        assert weight.dtype == torch.float32
        assert torch.equal(weight, expected.half().float() if half else expected)
    assert not a.net.training


def test_the_whole_one_fits_into_two_megabytes(tmp_path, monkeypatch):
    monkeypatch.setenv("MIH_ARTIFACTS", str(tmp_path))
    net = mih.UNet(generator=seeded())
    save_artifact("a", {}, recipe="", config={}, seed=0, seconds=1, net=net, half=True)
    assert (tmp_path / "a.npz").stat().st_size < 1.5e6


# Devices


def test_it_stays_on_a_device_that_is_not_the_cpu():
    net = denoiser(channels=8).to("meta")
    settings = {"observe": [mih.Hal(last=3)], "progress": False}
    out = mih.sample(net, SCHEDULE.ddpm(), 5, (1, 16, 16), **settings)
    assert out.x.device.type == "meta"
    assert out.x.shape == (5, 1, 16, 16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_it_trains_on_a_gpu():
    net = denoiser(channels=8, generator=seeded()).to("cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    history = train(net, 60, lr=5e-3, observe=[mih.EMA(0.9)], generator=generator)
    assert float(history.loss[-10:].mean()) < 0.3


# Bad input


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"channels": 12}, "channels", "12"),
        ({"channels": 0}, "channels", "0"),
        ({"multipliers": ()}, "multipliers", "()"),
        ({"multipliers": (1, 0)}, "multipliers", "0"),
        ({"colours": 0}, "colours", "0"),
        ({"patch": 0}, "patch", "0"),
        ({"steps": 0}, "steps", "0"),
    ],
)
def test_bad_settings_are_refused(settings, name, value):
    with refusal(name, value):
        mih.UNet(**settings)


@pytest.mark.parametrize("shape", [(2, 16, 16), (2, 3, 16, 16), (2, 1, 18, 16), (2, 1, 16, 30)])
def test_images_that_do_not_fit_are_refused(shape):
    with refusal("x_t.shape", str(shape)):
        mih.UNet(channels=8)(torch.zeros(shape), torch.tensor(0))


@pytest.mark.parametrize("ema", [0.0, 1.0, -0.5, float("nan")])
def test_a_bad_average_is_refused(ema):
    with refusal("decay", str(ema)):
        mih.EMA(ema)
