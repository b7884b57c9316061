"""Training: it learns the denoiser, with any net and data, and can be stopped."""

import shutil
import signal
import threading
import warnings

import pytest
import torch
from conftest import StoppedAt, refusal
from torch import nn

import mih_utils as mih

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.2)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def toy(width=32):
    return mih.ToyDenoiser(width=width, steps=100, generator=seeded())


def train(net, data=None, steps=5, **settings):
    data = MIX.sample(2000, seeded(1)) if data is None else data
    settings = {"batch": 64, "generator": seeded(2), "progress": False} | settings
    return mih.train(net, data, SCHEDULE, steps, **settings)


def test_the_network_comes_near_to_the_exact_denoiser():
    net = toy(64)
    watch = mih.ExcessLoss(EXACT)
    history = train(net, steps=400, batch=256, observe=[watch])
    assert len(history.loss) == 400
    assert not history.interrupted
    assert len(watch.steps) == len(watch.excess) == 50
    assert watch.steps[-1] == 400
    first, last = watch.excess[:2].mean(), watch.excess[-10:].mean()
    assert float(last) < float(first) / 10
    # on fresh points, of every step, it is what was reported
    g, excess = seeded(3), []
    for t in range(0, 100, 5):
        noise = torch.randn(500, 1, generator=g)
        x_t = SCHEDULE.add_noise(MIX.sample(500, g), torch.tensor(t), noise)
        with torch.no_grad():
            excess.append((net(x_t, torch.tensor(t)) - EXACT(x_t, torch.tensor(t))).square().mean())
    assert float(torch.stack(excess).mean()) == pytest.approx(float(last), rel=0.5)


def test_loss_is_that_of_the_noised_batch():
    """For a net that always says 0 the loss is the mean square of the noise: 1."""
    net = nn.Linear(1, 1)
    net.forward = lambda x_t, t: 0 * x_t * net.weight
    history = train(net, steps=20, batch=5000)
    assert float(history.loss.mean()) == pytest.approx(1, abs=5 * (2 / 100_000) ** 0.5)


def test_every_step_and_every_point_is_trained_on():
    seen = {"t": set(), "x": set()}
    net = nn.Linear(1, 1)

    def forward(x_t, t):
        assert t.shape == (64,)
        seen["t"].update(t.tolist())
        seen["x"].update(x_t[t == 0].round().flatten().tolist())
        return net.weight * x_t

    net.forward = forward
    train(net, torch.tensor([[10.0], [20.0]]), steps=60)
    assert seen["t"] == set(range(100))
    assert seen["x"] == {10.0, 20.0}


class Halves:
    """Another forward process: one noise level, and a t that is no step."""

    def training_batch(self, x0, generator=None):
        noise = torch.randn(x0.shape, device=x0.device, generator=generator)
        return (x0 + noise) / 2, torch.full((len(x0),), 0.5), noise

    def to(self, device):
        return self


def test_whatever_noises_a_batch_is_a_schedule():
    told = []
    net = nn.Linear(1, 1)
    net.forward = lambda x_t, t: told.append((x_t, t)) or net.weight * x_t
    history = mih.train(
        net, torch.full((9, 1), 8.0), Halves(), 200, lr=0.1, generator=seeded(), progress=False
    )
    assert {t for _, each in told for t in each.tolist()} == {0.5}
    assert abs(float(torch.cat([x_t for x_t, _ in told]).mean()) - 4) < 0.01
    # the best w of E(w (8 + z) / 2 - z)^2 is w = 2 / 65
    assert float(net.weight.detach()) == pytest.approx(2 / 65, abs=0.01)
    assert float(history.loss[-50:].mean()) == pytest.approx(64 / 65, abs=0.02)


# Stopping


@pytest.mark.parametrize("done", [0, 1, 7])
def test_an_interrupt_keeps_the_net_and_what_was_reported(done):
    stopped = StoppedAt(toy(), done + 1)
    history = train(stopped, steps=20, stoppable=True)
    assert history.interrupted
    assert len(history.loss) == done
    whole = toy()
    expected = train(whole, steps=20)
    assert not expected.interrupted
    assert torch.equal(history.loss, expected.loss[:done])
    out = mih.sample(stopped.net, SCHEDULE.ddpm(), 5, (1,), progress=False)
    assert out.x.isfinite().all()
    assert not stopped.training
    if done:
        assert not torch.equal(stopped.net.x_out.weight, toy().x_out.weight)


