"""What the laboratory computes in the page is what the package computes: node asks Python.

The reference values are computed here, when the test runs; tests/js/reference.test.mjs compares.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import mih_utils as mih

ROOT = Path(__file__).parents[2]
BATCH, LR = 96, 5e-3


@pytest.fixture(scope="session")
def node():
    path = shutil.which("node")
    if path is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("no node on this machine (on Debian and Ubuntu: apt-get install nodejs)")
    return path


def run(node, script, **environment):
    command = [node, "--test", "--test-reporter=tap", str(ROOT / "tests/js" / script)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def flat(tensors):
    return {name: tensor.detach().flatten().tolist() for name, tensor in tensors}


def network_reference(width, steps):
    """A network's guesses, gradients and two steps of Adam on one batch."""
    generator = torch.Generator().manual_seed(width)
    net = mih.ToyDenoiser(width=width, steps=steps, generator=generator)
    with torch.no_grad():  # gains and shifts as they are after training, not ones and zeros
        for norm in (net.norm_in, net.norm_out):
            norm.weight += 0.3 * torch.randn(width, generator=generator)
            norm.bias += 0.3 * torch.randn(width, generator=generator)
    schedule = mih.Schedule.linear(steps)
    t = torch.randint(steps, (BATCH,), generator=generator)
    noise = torch.randn(BATCH, 1, generator=generator)
    x0 = mih.GaussianMixture.line([1, 2, 3], std=0.05).sample(BATCH, generator)
    x = schedule.add_noise(x0, t, noise)
    given = {"width": width, "steps": steps, "weights": flat(net.named_parameters())}
    given |= {"x": x[:, 0].tolist(), "t": t.tolist(), "noise": noise[:, 0].tolist()}
    optimiser = torch.optim.Adam(net.parameters(), lr=LR)
    steps_of_adam = []
    for _ in range(2):
        optimiser.zero_grad()
        guess = net(x, t)
        torch.nn.functional.mse_loss(guess, noise).backward()
        given.setdefault("guess", guess[:, 0].tolist())
        gradient = flat((name, weight.grad) for name, weight in net.named_parameters())
        given.setdefault("gradient", gradient)
        optimiser.step()
        after = flat(net.named_parameters())
        steps_of_adam.append({"gradient": gradient, "lr": LR, "weights": after})
    return given | {"adam": steps_of_adam}


def schedule_reference(steps):
    schedule = mih.Schedule.linear(steps)
    names = ("t", "x", "noise", "std", "signal", "sigma", "left")
    chains = {
        sampler: [{name: getattr(step, name) for name in names} for step in chain]
        for sampler, chain in (("ddpm", schedule.ddpm()), ("ddim", schedule.ddim()))
    }
    return {"steps": steps, "alphaBar": schedule.alpha_bar.tolist(), "chains": chains}


def exact_reference():
    steps, mixture = 200, mih.GaussianMixture.line([0.5, 1.7, 4], std=0.1)
    exact = mih.ExactDenoiser(mixture, mih.Schedule.linear(steps))
    x, t = torch.linspace(-3, 6, 91, dtype=torch.float64), torch.arange(91) * 2
    noise = exact(x[:, None], t)[:, 0].tolist()
    given = {"means": mixture.means[:, 0].tolist(), "std": mixture.std, "steps": steps}
    return given | {"x": x.tolist(), "t": t.tolist(), "noise": noise}


def density_references():
    """Mass between the modes, of the exact denoiser and of short trainings."""
    for means, std, steps, width, trained in (
        ([1, 2, 3], 0.05, 100, 32, 400),
        ([1, 2, 4, 5], 0.03, 200, 64, 200),
    ):
        mixture, schedule = mih.GaussianMixture.line(means, std), mih.Schedule.linear(steps)
        generator = torch.Generator().manual_seed(steps)
        net = mih.ToyDenoiser(width=width, steps=steps, generator=generator)
        data = mixture.sample(2000, generator)
        mih.train(
            net,
            data,
            schedule,
            steps=trained,
            batch=256,
            lr=LR,
            progress=False,
            generator=generator,
        )
        grid = torch.linspace(means[0] - 1, means[-1] + 1, 2048)
        exact = mih.ExactDenoiser(mixture, schedule)
        common = {"means": means, "std": std, "steps": steps}
        for denoiser, who in ((exact, "exact"), (net, "learned")):
            weights = flat(net.named_parameters()) if who == "learned" else None
            for sampler, chain in (("ddpm", schedule.ddpm()), ("ddim", schedule.ddim())):
                density = mih.exact_density(denoiser, chain, grid, progress=False)
                yield common | {
                    "name": f"{who}, {sampler}, {len(means)} modes",
                    "sampler": sampler,
                    "mass": density.bridge_mass(mixture, 6),
                    "weights": weights,
                    "width": width,
                }


@pytest.mark.filterwarnings("ignore:.*of the mass left the grid")
@pytest.mark.slow
def test_the_page_computes_what_the_package_computes(node, tmp_path):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([weight], lr=LR)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 50)
    rates = []
    for _ in range(50):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        annealing.step()
    reference = {
        "networks": [network_reference(*case) for case in ((32, 100), (64, 200), (128, 80))],
        "schedules": [schedule_reference(steps) for steps in (100, 1000)],
        "exact": exact_reference(),
        "densities": list(density_references()),
        "cosine": {"lr": LR, "steps": 50, "rates": rates},
    }
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(reference))
    print(run(node, "reference.test.mjs", MIH_REFERENCE=str(path)))


@pytest.mark.slow
def test_the_page_agrees_with_itself(node):
    run(node, "laboratory.test.mjs")
