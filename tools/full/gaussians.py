"""The line and the grid: networks trained as long as the paper's, their densities, the detector."""

import torch

import mih_utils as mih

from .work import Work

K = 6.0  # beyond so many widths of a mode the data has practically nothing
AIMED = 0.97  # share of the hallucinations that a threshold aims to remove
DATA = {
    "line123": mih.GaussianMixture.line([1, 2, 3], std=0.05),
    "grid25": mih.GaussianMixture.grid(5, spacing=2, std=0.05).standardised(),
}


def schedule(work: Work) -> mih.Schedule:
    """The paper's; a chain that is shorter for a test has larger steps."""
    steps = work.scale.chain
    return mih.Schedule.linear(steps, beta_start=1 / steps, beta_end=min(0.6, 200 / steps))


def network(work: Work, data: str) -> mih.ToyDenoiser:
    unused = torch.Generator()
    return mih.ToyDenoiser(dim=DATA[data].dim, steps=work.scale.chain, generator=unused)


def steps_of(work: Work, data: str) -> int:
    """Steps of an epoch times the epochs, as in the released code."""
    scale = work.scale
    points = scale.line_points if data == "line123" else scale.grid_points
    return scale.epochs * max(1, points // scale.batch)


def trained(data: str, seed: int):
    """The part that trains a network and keeps its weights."""

    def part(work: Work) -> dict:
        scale, name = work.scale, f"{data}-net-{seed}"
        points = scale.line_points if data == "line123" else scale.grid_points
        generator = work.generator(seed)
        first = torch.Generator().manual_seed(seed)
        net = mih.ToyDenoiser(dim=DATA[data].dim, steps=scale.chain, generator=first)
        history = mih.train(
            net.to(work.device),
            DATA[data].sample(points, generator),
            schedule(work),
            steps_of(work, data),
            batch=scale.batch,
            observe=[work.checkpoint(name)],
            progress=work.progress,
            generator=generator,
        )
        work.keep_net(name, net)
        return {"steps": steps_of(work, data), "loss": float(history.loss[-100:].mean())}

    return part


def line_densities(seed: int):
    """The part that computes where on the line a network's mass between the modes is made."""

    def part(work: Work) -> dict:
        mixture, chain = DATA["line123"], schedule(work).ddpm()
        net = work.stored_net(f"line123-net-{seed}", network(work, "line123"))
        exact = mih.ExactDenoiser(mixture, schedule(work)).to(work.device)
        late = mih.SwitchedDenoiser(early=net, late=exact, below=5)
        alone = mih.SwitchedDenoiser(early=exact, late=net, below=15)
        grid = torch.linspace(0, 4, work.scale.line_grid)
        found = {}
        for name, denoiser in (("own", net), ("exact", exact), ("late", late), ("alone", alone)):
            density = mih.exact_density(denoiser, chain, grid, progress=work.progress)
            found[name] = density.bridge_mass(mixture, K)
        return found

    return part


def plane_densities(seed: int | None):
    """The part that computes a network's mass outside the grid's modes; None: the exact one's."""

    def part(work: Work) -> dict:
        mixture = DATA["grid25"]
        if seed is None:
            denoiser = mih.ExactDenoiser(mixture, schedule(work)).to(work.device)
        else:
            denoiser = work.stored_net(f"grid25-net-{seed}", network(work, "grid25"))
        reach = float(mixture.means.abs().max()) + 0.35
        spacing = work.scale.plane_spacing * mixture.std
        axis = torch.arange(-reach, reach, spacing, dtype=torch.float64)
        chain = schedule(work).ddpm()
        density = mih.exact_density_2d(denoiser, chain, axis, progress=work.progress)
        return {"outside": density.mass_outside(mixture, K), "lost": density.lost}

    return part


def detector(data: str, seed: int):
    """The part that draws samples and counts what a threshold on Hal does to the other half."""

    def part(work: Work) -> dict:
        mixture, scale = DATA[data], work.scale
        n = scale.line_samples if data == "line123" else scale.grid_samples
        out = mih.sample(
            work.stored_net(f"{data}-net-{seed}", network(work, data)),
            schedule(work).ddpm(),
            n,
            (mixture.dim,),
            observe=[mih.Hal(last=5)],
            progress=work.progress,
            generator=work.generator(1000 + seed),
        )
        bad = (mixture.to(work.device).distance(out.x) > K).cpu()
        counts = {"hallucinated": int(bad.sum()), "samples": n}
        if counts["hallucinated"] < 2 or n - counts["hallucinated"] < 2:
            return counts  # nothing to choose a threshold on
        halves = torch.Generator().manual_seed(seed)
        report = mih.detection_report(out.hal.cpu(), bad, removed=AIMED, generator=halves)
        held_out = counts["hallucinated"] // 2, (n - counts["hallucinated"]) // 2
        shares = report.removed, report.retained
        pairs = [[round(share * m), m] for share, m in zip(shares, held_out, strict=True)]
        return counts | {"removed": pairs[0], "retained": pairs[1], "auc": report.auc}

    return part


def parts(work: Work) -> dict:
    """All parts by name, in an order in which each finds what it needs."""
    found = {}
    for data in DATA:
        for seed in work.scale.seeds:
            found[f"{data}-net-{seed}"] = trained(data, seed)
            density = line_densities if data == "line123" else plane_densities
            found[f"{data}-density-{seed}"] = density(seed)
            found[f"{data}-detector-{seed}"] = detector(data, seed)
    return found | {"grid25-density-exact": plane_densities(None)}


def figures(work: Work) -> dict[str, dict]:
    """The figures of the claims, as their contracts ask for them, from the parts that are done."""
    seeds = work.scale.seeds
    line = [work.record(f"line123-density-{seed}") for seed in seeds]
    plane = [work.record(f"grid25-density-{seed}") for seed in seeds]
    exact = work.record("grid25-density-exact")
    found = {}
    if all(line):
        own, control, late, alone = (
            [record["numbers"][name] for record in line]
            for name in ("own", "exact", "late", "alone")
        )
        found["line-between"] = {"fold": divided(own, control), "mass": own}
        found["line-when"] = {
            "left": divided(late, own),
            "made": divided(alone, own),
            "control": divided(control, own),
        }
    if all(plane) and exact:
        mass = [record["numbers"]["outside"] for record in plane]
        fold = divided(mass, [exact["numbers"]["outside"]] * len(mass))
        found["grid-outside"] = {"fold": fold, "mass": mass}
    for data, claim in (("line123", "hal-line"), ("grid25", "hal-grid")):
        records = [work.record(f"{data}-detector-{seed}") for seed in seeds]
        if all(record and "removed" in record["numbers"] for record in records):
            found[claim] = shares([record["numbers"] for record in records])
    return found


def divided(a: list[float], b: list[float]) -> list[float]:
    """One by the other; nothing counts as the least number, so that a fold stays finite."""
    return [x / max(y, 1e-300) for x, y in zip(a, b, strict=True)]


def shares(counts: list[dict]) -> dict:
    """Removed, of all networks together, and retained, network by network: exact intervals."""
    caught, bad = (sum(c["removed"][i] for c in counts) for i in (0, 1))
    return {
        "removed": list(mih.binomial_interval(caught, bad)),
        "retained": [list(mih.binomial_interval(*c["retained"])) for c in counts],
    }
