"""The commands `zeroinit-report` and `zeroinit-results`: what a store has, told again without training anything."""

import argparse
import sys
from pathlib import Path

from zeroinit import SWEEPS
from zeroinit.errors import BadInput
from zeroinit.report import remake
from zeroinit.report.archive import kept_of, merged, read_table, table_of
from zeroinit.report.results_page import Sweep, markdown, read_sweep
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.stale import tell_dead_runs


def main() -> None:
    """Make the report; exit code 2 where there is no such sweep."""
    parser = argparse.ArgumentParser("zeroinit-report", description="Make the report of a sweep again, from its store.")
    parser.add_argument("sweep", help="the name of the sweep, which is its MLflow experiment")
    parser.add_argument("--tracker", metavar="URI", help="database or server; else MLFLOW_TRACKING_URI or mlruns/")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="write there, and not to the sweep's summary")
    parser.add_argument("--figures", action="store_true", help="draw the figures again, too")
    parser.add_argument(
        "--map", nargs=2, metavar=("X", "Y"), default=(), help="draw them, with these keys as map.png's axes"
    )
    asked = parser.parse_args()
    tracker = Mlflow(asked.tracker)
    tracker.key = "--tracker"
    try:
        tracker.find(asked.sweep)
        if asked.to is None:  # else the store may be one that is only read
            tell_dead_runs(tracker)
        print(remake(tracker, asked.to, asked.figures or bool(asked.map), asked.map))
    except BadInput as error:
        sys.stderr.write(f"zeroinit-report: {' '.join(str(error).split())}\n")
        sys.exit(2)


def results() -> None:
    """Add sweeps to the table of results, and write RESULTS.md anew; exit code 2 where there is no such sweep."""
    parser = argparse.ArgumentParser(
        "zeroinit-results", description="Keep the runs of sweeps in a table, and make a page of all that is in it."
    )
    parser.add_argument("sweeps", metavar="sweep", nargs="*", help="sweeps to add from the store, by name")
    parser.add_argument("--tracker", metavar="URI", help="database or server; else MLFLOW_TRACKING_URI or mlruns/")
    parser.add_argument(
        "--files", metavar="FOLDER", type=Path, default=SWEEPS, help="of the sweeps' files, which have their claims"
    )
    parser.add_argument("--table", metavar="FILE", type=Path, default=Path("docs/results.csv"), help="docs/results.csv")
    parser.add_argument("--to", metavar="FILE", type=Path, default=Path("RESULTS.md"), help="RESULTS.md")
    asked = parser.parse_args()
    try:
        kept = read_table(asked.table)
        for name in asked.sweeps:
            tracker = Mlflow(asked.tracker)
            tracker.key = "--tracker"
            tracker.find(name)
            kept = merged(kept, kept_of(tracker, sweep_of(asked.files, name).claims))
        if not kept:
            raise BadInput(f"--table={asked.table}: it has no runs; name a sweep to be added")
        page = markdown(kept, {row["sweep"]: sweep_of(asked.files, row["sweep"]) for row in kept})
        for path, content in ((asked.table, table_of(kept)), (asked.to, page.encode())):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        print(f"{len(kept)} runs in {asked.table}, told in {asked.to}")
    except BadInput as error:
        sys.stderr.write(f"zeroinit-results: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except OSError as error:
        sys.stderr.write(f"zeroinit-results: {error.filename}: {error.strerror}; give files that can be written\n")
        sys.exit(2)


def sweep_of(folder: Path, name: str) -> Sweep:
    path = next((one for one in (folder / f"{name}.yaml", SWEEPS / f"{name}.yaml") if one.is_file()), None)
    if path is None:
        raise BadInput(
            f"{name}: there is no {name}.yaml in {folder}, whose question and claims are to be read; give the folder "
            "that has it by --files"
        )
    return read_sweep(path)
