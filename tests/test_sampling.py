"""The sampler: against the textbook step by step, and against diffusers; what observers see."""

import copy
import pickle
import shutil
import types
import warnings

import numpy as np
import pytest
import torch
from conftest import Double, refusal
from diffusers import DDIMScheduler, DDPMScheduler
from torch import nn

import mih_utils as mih
from mih_utils import _device

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)
WHOLE = SCHEDULE.ddpm()


@Double
def perturbed(x_t, t):
    """Any callable is a denoiser; this one errs, as a network does."""
    return EXACT(x_t, t) + 0.1 * torch.sin(3 * x_t + 0.01 * t)


@Double
def on_images(x_t, t):
    """A denoiser for rows of any shape, whose rows do not mix."""
    return torch.tanh(x_t) * (0.9 - 0.001 * t)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sample(net=perturbed, n=20, shape=(1,), chain=WHOLE, **settings):
    settings = {"generator": seeded(), "progress": False} | settings
    return mih.sample(net, chain, n, shape, **settings)


def textbook(net, alpha_bar, start, draw, eta=1.0, large=True, times=None):
    """x_t and x0_hat before each step, and the samples, one formula after the other in float64.

    Song et al. 2021, eq. 12, which for eta = 1 is the posterior mean of Ho et al. 2020, eq. 7.
    alpha_bar and times begin with the cleanest step.
    """
    alpha_bar = alpha_bar.tolist()
    x, before_step, predictions = start.double(), [], []
    for i in reversed(range(len(alpha_bar))):
        now, after = alpha_bar[i], alpha_bar[i - 1] if i else 1.0
        noise = net(x, torch.tensor(i if times is None else int(times[i])))
        x0_hat = (x - (1 - now) ** 0.5 * noise) / now**0.5
        variance = eta**2 * (1 - after) / (1 - now) * (1 - now / after)
        mean = after**0.5 * x0_hat + max(1 - after - variance, 0) ** 0.5 * noise
        before_step.append(x)
        predictions.append(x0_hat)
        if large and eta == 1:
            variance = 1 - now / after
        x = mean if i == 0 or eta == 0 else mean + variance**0.5 * draw(x.shape)
    return torch.stack(before_step), torch.stack(predictions), x


def drawn_by(generator):
    """The noise as `sample` draws it: float32 numbers, whatever the chain computes in."""
    return lambda shape: torch.randn(shape, generator=generator).double()


KINDS = {
    "large": ({"eta": 1.0, "large": True}, lambda schedule, k=None: schedule.ddpm(k)),
    "small": ({"eta": 1.0, "large": False}, lambda schedule, k=None: schedule.ddpm(k, "small")),
    "all": ({"eta": 1.0, "large": False}, lambda schedule, k=None: schedule.ddim(k, eta=1)),
    "half": ({"eta": 0.5}, lambda schedule, k=None: schedule.ddim(k, eta=0.5)),
    "less": ({"eta": 0.3}, lambda schedule, k=None: schedule.ddim(k, eta=0.3)),
    "none": ({"eta": 0.0}, lambda schedule, k=None: schedule.ddim(k)),
}


def levels(steps):
    """alpha_bar and t that a chain of so many steps visits, the cleanest first."""
    times = np.linspace(99, 0, steps).round().astype(int)[::-1]
    return SCHEDULE.alpha_bar[times.copy()], times


