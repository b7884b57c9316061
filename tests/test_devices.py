"""Every public function on a second device, which needs no hardware (see second_device.py).

Its results are there, and are those of the CPU. A generator on the wrong device is refused by name.
"""

import inspect

import pytest
import torch
from conftest import refusal
from second_device import CPU, SECOND, OnSecond, place, second_device, second_generator

import mih_utils as mih
from mih_utils._device import initial_weights


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def on(device, seed=0):
    """A generator on a device."""
    return second_generator(seed) if device == SECOND else seeded(seed)


def points(device, n=6, dim=2):
    return torch.linspace(-1.5, 1.5, n * dim).reshape(n, dim).to(device)


def line(device):
    return mih.GaussianMixture.line([-1, 1], std=0.1).to(device)


def plane(device):
    return mih.GaussianMixture.grid(2, spacing=2, std=0.1).to(device)


def schedule(device="cpu"):
    return mih.Schedule.linear(20, 0.02, 0.6).to(device)


def toy(device, dim=2):
    return mih.ToyDenoiser(dim=dim, width=16, steps=20, generator=seeded()).to(device)


def unet(device):
    net = mih.UNet(channels=8, multipliers=(1,), steps=20, generator=on(device))
    return mih.VelocityTarget(net, schedule()).to(device)


def at(device, t=3):
    return torch.tensor(t, device=device)


def images(device, n=5):
    return mih.shapes.dataset(n, 16, generator=on(device))


def both(net, device, x):
    """What a denoiser says of one t for all, and of a t for each."""
    each = torch.arange(len(x), device=device)
    with torch.no_grad():
        return [net(x, at(device)), net(x, each)]


def mixture(device):
    mix, x = plane(device), points(device)
    alpha_bar = torch.linspace(0.1, 0.9, len(x), device=device)
    exact = [f(x, a) for f in (mix.score, mix.posterior_mean) for a in (0.5, alpha_bar)]
    drawn = [mix.sample(5, on(device)), mix.log_prob(x), *mix.nearest(x), mix.distance(x)]
    return [*drawn, *exact, mix.standardised().means]


def training(device):
    net, exact = toy(device), mih.ExactDenoiser(plane(device), schedule(device))
    excess = mih.ExcessLoss(exact)
    data = plane("cpu").sample(50, seeded())  # is moved to where the net is
    history = mih.train(
        net,
        data,
        schedule(),
        5,
        batch=8,
        observe=[excess, mih.EMA(0.9)],
        progress=False,
        generator=on(device),
    )
    assert place(history.loss) == place(excess.excess) == CPU
    return list(net.parameters())


def sampling(device, **settings):
    observe = [mih.Hal(last=4), mih.Keep("x0_hat", last=2)]
    out = mih.sample(
        toy(device),
        schedule().ddpm(),
        7,
        (2,),
        observe=observe,
        progress=False,
        generator=on(device),
        **settings,
    )
    return [out.x, out.hal, out.x0_hat]


def from_given_noise(device):
    return sampling(device, x_T=torch.randn(7, 2, generator=seeded()))  # on the CPU


def rejection(device):
    out, drawn = mih.sample_below(
        toy(device),
        schedule().ddpm(),
        5,
        (2,),
        threshold=1e9,
        progress=False,
        generator=on(device),
    )
    return [out.x, out.hal, drawn]


def density(device):
    mix, grid = line(device), torch.linspace(-2, 2, 300)
    found = []
    for chain in (schedule().ddpm(), schedule().ddim()):
        p = mih.exact_density(mih.ExactDenoiser(mix, schedule(device)), chain, grid, progress=False)
        drawn = p.sample(20, on(device))
        found += [drawn, p.mass_outside(mix, 6), p.gap_masses(mix, 6), p.widths(mix)]
    return found


def density_2d(device):
    mix, axis = plane(device), torch.linspace(-2, 2, 60)
    net = mih.ExactDenoiser(mix, schedule(device))
    p = mih.exact_density_2d(net, schedule().ddpm(), axis, progress=False)
    return [p.mass_outside(mix, 6), p.widths(mix)]


