"""The end of a sweep: its table, its figures, and where to look further."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import starmap
from typing import Any

from rich.console import Console
from rich.table import Table

from zeroinit.report.cells import Cell, as_csv, caption, cells, columns, rows, table
from zeroinit.report.confounded import confounded, lines
from zeroinit.report.watched import gradients
from zeroinit.tracker import COURSE, Record, Tracker

LONGEST = 100  # characters of a figure's name that tell its cell


Each = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterable[Any]]


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
    tracker.recall(records, [COURSE])
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


def draw(found: list[Cell], tracker: Tracker, each: Each) -> dict[str, bytes]:
    """{file name: PNG} of the comparison and of every cell's gradients."""
    from zeroinit.report.figures import comparison_figure, png  # after training, never before

    keys = columns(found)
    names: list[str] = []
    tasks = []
    for cell in found:
        seen = [content for record in cell.finished if (content := tracker.file(record, "histograms.npz"))]
        if seen:
            name = re.sub(r"[^\w.-]+", "_", "-".join(cell.params.get(key, "") for key in keys))
            if len(name) > LONGEST or f"gradients-{name}.png" in names:
                name = f"{name[:LONGEST]}-{cell.finished[0].tags['cell_hash']}"
            names.append(f"gradients-{name}.png")
            tasks.append((cell.label(keys), seen))
    try:
        drawn = {name: one for name, one in zip(names, each(drawn_gradients, tasks), strict=True) if one}
    except RuntimeError as error:  # of the worker that drew it; the table must not be lost for it
        sys.stderr.write(f"zeroinit: no figures of gradients: {str(error).strip().splitlines()[-1]}\n")
        drawn = {}
    if any(cell.finished for cell in found):
        drawn["comparison.png"] = png(comparison_figure(found))
    return drawn


def drawn_gradients(label: str, contents: Sequence[bytes]) -> bytes | None:
    """The PNG of one cell's gradients, from its runs' histograms.npz."""
    from zeroinit.report.figures import gradient_figure, png

    found = gradients(contents)
    return png(gradient_figure(label, found)) if found else None