@pytest.mark.parametrize("n", [1, 30, 1023, 1024, 1025])
@pytest.mark.parametrize("kind", ["large", "small", "all", "half", "none"])
def test_samples_are_those_of_the_textbook_on_the_same_noise(n, kind):
    settings, make = KINDS[kind]
    out = sample(n=n, chain=make(SCHEDULE, 12), observe=[mih.Keep("x_t"), mih.Keep("x0_hat")])
    draw, expected = drawn_by(seeded()), []
    alpha_bar, times = levels(12)
    for rows in np.array_split(range(n), -(-n // 1024)):  # block after block
        start = draw((len(rows), 1))
        expected.append(textbook(perturbed, alpha_bar, start, draw, times=times, **settings))
    for found, blocks in zip(
        (out.x_t, out.x0_hat, out.x), zip(*expected, strict=True), strict=True
    ):
        whole = torch.cat(blocks, dim=-2)
        assert found.shape == whole.shape
        torch.testing.assert_close(found, whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["large", "small", "less"])
def test_a_long_chain_is_that_of_the_textbook(kind):
    settings, make = KINDS[kind]
    schedule = mih.Schedule.linear(1000)
    exact = mih.ExactDenoiser(MIX, schedule)
    draw = drawn_by(seeded())
    _, _, expected = textbook(exact, schedule.alpha_bar, draw((8, 1)), draw, **settings)
    out = sample(exact, n=8, chain=make(schedule))
    torch.testing.assert_close(out.x, expected, rtol=1e-7, atol=1e-7)


def test_a_network_samples_in_its_own_precision():
    net = mih.ToyDenoiser(steps=100, generator=seeded())
    chain, start = SCHEDULE.ddim(5), torch.randn(30, 1, generator=seeded(1))
    single = sample(net, n=30, chain=chain, x_T=start).x
    double = sample(net.double(), n=30, chain=chain, x_T=start).x
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)
    alpha_bar, times = levels(5)
    with torch.no_grad():
        *_, expected = textbook(net, alpha_bar, start, None, 0.0, times=times)
    torch.testing.assert_close(double, expected, rtol=1e-9, atol=1e-9)


# diffusers


def run_diffusers(scheduler, steps, **settings):
    """Samples of diffusers' own loop, its tables in float64."""
    scheduler.betas = SCHEDULE.beta
    scheduler.alphas = 1.0 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, dim=0)
    scheduler.one = scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == list(reversed(range(steps)))
    generator = seeded()
    x = torch.randn(20, 1, generator=generator).double()
    for t in scheduler.timesteps:
        x = scheduler.step(perturbed(x, t), t, x, generator=generator, **settings).prev_sample
    return x


@pytest.fixture
def same_noise(monkeypatch):
    """Make diffusers draw float32 noise, as `sample` does, where it would draw float64."""

    def draw(shape, generator, device, dtype):
        return torch.randn(shape, generator=generator).to(dtype)

    for module in ("scheduling_ddpm", "scheduling_ddim"):
        monkeypatch.setattr(f"diffusers.schedulers.{module}.randn_tensor", draw)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_ddpm_is_that_of_diffusers(same_noise, variance):
    scheduler = DDPMScheduler(100, 5e-3, 0.3, variance_type=variance, clip_sample=False)
    expected = run_diffusers(scheduler, 100)
    found = sample(chain=SCHEDULE.ddpm(variance=variance.removeprefix("fixed_"))).x
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_that_of_diffusers(same_noise, eta):
    scheduler = DDIMScheduler(100, 5e-3, 0.3, clip_sample=False, set_alpha_to_one=True)
    expected = run_diffusers(scheduler, 100, eta=eta)
    found = sample(chain=SCHEDULE.ddim(eta=eta)).x
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


# What observers see


def test_kept_steps_are_those_asked_for_noisiest_first():
    start = torch.randn(1500, 1, dtype=torch.float64, generator=seeded(3))
    names = ("x_t", "x0_hat", "noise")
    whole = sample(n=1500, x_T=start, observe=[mih.Keep(name) for name in names])
    assert whole.x_t.shape == whole.x0_hat.shape == whole.noise.shape == (100, 1500, 1)
    assert torch.equal(whole.x_t[0], start)
    assert torch.equal(whole.noise[0], perturbed(start, torch.tensor(99)))
    torch.testing.assert_close(whole.x0_hat[-1], whole.x, rtol=1e-12, atol=1e-12)
    for steps in ((5, 0, 50), {5, 0, 50}, np.array([5, 0, 50]), (i for i in (50, 0, 5))):
        some = sample(n=1500, x_T=start, observe=[mih.Keep("x_t", steps=steps)])
        assert torch.equal(some.x_t, whole.x_t[[49, 94, 99]])
    last = sample(n=1500, x_T=start, observe=[mih.Keep("x0_hat", last=7)])
    assert torch.equal(last.x0_hat, whole.x0_hat[-7:])
    noisy = sample(n=1500, x_T=start, observe=[mih.Keep("x0_hat", steps=[50, 5])])
    assert torch.equal(noisy.x0_hat, whole.x0_hat[[49, 94]])  # the last step is not among them
    assert torch.equal(sample(n=1500, x_T=start).x, whole.x)


