"""python -m classroom build | grade: `--help` says what each takes."""

import argparse
import os
import sys
from pathlib import Path

from .build import ROOT, build, variant_seeds
from .report import printable
from .run import run_grade
from .sandbox import SandboxError
from .source import SourceError


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except (SourceError, SandboxError, ValueError, OSError) as error:
        print(f"classroom: {printable(error, 2000)}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m classroom", description=__doc__)
    commands = top.add_subparsers(required=True)
    make = commands.add_parser("build", help="make all versions of assignments")
    make.add_argument(
        "sources", nargs="*", type=Path, help="source notebooks (default: the book's)"
    )
    make.add_argument("--out", type=Path, default=Path("dist/classroom"))
    make.add_argument("--seed", type=int, help="of the class: its own parameters")
    make.add_argument("--roster", type=Path, help="one student a line: parameters for each")
    make.set_defaults(run=run_build)
    mark = commands.add_parser("grade", help="grade submissions")
    mark.add_argument("spec", type=Path, help="autograder/NAME.json")
    mark.add_argument("submissions", nargs="+", help="notebooks, or folders of notebooks")
    mark.add_argument("--out", type=Path, default=Path("grades"))
    mark.add_argument("--canvas", type=Path, help="gradebook exported from Canvas")
    mark.add_argument("--timeout", type=float, default=30.0, help="seconds for one call or cell")
    mark.add_argument("--jobs", type=int, default=os.cpu_count(), help="submissions at a time")
    mark.add_argument("--sandbox", choices=["bwrap", "container", "none"], default="bwrap")
    mark.add_argument("--gradescope", action="store_true", help="write results.json, too")
    mark.set_defaults(run=run_grade)
    return top


def run_build(options) -> int:
    """Make every version, and say where it is."""
    sources = options.sources or sorted((ROOT / "classroom/assignments").glob("*.ipynb"))
    for source in sources:
        seeds = variant_seeds(options.roster, options.seed or 0) if options.roster else None
        files = build(source, options.out, options.seed, seeds)
        print(f"{source.stem}: {len(files)} files in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
