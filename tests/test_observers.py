"""What watches a training: the average, the excess, and a file that a training goes on from."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

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


def toy(seed=0, width=8):
    return mih.ToyDenoiser(width=width, steps=100, generator=seeded(seed))


def train(net, data=None, steps=8, schedule=SCHEDULE, **settings):
    data = MIX.sample(200, seeded(1)) if data is None else data
    settings = {"batch": 16, "generator": seeded(2), "progress": False} | settings
    return mih.train(net, data, schedule, steps, **settings)


def same_weights(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


# Excess


def loss_of_the_exact_denoiser():
    """Expected squared error of E[noise | x_t], 1 - (1 - alpha_bar) E[score^2], integrated."""
    x = torch.linspace(-12, 15, 40_001, dtype=torch.float64)[:, None]
    floors = []
    for alpha_bar in SCHEDULE.alpha_bar.tolist():
        p = MIX.log_prob(x, alpha_bar).exp()
        fisher = torch.trapezoid(p * MIX.score(x, alpha_bar)[:, 0] ** 2, x[:, 0])
        floors.append(1 - (1 - alpha_bar) * float(fisher))
    return sum(floors) / len(floors)


def test_loss_less_excess_is_the_loss_of_the_exact_denoiser():
    watch = mih.ExcessLoss(EXACT)
    data = MIX.sample(200_000, seeded(4))
    history = train(toy(width=32), data, 50, batch=20_000, lr=1e-9, observe=[watch])
    found = float((history.loss - watch.excess).mean())
    assert found == pytest.approx(loss_of_the_exact_denoiser(), rel=0.01)
    assert float(watch.excess.mean()) > 0.2  # so it was worth subtracting


def test_the_exact_denoiser_measures_no_excess_over_itself():
    net, watch = nn.Linear(1, 1), mih.ExcessLoss(EXACT)
    net.forward = lambda x_t, t: EXACT(x_t, t) + 0 * net.weight
    train(net, observe=[watch])
    assert watch.excess.abs().max() == 0


@pytest.mark.parametrize(("steps", "measured"), [(1, 1), (7, 7), (100, 50), (130, 65)])
def test_excess_is_measured_at_even_steps_and_at_the_end(steps, measured):
    watch = mih.ExcessLoss(EXACT)
    history = train(toy(), steps=steps, batch=2, observe=[watch])
    assert len(watch.steps) == len(watch.excess) == measured
    assert watch.steps[-1] == steps
    assert len(history.loss) == steps


def test_excess_is_measured_as_often_as_wanted_and_changes_nothing():
    watch, net, unwatched = mih.ExcessLoss(EXACT, times=4), toy(), toy()
    history = train(net, steps=20, observe=[watch])
    assert watch.steps == [5, 10, 15, 20]
    assert torch.equal(history.loss, train(unwatched, steps=20).loss)
    assert same_weights(net, unwatched)


def test_an_interrupt_keeps_the_excess_measured_until_then():
    watch = mih.ExcessLoss(EXACT)
    stopped = StoppedAt(toy(), 2 * 4 + 1)  # each step calls it twice: to train, and to measure
    history = train(stopped, steps=20, observe=[watch], stoppable=True)
    assert watch.steps == [1, 2, 3, 4]
    assert len(watch.excess) == len(history.loss) == 4
    before = mih.ExcessLoss(EXACT)
    train(StoppedAt(toy(), 1), steps=20, observe=[before], stoppable=True)
    assert (before.steps, before.excess.shape) == ([], (0,))


# The average of the weights


@pytest.mark.parametrize("stop_at", [None, 5])
def test_the_average_of_the_weights_is_that_of_a_loop_by_hand(monkeypatch, stop_at):
    seen, step, net = [], torch.optim.Adam.step, toy()
    start = [w.detach().clone() for w in net.parameters()]

    def watched(self, *args, **kwargs):
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        step(self, *args, **kwargs)
        seen.append([w.detach().clone() for w in net.parameters()])

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    train(net, steps=12, observe=[mih.EMA(0.5)], stoppable=True)
    assert len(seen) == (stop_at or 12)
    for i, weight in enumerate(net.parameters()):
        mean = start[i]
        for done, weights in enumerate(seen, 1):
            decay = min(0.5, done / (done + 9))
            mean = decay * mean + (1 - decay) * weights[i]
        torch.testing.assert_close(weight.detach(), mean)
    assert not torch.equal(seen[-1][0], next(net.parameters()).detach())


# A file to go on from


class PowerCut(Exception):
    """Not an interrupt: nothing can be kept any more."""


class Watched(nn.Module):
    """A net with a switch: what happens in its call number `at`."""

    def __init__(self, net, at=0, error=None):
        super().__init__()
        self.net = net
        vars(self).update(calls=0, at=at, error=error)

    def forward(self, x_t, t):
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return self.net(x_t, t)


def observers(path=None, every=0, decay=0.9):
    file = [] if path is None else [mih.Checkpoint(path, every=every)]
    return [mih.ExcessLoss(EXACT), mih.EMA(decay), *file]


@pytest.mark.parametrize(
    ("error", "every"), [(PowerCut, 0), (KeyboardInterrupt, 0), (KeyboardInterrupt, 3600)]
)
@pytest.mark.parametrize("at", [1, 5, 15])
def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path, error, every, at):
    path = tmp_path / "sub" / "training.pt"
    whole, watches = Watched(toy()), observers()
    expected = train(whole, observe=watches)
    with pytest.raises(error):
        train(Watched(toy(), at, error), observe=observers(path, every))
    assert path.is_file() == (at > 2 or error is KeyboardInterrupt)
    net, again = Watched(toy()), observers(path)
    found = train(net, observe=again)
    assert torch.equal(found.loss, expected.loss)
    assert same_weights(net, whole)
    assert again[0].steps == watches[0].steps == list(range(1, 9))
    assert torch.equal(again[0].excess, watches[0].excess)
    assert net.calls == 16 - 2 * ((at - 1) // 2)  # two calls a step: nothing is done twice
    assert [p.name for p in path.parent.iterdir()] == ["training.pt"]


def test_a_finished_training_is_not_done_again(tmp_path):
    path = tmp_path / "training.pt"
    whole, first = Watched(toy()), observers(path)
    expected = train(whole, observe=first)
    net, again = Watched(toy(), 1, PowerCut), observers(path)
    finished = train(net, observe=again)
    assert net.calls == 0
    assert torch.equal(finished.loss, expected.loss)
    assert finished.seconds >= expected.seconds > 0
    assert same_weights(net, whole)  # the average, not the last weights
    assert torch.equal(again[0].excess, first[0].excess)
    generator = seeded(2)
    train(Watched(toy()), observe=observers(path), generator=generator)
    reference = seeded(2)
    train(Watched(toy()), observe=observers(), generator=reference)
    assert torch.equal(generator.get_state(), reference.get_state())  # what comes next is the same


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("where", ["forward", "optimiser", "observer"])
def test_a_signal_in_the_midst_of_a_step_leaves_a_good_file(monkeypatch, tmp_path, where):
    """Ctrl-C comes where it will: also after the weights have changed, before the average has."""
    path, done, step = tmp_path / "training.pt", [], torch.optim.Adam.step
    whole = toy()
    expected = train(whole, steps=20, observe=observers())

    def pressed(now):
        if now == where and len(done) == 15:
            done.append("pressed")
            signal.raise_signal(signal.SIGINT)

    def optimise(self, *args, **kwargs):
        step(self, *args, **kwargs)
        pressed("optimiser")

    class Counter(mih.TrainingObserver):
        def __call__(self, training):
            pressed("observer")
            done.append(training.done)

    def watch():
        return [Counter(), mih.EMA(0.9), mih.Checkpoint(path, every=3600)]

    net = toy()
    net.register_forward_pre_hook(lambda module, given: pressed("forward"))
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", optimise)
        with pytest.raises(KeyboardInterrupt):
            train(net, steps=20, observe=watch())
    assert "pressed" in done
    assert path.is_file()
    again = toy()
    found = train(again, steps=20, observe=watch())
    assert torch.equal(found.loss, expected.loss)
    assert same_weights(again, whole)


KILLED = """
    import sys, torch, mih_utils as mih
    sys.path.insert(0, {tests!r})
    from test_observers import observers, toy, train
    train(toy(), steps=200_000, observe=observers({path!r}))