def censuses(device):
    x, weight = points(device, 40), torch.ones(40, dtype=torch.float64)  # on the CPU
    bridges = mih.bridge_census(plane(device), x, weight=weight)
    modes = mih.mode_census(plane(device), plane(device).sample(50, on(device)))
    assert place(modes.shares) == place(modes.widths) == CPU
    return [bridges.mass, bridges.pair, bridges.hallucinated, bridges.nowhere, modes.entropy]


def detection(device):
    suspicion = torch.rand(40, device=device, generator=on(device))
    truth = suspicion > 0.6
    report = mih.detection_report(suspicion, truth, generator=seeded())  # splits on the CPU
    bad, good = suspicion[truth], suspicion[~truth]
    assert mih.choose_threshold(bad, 0.5) == mih.choose_threshold(bad.cpu(), 0.5)
    settings, rates = torch.arange(4, device=device), torch.rand(4, 3, generator=seeded())
    trend = mih.trend(settings, rates.to(device), shuffles=50, generator=seeded())
    hal = mih.Hal.of(points(device).reshape(3, 2, 2))
    return [*mih.roc(bad, good), mih.auc(bad, good), report.removed, report.auc, *trend, hal]


def shapes(device):
    found = mih.shapes.census(images(device))
    column = mih.shapes.largest_column(images(device))
    shades = torch.from_numpy(mih.to_shades(images(device))).to(device)
    return [images(device), found.counts, found.confidence, column, mih.from_shades(shades)]


def distributions(device):
    x = torch.randn(3, 1, 16, 16, device=device, generator=on(device))
    some = mih.EmpiricalDistribution(images(device))
    every = mih.ShapesDistribution(16).to(device)
    return [f(x, 0.7) for d in (some, every) for f in (d.posterior_mean, d.score)]


def classifier(device):
    net = mih.DigitClassifier(generator=on(device)).to(device)
    there, here = images(device), images("cpu")  # images are moved to the net
    labels = torch.zeros(len(here), dtype=torch.long)
    assert net.classes(here).equal(net.classes(there))
    assert 0 <= net.accuracy(here, labels) == net.accuracy(there, labels.to(device)) <= 1
    return [net.features(here), net.features(there)]


def metrics(device):
    a = torch.randn(30, 3, device=device, generator=on(device))
    b = torch.randn(30, 3, generator=seeded(1))  # on the CPU
    return [mih.frechet_distance(a, b), *mih.density_coverage(a, b)]


def recursion(device):
    def fit(data, generator):
        net = mih.ToyDenoiser(dim=2, width=16, steps=20, generator=generator).to(device)
        mih.train(net, data, schedule(), 3, batch=8, progress=False, generator=generator)
        return net

    def draw(net, n, generator):
        settings = {"observe": [mih.Hal()], "progress": False, "generator": generator}
        return mih.sample(net, schedule().ddpm(), n, (2,), **settings)

    found, data = [], plane(device).sample(20, on(device))
    for protocol in mih.recursion.PROTOCOLS:
        for keep in (mih.recursion.lowest_hal(0.2), mih.recursion.at_random(0.2)):
            settings = {"protocol": protocol, "keep": keep, "progress": False}
            last = list(mih.recursion.run(data, fit, draw, 2, **settings))[-1]
            assert place(last.x) == place(last.hal) == CPU
            found.append(float(last.x.isfinite().double().mean()))
    return [*found, *mih.gaussian_refit.simulate(5, 3, repeats=10, generator=on(device))]


