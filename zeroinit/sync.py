"""The command `zeroinit sync`: sends the runs in the spool to their store."""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from zeroinit.errors import BadInput
from zeroinit.sweep.sender import Sender
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.passwords import HIDDEN
from zeroinit.tracker.spool import SPOOL, Spool, list_files, read_destination, read_file
from zeroinit.tracker.stale import report_dead_runs
from zeroinit.tracker.waiting import write_line


def main(arguments: Sequence[str]) -> int:
    """Send the runs of each sweep that has some in the spool of the current folder.

    Args:
        arguments: The words after `zeroinit sync`.

    Returns:
        1 if some runs could not be sent, else 0.
    """
    parser = argparse.ArgumentParser(
        "zeroinit sync", description="Send finished runs, which are in mlruns/spool, to their store."
    )
    parser.add_argument("--uri", help="database or server; else the store for which the runs were trained")
    uri = parser.parse_args(arguments).uri
    folders = sorted(folder for folder in Path.cwd().glob(f"{SPOOL}/*") if list_files(folder))
    store = Mlflow(uri).store if uri else None
    sent, code, others = 0, 0, set()
    for folder in folders:
        try:
            destination = _find_destination(list_files(folder))
            if destination and store not in (None, destination[0]):
                others.add(destination[0])
            elif destination:
                sent += _send(folder, uri, *destination)
        except BadInput as error:  # the other sweeps may have another store
            write_line(" ".join(str(error).split()))
            code = 1
    if others and not sent:
        write_line(f"--uri={store}: no run waits for this store; the runs in {SPOOL} are for {' and '.join(others)}")
        code = 1
    elif not sent and not code:
        print(f"There are no runs in {SPOOL}.")
    return code


def _send(folder: Path, uri: str | None, store: str, sweep: str) -> int:
    """Send the runs of a folder, and return how many."""
    files = list_files(folder)
    if uri is None and HIDDEN in store:
        raise BadInput(f"{folder}: its runs are for {store}; give that store with its password as --uri=URI")
    runs = _count_runs(files)
    tracker = Mlflow(uri or store)
    tracker.key = "--uri"
    tracker.open(sweep)
    try:
        with Sender(tracker, Spool(folder, store, sweep), write_line) as sender:
            sender.finish()
        report_dead_runs(tracker)
    finally:
        runs -= _count_runs(files)
        if runs:
            are = "run is" if runs == 1 else "runs are"
            print(f"{sweep}: {runs} {are} in {tracker.shown} now.")
    return runs


def _find_destination(files: Sequence[Path]) -> tuple[str, str] | None:
    """Return (store, sweep) of the files of a folder; None if another process has just sent all of them.

    Raises:
        BadInput: All of them are damaged.
    """
    damaged = None
    for path in files:
        try:
            return read_destination(path)
        except BadInput as error:
            damaged = error
        except FileNotFoundError:
            pass
    if damaged:
        raise damaged
    return None


def _count_runs(files: Sequence[Path]) -> int:
    """Return the number of runs in those files that exist and are whole."""
    runs = 0
    for path in files:
        with suppress(OSError, BadInput):
            runs += len(read_file(path))
    return runs