"""


def test_a_killed_training_goes_on(tmp_path):
    """SIGKILL at any moment, perhaps while the file is being written."""
    path = tmp_path / "training.pt"
    code = textwrap.dedent(KILLED).format(tests=str(Path(__file__).parent), path=str(path))
    root = str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    for _ in range(2):  # the second one goes on from what the first one left
        child = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=root)
        before = path.stat().st_mtime_ns if path.is_file() else 0
        deadline = time.monotonic() + 300
        while not (path.is_file() and path.stat().st_mtime_ns != before):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.05)
        child.kill()
        assert child.wait() == -signal.SIGKILL
    done = torch.load(path, weights_only=True)["done"]
    assert 0 < done < 200_000
    loss = torch.load(path, weights_only=True)["loss"][:done]
    stop = Watched(toy(), done + 1, KeyboardInterrupt)  # the same steps, here and in one go
    expected = train(stop, steps=200_000, stoppable=True)
    assert torch.equal(loss, expected.loss)


class Other(mih.TrainingObserver):
    """Another observer."""


OTHERS = {
    "data": lambda: {"data": MIX.sample(200, seeded(7))},
    "batch": lambda: {"batch": 17},
    "lr": lambda: {"lr": 1e-3},
    "steps": lambda: {"steps": 9},
    "schedule": lambda: {"schedule": mih.Schedule.linear(100, 5e-3, 0.31)},
    "net and its first weights": lambda: {"net": toy(seed=1)},
    "generator": lambda: {"generator": seeded(3)},
    "observers": lambda: {"others": [mih.EMA(0.9), Other()]},
}


def kept(path, net=None, others=None, **settings):
    """A training that is kept in a file."""
    watch = [mih.EMA(0.9)] if others is None else others
    observe = [*watch, mih.Checkpoint(path)]
    return train(toy() if net is None else net, observe=observe, **settings)


@pytest.mark.parametrize("name", OTHERS)
def test_the_file_of_another_training_is_refused_by_name(tmp_path, name):
    path, net = tmp_path / "training.pt", toy()
    kept(path)
    before = path.read_bytes()
    settings = {"net": net} | OTHERS[name]()
    with refusal("checkpoint", f"another {name};"):
        kept(path, **settings)
    assert path.read_bytes() == before
    assert same_weights(net, toy())


@pytest.mark.parametrize(
    ("others", "changed"),
    [
        ([mih.EMA(0.9)], [mih.EMA(0.99)]),
        ([mih.EMA(0.9)], []),
        ([mih.EMA(0.9), mih.ExcessLoss(EXACT)], [mih.ExcessLoss(EXACT), mih.EMA(0.9)]),
        ([mih.ExcessLoss(EXACT)], [mih.ExcessLoss(EXACT, times=3)]),
        (
            [mih.ExcessLoss(EXACT)],
            [mih.ExcessLoss(mih.ExactDenoiser(mih.GaussianMixture.line([1], 0.2), SCHEDULE))],
        ),
        ([mih.ExcessLoss(lambda x, t: x)], [mih.ExcessLoss(lambda x, t: 2 * x)]),
    ],
)
def test_observers_of_other_settings_are_others(tmp_path, others, changed):
    path = tmp_path / "training.pt"
    kept(path, others=others)
    kept(path, others=others)
    with refusal("checkpoint", "another observers"):
        kept(path, others=changed)


def test_all_that_is_other_is_named(tmp_path):
    path = tmp_path / "training.pt"
    kept(path)
    with pytest.raises(ValueError, match="another batch, another lr, another generator; use"):
        kept(path, batch=3, lr=0.1, generator=seeded(9))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        kept(path, net=toy(width=10))


@pytest.mark.parametrize(("first", "second"), [(None, seeded(2)), (seeded(2), None)])
def test_with_a_generator_and_without_one_are_two_trainings(tmp_path, first, second):
    path = tmp_path / "training.pt"
    kept(path, generator=first)
    with refusal("checkpoint", "another generator;"):
        kept(path, generator=second)


def test_without_a_generator_it_goes_on_too(tmp_path):
    path = tmp_path / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        kept(path, net=Watched(toy(), 5, KeyboardInterrupt), generator=None)
    net = Watched(toy())
    history = kept(path, net=net, generator=None)
    assert (len(history.loss), net.calls) == (8, 4)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"hello"])
def test_a_damaged_file_says_so(tmp_path, damage):
    path = tmp_path / "training.pt"
    kept(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"checkpoint .*training\.pt is damaged .* delete it"):
        kept(path)


def test_a_file_of_something_else_says_so(tmp_path):
    path = tmp_path / "training.pt"
    torch.save({"done": 3}, path)
    with pytest.raises(ValueError, match="damaged or of another version"):
        kept(path)


def test_it_is_written_every_so_often(monkeypatch, tmp_path):
    """By a clock that a step advances by 10 seconds, every 25 seconds it is time."""
    clock, written = [0.0], []
    monkeypatch.setattr("mih_utils.observers.time.monotonic", lambda: clock[0])
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda o, p: written.append(o["done"]) or save(o, p))

    class Tick(mih.TrainingObserver):
        def __call__(self, training):
            clock[0] += 10

    train(toy(), steps=10, observe=[Tick(), mih.Checkpoint(tmp_path / "a.pt", every=25)])
    assert written == [3, 6, 9, 10]


def test_an_observer_of_ones_own_is_kept_if_its_state_is(tmp_path):
    class Largest(mih.TrainingObserver):
        """The largest loss so far, and after which step."""

        def start(self, training):
            self.state = {"loss": training.loss.new_zeros(()), "after": [0]}

        def __call__(self, training):
            loss = training.loss[training.done - 1]
            if loss > self.state["loss"]:
                self.state = {"loss": loss.clone(), "after": [training.done]}

    path, largest, again = tmp_path / "training.pt", Largest(), Largest()
    with pytest.raises(KeyboardInterrupt):
        kept(path, Watched(toy(), 5, KeyboardInterrupt), others=[Largest()])
    kept(path, Watched(toy()), others=[again])
    history = train(Watched(toy()), observe=[largest])
    assert float(again.state["loss"]) == float(largest.state["loss"]) == float(history.loss.max())
    assert again.state["after"] == largest.state["after"] == [1 + int(history.loss.argmax())]


# Bad input


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        *((lambda d=d: mih.EMA(d), "decay", str(d)) for d in (0.0, 1.0, -0.5, float("nan"))),
        (lambda: mih.ExcessLoss(EXACT, times=0), "times", "0"),
        (
            lambda: train(toy(), observe=[mih.Checkpoint("a.pt"), mih.EMA(0.9)]),
            "observe",
            "Checkpoint",
        ),
    ],
)
def test_bad_input_is_refused_by_name_and_value(call, name, value):
    with refusal(name, value):
        call()