CASES = {
    "mixture": (mixture, ["GaussianMixture"]),
    "schedule": (
        lambda d: [
            schedule(d).add_noise(points(d), at(d), points(d)),
            *schedule(d).training_batch(points(d), on(d)),
        ],
        ["Schedule"],
    ),
    "step": (
        lambda d: [schedule(d).ddpm(5)[0].mean(points(d), points(d))],
        ["Chain", "Step"],
    ),
    "toy network": (lambda d: both(toy(d), d, points(d)), ["ToyDenoiser"]),
    "exact denoiser": (
        lambda d: both(mih.ExactDenoiser(plane(d), schedule(d)), d, points(d)),
        ["ExactDenoiser"],
    ),
    "smoothed denoiser": (
        lambda d: both(mih.SmoothedDenoiser(toy(d), torch.full((20,), 0.1)), d, points(d)),
        ["SmoothedDenoiser"],
    ),
    "switched denoiser": (
        lambda d: both(mih.SwitchedDenoiser(early=toy(d), late=toy(d), below=4), d, points(d)),
        ["SwitchedDenoiser"],
    ),
    "x0": (
        lambda d: [mih.predict_x0(toy(d), points(d), 3, schedule()).detach()],
        ["predict_x0"],
    ),
    "targets": (
        lambda d: [
            y
            for target in (mih.VelocityTarget, mih.X0Target)
            for y in both(target(toy(d), schedule()).to(d), d, points(d))
        ],
        ["VelocityTarget", "X0Target"],
    ),
    "training": (training, ["train", "EMA", "ExcessLoss"]),
    "sampling": (sampling, ["sample", "Keep", "Hal"]),
    "given noise": (from_given_noise, []),
    "rejection": (rejection, ["sample_below"]),
    "density": (density, ["exact_density", "Density"]),
    "density in the plane": (density_2d, ["exact_density_2d", "Density2D"]),
    "censuses": (censuses, ["bridge_census", "mode_census"]),
    "detection": (
        detection,
        ["detection_report", "choose_threshold", "roc", "auc", "trend"],
    ),
    "seeds": (
        lambda d: [*mih.mean_interval(points(d)[:, 0]), *mih.page_trend(points(d)[:8])],
        ["mean_interval", "page_trend"],
    ),
    "shapes": (shapes, ["from_shades", "to_shades"]),
    "distributions": (distributions, ["EmpiricalDistribution", "ShapesDistribution"]),
    "classifier": (classifier, ["DigitClassifier"]),
    "metrics": (metrics, ["frechet_distance", "density_coverage"]),
    "U-Net": (lambda d: both(unet(d), d, images(d)), ["UNet"]),
    "recursion": (recursion, []),
}


@pytest.mark.parametrize("name", CASES)
def test_results_lie_where_the_work_was_done_and_are_those_of_the_cpu(name):
    compute, _ = CASES[name]
    expected = compute(CPU)
    with second_device() as device:
        found = compute(device)
        where = {place(value) for value in found if isinstance(value, torch.Tensor)}
        mine = [value.to("cpu") if isinstance(value, OnSecond) else value for value in found]
    inside = {place(v) for v in expected if isinstance(v, torch.Tensor)}
    assert inside <= {CPU}
    assert where <= {SECOND} or name in ("density", "density in the plane")
    assert len(mine) == len(expected)
    for one, other in zip(mine, expected, strict=True):
        torch.testing.assert_close(
            torch.as_tensor(one), torch.as_tensor(other), rtol=1e-4, atol=1e-5
        )


# What has nothing to do with devices: words, loaders, records of results.
APART = {
    *("Artifact", "ArtifactError", "Bridges", "Checkpoint", "DataError", "Denoiser"),
    *("DetectionReport", "History", "Modes", "Moment", "Profile", "Samples", "TrainingObserver"),
    *("Claim", "Finding", "binomial_interval", "claim", "claims_table", "contracts"),
    *("artifact", "load_digits", "load_mnist", "markdown", "notebook_setup", "percent"),
    *("percent_of", "share_interval", "verdict", "width_by_exact_chain"),
}


def test_no_public_function_is_forgotten():
    public = {
        name
        for name, value in vars(mih).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith("mih_utils")
        and ".viz" not in value.__module__
    }
    tested = {name for _, names in CASES.values() for name in names}
    assert public - tested - APART == set()
    assert tested <= public


# A generator that lies on the wrong device

