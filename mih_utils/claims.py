"""What is claimed, what would decide it, and the verdict: claims.yml, read and applied.

A contract stands in that file before its claim is measured; here nothing is decided by hand.
"""

import math
import operator
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ._checks import require
from .notebook import markdown

VERDICTS = ("holds", "holds in part", "does not hold here", "undecided", "not tested")
SIGNS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}

Figure = float | Sequence
Conditions = Mapping[str, str]


@dataclass(frozen=True)
class Claim:
    """One entry of claims.yml; what each field means stands at the top of that file."""

    name: str
    chapter: int
    statement: str
    source: str
    tested: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)
    gate: Conditions = field(default_factory=dict)
    parts: Sequence[Mapping[str, Conditions]] = ()
    control: str = ""
    samples: str = ""
    scale: str = ""
    paper_scale: str = ""
    beforehand: bool | str = False
    power: Sequence[Mapping] | str = ()
    not_tested: str = ""
    """Why nobody tested it; then it has no figures, or its contract waits for them."""

    @property
    def powers(self) -> Sequence[Mapping]:
        """The entries of power; none where it says in words that nothing is drawn."""
        return () if isinstance(self.power, str) else self.power

    def check(self, **figures: Figure) -> "Finding":
        """Return the verdict that these figures lead to.

        A figure is a number, or a sequence of numbers: an interval as (low, high) or
        (estimate, low, high), or one number or interval for each seed. A condition is met if all
        of its numbers meet it. A claim that is not tested takes no figures.
        """
        wanted = {} if self.not_tested else self.figures
        require(set(figures) == set(wanted), "figures", sorted(figures), f"{sorted(wanted)}")
        numbers = {name: flat(name, figure) for name, figure in figures.items()}
        return Finding(self, numbers, self._verdict(numbers))

    def _verdict(self, numbers: Mapping[str, list[float]]) -> str:
        if self.not_tested or not meets(numbers, self.gate):
            return "not tested"
        holds = [meets(numbers, part["holds"]) for part in self.parts]
        fails = [meets(numbers, part["fails"]) for part in self.parts]
        if all(holds):
            return "holds"
        if all(fails):
            return "does not hold here"
        return "holds in part" if any(holds) and any(fails) else "undecided"

    def bounds(self, figure: str) -> str:
        """The conditions on one figure, as "holds < 0.05, fails > 0.5"."""
        found = [f"tested only if {self.gate[figure]}"] if figure in self.gate else []
        for part in self.parts:
            found += [f"{kind} {part[kind][figure]}" for kind in part if figure in part[kind]]
        return ", ".join(found)


@dataclass(frozen=True)
class Finding:
    """A claim, the numbers that were measured, and its verdict."""

    claim: Claim
    numbers: Mapping[str, list[float]]
    verdict: str

    @property
    def measured(self) -> list[str]:
        """Every figure in words, with its interval or range; or why there is none."""
        if self.claim.not_tested:
            return [self.claim.not_tested]
        words = self.claim.figures
        return [f"{words[name]}: {shown(some)}" for name, some in self.numbers.items()]

    def _repr_markdown_(self) -> str:
        """The claim and its verdict, as a notebook shows it under a figure."""
        return f"> {self.claim.statement} By its contract: **{self.verdict}**."

    def as_data(self) -> dict:
        """The finding as plain data, for JSON."""
        return {
            "id": self.claim.name,
            "verdict": self.verdict,
            "measured": self.measured,
            "bounds": [self.claim.bounds(name) for name in self.numbers],
            "numbers": dict(self.numbers),
        }


@cache
def contracts() -> dict[str, Claim]:
    """Return all claims of the book by name, in the order of claims.yml."""
    import yaml

    text = Path(__file__).with_suffix(".yml").read_text(encoding="utf8")
    return {name: Claim(name, **entry) for name, entry in yaml.safe_load(text).items()}


def claim(name: str) -> Claim:
    """Return the claim of that name."""
    require(name in contracts(), "name", name, f"one of {', '.join(contracts())}")
    return contracts()[name]


def claims_table(findings: Iterable[Finding]):
    """Show claims with what was measured and the verdicts; the page of claims reads them there."""
    from . import markdown_table

    findings = list(findings)
    rows = [[f.claim.statement, "<br>".join(_lines(f)), f"**{f.verdict}**"] for f in findings]
    table = markdown(markdown_table(["the claim", "measured *(what decides)*", "verdict"], rows))
    if hasattr(table, "metadata"):
        table.metadata = {"claims": [f.as_data() for f in findings]}
    return table


def _lines(finding: Finding) -> list[str]:
    """What was measured, each with the bounds that decide."""
    if finding.claim.not_tested:
        return finding.measured
    pairs = zip(finding.measured, map(finding.claim.bounds, finding.numbers), strict=True)
    return [f"{line} *({bound})*" if bound else line for line, bound in pairs]


def meets(numbers: Mapping[str, list[float]], conditions: Conditions) -> bool:
    """Whether all numbers of each figure meet its condition, such as "> 0.95"."""
    for name, condition in conditions.items():
        sign, bound = condition.split()
        if not all(SIGNS[sign](number, float(bound)) for number in numbers[name]):
            return False
    return True


def flat(name: str, figure: Figure) -> list[float]:
    """The numbers of a figure, however they are nested: no nan, at least one."""
    nested = getattr(figure, "tolist", lambda: figure)()
    if not isinstance(nested, Sequence):
        nested = [nested]
    found = [n for one in nested for n in (flat(name, one) if isinstance(one, Sequence) else [one])]
    found = [float(number) for number in found]
    require(found and not any(map(math.isnan, found)), name, figure, "numbers, at least one")
    return found


def shown(numbers: Sequence[float]) -> str:
    """Numbers in words: one; from the least to the largest; with three or more, their middle.

    In one notation: as powers of ten if all are small and some very small; with two digits else, or
    three if all are shares near 1.
    """
    from . import scientific

    sizes = [abs(number) for number in numbers if number != 0] or [0.0]
    powers = 0 < min(sizes) < 1e-3 and max(sizes) < 1e-2
    digits = 3 if 0.9 < min(sizes) and max(sizes) < 1 else 2

    def plain(number: float) -> str:
        if number != 0 and (powers or abs(number) < 1e-4):
            return scientific(number)
        return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.{digits}g}"

    some = (statistics.median_low(numbers), min(numbers), max(numbers))
    middle, low, high = map(plain, some)
    if low == high:
        return middle
    return f"{low} – {high}" if len(numbers) == 2 else f"{middle} ({low} – {high})"
