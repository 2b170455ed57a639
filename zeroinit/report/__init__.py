"""The end of a sweep: its table, its figures, and where to look further."""

import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import starmap
from pathlib import Path

from rich.console import Console
from rich.table import Table

from zeroinit.errors import BadInput
from zeroinit.report.cells import Cell, as_csv, caption, cells, columns, explain_marks, rows, table
from zeroinit.report.claims import courses_of, judge, listed
from zeroinit.report.confounding import confounded, lines
from zeroinit.report.histories import gradients, histograms_kept
from zeroinit.report.identical import identical_cells, starts_of
from zeroinit.report.manifest import FILE, Asked, as_trained, commands_of, of_records, read
from zeroinit.report.page import as_html, curves_of
from zeroinit.report.select_figures import Each, draw
from zeroinit.tracker import Record, Tracker, readable


class Patient(Console):
    """Goes on where nobody reads any more, as after `| head`: the summary is still to be kept."""

    def on_broken_pipe(self) -> None:
        with suppress(SystemExit):
            super().on_broken_pipe()


def announce(asked: Asked, tracker: Tracker) -> None:
    """Keep what a sweep asks before it trains, so that its report can be made while it does, or if it is cut short."""
    if tracker.is_persistent:
        tracker.begin_summary({FILE: asked.content()})
        introduce(asked.question, [asked.command], tracker)


def introduce(question: str, commands: Sequence[str], tracker: Tracker) -> None:
    """Show what the sweep asks, and the commands that train its runs, in the tracker."""
    tracker.describe("\n\n".join(part for part in (question, *(f"`{command}`" for command in commands)) if part))


def conclude(asked: Asked, tracker: Tracker, each: Each = starmap, since: float = math.inf) -> list[Record]:
    """Print the table of a sweep that trained `since` then, and keep it with its page and figures as the summary.

    `each` calls a function for each of some arguments, maybe elsewhere. Returns the records of the sweep, those of
    earlier times included.
    """
    records, left_out = readable(tracker.records())
    asked, strays = as_trained(asked, records, since)
    found = cells(asked.planned, records)
    recall(asked, found, tracker)
    notes = [*warnings_of(found, tracker), *left_out]
    lines, judged = rows(found), judge(asked.claims, found)
    marks = explain_marks(str(row["counted"]) for row in (*lines, *judged))
    console = show(table(lines), [caption(found), *marks, *notes, *strays])
    if judged:
        console.print()
        console.print(listed(judged), markup=False, highlight=False)
    if tracker.is_persistent:
        introduce(asked.question, commands_of(asked, found)[0], tracker)
        files = written(asked, found, notes, tracker) | draw(found, tracker, each, ())
        where = tracker.write_summary(files, anew=True)
        said = f"\nPage (report.html), figures, table: {where}\n{tracker.ui_hint()}"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    return records


def remake(tracker: Tracker, folder: Path | None, figures: bool, axes: Sequence[str]) -> str:
    """Make the report of the tracker's sweep again, in its summary or in a folder; says where.

    `axes` are the two keys of the map, or none to have them chosen.
    """
    records, left_out = readable(tracker.records())
    for line in left_out:
        sys.stderr.write(f"{line}\n")
    kept = tracker.read_summary(FILE)
    asked = read(kept) if kept else of_records(records)
    if not asked.planned:
        raise BadInput(f"{tracker.sweep}: the sweep has no runs; there is nothing to report")
    found = cells(asked.planned, records)
    recall(asked, found, tracker)
    unknown = next((key for key in axes if key not in found[0].params), None)
    if unknown:
        raise BadInput(f"--map={unknown}: the sweep's runs have no such key; give two of {', '.join(columns(found))}")
    if len(set(axes)) < len(axes):
        raise BadInput(f"--map={axes[0]}: the key is given for both axes; give two of {', '.join(columns(found))}")
    files = written(asked, found, [*warnings_of(found, tracker), *left_out], tracker)
    if figures:
        files |= draw(found, tracker, starmap, axes)
    if folder is None:
        return tracker.write_summary(files, anew=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise BadInput(f"--to={folder}: {error.strerror}; give a folder that can be written to") from error
    return str(folder)


def recall(asked: Asked, found: Sequence[Cell], tracker: Tracker) -> None:
    """Have the records the courses by which the claims are judged."""
    if courses := courses_of(asked.claims):
        tracker.load_histories([record for cell in found for record in cell.finished], courses)


def written(asked: Asked, found: Sequence[Cell], notes: Sequence[str], tracker: Tracker) -> dict[str, bytes]:
    """{file name: content} of the table, of what was asked, and of the page, where it can be made."""
    made = {"summary.csv": as_csv(rows(found)), FILE: asked.content()}
    if judged := judge(asked.claims, found):
        made["claims.csv"] = as_csv(judged)
    try:
        finished = [record for cell in found for record in cell.finished]
        tracker.load_histories(finished, curves_of(finished))
        seen = [gradients(histograms_kept(cell.finished, tracker)) for cell in found]
        made["report.html"] = as_html(tracker.sweep, asked, found, seen, notes)
    except BadInput:
        raise
    except Exception as error:  # as of a damaged file; the table must not be lost for it
        sys.stderr.write(f"zeroinit: no report.html: {' '.join(f'{type(error).__name__}: {error}'.split())}\n")
    return made


def warnings_of(found: Sequence[Cell], tracker: Tracker) -> list[str]:
    """Return what a reader should know before comparing the cells."""
    drawn = [(cell.params, lines(content)) for cell in found if (content := filled(cell, tracker))]
    keys = columns(found)
    return [*confounded(drawn, keys), *identical_cells(starts_of(found), keys)]


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
    return tracker.read_file(cell.finished[0], "init.csv") if cell.finished else None
