"""How often a contract leads to each verdict if the truth is as stated.

    python tools/power.py [CLAIM …]

An entry of `power` in mih_utils/claims.yml states a truth in words, and in numbers as `draws`: what
is drawn for each figure. Here such figures are drawn many times and given to the claim, and
the verdicts are counted. Where nothing is random, `power` says so in words. A draw is one of

    {share: p, n: N}                    a share seen in N samples, as an exact binomial interval
    {share: p, n: N, seeds: S}          the same for each of S networks
    {less: [p, q], n: [N, M], seeds: S}     share p of N less share q of M, for each of S networks,
                                        as an interval of the least favourable ends of both
    {number: m, spread: f, seeds: S}    one number for each seed, around m by a factor of about f
    {difference: m, spread: s, seeds: S}    one number for each seed, around m by about s either way
    {fold: m, spread: f, seeds: S}      their mean on the logarithm, with a 95% interval
    {change: m, spread: s, seeds: S}    the mean of numbers around m, with a 95% interval
    {trend: m, spread: f, settings: K, seeds: S}   rates that move by a factor m from the first of K
                                        settings to the last: the fold of the last over the first
                                        with its interval, and p, for a pair of figures "fold p"
    {slope: m, over: D, spread: s, settings: K, seeds: S}   the same, with the slope in decades for
                                        a decade of a setting that covers D decades
"""

import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import torch

import mih_utils as mih

TIMES = 1000


def share(rng, share, n, seeds=None):
    counts = rng.binomial(n, share, size=seeds or 1)
    found = [mih.binomial_interval(int(count), n) for count in counts]
    return found if seeds else found[0]


def less(rng, less, n, seeds=1):
    first, second = (share(rng, *one, seeds) for one in zip(less, n, strict=True))
    return [(a - d, b - c) for (a, b), (c, d) in zip(first, second, strict=True)]


def number(rng, number, spread=1.0, seeds=1):
    return (number * np.exp(rng.normal(0, np.log(spread), seeds))).tolist()


def difference(rng, difference, spread, seeds=1):
    return rng.normal(difference, spread, seeds).tolist()


def fold(rng, fold, spread, seeds):
    logs = rng.normal(np.log(fold), np.log(spread), seeds)
    return np.exp(mih.mean_interval(torch.from_numpy(logs))).tolist()


def change(rng, change, spread, seeds):
    return mih.mean_interval(torch.from_numpy(rng.normal(change, spread, seeds)))


def trend(rng, trend, spread, settings, seeds):
    """The fold with its interval, and Page's p in the direction of the trend (a fall, if 1)."""
    way = np.linspace(0, np.log(trend), settings)[:, None]
    logs = torch.from_numpy(way + rng.normal(0, np.log(spread), (settings, seeds)))
    found = np.exp(mih.mean_interval(logs[-1] - logs[0])).tolist()
    return found, mih.page_trend(logs if trend > 1 else logs.flip(0))[1]


def slope(rng, slope, over, spread, settings, seeds):
    at = np.linspace(0, over, settings)
    logs = slope * at[:, None] + rng.normal(0, spread, (settings, seeds))
    slopes = torch.from_numpy(np.polyfit(at, logs, 1)[0])
    return mih.mean_interval(slopes), mih.page_trend(torch.from_numpy(logs).flip(0))[1]


KINDS = {f.__name__: f for f in (share, less, number, difference, fold, change, trend, slope)}


def figures(draws, rng):
    """One draw of every figure."""
    found = {}
    for names, draw in draws.items():
        drawn = KINDS[next(iter(draw))](rng, **draw)
        found |= zip(names.split(), drawn, strict=True) if " " in names else {names: drawn}
    return found


def verdicts(claim, draws, *, times=TIMES, seed=0):
    """The share of each verdict in that many draws."""
    rng = np.random.default_rng(seed)
    claim = replace(claim, not_tested="")  # a contract that waits for its run has a power, too
    seen = Counter(claim.check(**figures(draws, rng)).verdict for _ in range(times))
    return {verdict: count / times for verdict, count in seen.items()}


def main():
    for claim in mih.contracts().values():
        if sys.argv[1:] and claim.name not in sys.argv[1:]:
            continue
        for entry in claim.powers:
            shares = verdicts(claim, entry["draws"])
            shares = {v: round(shares[v], 2) for v in sorted(shares, key=shares.get, reverse=True)}
            print(f"{claim.name}: {entry['truth']}: {shares}")


if __name__ == "__main__":
    main()
