"""Chapter 2: in which steps the bridges in the plane are made, and the best detector at every step.

The contract grid-when is in mih_utils/claims.yml; its new networks are those of the diamond.
"""

import numpy as np
import torch
from tqdm import tqdm

import mih_utils as mih

from . import gaussian_2d
from .common import SCHEDULE, code_of, kept, net_name, save
from .push import Push, best_detector

SEEDS = (0, 1, 2)
K = 6.0
FIRST = 299  # chains start here, where x_t is noise
SWAPS = [*range(1, 16), 20, 25, 30, 40, 60, 100]  # steps that the second denoiser takes
DETECTOR = [0, *SWAPS]
CODE = [
    *code_of("chain", "schedule", "mixture", "census"),
    __file__,
    __file__.replace("when_2d.py", "push.py"),
]


def pushes(data, seed):
    """Masses before the steps that matter, and chances to end beyond K std or in the middle of a
    bridge, of a network or (seed None) the exact denoiser."""
    mixture, schedule = gaussian_2d.DATA[data], mih.Schedule.linear(**SCHEDULE)
    if seed is None:
        denoiser = mih.ExactDenoiser(mixture, schedule)
    else:
        denoiser = mih.artifact(net_name(data, seed)).net
    reach = float(mixture.means.abs().max()) + 0.35
    push = Push(denoiser, schedule.ddpm(), -reach, reach, dim=2, first=FIRST)
    f = push.forwards()
    b = push.backwards(
        lambda x: mixture.distance(x) > K, lambda x: gaussian_2d.in_the_middle(mixture, x)
    )
    steps = sorted({*DETECTOR, *(k - 1 for k in SWAPS)})
    arrays = {f"f{k}": f[k].float().numpy() for k in steps}
    return arrays | {f"b{k}": b[k].float().numpy() for k in steps}


def make_when(data):
    """Of three networks: mass beyond K std and in the middle of bridges after every swap."""
    exact = kept(pushes, {"data": data, "seed": None}, CODE)
    found = [kept(pushes, {"data": data, "seed": seed}, CODE) for seed in tqdm(SEEDS, "swaps")]

    def mass(early, late, k):  # late takes the last k steps
        return early[f"f{k - 1}"].astype(float) @ late[f"b{k - 1}"].astype(float)

    def detector(run, k):
        f, b = (torch.from_numpy(run[f"{w}{k}"].astype(float)) for w in "fb")
        return best_detector(f, b[:, 0])

    save(
        f"{data}-when",
        {
            "steps": np.array(SWAPS),
            "exact_late": np.array([[mass(run, exact, k) for k in SWAPS] for run in found]),
            "net_late": np.array([[mass(exact, run, k) for k in SWAPS] for run in found]),
            "net": np.array([mass(run, run, 1) for run in found]),
            "exact": mass(exact, exact, 1),
            "detector_steps": np.array(DETECTOR),
            "detector": np.array([[detector(run, k) for k in DETECTOR] for run in found]),
        },
        gaussian_2d.DATA[data],
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in (exact, *found)),
        k=K,
        order={"masses": ["beyond 6 std", "middle fifth of a bridge"]},
    )


RECIPES = {f"{data}-when": (make_when, data) for data in gaussian_2d.DATA}
