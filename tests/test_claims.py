"""Contracts decide: no verdict whatever is measured, none out of reach, and powers as stated."""

import itertools
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mih_utils as mih
from mih_utils.claims import VERDICTS, Finding, meets

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = mih.contracts()
TESTED = [claim for claim in CLAIMS.values() if claim.parts]
POWERED = [(claim, entry) for claim in TESTED for entry in claim.powers]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def conditions(claim):
    """All pairs (figure, condition) of a claim."""
    some = [claim.gate, *(part[kind] for part in claim.parts for kind in part)]
    return [pair for one in some for pair in one.items()]


def inputs(claim):
    """Figures on all sides of every bound, and across each: all combinations."""
    choices = {}
    for figure in claim.figures:
        bounds = sorted({float(c.split()[1]) for name, c in conditions(claim) if name == figure})
        ends = [bounds[0] - 1, *bounds, bounds[-1] + 1] if bounds else [0.0]
        between = [(a + b) / 2 for a, b in itertools.pairwise(ends)] or ends
        choices[figure] = [[value] for value in between] + [[ends[0], ends[-1]]]
    for some in itertools.product(*choices.values()):
        yield dict(zip(choices, some, strict=True))


@pytest.mark.parametrize("claim", TESTED, ids=lambda claim: claim.name)
def test_every_verdict_can_be_reached_and_none_always(claim):
    seen = set()
    for numbers in inputs(claim):
        for part in claim.parts:
            assert not (meets(numbers, part["holds"]) and meets(numbers, part["fails"]))
        seen.add(claim._verdict(numbers) if claim.not_tested else claim.check(**numbers).verdict)
    if claim.not_tested:
        assert seen == {"not tested"}
        return
    expected = {"holds", "does not hold here", "undecided"}
    expected |= {"holds in part"} if len(claim.parts) > 1 else set()
    expected |= {"not tested"} if claim.gate else set()
    assert seen == expected


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.name)
def test_a_contract_is_complete(claim):
    assert claim.statement.endswith(".")
    assert claim.source
    assert bool(claim.parts) or bool(claim.not_tested)
    assert {figure for figure, _ in conditions(claim)} <= set(claim.figures)
    if claim.parts:
        for words in (claim.tested, claim.control, claim.samples, claim.scale, claim.paper_scale):
            assert words
        assert claim.beforehand is True or len(claim.beforehand) > 10
        likely = {max(entry["verdicts"], key=entry["verdicts"].get) for entry in claim.powers}
        assert len(likely) > 1 or (isinstance(claim.power, str) and len(claim.power) > 10)
    for entry in claim.powers:
        assert set(" ".join(entry["draws"]).split()) == set(claim.figures)
        assert set(entry["verdicts"]) <= set(VERDICTS)
        assert sum(entry["verdicts"].values()) == pytest.approx(1, abs=0.02)


@pytest.fixture(scope="module")
def power():
    sys.path.insert(0, str(ROOT / "tools"))
    import power

    return power


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "entry"), POWERED, ids=[f"{c.name}-{c.powers.index(e)}" for c, e in POWERED]
)
def test_the_power_is_as_stated(power, claim, entry):
    """With other random numbers; 300 draws are off by 0.03 or so, the stated 1,000 by 0.016."""
    found = power.verdicts(claim, entry["draws"], times=300, seed=1)
    for verdict in VERDICTS:
        stated = entry["verdicts"].get(verdict, 0)
        assert found.get(verdict, 0) == pytest.approx(stated, abs=0.12)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_has_each_of_its_claims_once(path):
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    source = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    assert "claims_table" in source
    named = re.findall(r'\bclaim\(\s*"([\w-]+)"', source)
    assert len(set(named)) == len(named)
    here = {c.name: c for c in CLAIMS.values() if c.chapter == int(path.stem[:2])}
    assert set(named) <= set(here)
    assert all(here[name].not_tested for name in set(here) - set(named))