WRONG = {
    "sample": lambda d, g: mih.sample(toy(d), schedule().ddpm(), 3, (2,), generator=g),
    "train": lambda d, g: mih.train(toy(d), points("cpu"), schedule(), 2, generator=g),
    "sample_below": lambda d, g: mih.sample_below(
        toy(d), schedule().ddpm(), 3, (2,), threshold=1.0, generator=g
    ),
    "training_batch": lambda d, g: schedule(d).training_batch(points(d), g),
}
ON_THE_CPU = {
    "detection_report": lambda d, g: mih.detection_report(
        points(d, dim=1)[:, 0], points(d, dim=1)[:, 0] > 0, generator=g
    ),
    "trend": lambda d, g: mih.trend(torch.arange(6, device=d), points(d), shuffles=5, generator=g),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_generator_elsewhere_is_refused_by_name(name):
    with second_device() as device:
        with refusal("generator.device", "cpu"):
            WRONG[name](device, seeded())
        with refusal("generator.device", "xpu"):
            WRONG[name](CPU, second_generator())


@pytest.mark.parametrize("name", ON_THE_CPU)
def test_a_generator_that_must_be_on_the_cpu_is_refused_elsewhere(name):
    with second_device() as device, refusal("generator.device", "xpu"):
        ON_THE_CPU[name](device, second_generator())


# First weights


MAKERS = {
    "toy": lambda g: mih.ToyDenoiser(width=16, generator=g),
    "unet": lambda g: mih.UNet(channels=8, generator=g),
    "classifier": lambda g: mih.DigitClassifier(generator=g),
}


@pytest.mark.parametrize("name", MAKERS)
def test_networks_take_a_generator_of_any_device(name):
    """Their weights begin on the CPU; the generator decides them, and goes on."""
    with second_device():
        generator = second_generator()
        first, next_one = MAKERS[name](generator), MAKERS[name](generator)
        again = MAKERS[name](second_generator())
    for a, b, c in zip(*(n.parameters() for n in (first, again, next_one)), strict=True):
        assert place(a) == CPU
        assert a.equal(b)
        assert a.ndim == 1 or not a.any() or not a.equal(c)
    if name != "toy":  # from one number, the same on any device
        on_the_cpu = MAKERS[name](seeded())
        for a, b in zip(first.parameters(), on_the_cpu.parameters(), strict=True):
            assert a.equal(b)


@pytest.mark.parametrize("name", MAKERS)
def test_first_weights_leave_every_global_generator_alone(name, monkeypatch):
    """Not even seeding it and putting it back: on a GPU that could not be undone."""

    def touched(*_):
        raise AssertionError("a global generator was seeded")

    for owner, seed in ((torch, "manual_seed"), (torch.cuda, "manual_seed_all")):
        monkeypatch.setattr(owner, seed, touched)
    monkeypatch.setattr(torch.random, "manual_seed", touched)
    before = torch.get_rng_state()
    MAKERS[name](seeded())
    assert torch.get_rng_state().equal(before)


def test_first_weights_are_torchs_own_distribution():
    """Uniform within 1 / sqrt(inputs), as torch draws them itself."""
    net = torch.nn.Module()
    with initial_weights(net, seeded()):
        net.linear, net.conv = torch.nn.Linear(400, 300), torch.nn.Conv2d(16, 500, 3)
        net.norm = torch.nn.LayerNorm(7)
    for layer, inputs in ((net.linear, 400), (net.conv, 144)):
        bound = inputs**-0.5
        for weight in layer.parameters():
            scaled = weight.detach().flatten().double() / bound
            assert scaled.abs().max() <= 1
            error = 4 / len(scaled) ** 0.5
            assert abs(float(scaled.mean())) < error
            assert float(scaled.square().mean()) == pytest.approx(1 / 3, abs=error)
    assert net.norm.weight.eq(1).all() and net.norm.bias.eq(0).all()
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**62, (), generator=seeded())))
        by_torch = torch.nn.Linear(400, 300)
    assert net.linear.weight.equal(by_torch.weight) and net.linear.bias.equal(by_torch.bias)


# The double itself


def test_the_second_device_does_not_mix_with_the_cpu():
    with second_device() as device:
        there, here = torch.ones(3, device=device), torch.ones(3)
        assert there.device == (there + 1).device == there.clone().device == device
        assert (there * torch.tensor(2.0)).device == device  # a single number may come from here
        assert there.cpu().device == here.device == CPU
        for mixed in (
            lambda: there + here,
            lambda: torch.cat([there, here]),
            lambda: torch.where(here > 0, there, there),
            lambda: torch.nn.functional.embedding(here.long(), there[:, None]),
            lambda: torch.rand(3, generator=second_generator()),
            lambda: torch.rand(3, device=device, generator=seeded()),
            lambda: toy(CPU)(torch.ones(3, 2, device=device), at(device)),
            lambda: toy(device)(torch.ones(3, 2, device=device), torch.zeros(3).long()),
        ):
            with pytest.raises(RuntimeError, match=r"device|generator"):
                mixed()
        with pytest.raises(TypeError):
            there.numpy()