@pytest.mark.parametrize("done", [0, 7])
def test_an_interrupt_is_raised_unless_it_was_reckoned_with(done):
    stopped, finished = StoppedAt(toy(), done + 1), []

    class Watch(mih.TrainingObserver):
        def finish(self, training):
            finished.append(training.done)

    with pytest.raises(KeyboardInterrupt, match=f"after {done} of 20 steps"):
        train(stopped, steps=20, observe=[Watch()])
    assert finished == [done]
    assert not stopped.training


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("where", ["forward", "optimiser", "observer"])
def test_a_signal_stops_between_two_steps(monkeypatch, where):
    """Ctrl-C while the weights change waits until the step is whole."""
    seen, step = [], torch.optim.Adam.step

    def pressed(now):
        if now == where and len(seen) == 3:
            signal.raise_signal(signal.SIGINT)

    def optimise(self, *args, **kwargs):
        step(self, *args, **kwargs)
        pressed("optimiser")

    class Watch(mih.TrainingObserver):
        def __call__(self, training):
            pressed("observer")
            seen.append([w.detach().clone() for w in training.net.parameters()])

    monkeypatch.setattr(torch.optim.Adam, "step", optimise)
    net, handler = toy(), signal.getsignal(signal.SIGINT)
    net.register_forward_pre_hook(lambda module, given: pressed("forward"))
    history = train(net, steps=20, stoppable=True, observe=[Watch()])
    assert history.interrupted
    done = 3 if where == "forward" else 4
    assert len(history.loss) == len(seen) == done
    assert signal.getsignal(signal.SIGINT) is handler
    for weight, last in zip(net.parameters(), seen[-1], strict=True):
        assert torch.equal(weight, last)


def test_interrupts_are_left_to_others_in_a_thread_or_where_they_are_ignored():
    data, found = MIX.sample(100, seeded()), []
    thread = threading.Thread(target=lambda: found.append(train(toy(), data)))
    thread.start()
    thread.join()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        found.append(train(toy(), data))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert torch.equal(found[0].loss, found[1].loss)


# Any net, any data


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5), (2,)])
def test_any_net_trains_on_data_of_any_shape(shape):
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(shape))

        def forward(self, x_t, t):
            return self.scale * x_t + 0 * t.reshape(-1, *(1,) * len(shape))

    net = Small()
    data = 0.01 * torch.randn(50, *shape, generator=seeded())
    history = train(net, data, steps=150, lr=0.05)
    assert float(history.loss[-10:].mean()) < 0.4 * float(
        history.loss[0]
    )  # x_t is nearly the noise
    assert float(net.scale.detach().min()) > 0.7


def test_data_is_left_alone_and_takes_the_precision_of_the_net():
    data = MIX.sample(100, seeded())
    before = data.clone()
    net = toy().double()
    history = train(net, data)
    assert torch.equal(data, before)
    assert net.x_in.weight.dtype == torch.float64
    assert history.loss.isfinite().all()


def test_a_generator_decides_and_the_global_one_is_left_alone():
    data, nets = MIX.sample(500, seeded()), [toy(), toy(), toy()]
    before = torch.get_rng_state()
    first = train(nets[0], data)
    again = train(nets[1], data)
    other = train(nets[2], data, generator=seeded(8))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.loss, again.loss)
    assert not torch.equal(first.loss, other.loss)
    for weight, same, different in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(weight, same)
        assert not torch.equal(weight, different)


def test_the_learning_rate_falls_to_nothing():
    """Weights move much in the first steps of 40, and not any more in the last."""
    moved, net = [], toy()
    last = {name: w.detach().clone() for name, w in net.named_parameters()}
    step = torch.optim.Adam.step

    def watched(self, *args, **kwargs):
        result = step(self, *args, **kwargs)
        moved.append(
            max(float((w - last[k]).detach().abs().max()) for k, w in net.named_parameters())
        )
        last.update({name: w.detach().clone() for name, w in net.named_parameters()})
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", watched)
        train(net, steps=40, lr=1e-3)
    assert len(moved) == 40
    assert moved[0] == pytest.approx(1e-3, rel=0.01)  # Adam's first step has the size of lr
    assert moved[-1] < 0.02 * moved[0]


def test_progress_is_shown_unless_it_is_not_wanted(capsys):
    history = train(toy(4), steps=200, progress=True)
    shown = capsys.readouterr().err
    assert "training" in shown
    assert f"loss={float(history.loss.mean()):.4f}" in shown
    train(toy(4))
    assert capsys.readouterr() == ("", "")