def test_a_moment_is_the_step_that_is_about_to_be_taken():
    class Watch:
        name = "watched"

        def __call__(self, moment, before):
            moments.append(moment)
            return moment.x0_hat[:, 0]

    moments, chain = [], SCHEDULE.ddpm(9)
    out = sample(chain=chain, observe=[Watch(), mih.Keep("x_t"), mih.Keep("x0_hat")])
    assert [m.left for m in moments] == list(range(9))[::-1]
    assert [m.t for m in moments] == [step.t for step in chain]
    for m, step, x_t, x0_hat in zip(moments, chain, out.x_t, out.x0_hat, strict=True):
        assert m.step == step
        assert torch.equal(m.x_t, x_t)
        assert torch.equal(m.x0_hat, x0_hat)
        assert torch.equal(m.noise, perturbed(x_t, torch.tensor(step.t)))
        alpha_bar = SCHEDULE.alpha_bar[step.t]
        formula = (x_t - (1 - alpha_bar).sqrt() * m.noise) / alpha_bar.sqrt()
        torch.testing.assert_close(m.x0_hat, formula, rtol=1e-9, atol=1e-9)
    assert torch.equal(out.watched, out.x0_hat[-1, :, 0])


class Path:
    """A detector of a reader's own: how far x0_hat travels over the last steps."""

    name = "path"

    def __init__(self, last):
        self.last = self.needs_steps = last

    def __call__(self, moment, before):
        way, seen = before or (0.0, moment.x0_hat)
        if moment.left < self.last - 1:
            way = way + (moment.x0_hat - seen).flatten(1).norm(dim=1)
        return (way, moment.x0_hat) if moment.left else way


@pytest.mark.parametrize("shape", [(1,), (2, 3)])
def test_a_detector_of_ones_own_beside_the_papers_in_one_pass(shape):
    kept = mih.Keep("x0_hat", last=6)
    out = sample(on_images, 1500, shape, observe=[mih.Hal(last=5), Path(6), kept])
    stored = out.x0_hat.numpy()
    way = np.sqrt((np.diff(stored, axis=0) ** 2).reshape(5, 1500, -1).sum(axis=2)).sum(axis=0)
    np.testing.assert_allclose(out.path.numpy(), way, rtol=1e-9)
    hal = stored[-5:].var(axis=0).reshape(1500, -1).mean(axis=1)
    np.testing.assert_allclose(out.hal.numpy(), hal, rtol=1e-5)
    alone = sample(on_images, 1500, shape, observe=[Path(6)])
    assert torch.equal(alone.path, out.path)
    assert torch.equal(alone.x, out.x)
    assert repr(out) == f"Samples(x, hal, path, x0_hat; x of shape {(1500, *shape)})"
    with refusal("chain", "5 steps"):
        sample(on_images, 5, shape, chain=SCHEDULE.ddpm(5), observe=[Path(6)])


def test_samples_say_what_was_observed_when_asked_for_something_else():
    out = sample(observe=[mih.Hal(), mih.Keep("x_t", last=1)])
    with pytest.raises(AttributeError, match=r"no 'x0_hat' \(observed: hal, x_t\)"):
        _ = out.x0_hat
    with pytest.raises(AttributeError, match=r"no 'hal' \(observed: nothing but x\)"):
        _ = sample().hal
    assert not hasattr(sample(), "hal")
    for again in (copy.deepcopy(out), pickle.loads(pickle.dumps(out))):
        assert torch.equal(again.hal, out.hal)
    by_hand = mih.Samples(out.x, hal=out.hal)
    assert by_hand.hal is out.hal


# Blocks, shapes, generators