# The checking


EXAMPLE = mih.Claim(
    name="example",
    chapter=1,
    statement="It is large and small.",
    source="Of this book.",
    figures={"large": "how large", "small": "how small", "control": "the control"},
    gate={"control": "<= 1"},
    parts=[
        {"holds": {"large": "> 10"}, "fails": {"large": "< 10"}},
        {"holds": {"small": "< 0.1"}, "fails": {"small": ">= 0.1"}},
    ],
)


@pytest.mark.parametrize(
    ("large", "small", "control", "verdict"),
    [
        (11, 0.05, 1, "holds"),
        ((11, 12), [(0.05, 0.06), (0.01, 0.09)], 1, "holds"),
        ((9, 12), 0.05, 1, "undecided"),
        ((9, 12), 0.1, 1, "undecided"),
        (9, 0.05, 1, "holds in part"),
        (9, (0.1, 0.3), 1, "does not hold here"),
        (11, 0.05, [0.5, 1.5], "not tested"),
    ],
)
def test_a_condition_is_met_if_all_of_a_figure_meets_it(large, small, control, verdict):
    assert EXAMPLE.check(large=large, small=small, control=control).verdict == verdict


def test_figures_may_be_tensors_and_arrays():
    finding = EXAMPLE.check(large=torch.tensor([11.0, 12.0]), small=np.float32(0.05), control=0)
    assert finding.verdict == "holds"
    assert json.loads(json.dumps(finding.as_data()))["numbers"]["large"] == [11, 12]


@pytest.mark.parametrize(
    "figures",
    [
        {"large": 1, "small": 1},
        {"large": 1, "small": 1, "control": 1, "more": 1},
        {"large": float("nan"), "small": 1, "control": 1},
        {"large": [], "small": 1, "control": 1},
    ],
)
def test_missing_unknown_and_empty_figures_are_refused(figures):
    with pytest.raises(ValueError, match="must be"):
        EXAMPLE.check(**figures)


def test_what_nobody_tested_says_so_and_takes_no_figures():
    finding = mih.claim("hands").check()
    assert finding.verdict == "not tested"
    assert finding.measured == [mih.claim("hands").not_tested]
    with pytest.raises(ValueError, match="figures"):
        mih.claim("hands").check(rate=1)


def test_an_unknown_claim_is_refused():
    with pytest.raises(ValueError, match="line-when"):
        mih.claim("line-never")


def test_figures_in_words():
    finding = EXAMPLE.check(large=[3, 120, 1234.5], small=(0.00012, 0.05), control=0.951)
    assert finding.measured == [
        "how large: 120 (3 – 1,234)",
        "how small: 0.00012 – 0.05",
        "the control: 0.951",
    ]
    assert EXAMPLE.bounds("large") == "holds > 10, fails < 10"
    assert EXAMPLE.bounds("control") == "tested only if <= 1"


def test_the_table_carries_its_findings():
    table = mih.claims_table([EXAMPLE.check(large=11, small=0.05, control=0)])
    assert "**holds**" in table.data
    assert table.metadata["claims"][0]["id"] == "example"


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([0.0013], "0.0013"),
        (
            [9.9e-4, 0.0013, 0.0021],
            "1.3\u00a0×\u00a010⁻³ (9.9\u00a0×\u00a010⁻⁴ – 2.1\u00a0×\u00a010⁻³)",
        ),
        ([2e-4, 0.5], "0.0002 – 0.5"),
        ([0.951, 0.98], "0.951 – 0.98"),
        ([0.61, 0.38, 0.967], "0.61 (0.38 – 0.97)"),
        ([3, 120, 99], "99 (3 – 120)"),
        ([0.0], "0"),
    ],
)
def test_the_numbers_of_a_figure_have_one_notation(numbers, words):
    claim = replace(EXAMPLE, figures={"one": "one"})
    assert Finding(claim, {"one": numbers}, "holds").measured == [f"one: {words}"]