# Devices


def test_no_step_waits_for_the_device(host_syncs):
    counts = []
    for steps in (5, 25):
        with host_syncs() as syncs:
            train(toy(), steps=steps, observe=[mih.ExcessLoss(EXACT), mih.EMA(0.9)])
        counts.append(syncs.count)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("measured", [False, True])
def test_training_stays_on_a_device_that_is_not_the_cpu(monkeypatch, measured):
    """Tensors on "meta" have no numbers: a stray CPU tensor, or a look inside, fails."""
    fetched = []
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: fetched.append(self) or self)
    excess = mih.ExcessLoss(EXACT)
    observe = [excess, mih.EMA(0.9)] if measured else []
    net = toy().to("meta")
    history = train(net, MIX.sample(10).to("meta"), steps=3, generator=None, observe=observe)
    assert all(weight.grad.device.type == "meta" for weight in net.parameters())
    assert len(history.loss) == 3
    if measured:
        assert len(excess.excess) == len(excess.steps) == 3
    assert len(fetched) == 1 + measured  # only the curves, when they are looked at


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_training_on_a_gpu():
    generator = torch.Generator("cuda").manual_seed(0)
    net = toy(64).to("cuda")
    watch = mih.ExcessLoss(EXACT)
    history = train(net, steps=300, batch=256, observe=[watch], generator=generator)
    assert next(net.parameters()).device.type == "cuda"
    assert history.loss.device.type == watch.excess.device.type == "cpu"
    assert float(watch.excess[-5:].mean()) < float(watch.excess[0]) / 5
    settings = {"generator": generator, "observe": [mih.Hal(last=5)], "progress": False}
    out = mih.sample(net, SCHEDULE.ddpm(), 10, (1,), **settings)
    assert out.x.device.type == out.hal.device.type == "cuda"


# torch.compile


def test_without_a_compiler_it_says_so_once_and_goes_on(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = [train(toy(), compile=True).loss for _ in range(2)]
    assert len([w for w in caught if "compiler" in str(w.message)]) == 1
    assert torch.equal(found[0], train(toy()).loss)


def test_compiled_training_is_that_of_eager(monkeypatch):
    """With a backend that compiles nothing: what is traced, and that it is one graph."""
    compile = torch.compile
    used = []
    monkeypatch.setattr(
        torch,
        "compile",
        lambda net: used.append(net) or compile(net, backend="eager", fullgraph=True),
    )
    monkeypatch.setattr(shutil, "which", lambda name: name)
    net, watches = toy(), [mih.ExcessLoss(EXACT), mih.ExcessLoss(EXACT)]
    found = train(net, compile=True, observe=watches[:1])
    assert used == [net]
    expected = train(toy(), observe=watches[1:])
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(watches[0].excess, watches[1].excess)


# Bad input

DATA = torch.zeros(5, 1)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"data": [[1.0]]}, "data", "list"),
        ({"data": torch.zeros(0, 1)}, "data", "(0, 1)"),
        ({"data": torch.zeros(5)}, "data", "(5,)"),
        ({"data": torch.zeros(5, 1).long()}, "data", "int64"),
        ({"data": torch.tensor([[1.0], [float("nan")]])}, "data", "1 value"),
        ({"data": torch.tensor([[float("inf")], [float("-inf")]])}, "data", "2 value"),
        ({"steps": 0}, "steps", "0"),
        ({"steps": -1}, "steps", "-1"),
        ({"steps": 2.0}, "steps", "2.0"),
        ({"batch": 0}, "batch", "0"),
        ({"lr": 0.0}, "lr", "0.0"),
        ({"lr": -1e-3}, "lr", "-0.001"),
        ({"lr": float("nan")}, "lr", "nan"),
        ({"lr": float("inf")}, "lr", "inf"),
        ({"net": EXACT}, "net", "ExactDenoiser"),
        ({"net": mih.ToyDenoiser(width=4, steps=50)}, "schedule", "t = [50]"),
        ({"data": torch.zeros(5, 2)}, "x_t.shape", "(64, 2)"),
        ({"observe": mih.EMA(0.9)}, "observe", "EMA"),
        ({"generator": 3}, "generator", "int"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(settings, name, value):
    with refusal(name, value):
        train(**{"net": toy(), "data": DATA} | settings)
