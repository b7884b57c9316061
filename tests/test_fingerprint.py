"""Fingerprints: equal for equal values, different for others."""

import functools
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mih_utils as mih
from mih_utils._fingerprint import digest

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    plain,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(values, values)
def test_values_have_one_name_if_and_only_if_they_are_written_the_same(one, two):
    """Python's own way of writing a value down tells plain values apart."""
    assert digest(one) == digest(eval(repr(one), {"nan": float("nan"), "inf": float("inf")}))
    same = repr(sort(one)) == repr(sort(two))
    assert (digest(one) == digest(two)) == same


def sort(value):
    """The value with its dicts in order."""
    if isinstance(value, dict):
        return {name: sort(value[name]) for name in sorted(value)}
    return type(value)(map(sort, value)) if isinstance(value, list | tuple) else value


def plus(x, by=1):
    return x + by


def times(x, by=1):
    return x * by


def adding(number):
    return lambda x: x + number


class Box:
    def __init__(self, content):
        self.content = content

    def look(self):
        return self.content


def itself():
    def again(n):
        return again(n - 1) if n else 0

    return again


def net(seed):
    return mih.ToyDenoiser(width=4, steps=5, generator=torch.Generator().manual_seed(seed))


VALUES = {
    "joined numbers": lambda: [1, 2],
    "one number": lambda: [12],
    "nested": lambda: [[1], 2],
    "nested otherwise": lambda: [[1, 2]],
    "true": lambda: [True],
    "one": lambda: [1],
    "one point": lambda: [1.0],
    "text": lambda: ["1"],
    "set": lambda: {1, 2, 3},
    "range": lambda: range(3),
    "other range": lambda: range(4),
    "tensor": lambda: torch.arange(6),
    "tensor of another shape": lambda: torch.arange(6).reshape(2, 3),
    "tensor of another dtype": lambda: torch.arange(6).int(),
    "tensor of other numbers": lambda: torch.arange(1, 7),
    "tensor without numbers": lambda: torch.zeros(2, device="meta"),
    "bfloat16": lambda: torch.ones(3, dtype=torch.bfloat16),
    "array": lambda: np.arange(6),
    "other array": lambda: np.arange(1, 7),
    "dtype": lambda: torch.float32,
    "other dtype": lambda: torch.float64,
    "path": lambda: Path("a"),
    "other path": lambda: Path("b"),
    "function": lambda: plus,
    "other function": lambda: times,
    "partial": lambda: functools.partial(plus, by=2),
    "other partial": lambda: functools.partial(plus, by=3),
    "closure": lambda: adding(1),
    "other closure": lambda: adding(2),
    "lambda": lambda: lambda x: x.hal,
    "other lambda": lambda: lambda x: x.jump,
    "default": lambda: lambda x, k=1: x,
    "other default": lambda: lambda x, k=2: x,
    "recursive": itself,
    "object": lambda: Box(1),
    "other object": lambda: Box(2),
    "object in an object": lambda: Box(Box(1)),
    "method": lambda: Box(1).look,
    "method of another": lambda: Box(2).look,
    "class": lambda: Box,
    "generator": lambda: torch.Generator().manual_seed(1),
    "other generator": lambda: torch.Generator().manual_seed(2),
    "net": lambda: net(0),
    "other net": lambda: net(1),
    "schedule": lambda: mih.Schedule.linear(100, 0.01, 0.3),
    "other schedule": lambda: mih.Schedule.linear(100, 0.01, 0.31),
    "mixture": lambda: mih.GaussianMixture.line([1, 2], 0.1),
    "other mixture": lambda: mih.GaussianMixture.line([1, 2], 0.2),
    "chain": lambda: mih.Schedule.linear(100, 0.01, 0.3).ddpm(),
    "other chain": lambda: mih.Schedule.linear(100, 0.01, 0.3).ddim(),
    "observer": lambda: mih.Hal(last=5),
    "other observer": lambda: mih.Hal(last=6),
}


@pytest.mark.parametrize("name", VALUES)
def test_what_is_made_again_has_the_same_name(name):
    assert digest(VALUES[name]()) == digest(VALUES[name]())


def test_different_things_have_different_names():
    names = {name: digest(make()) for name, make in VALUES.items()}
    for one, two in combinations(names, 2):
        assert names[one] != names[two], (one, two)
    assert all(len(name) == 16 for name in names.values())


def test_order_counts_in_lists_and_not_in_dicts_and_sets():
    assert digest([1, 2]) != digest([2, 1])
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1, "b": 2}) != digest({"a": 2, "b": 1})
    assert digest(set("abcdef")) == digest(set("fedcba"))
    shared = Box(1)
    assert digest([shared, shared]) == digest([Box(1), Box(1)])


def test_a_view_counts_as_what_is_seen():
    whole = torch.arange(12.0).reshape(3, 4)
    assert digest(whole[:, 1]) == digest(torch.tensor([1.0, 5.0, 9.0]))
    assert digest(whole.T) == digest(whole.T.contiguous()) != digest(whole)
    assert digest(nn_parameter := torch.nn.Parameter(whole)) == digest(nn_parameter.detach())


def test_a_thing_that_contains_itself_ends():
    ring = Box(None)
    ring.content = [ring]
    assert digest(ring) != digest(Box([Box(None)]))


def test_another_process_gives_the_same_names():
    """The order of sets, and where objects lie, differ from one to the next."""
    code = (
        "from test_fingerprint import *; print({n: digest(make()) for n, make in VALUES.items()})"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        env={"PYTHONPATH": f"{here.parent}:{here}", "PYTHONHASHSEED": "5", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert eval(done.stdout) == {name: digest(make()) for name, make in VALUES.items()}
