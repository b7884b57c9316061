"""Train again at the paper's scale, as far as a GPU of 16 GB can, and check the claims there.

    python tools/paper_scale.py --list     the parts, which are done, and estimates of the trainings
    python tools/paper_scale.py            all parts that are not done, then the claims
    python tools/paper_scale.py PART …     only these

Parts are kept in _build/paper_scale, each with a record of its time, memory and device; a training
goes on from its checkpoint. The claims that are complete go to book/paper_scale.json, which the
page of claims shows. --tiny runs the same code in a minute on any machine, for a test; its numbers
mean nothing, and they stay in its own folder.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from full import estimates, gaussians, images
from full.work import PAPER, TINY, Work

import mih_utils as mih

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "_build" / "paper_scale"
CLAIMS = ROOT / "book" / "paper_scale.json"
PARTS_OF = {  # the beginnings of the names of the parts that a claim rests on
    "line-between": ("line123-net", "line123-density"),
    "line-when": ("line123-net", "line123-density"),
    "hal-line": ("line123-net", "line123-detector"),
    "grid-outside": ("grid25-net", "grid25-density"),
    "hal-grid": ("grid25-net", "grid25-detector"),
    "shapes-twice": ("shapes",),
    "mnist-filter": ("mnist",),
}


def parts(work: Work) -> dict:
    return {**gaussians.parts(work), **images.parts(work)}


def claims(work: Work) -> list[dict]:
    """The claims whose parts are all done: verdict, figures, and what they took."""
    found = []
    for name, figures in (gaussians.figures(work) | images.figures(work)).items():
        records = [
            record
            for part in parts(work)
            if part.startswith(PARTS_OF[name]) and (record := work.record(part))
        ]
        # a claim that nobody tested at the book's scale may be tested at this one
        contract = replace(mih.claim(name), not_tested="")
        finding = contract.check(**figures).as_data()
        found.append(
            finding
            | {
                "device": ", ".join(sorted({r["device"] for r in records})),
                "seconds": round(sum(r["seconds"] for r in records)),
                "memory_mb": max(r["memory_mb"] for r in records),
                "package_version": mih.__version__,
            }
        )
    return found


def listing(work: Work) -> str:
    """A line for each part, done or not, with the estimate of its training."""
    expected = estimates.trainings(work)
    lines, seconds = [], 0.0
    for name in parts(work):
        done, guess = work.record(name), expected.get(name)
        if done:
            words = f"done in {done['seconds']} s, {done['memory_mb']} MB, {done['device']}"
        elif guess:
            seconds += guess.seconds
            words = (
                f"{guess.steps:,} steps of {guess.operations / 1e9:.1f} billion operations, "
                f"{guess.memory / 1e9:.2f} GB; about {guess.seconds / 60:.0f} min"
            )
        else:
            words = "measures what was trained"
        lines.append(f"{name:24} {words}")
    rate = f"{estimates.RATE / 1e12:g} million million operations a second"
    lines.append(f"Trainings to do: about {seconds / 60:.0f} min. An estimate, at {rate}.")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--list", action="store_true", help="say what is done and what is left")
    parser.add_argument("--tiny", action="store_true", help="the same code at a tiny scale")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--folder", type=Path, help="where the parts are kept")
    options = parser.parse_args(arguments)
    folder = options.folder or FOLDER / ("tiny" if options.tiny else "")
    scale = TINY if options.tiny else PAPER
    work = Work(folder, options.device, scale, progress=sys.stderr.isatty())
    known = parts(work)
    for unknown in set(options.parts) - set(known):
        parser.error(f"no part {unknown!r}; there are {', '.join(known)}")
    if options.list:
        print(listing(work))
        return 0
    if work.device == "cpu" and not options.tiny:
        print("No GPU: on a CPU this takes days. --list has the estimates.", file=sys.stderr)
    for name in options.parts or known:
        record = work.run(name, known[name])
        took = f"{record['seconds']} s, {record['memory_mb']} MB, {record['device']}"
        print(f"{name}: {json.dumps(record['numbers'])} ({took})", flush=True)
    path = work.folder / "claims.json" if options.tiny else CLAIMS
    path.write_text(json.dumps(claims(work), indent=2) + "\n", encoding="utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
