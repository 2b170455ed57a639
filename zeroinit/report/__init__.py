"""The end of a sweep: its table, its figures, and where to look further."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import starmap

from rich.console import Console
from rich.table import Table

from zeroinit.report.cells import Cell, as_csv, caption, cells, columns, rows, table
from zeroinit.report.confounded import confounded, lines
from zeroinit.report.drawing import Each, draw
from zeroinit.tracker import Record, Tracker


class Patient(Console):
    """Goes on where nobody reads any more, as after `| head`: the summary is still to be kept."""

    def on_broken_pipe(self) -> None:
        with suppress(SystemExit):
            super().on_broken_pipe()


def conclude(
    planned: Iterable[tuple[str, str, dict[str, str]]], tracker: Tracker, each: Each = starmap
) -> list[Record]:
    """Print the table of the planned (config hash, cell hash, params), and keep it with its figures as the summary.

    `each` calls a function for each of some arguments, maybe elsewhere. Returns the records of the sweep, those of
    earlier times included.
    """
    records = tracker.records()
    found = cells(planned, records)
    listed = rows(found)
    drawn = [(cell.params, lines(content)) for cell in found if (content := filled(cell, tracker))]
    console = show(table(listed), [caption(found), *confounded(drawn, columns(found))])
    if tracker.keeps:
        where = tracker.summary({"summary.csv": as_csv(listed)} | draw(found, tracker, each), anew=True)
        said = f"\nTable, figures: {where}\n{tracker.how_to_see()}"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    return records


def show(shown: Table | None, notes: Sequence[str]) -> Patient:
    """Print the table, where there is one, and notes below it."""
    # wide enough for every column where no terminal sets the width
    console = Patient(width=None if sys.stdout.isatty() else 200)
    if shown:
        console.print(shown, markup=False, highlight=False)
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    return console


def filled(cell: Cell, tracker: Tracker) -> bytes | None:
    """The init.csv of the newest finished run of a cell."""
    return tracker.file(cell.finished[0], "init.csv") if cell.finished else None
