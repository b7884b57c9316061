"""How fast the package is, beside a plain implementation: `python tools/bench.py`.

Plain is what the authors' code is described to do: the time embedding for every row in every block,
the whole batch at once, x_t and x0_hat of all steps stored, their variance taken afterwards. It has
the weights of the same network, and first of all it is checked that both give the same numbers.

Every measurement runs in a process of its own; they take turns, and the best of --repeats counts.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

import mih_utils as mih

NET = "line123-net"
WINDOW = (0, 10)
BATCH = 10_000
CACHED = 1024  # rows at a time, which stay in a CPU's cache


def plain_forward(net, x, t):
    """ToyDenoiser without its shortcuts: t has a number for each row, and each block embeds it."""
    half = net.time_in.in_features // 2
    h = net.x_in(x)
    for _ in range(net.blocks):
        frequency = torch.exp(
            -torch.arange(half, dtype=x.dtype) / half * torch.log(torch.tensor(1e4))
        )
        angle = t[:, None].to(x.dtype) * frequency
        time = torch.cat([angle.sin(), angle.cos()], dim=1)
        time = net.time_out(F.leaky_relu(net.time_in(time), 0.02))
        inner = net.linear_in(F.leaky_relu(net.norm_in(h), 0.02)) + time
        h = h + net.linear_out(F.leaky_relu(net.norm_out(inner), 0.02))
    return net.x_out(h)


@torch.no_grad()
def plain_sample(net, chain, n, generator=None):
    """DDPM with variance beta, and Hal from the stored x0_hat: (samples, Hal)."""
    dtype, steps = net.x_in.weight.dtype, len(chain)
    every_x = torch.empty(steps + 1, n, 1, dtype=dtype)
    every_x0 = torch.empty(steps, n, 1, dtype=dtype)
    x = every_x[steps] = torch.randn(n, 1, generator=generator).to(dtype)
    for step in chain:
        i, a = step.left, step.signal**2
        p = chain[steps - i].signal ** 2 if i else 1.0
        b = 1 - a / p
        x0 = (x - (1 - a) ** 0.5 * plain_forward(net, x, torch.full((n,), step.t))) / a**0.5
        x = (p**0.5 * b * x0 + (1 - b) ** 0.5 * (1 - p) * x) / (1 - a)
        if i > 0:
            x = x + b**0.5 * torch.randn(n, 1, generator=generator).to(dtype)
        every_x[i], every_x0[i] = x, x0
    return every_x[0], every_x0[slice(*WINDOW)].var(dim=0, unbiased=False).mean(dim=1)


def plain_train(net, data, schedule, steps, generator=None):
    """The losses of training at batch 10,000."""
    optimiser, losses = torch.optim.Adam(net.parameters(), lr=2e-3), []
    for _ in range(steps):
        rows = torch.randint(len(data), (BATCH,), generator=generator)
        t = torch.randint(len(schedule), (BATCH,), generator=generator)
        noise = torch.randn(BATCH, 1, generator=generator)
        loss = F.mse_loss(plain_forward(net, schedule.add_noise(data[rows], t, noise), t), noise)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return torch.tensor(losses)


def our_sample(net, chain, n, generator=None, **settings):
    hal = mih.Hal(first=WINDOW[0], last=WINDOW[1])
    settings |= {"observe": [hal], "generator": generator, "progress": False}
    return mih.sample(net, chain, n, (1,), **settings)


def our_train(net, data, schedule, steps, generator=None):
    return mih.train(
        net, data, schedule, steps, batch=BATCH, generator=generator, progress=False
    ).loss


@torch.inference_mode()
def products(net, chain, n):
    """Nothing but the six 128 × 128 products that a network of three blocks needs."""
    weights = (net.linear_in.weight, net.linear_out.weight)
    for h in torch.randn(n, net.linear_in.in_features).split(CACHED):
        for _ in range(len(chain) * net.blocks):
            for weight in weights:
                F.linear(h, weight)


def train_products(net, steps):
    """The products of training: each of the six goes forward once, and back twice."""
    weights = (net.linear_in.weight, net.linear_out.weight)
    h = torch.randn(BATCH, net.linear_in.in_features)
    with torch.inference_mode():
        for _ in range(steps * net.blocks):
            for weight in weights:
                F.linear(h, weight)
                h @ weight
                h.T @ h


def check_agreement():
    """Plain and ours give the same samples, Hal and losses from the same random numbers."""
    a = mih.artifact(NET)
    net, chain = a.net.double(), a.schedule.ddpm()
    x, hal = plain_sample(net, chain, 200, torch.Generator().manual_seed(0))
    ours = our_sample(net, chain, 200, torch.Generator().manual_seed(0))
    close = {"rtol": 1e-3, "atol": 1e-6}  # plain has sinusoids in float64, ours in float32
    torch.testing.assert_close(ours.x, x, **close)
    torch.testing.assert_close(ours.hal, hal, **close)
    data = a.mixture.sample(20_000, torch.Generator().manual_seed(1))
    losses = [
        train(mih.artifact(NET).net, data, a.schedule, 2, torch.Generator().manual_seed(2))
        for train in (our_train, plain_train)
    ]
    torch.testing.assert_close(*losses, rtol=1e-2, atol=0)


# Measuring


def memory(field):
    """A line of this process's status in bytes: VmRSS, the memory now, or VmHWM, its peak."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux: the peak since the start is all that can be had
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def measured(run):
    """Seconds that a call takes, and the memory it adds at its peak."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    except OSError:
        pass
    before, start = memory("VmRSS"), time.perf_counter()
    run()
    return {"seconds": time.perf_counter() - start, "bytes": memory("VmHWM") - before}


def measure(name, n, steps, train_steps):
    """One measurement; what is loaded once and used ever after is loaded before it."""
    a = mih.artifact(NET)
    net, chain = a.net, a.schedule.ddpm(steps)
    data = a.mixture.sample(20_000)
    short = a.schedule.ddpm(20)
    plain_sample(net, short, 8)
    our_sample(net, short, 8)
    if name == "sample, compiled":
        our_sample(net, short, n, compile=True)
    if name.startswith("train"):
        plain_train(net, data, a.schedule, 2)
        our_train(net, data, a.schedule, 2)
    runs = {
        "sample, plain": lambda: plain_sample(net, chain, n),
        "sample": lambda: our_sample(net, chain, n),
        "sample, compiled": lambda: our_sample(net, chain, n, compile=True),
        "products": lambda: products(net, chain, n),
        "train, products": lambda: train_products(net, train_steps),
        "train, plain": lambda: plain_train(net, data, a.schedule, train_steps),
        "train": lambda: our_train(net, data, a.schedule, train_steps),
        "exact density": lambda: mih.exact_density(
            net, chain, torch.linspace(-1, 5, 2048), progress=False
        ),
    }
    return measured(runs[name])


TRAIN = ("train, plain", "train", "train, products")
NAMES = ["sample, plain", "sample", "products", "sample, compiled", *TRAIN, "exact density"]


def report(best, n, steps, train_steps):
    """The table: what was compared, the measurements, their ratio, and what it should be."""
    seconds = {name: run["seconds"] for name, run in best.items()}
    megabytes = {name: run["bytes"] / 1e6 for name, run in best.items()}
    milliseconds = {name: 1e3 * s / train_steps for name, s in seconds.items()}
    sample, products = ("sample, plain", "sample"), ("sample", "products")
    rows = [
        ("time, plain : ours", seconds, "s", sample, "≥ 3"),
        ("additional memory, plain : ours", megabytes, "MB", sample, "≥ 50"),
        ("time, ours : its six products alone", seconds, "s", products, "≤ 1.6"),
        ("the same with torch.compile", seconds, "s", ("sample, compiled", "products"), "≤ 1.6"),
        (f"training step of {BATCH:,}, plain : ours", milliseconds, "ms", TRAIN[:2], "≥ 1.5"),
        ("the same, ours : its products alone", milliseconds, "ms", TRAIN[1:], "≤ 1.6"),
        (f"exact_density, 2,048 points × {steps:,}", seconds, "s", ("exact density",), "< 6"),
    ]
    print(f"Sampling: {n:,} samples × {steps:,} steps with Hal.\n")
    print(f"{'':42}{'measured':>20}{'ratio':>9}{'goal':>8}")
    for label, values, unit, names, goal in rows:
        pair = [values[name] for name in names]
        ratio = pair[0] / max(pair[1], 1e-3) if len(pair) == 2 else pair[0]
        bound = float(goal.split()[1])
        missed = "" if (ratio >= bound if "≥" in goal else ratio <= bound) else "  missed"
        text = " : ".join(f"{value:.1f}" for value in pair) + f" {unit:2}"
        shown = f"{ratio:.2f}" if len(pair) == 2 else ""
        print(f"{label:42}{text:>20}{shown:>9}{goal:>8}{missed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20_000, help="samples")
    parser.add_argument("--steps", type=int, default=1000, help="steps of the chain")
    parser.add_argument("--train-steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    sizes = {"n": wanted.n, "steps": wanted.steps, "train_steps": wanted.train_steps}
    if wanted.one:
        print(json.dumps(measure(wanted.one, **sizes)))
        return
    check_agreement()
    print(f"Plain and ours agree. {torch.get_num_threads()} threads, torch {torch.__version__}.")
    options = [f"--{key.replace('_', '-')}={value}" for key, value in sizes.items()]
    found = {name: [] for name in NAMES}
    for _ in range(wanted.repeats):
        for name in NAMES:
            command = [sys.executable, __file__, "--one", name, *options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    best = {
        name: {key: min(run[key] for run in runs) for key in ("seconds", "bytes")}
        for name, runs in found.items()
    }
    report(best, **sizes)


if __name__ == "__main__":
    main()