@pytest.mark.parametrize("n", [1, 1023, 1024, 1025, 3000])
def test_blocks_change_nothing(n):
    start = torch.randn(n, 1, dtype=torch.float64, generator=seeded(4))
    chain = SCHEDULE.ddim(10)
    watch = [mih.Hal(last=5), mih.Keep("x_t", steps=[3]), Path(8)]
    whole = sample(n=n, chain=chain, x_T=start, observe=watch)
    rows = torch.arange(0, n, 7)
    part = sample(n=len(rows), chain=chain, x_T=start[rows], observe=watch)
    torch.testing.assert_close(whole.x[rows], part.x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole.hal[rows], part.hal, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(whole.x_t[:, rows], part.x_t, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole.path[rows], part.path, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5), (2,)])
def test_rows_have_any_shape(shape):
    start = torch.randn(700, *shape, dtype=torch.float64, generator=seeded(5))
    watch = [mih.Hal(last=3), mih.Keep("x_t", last=2)]
    out = sample(on_images, 700, shape, chain=SCHEDULE.ddim(6), x_T=start, observe=watch)
    alpha_bar, times = levels(6)
    *_, expected = textbook(on_images, alpha_bar, start, None, 0.0, times=times)
    torch.testing.assert_close(out.x, expected, rtol=1e-10, atol=1e-10)
    assert (out.hal.shape, out.x_t.shape) == ((700,), (2, 700, *shape))


def test_numbers_of_numpy_are_numbers():
    n, size, first, last = [np.int64(value) for value in (20, 1, 0, 5)]
    watch = [mih.Hal(last, first), mih.Keep("x_t", steps=np.arange(3)), mih.Keep("noise", last)]
    out = sample(n=n, shape=(size,), observe=watch)
    assert torch.equal(out.x, sample().x)


def test_no_block_is_larger_than_a_cache_and_none_is_empty():
    seen = []

    def net(x_t, t):
        seen.append(len(x_t))
        return x_t

    for n, shape in [(5000, (1,)), (1025, (2,)), (300, (1, 32, 32))]:
        seen.clear()
        sample(net, n, shape, chain=SCHEDULE.ddpm(2))
        assert sum(seen) == 2 * n
        assert max(seen) - min(seen) <= 1
        assert max(seen) * max(128, np.prod(shape)) <= 1024 * 128


def test_a_generator_decides_and_the_global_one_is_left_alone():
    before = torch.get_rng_state()
    first, again, other = (sample(generator=seeded(seed)).x for seed in (6, 6, 7))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(sample(generator=None).x, first)


@pytest.mark.parametrize("steps", [100, 9])
def test_the_net_is_told_the_original_t_as_one_number(steps):
    told = []

    def net(x_t, t):
        told.append(t)
        return x_t

    sample(net, chain=SCHEDULE.ddpm(steps))
    assert all(t.shape == () and not t.is_floating_point() for t in told)
    times = [int(t) for t in told]
    assert (len(times), times[0], times[-1]) == (steps, 99, 0)
    assert times == sorted(times, reverse=True)


def test_a_plain_function_computes_as_its_start_does():
    def net(x_t, t):
        assert x_t.dtype == wanted
        return x_t

    for wanted, start in [
        (torch.float64, torch.zeros(5, 1, dtype=torch.float64)),
        (torch.float32, torch.zeros(5, 1)),
        (torch.float32, torch.zeros(5, 1).long()),
        (torch.float32, None),
    ]:
        out = sample(net, n=5, x_T=start, observe=[mih.Hal(), mih.Keep("x0_hat", last=1)])
        assert out.x.dtype == out.hal.dtype == out.x0_hat.dtype == wanted
    assert sample(EXACT, n=5, x_T=torch.zeros(5, 1)).x.dtype == torch.float64


def test_the_net_evaluates_while_it_samples_and_is_left_as_it_was():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dropout, self.frozen = nn.Dropout(0.5), nn.Dropout(0.5)

        def forward(self, x_t, t):
            return self.frozen(self.dropout(x_t))

    net = Net()
    net.frozen.eval()
    plain = sample(lambda x_t, t: x_t).x
    for given in (net, mih.SwitchedDenoiser(net, net, below=10)):
        assert torch.equal(sample(given).x, plain)
        assert [net.training, net.dropout.training, net.frozen.training] == [True, True, False]
    with pytest.raises(ValueError):  # also when it fails
        sample(net, observe=[mih.Hal(last=101)])
    broken = Net()
    broken.dropout.forward = lambda x: x / torch.zeros(3, 5)
    with pytest.raises(RuntimeError):
        sample(broken)
    assert broken.training
    net.eval()
    assert torch.equal(sample(net).x, plain)
    assert not net.training


