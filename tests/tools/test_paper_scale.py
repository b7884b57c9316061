"""Retraining at the paper's scale, proven where there is no GPU: at a tiny scale, on the second
device, and on the meta device, which knows shapes alone."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from second_device import SECOND, second_device

import mih_utils as mih

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import paper_scale  # noqa: E402
from full import estimates, gaussians, images  # noqa: E402
from full.work import PAPER, TINY, Work  # noqa: E402


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path, scale=TINY, progress=False)


@pytest.fixture
def few_digits(monkeypatch):
    """MNIST without its files: noise in its form."""
    generator = torch.Generator().manual_seed(0)
    some = torch.rand(40, 1, 28, 28, generator=generator) * 2 - 1
    monkeypatch.setattr(mih, "load_mnist", lambda split="train": (some, torch.zeros(40).long()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* of the mass left the grid")
def test_the_whole_of_it_at_a_tiny_scale(work, few_digits, capsys):
    arguments = ["--tiny", "--device", "cpu", "--folder", str(work.folder)]
    assert paper_scale.main(arguments) == 0
    first = capsys.readouterr().out
    known = paper_scale.parts(work)
    for name in known:
        record = work.record(name)
        assert record["seconds"] >= 0 and record["memory_mb"] > 0
        assert record["device"].startswith("CPU")
        numbers = np.hstack([np.ravel(v) for v in record["numbers"].values() if v and v != {}][:1])
        assert np.isfinite(numbers).all()
    found = gaussians.figures(work) | images.figures(work)
    assert {"line-between", "line-when", "grid-outside", "shapes-twice", "mnist-filter"} <= set(
        found
    )
    assert set(found) <= set(paper_scale.PARTS_OF)

    # a second call does nothing again
    assert paper_scale.main(arguments) == 0
    assert capsys.readouterr().out == first
    assert "done in" in paper_scale.listing(work)


def test_a_part_that_was_stopped_goes_on_to_the_same_weights(work, tmp_path, interrupts):
    part = gaussians.trained("line123", 0)
    whole = replace(work, folder=tmp_path / "whole")
    whole.run("line123-net-0", part)

    scale = replace(TINY, epochs=TINY.epochs)
    stopped = Work(tmp_path / "stopped", scale=scale, progress=False)
    real, calls = mih.ToyDenoiser.forward, []

    def forward(self, x_t, t):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, x_t, t)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mih.ToyDenoiser, "forward", forward)
        with pytest.raises(KeyboardInterrupt):
            stopped.run("line123-net-0", part)
    assert stopped.record("line123-net-0") is None
    assert (stopped.folder / "line123-net-0.pt").is_file()
    stopped.run("line123-net-0", part)
    nets = [
        w.stored_net("line123-net-0", gaussians.network(w, "line123")) for w in (whole, stopped)
    ]
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(a, b)


def test_another_scale_is_done_anew(work):
    work.run("made", lambda work: {"x": 1})
    assert work.run("made", lambda work: {"x": 2})["numbers"] == {"x": 1}
    other = replace(work, scale=replace(TINY, drawn=9))
    assert other.record("made") is None
    assert other.run("made", lambda work: {"x": 2})["numbers"] == {"x": 2}


@pytest.mark.parametrize("name", ["line123-net-0", "shapes-net"])
def test_trainings_run_on_a_second_device(work, name):
    with second_device():
        there = replace(work, device=str(SECOND), scale=replace(TINY, pixels=32))
        record = there.run(name, paper_scale.parts(there)[name])
    assert record["numbers"]["steps"] > 0
    assert np.isfinite(record["numbers"]["loss"])


def test_samples_are_drawn_on_a_second_device(work):
    work.run("line123-net-0", gaussians.trained("line123", 0))
    with second_device():
        there = replace(work, device=str(SECOND))
        found = gaussians.detector("line123", 0)(there)
    here = gaussians.detector("line123", 0)(work)
    assert found == here


def test_steps_are_those_of_the_released_code(tmp_path):
    work = Work(tmp_path)
    assert gaussians.steps_of(work, "line123") == 20_000  # 2 batches an epoch, 10,000 epochs
    assert gaussians.steps_of(work, "grid25") == 100_000
    schedule, paper = gaussians.schedule(work), mih.Schedule.linear(1000, 1e-3, 0.2)
    assert torch.equal(schedule.beta, paper.beta)
    assert len(images.schedule(work)) == 250
    assert torch.allclose(images.schedule(work).beta[[0, -1]], torch.tensor([4e-4, 0.08]).double())


def test_estimates_from_shapes_alone(tmp_path):
    work = Work(tmp_path)
    found = estimates.trainings(work)
    assert set(found) < set(paper_scale.parts(work))
    # six products of 128 × 128 weights, 2 operations a weight, three times with the way back; what
    # else there is, the embedding of x_t and t and the output, is thin
    products = 6 * 6 * 128 * 128 * PAPER.batch
    assert products <= found["line123-net-0"].operations <= 1.05 * products
    assert found["shapes-net"].memory < 16e9
    assert all(0 < e.seconds < 3600 for e in found.values())
    assert sum(e.seconds for e in found.values()) < 3600


def test_the_list_computes_nothing(tmp_path, capsys):
    assert paper_scale.main(["--list", "--folder", str(tmp_path / "none")]) == 0
    assert "An estimate" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_an_unknown_part_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        paper_scale.main(["line123", "--tiny", "--folder", str(tmp_path)])
    assert "no part 'line123'" in capsys.readouterr().err


def test_claims_are_checked_by_their_contracts(work):
    densities = {"own": 1e-4, "exact": 1e-9, "late": 1e-6, "alone": 9.9e-5}
    for seed in TINY.seeds:
        work.run(f"line123-net-{seed}", lambda work: {"steps": 1})
        work.run(f"line123-density-{seed}", lambda work: densities)
    found = {claim["id"]: claim for claim in paper_scale.claims(work)}
    assert set(found) == {"line-between", "line-when"}
    assert found["line-between"]["verdict"] == found["line-when"]["verdict"] == "holds"
    assert found["line-when"]["numbers"]["left"] == pytest.approx([0.01, 0.01])
    assert json.dumps(found)
