"""The sampler: against the textbook step by step, diffusers, and a variance taken afterwards."""

import shutil
import warnings

import numpy as np
import pytest
import torch
from conftest import double, refusal
from diffusers import DDIMScheduler, DDPMScheduler

import mih_utils as mih
from mih_utils import _device

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)


@double
def perturbed(x_t, t):
    """Any callable is a denoiser; this one errs, as a network does."""
    return EXACT(x_t, t) + 0.1 * torch.sin(3 * x_t + 0.01 * t)


@double
def on_images(x_t, t):
    """A denoiser for rows of any shape, whose rows do not mix."""
    return torch.tanh(x_t) * (0.9 - 0.001 * t)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sample(net=perturbed, n=20, shape=(1,), schedule=SCHEDULE, **settings):
    settings = {"generator": seeded(), "progress": False} | settings
    return mih.sample(net, schedule, n, shape, **settings)


def textbook(net, beta, start, draw, eta=1.0, fixed_large=True, timesteps=None):
    """x_t and x0_hat before each step, and the samples, one formula after the other in float64.

    Song et al. 2021, eq. 12, which for eta = 1 is the posterior mean of Ho et al. 2020, eq. 7.
    """
    alpha_bar = torch.cumprod(1 - beta, dim=0).tolist()
    x, before_step, predictions = start.double(), [], []
    for i in reversed(range(len(beta))):
        now, after = alpha_bar[i], alpha_bar[i - 1] if i else 1.0
        noise = net(x, torch.tensor(i if timesteps is None else timesteps[i]))
        x0_hat = (x - (1 - now) ** 0.5 * noise) / now**0.5
        variance = eta**2 * (1 - after) / (1 - now) * (1 - now / after)
        mean = after**0.5 * x0_hat + max(1 - after - variance, 0) ** 0.5 * noise
        before_step.append(x)
        predictions.append(x0_hat)
        if fixed_large and eta == 1:
            variance = 1 - now / after
        x = mean if i == 0 or eta == 0 else mean + variance**0.5 * draw(x.shape)
    return torch.stack(before_step), torch.stack(predictions), x


def drawn_by(generator):
    """The noise as `sample` draws it: float32 numbers, whatever the chain computes in."""
    return lambda shape: torch.randn(shape, generator=generator).double()


