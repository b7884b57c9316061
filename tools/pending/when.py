"""Chapter 1: in which steps the bridges are made, and whether a network's slope foretells them."""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_1d
from .common import SCHEDULE, kept, save
from .push import Push, best_detector

NETS = ("line123-net", "line123-net-1", "line123-net-2")
K = 6.0
CODE = [__file__, __file__.replace("when.py", "push.py")]
WINDOWS = [(0, 5), (5, 15), (15, 60), (60, 1000)]  # steps, counted from the end
SHOWN = [0, 1, 2, 5, 10, 15, 20, 30, 50, 80]  # steps left at which the committor is kept
POINTS = 1024
CHAINS = [50, 100, 250, 500, 1000]
ETAS = [0.0, 0.5, 1.0]


def targets(mixture):
    """Two lists of intervals: between neighbours beyond K std, and the middle fifths of the gaps."""
    means, reach = mixture.means[:, 0].tolist(), K * mixture.std
    gaps = list(zip(means[:-1], means[1:], strict=True))
    between = [(a + reach, b - reach) for a, b in gaps if b - a > 2 * reach]
    return between, [((a + b) / 2 - (b - a) / 10, (a + b) / 2 + (b - a) / 10) for a, b in gaps]


def inside(intervals):
    """Whether points (n, 1) lie in one of the intervals."""
    return lambda x: sum((low < x[:, 0]) & (x[:, 0] < high) for low, high in intervals) > 0


def swaps(net):
    """Mass that ends between the modes when one denoiser takes the steps before k, another the rest.

    early/late: (steps, 2), k from 0 on: the network early and the exact one in the last k steps,
    and the other way round; `window`: the exact one in WINDOWS only. Also the committor.
    """
    source = mih.artifact(net)
    mixture, schedule = source.mixture, source.schedule
    means = mixture.means[:, 0]
    low, high = float(means.min()) - 1, float(means.max()) + 1
    learned = Push(source.net, schedule, low, high, points=POINTS)
    exact = Push(mih.ExactDenoiser(mixture, schedule), schedule, low, high, points=POINTS)
    goals = [inside(intervals) for intervals in targets(mixture)]
    forwards = {"net": learned.forwards(), "exact": exact.forwards()}
    backwards = {"net": learned.backwards(*goals), "exact": exact.backwards(*goals)}

    def mass(early, late):
        f, b = forwards[early], backwards[late]
        both = [f[k] @ b[k] for k in range(len(schedule))]  # late takes the steps k … 0
        return torch.stack(both).numpy()

    windows = []
    for first, last in WINDOWS:
        before = min(last, len(schedule)) - 1
        inside = exact.forwards(forwards["net"][before], before, max(first - 1, 0))
        goal = backwards["exact"][0] if first == 0 else backwards["net"][first - 1]
        windows.append((inside[max(first - 1, 0)] @ goal).numpy())
    f, b = forwards["net"], backwards["net"]
    detector = [best_detector(f[k], b[k][:, 0]) for k in range(len(schedule))]
    return {
        "exact_late": mass("net", "exact"),
        "net_late": mass("exact", "net"),
        "net": mass("net", "net"),
        "exact": mass("exact", "exact"),
        "windows": np.stack(windows),
        "detector": np.array(detector),
        "committor_x": torch.stack([learned.axis(k) for k in SHOWN]).numpy(),
        "committor": torch.stack([b[k][:, 0] for k in SHOWN]).numpy(),
        "committor_mass": torch.stack([f[k] for k in SHOWN]).numpy(),
    }


def eta_and_steps(net, eta, steps):
    """Mass between the modes of a network and of the exact denoiser: (2, 2 targets)."""
    source = mih.artifact(net)
    mixture, chain = source.mixture, source.schedule
    chain = chain if steps == len(chain) else chain.respaced(steps)
    grid = torch.linspace(0, 4, 2048)
    rows = []
    for denoiser in (source.net, mih.ExactDenoiser(mixture, source.schedule)):
        density = mih.exact_density(denoiser, chain, grid, eta=eta, progress=False)
        rows.append([sum(density.mass_between(*i) for i in goal) for goal in targets(mixture)])
    return {"mass": np.array(rows)}


def make_when(name="line123-when"):
    """Of three networks: every swap, the committor, and eta against the number of steps."""
    runs = [kept(swaps, {"net": net}, CODE) for net in tqdm(NETS, "swaps")]
    arrays = {}
    for what in ("exact_late", "net_late", "windows", "detector"):
        arrays[what] = np.stack([run[what] for run in runs]).astype(np.float32)
    arrays["net"] = np.stack([run["net"][0] for run in runs])
    arrays["exact"] = np.stack([run["exact"][0] for run in runs])
    for what in ("committor_x", "committor", "committor_mass"):
        arrays[what] = runs[0][what].astype(np.float32)
    seconds = sum(float(run["seconds"]) for run in runs)
    masses = np.zeros((len(NETS), len(ETAS), len(CHAINS), 2, 2))
    for (i, net), (j, eta), (k, steps) in tqdm(
        [(a, b, c) for a in enumerate(NETS) for b in enumerate(ETAS) for c in enumerate(CHAINS)],
        "eta and steps",
    ):
        found = kept(eta_and_steps, {"net": net, "eta": eta, "steps": steps}, CODE)
        masses[i, j, k] = found["mass"]
        seconds += float(found["seconds"])
    arrays |= {"eta_steps": masses, "etas": np.array(ETAS), "chains": np.array(CHAINS)}
    save(
        name,
        arrays,
        gaussian_1d.line([1, 2, 3]),
        seed=[0, 1, 2],
        seconds=seconds,
        nets=list(NETS),
        windows=WINDOWS,
        shown=SHOWN,
        k=K,
        order={"masses": ["between modes beyond 6 std", "middle fifth of the gaps"]},
    )


RECIPES = {"line123-when": (make_when,)}
