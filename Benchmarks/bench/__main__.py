"""Measures Haechi beside its peers; writes JSON, a table and plots to Benchmarks/results, and the README's table."""

import argparse
import importlib
import pathlib
import sys
import time

from . import build, contenders, readme, report

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE.parent / "results"
# A module each, with `run(mode) -> [Measurement]`; in the table's order.
SUBJECTS = ("boot", "tls", "api", "vault", "disk", "features", "footprint", "instructions")


def main():
    subjects = [name for name in SUBJECTS if (HERE / f"{name}.py").is_file()]
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--mode", choices=("quick", "full"), default="quick", help="quick: minutes; full: hours")
    parser.add_argument("--only", metavar="NAME,…", default=",".join(subjects), help=f"of {', '.join(subjects)}")
    parser.add_argument("--no-build", action="store_true", help="use what was built before")
    parser.add_argument("--before", metavar="PROGRAM", type=pathlib.Path, help="another build of haechi-bench, to be measured beside this one")
    arguments = parser.parse_args()
    build.reuses = arguments.no_build
    contenders.before_program = arguments.before
    chosen = arguments.only.split(",")
    unknown = sorted(set(chosen) - set(subjects))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; say some of {', '.join(subjects)}")
    for name in chosen:
        print(f"bench: {name} ({arguments.mode})", file=sys.stderr, flush=True)
        start = time.monotonic()
        measurements = importlib.import_module(f"bench.{name}").run(arguments.mode)
        report.write(RESULTS, name, arguments.mode, measurements)
        print(f"bench: {name} took {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        # After each, so that a run that is stopped leaves what it has.
        report.table(RESULTS, subjects)
        readme.write(HERE.parent.parent / "README.md", RESULTS)
    report.plots(RESULTS, subjects)
    print(RESULTS.joinpath("table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