@pytest.mark.parametrize("n", [1, 30, 1023, 1024, 1025])
@pytest.mark.parametrize(
    ("eta", "fixed_large"), [(1.0, True), (1.0, False), (0.5, True), (0.5, False), (0.0, True)]
)
def test_samples_are_those_of_the_textbook_on_the_same_noise(n, eta, fixed_large):
    chain = SCHEDULE.respaced(12)
    out = sample(n=n, schedule=chain, eta=eta, fixed_large=fixed_large, keep=range(12))
    draw, expected = drawn_by(seeded()), []
    for rows in np.array_split(range(n), -(-n // 1024)):  # block after block
        start = draw((len(rows), 1))
        times = chain.timesteps.tolist()
        expected.append(textbook(perturbed, chain.beta, start, draw, eta, fixed_large, times))
    for found, blocks in zip(
        (out.x_t, out.x0_hat, out.x), zip(*expected, strict=True), strict=True
    ):
        whole = torch.cat(blocks, dim=-2)
        assert found.shape == whole.shape
        torch.testing.assert_close(found, whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("eta", "fixed_large"), [(1.0, True), (1.0, False), (0.3, False)])
def test_a_long_chain_is_that_of_the_textbook(eta, fixed_large):
    schedule = mih.Schedule.linear(1000)
    exact = mih.ExactDenoiser(MIX, schedule)
    draw = drawn_by(seeded())
    _, _, expected = textbook(exact, schedule.beta, draw((8, 1)), draw, eta, fixed_large)
    out = sample(exact, n=8, schedule=schedule, eta=eta, fixed_large=fixed_large)
    torch.testing.assert_close(out.x, expected, rtol=1e-7, atol=1e-7)


def test_a_network_samples_in_its_own_precision():
    net = mih.ToyDenoiser(steps=100, generator=seeded())
    chain, start = SCHEDULE.respaced(5), torch.randn(30, 1, generator=seeded(1))
    single = sample(net, n=30, schedule=chain, x_T=start, eta=0).x
    double = sample(net.double(), n=30, schedule=chain, x_T=start, eta=0).x
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        *_, expected = textbook(net, chain.beta, start, None, 0.0, True, chain.timesteps.tolist())
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
    found = sample(fixed_large=variance == "fixed_large").x
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_that_of_diffusers(same_noise, eta):
    scheduler = DDIMScheduler(100, 5e-3, 0.3, clip_sample=False, set_alpha_to_one=True)
    expected = run_diffusers(scheduler, 100, eta=eta)
    found = sample(eta=eta, fixed_large=False).x
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


# Hal and trajectories


class Single(torch.nn.Module):
    """A denoiser made to compute in float32."""

    def __init__(self, net):
        super().__init__()
        self.net, self.weight = net, torch.nn.Parameter(torch.zeros(1))

    def forward(self, x_t, t):
        return self.net(x_t, t)


@pytest.mark.parametrize("window", [(0, 1), (0, 5), (3, 10), (90, 100), (0, 100)])
@pytest.mark.parametrize("net", [perturbed, Single(perturbed)], ids=["float64", "float32"])
def test_hal_is_the_population_variance_of_the_stored_x0_hat(net, window):
    out = sample(net, n=300, window=window, keep=range(*window))
    stored = out.x0_hat.double().numpy()
    assert len(stored) == window[1] - window[0]
    assert out.hal.dtype == out.x.dtype
    expected = stored.var(axis=0, ddof=0).mean(axis=1)
    assert (expected > 0).all() or window == (0, 1)
    np.testing.assert_allclose(out.hal.double().numpy(), expected, rtol=1e-5, atol=0)


def test_hal_is_averaged_over_every_axis_of_a_row():
    out = sample(on_images, n=30, shape=(2, 4, 4), window=(2, 30), keep=range(2, 30))
    expected = out.x0_hat.numpy().var(axis=0).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(out.hal.numpy(), expected, rtol=1e-5)


def test_hal_survives_data_far_from_zero():
    """Where squares are 10^8 times the variance, a difference of sums would be noise."""
    far = mih.ExactDenoiser(mih.GaussianMixture.line([500, 501], std=0.05), SCHEDULE)
    out = sample(far, n=50, window=(0, 10), keep=range(10))
    expected = out.x0_hat.numpy().var(axis=0).mean(axis=1)
    np.testing.assert_allclose(out.hal.numpy(), expected, rtol=1e-5)


def test_kept_steps_are_those_asked_for_noisiest_first():
    start = torch.randn(1500, 1, dtype=torch.float64, generator=seeded(3))
    whole = sample(n=1500, x_T=start, keep=range(100))
    assert whole.x_t.shape == whole.x0_hat.shape == (100, 1500, 1)
    assert torch.equal(whole.x_t[0], start)
    torch.testing.assert_close(whole.x0_hat[-1], whole.x, rtol=1e-12, atol=1e-12)
    some = sample(n=1500, x_T=start, keep=(5, 0, 50))
    assert torch.equal(some.x_t, whole.x_t[[49, 94, 99]])
    assert torch.equal(some.x0_hat, whole.x0_hat[[49, 94, 99]])
    nothing = sample(n=1500, x_T=start)
    assert torch.equal(nothing.x, whole.x)
    assert nothing.hal is nothing.x_t is nothing.x0_hat is None


# Blocks, shapes, generators


@pytest.mark.parametrize("n", [1, 1023, 1024, 1025, 3000])
def test_blocks_change_nothing(n):
    start = torch.randn(n, 1, dtype=torch.float64, generator=seeded(4))
    chain = SCHEDULE.respaced(10)
    whole = sample(n=n, schedule=chain, x_T=start, eta=0, window=(0, 5), keep=[3])
    rows = torch.arange(0, n, 7)
    part = sample(n=len(rows), schedule=chain, x_T=start[rows], eta=0, window=(0, 5), keep=[3])
    torch.testing.assert_close(whole.x[rows], part.x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole.hal[rows], part.hal, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(whole.x_t[:, rows], part.x_t, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5), (2,)])
def test_rows_have_any_shape(shape):
    start = torch.randn(700, *shape, dtype=torch.float64, generator=seeded(5))
    chain = SCHEDULE.respaced(6)
    out = sample(
        on_images, 700, shape, schedule=chain, x_T=start, eta=0, window=(0, 3), keep=[0, 1]
    )
    times = chain.timesteps.tolist()
    *_, expected = textbook(on_images, chain.beta, start, None, 0.0, True, times)
    torch.testing.assert_close(out.x, expected, rtol=1e-10, atol=1e-10)
    assert (out.hal.shape, out.x_t.shape) == ((700,), (2, 700, *shape))


def test_numbers_of_numpy_are_numbers():
    whole = [np.int64(value) for value in (20, 1, 0, 5)]
    out = sample(n=whole[0], shape=(whole[1],), window=(whole[2], whole[3]), keep=np.arange(3))
    assert torch.equal(out.x, sample().x)


def test_no_block_is_larger_than_a_cache_and_none_is_empty():
    seen = []

    def net(x_t, t):
        seen.append(len(x_t))
        return x_t

    for n, shape in [(5000, (1,)), (1025, (2,)), (300, (1, 32, 32))]:
        seen.clear()
        sample(net, n, shape, schedule=SCHEDULE.respaced(2))
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

    sample(net, schedule=SCHEDULE.respaced(steps))
    assert all(t.shape == () and not t.is_floating_point() for t in told)
    times = [int(t) for t in told]
    assert (len(times), times[0], times[-1]) == (steps, 99, 0)
    assert times == sorted(times, reverse=True)


def test_a_plain_function_computes_in_float32():
    start = torch.zeros(5, 1, dtype=torch.float64)
    assert sample(lambda x_t, t: x_t, n=5, x_T=start).x.dtype == torch.float32
    assert sample(EXACT, n=5, x_T=start.float()).x.dtype == torch.float64


def test_samples_that_explode_are_warned_about():
    with pytest.warns(UserWarning, match="not finite"):
        sample(lambda x_t, t: x_t * float("inf"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample()


def test_samples_are_ordinary_tensors():
    net = mih.ToyDenoiser(steps=100, generator=seeded())
    out = sample(net, window=(0, 3), keep=[0], schedule=SCHEDULE.respaced(5))
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
        chain = SCHEDULE.respaced(steps)
        with host_syncs() as syncs:
            sample(net, schedule=chain, window=(0, 5), keep=[0, 1])
        counts.append(syncs.count)
    assert counts[0] == counts[1]
    with host_syncs() as syncs:  # the counter does count
        sample(lambda x, t: 0 * x * float(t), schedule=chain)
    assert syncs.count >= 60


@pytest.mark.parametrize("eta", [1.0, 0.0])
@pytest.mark.parametrize("name", ["toy", "exact", "function"])
def test_sampling_stays_on_a_device_that_is_not_the_cpu(name, eta):
    """Tensors on "meta" have no numbers: a stray CPU tensor, or a look inside, fails."""

    def there(module, given):
        assert {tensor.device.type for tensor in given} == {"meta"}

    toy = mih.ToyDenoiser(steps=100).to("meta")
    toy.register_forward_pre_hook(there)
    nets = {"toy": toy, "exact": EXACT.to("meta"), "function": lambda x_t, t: there(0, [t]) or x_t}
    start = torch.zeros(1500, 1, device="meta" if name == "function" else "cpu")
    settings = {"window": (0, 5), "keep": [0, 7], "eta": eta, "x_T": start}
    for given in (settings, settings | {"x_T": None}) if name != "function" else (settings,):
        out = sample(nets[name], 1500, schedule=SCHEDULE.respaced(10), generator=None, **given)
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
@pytest.mark.parametrize("eta", [1.0, 0.0])
def test_a_gpu_gives_the_samples_of_the_cpu(eta):
    start = torch.randn(3000, 1, generator=seeded())
    chain = SCHEDULE.respaced(1 if eta else 20)  # one step draws no noise
    here = sample(EXACT, 3000, schedule=chain, x_T=start, eta=eta, window=(0, 1))
    there = sample(
        EXACT.to("cuda"),
        3000,
        schedule=chain,
        x_T=start,
        eta=eta,
        window=(0, 1),
        generator=torch.Generator("cuda").manual_seed(0),
    )
    assert there.x.device.type == there.hal.device.type == "cuda"
    torch.testing.assert_close(there.x.cpu(), here.x, rtol=1e-6, atol=1e-6)


# torch.compile


def test_without_a_compiler_it_says_so_once_and_goes_on(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    net = mih.ToyDenoiser(steps=100, generator=seeded())
    chain = SCHEDULE.respaced(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = [sample(net, schedule=chain, compile=True).x for _ in range(2)]
    assert [str(w.message) for w in caught if "compiler" in str(w.message)] == [
        str(caught[0].message)
    ]
    assert torch.equal(found[0], sample(net, schedule=chain).x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="no C++ compiler")
def test_compiled_samples_are_those_of_eager():
    net = mih.ToyDenoiser(width=16, steps=100, generator=seeded())
    chain = SCHEDULE.respaced(4)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "compile=True")
        found = sample(net, 1500, schedule=chain, compile=True, window=(0, 3))
    assert isinstance(_device.compiled(net), torch._dynamo.OptimizedModule)
    expected = sample(net, 1500, schedule=chain, window=(0, 3))
    torch.testing.assert_close(found.x, expected.x, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.hal, expected.hal, rtol=1e-2, atol=1e-2)


# Bad input


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"n": 0}, "n", "0"),
        ({"n": 1.5}, "n", "1.5"),
        ({"n": True}, "n", "True"),
        ({"n": "20"}, "n", "'20'"),
        ({"shape": 1}, "shape", "1"),
        ({"window": 5}, "window", "5"),
        ({"window": (0, 2.5)}, "window", "2.5"),
        ({"keep": [0.5]}, "keep", "0.5"),
        ({"eta": "DDIM"}, "eta", "DDIM"),
        ({"eta": float("nan")}, "eta", "nan"),
        ({"x_T": [[0.0]]}, "x_T", "list"),
        ({"net": mih.ToyDenoiser(steps=50)}, "schedule", "t = [50]"),
        ({"net": mih.ExactDenoiser(MIX, SCHEDULE.respaced(9))}, "schedule", "t = [1]"),
        ({"shape": ()}, "shape", "()"),
        ({"shape": (0,)}, "shape", "(0,)"),
        ({"shape": (1, -2)}, "shape", "-2"),
        ({"shape": (1.5,)}, "shape", "1.5"),
        ({"window": (0, 101)}, "window", "101"),
        ({"window": (5, 5)}, "window", "(5, 5)"),
        ({"window": (6, 5)}, "window", "(6, 5)"),
        ({"window": (-1, 5)}, "window", "-1"),
        ({"window": (1, 2, 3)}, "window", "(1, 2, 3)"),
        ({"keep": [100]}, "keep", "100"),
        ({"keep": [3, -1]}, "keep", "-1"),
        ({"eta": -0.1}, "eta", "-0.1"),
        ({"eta": 2}, "eta", "2"),
        ({"x_T": torch.zeros(20)}, "x_T.shape", "(20,)"),
        ({"x_T": torch.zeros(19, 1)}, "x_T.shape", "(19, 1)"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(settings, name, value):
    with refusal(name, value):
        sample(**settings)
