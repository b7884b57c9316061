"""Chapter 2: what moves the rate on the grid, by six settings a factor and three seeds as blocks.

The contracts grid-points, grid-std, grid-imbalance and grid-chain are in mih_utils/claims.yml. Not
run yet: 57 networks of 20,000 steps, about two minutes each on a quiet core.
"""

from tqdm import tqdm

from .common import SCHEDULE, kept, save
from .gaussian_2d import BASE, BATCH, DENSITY_CODE, by_factor, one_run, sweep_mixture

SEEDS = (10, 11, 12)
FACTORS = {
    "points": [300, 1000, 3000, 10_000, 30_000, 100_000],
    "std": [0.05, 0.06, 0.07, 0.08, 0.09, 0.1],
    "imbalance": [1, 2, 4, 8, 16, 25],
    "chain": [100, 150, 250, 400, 650, 1000],
}
CODE = [*DENSITY_CODE, __file__]


def settings_of(factor, value, seed):
    """What `one_run` needs; the exact score (seed None) knows no training."""
    settings = {**BASE, "chain": SCHEDULE["steps"], factor: value, "seed": seed}
    return settings | {"points": BASE["points"]} if seed is None else settings


def make_trends(name="grid25-trends"):
    """FACTOR (values,), FACTOR/WHAT (values, seeds), FACTOR/exact_WHAT (values,)."""
    cases = [(f, v, s) for s in (*SEEDS, None) for f, values in FACTORS.items() for v in values]
    found = {case: kept(one_run, settings_of(*case), CODE) for case in tqdm(cases, "trends")}
    save(
        name,
        by_factor(found, FACTORS, SEEDS, "/"),
        sweep_mixture(BASE["std"], 1),
        seed=list(SEEDS),
        seconds=sum(float(run["seconds"]) for run in found.values()),
        training={**BASE, "batch": BATCH},
        factors=FACTORS,
    )


RECIPES = {"grid25-trends": (make_trends,)}