def test_samples_that_explode_are_warned_about():
    with pytest.warns(UserWarning, match="not finite"):
        sample(lambda x_t, t: x_t * float("inf"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample()


def test_samples_are_ordinary_tensors():
    net = mih.ToyDenoiser(steps=100, generator=seeded())
    watch = [mih.Hal(last=3), mih.Keep("x_t", last=1), mih.Keep("x0_hat", last=1)]
    out = sample(net, chain=SCHEDULE.ddpm(5), observe=watch)
    for tensor in (out.x, out.hal, out.x_t, out.x0_hat):
        tensor *= 2.0  # a tensor of torch.inference_mode would refuse this, and the next line
        assert (tensor.requires_grad_() ** 2).sum().requires_grad


def test_progress_is_shown_unless_it_is_not_wanted(capsys):
    sample(n=2, progress=True)
    assert "sampling" in capsys.readouterr().err
    sample(n=2)
    assert capsys.readouterr() == ("", "")


# Devices


def test_no_step_waits_for_the_device(host_syncs):
    net = mih.ToyDenoiser(steps=100, generator=seeded())
    counts = []
    for steps in (10, 60):
        chain = SCHEDULE.ddpm(steps)
        with host_syncs() as syncs:
            sample(net, chain=chain, observe=[mih.Hal(last=5), mih.Keep("x0_hat", last=2)])
        counts.append(syncs.count)
    assert counts[0] == counts[1]
    with host_syncs() as syncs:  # the counter does count
        sample(lambda x, t: 0 * x * float(t), chain=chain)
    assert syncs.count >= 60


@pytest.mark.parametrize("make", ["ddpm", "ddim"])
@pytest.mark.parametrize("name", ["toy", "exact", "switched", "function"])
def test_sampling_stays_on_a_device_that_is_not_the_cpu(name, make):
    """Tensors on "meta" have no numbers: a stray CPU tensor, or a look inside, fails."""

    def there(module, given):
        assert {tensor.device.type for tensor in given} == {"meta"}

    toy = mih.ToyDenoiser(steps=100).to("meta")
    toy.register_forward_pre_hook(there)
    nets = {"toy": toy, "exact": EXACT.to("meta"), "function": lambda x_t, t: there(0, [t]) or x_t}
    nets["switched"] = mih.SwitchedDenoiser(nets["exact"], nets["exact"], below=5)
    start = torch.zeros(1500, 1, device="meta" if name == "function" else "cpu")
    watch = [mih.Hal(last=5), *(mih.Keep(name, steps=[0, 7]) for name in ("x_t", "x0_hat"))]
    settings = {"chain": getattr(SCHEDULE, make)(10), "observe": watch, "x_T": start}
    for given in (settings, settings | {"x_T": None}) if name != "function" else (settings,):
        out = sample(nets[name], 1500, generator=None, **given)
        for tensor, shape in (
            (out.x, (1500, 1)),
            (out.hal, (1500,)),
            (out.x_t, (2, 1500, 1)),
            (out.x0_hat, (2, 1500, 1)),
        ):
            assert (tensor.device.type, tensor.shape) == ("meta", shape)


def test_meta_would_notice_a_stray_cpu_tensor():
    net = mih.ToyDenoiser(steps=100).to("meta")
    stray = torch.zeros(20, 1)
    net.forward = lambda x_t, t: x_t + stray
    with pytest.raises(RuntimeError):
        sample(net, generator=None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("steps", [1, 20])
def test_a_gpu_gives_the_samples_of_the_cpu(steps):
    start = torch.randn(3000, 1, generator=seeded())
    chain = SCHEDULE.ddim(20) if steps > 1 else SCHEDULE.ddpm(1)  # one step draws no noise
    here = sample(EXACT, 3000, chain=chain, x_T=start, observe=[mih.Hal(last=1)])
    there = sample(
        EXACT.to("cuda"),
        3000,
        chain=chain,
        x_T=start,
        observe=[mih.Hal(last=1)],
        generator=torch.Generator("cuda").manual_seed(0),
    )
    assert there.x.device.type == there.hal.device.type == "cuda"
    torch.testing.assert_close(there.x.cpu(), here.x, rtol=1e-6, atol=1e-6)


# torch.compile


def test_without_a_compiler_it_says_so_once_and_goes_on(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    net = mih.ToyDenoiser(steps=100, generator=seeded())
    chain = SCHEDULE.ddpm(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = [sample(net, chain=chain, compile=True).x for _ in range(2)]
    assert [str(w.message) for w in caught if "compiler" in str(w.message)] == [
        str(caught[0].message)
    ]
    assert torch.equal(found[0], sample(net, chain=chain).x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="no C++ compiler")
def test_compiled_samples_are_those_of_eager():
    net = mih.ToyDenoiser(width=16, steps=100, generator=seeded())
    chain, watch = SCHEDULE.ddpm(4), [mih.Hal(last=3)]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "compile=True")
        found = sample(net, 1500, chain=chain, compile=True, observe=watch)
    assert isinstance(_device.compiled(net), torch._dynamo.OptimizedModule)
    expected = sample(net, 1500, chain=chain, observe=watch)
    torch.testing.assert_close(found.x, expected.x, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.hal, expected.hal, rtol=1e-2, atol=1e-2)


# Bad input


def unnamed(moment, before):
    """Not an observer: it has no name."""


def named(name):
    return type("Observer", (), {"name": name, "__call__": lambda *_: None})()


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"n": 0}, "n", "0"),
        ({"n": 1.5}, "n", "1.5"),
        ({"n": True}, "n", "True"),
        ({"n": "20"}, "n", "'20'"),
        ({"shape": 1}, "shape", "1"),
        ({"chain": SCHEDULE}, "chain", "Schedule(100 steps"),
        ({"x_T": [[0.0]]}, "x_T", "list"),
        ({"net": mih.ToyDenoiser(steps=50)}, "chain", "t = [99]"),
        ({"net": mih.ExactDenoiser(MIX, mih.Schedule.linear(50, 0.01, 0.5))}, "chain", "t = [99]"),
        ({"net": mih.SmoothedDenoiser(mih.ToyDenoiser(steps=50), 0.1)}, "chain", "t = [99]"),
        ({"shape": ()}, "shape", "()"),
        ({"shape": (0,)}, "shape", "(0,)"),
        ({"shape": (1, -2)}, "shape", "-2"),
        ({"shape": (1.5,)}, "shape", "1.5"),
        ({"observe": mih.Hal()}, "observe", "Hal"),
        ({"observe": [unnamed]}, "observe", "[None]"),
        ({"observe": [named("x")]}, "observe", "['x']"),
        ({"observe": [named("observed")]}, "observe", "['observed']"),
        ({"observe": [types.SimpleNamespace(name="a")]}, "observe", "['a']"),  # cannot be called
        ({"observe": [mih.Hal(), mih.Hal(last=9)]}, "observe", "['hal', 'hal']"),
        ({"observe": [mih.Hal(last=101)]}, "chain", "100 steps"),
        ({"observe": [mih.Keep("x_t", last=101)]}, "chain", "100 steps"),
        ({"observe": [mih.Keep("x_t", steps=[3, 100])]}, "chain", "100 steps"),
        ({"x_T": torch.zeros(20)}, "x_T.shape", "(20,)"),
        ({"x_T": torch.zeros(19, 1)}, "x_T.shape", "(19, 1)"),
        ({"generator": 0}, "generator", "int"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(settings, name, value):
    with refusal(name, value):
        sample(**settings)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"name": "hal"}, "name", "hal"),
        ({"last": 0}, "last", "0"),
        ({"last": 2.5}, "last", "2.5"),
        ({"steps": []}, "steps", "[]"),
        ({"steps": [0.5]}, "steps", "0.5"),
        ({"steps": [3, -1]}, "steps", "-1"),
    ],
)
def test_steps_that_cannot_be_kept_are_refused(settings, name, value):
    with refusal(name, value):
        mih.Keep(**{"name": "x_t"} | settings)
