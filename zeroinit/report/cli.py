"""The commands `zeroinit-report` and `zeroinit-results`, which report on stored runs without training anything."""

import argparse
import gc
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import zeroinit.garbage  # noqa: F401
from zeroinit import SWEEPS
from zeroinit.errors import BadInput
from zeroinit.report import remake, write_files
from zeroinit.report.archive import collect_rows, format_table, merge_rows, read_table
from zeroinit.report.results_page import SweepFile, format_pages, read_sweep_file
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.stale import is_training, report_dead_runs

WATCH_SECONDS = 10
INTERRUPTED = 130  # exit code, as of a shell
TRACKER_HELP = "database or server; else MLFLOW_TRACKING_URI or mlruns/"


def main() -> None:
    """Make the report again. The exit code is 2 if there is no such sweep."""
    parser = argparse.ArgumentParser("zeroinit-report", description="Make the report of a sweep again, from its store.")
    parser.add_argument("sweep", help="the name of the sweep, which is its MLflow experiment")
    parser.add_argument("--tracker", metavar="URI", help=TRACKER_HELP)
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="write there, and not to the sweep's summary")
    parser.add_argument("--figures", action="store_true", help="draw the figures again, too")
    parser.add_argument(
        "--map", nargs=2, metavar=("X", "Y"), default=(), help="draw them, with these keys as map.png's axes"
    )
    parser.add_argument(
        "--watch", action="store_true", help=f"make it again every {WATCH_SECONDS} s until the sweep has ended"
    )
    arguments = parser.parse_args()
    gc.disable()  # the runs are millions of objects and no garbage; to search them would take a tenth of the time
    try:
        tracker = _open_store(arguments.tracker, arguments.sweep)
        if arguments.to is None:  # otherwise the store may be read-only
            report_dead_runs(tracker)
        make = partial(remake, tracker, arguments.to, arguments.figures or bool(arguments.map), arguments.map)
        if arguments.watch:
            _watch(make, tracker)
        else:
            print(make())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BadInput as error:
        sys.stderr.write(f"zeroinit-report: {' '.join(str(error).split())}\n")
        sys.exit(2)


def _watch(make: Callable[..., str], tracker: Mlflow) -> None:
    """Make the report every WATCH_SECONDS until the sweep has ended or the user interrupts, and once more then.

    The page of the last report does not load itself again.
    """
    is_new = True
    try:
        while is_training(tracker):
            address = make(watch_seconds=WATCH_SECONDS)
            if is_new:
                print(f"{address}\nIt is made again every {WATCH_SECONDS} s; Ctrl-C ends that.", flush=True)
            is_new = False
            gc.collect()
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        make()
        raise
    print(f"{make()}\nThe sweep has ended.")


def results() -> None:
    """Add sweeps to the table of results, and write its pages again. The exit code is 2 if there is no such sweep."""
    parser = argparse.ArgumentParser(
        "zeroinit-results", description="Keep the runs of sweeps in a table, and make pages from the table."
    )
    parser.add_argument("sweeps", metavar="sweep", nargs="*", help="sweeps to add from the store, by name")
    parser.add_argument("--tracker", metavar="URI", help=TRACKER_HELP)
    parser.add_argument(
        "--files",
        metavar="FOLDER",
        type=Path,
        default=SWEEPS,
        help="folder of the sweeps' files, which have the claims",
    )
    parser.add_argument("--table", metavar="FILE", type=Path, default=Path("docs/results.csv"), help="docs/results.csv")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=Path("docs/results"), help="docs/results")
    arguments = parser.parse_args()
    try:
        rows = read_table(arguments.table)
        for name in arguments.sweeps:
            tracker = _open_store(arguments.tracker, name)
            rows = merge_rows(rows, collect_rows(tracker, _find_sweep_file(arguments.files, name).claims))
        if not rows:
            raise BadInput(f"--table={arguments.table}: it has no runs; name a sweep to be added")
        files = {row["sweep"]: _find_sweep_file(arguments.files, row["sweep"]) for row in rows}
        pages = format_pages(rows, files, {name: _find_figures(arguments.to, name) for name in files})
        arguments.table.parent.mkdir(parents=True, exist_ok=True)
        arguments.table.write_bytes(format_table(rows))
        write_files(arguments.to, {name: content.encode() for name, content in pages.items()})
        print(f"{len(rows)} runs in {arguments.table}, pages in {arguments.to}")
    except BadInput as error:
        sys.stderr.write(f"zeroinit-results: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except OSError as error:
        sys.stderr.write(f"zeroinit-results: {error.filename}: {error.strerror}; give files that can be written\n")
        sys.exit(2)


def _find_figures(pages: Path, sweep: str) -> list[str]:
    """Return the figures of a sweep in the folder `figures` beside the pages, as paths relative to the pages."""
    files = sorted((pages.parent / "figures").glob(f"{sweep}*.png"))
    return [f"../figures/{file.name}" for file in files if file.stem in (sweep, f"{sweep}_small")]


def _open_store(uri: str | None, sweep: str) -> Mlflow:
    """Return the tracker at a uri, opened at an existing sweep."""
    tracker = Mlflow(uri)
    tracker.key = "--tracker"
    tracker.find(sweep)
    return tracker


def _find_sweep_file(folder: Path, name: str) -> SweepFile:
    """Return the question and claims of a sweep's file, from the folder or from the shipped sweeps.

    Raises:
        BadInput: There is no such file.
    """
    paths = (folder / f"{name}.yaml", SWEEPS / f"{name}.yaml")
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise BadInput(
            f"{name}: there is no {name}.yaml in {folder}, which has the question and the claims; give its "
            "folder with --files"
        )
    return read_sweep_file(path)
