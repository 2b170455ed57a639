"""The end of a sweep: its table, its figures, and where to look further."""

import io
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from zeroinit.report.cells import Cell, as_csv, caption, cells, columns, rows, table
from zeroinit.tracker import Record, Tracker

LONGEST = 100  # characters of a figure's name that tell its cell


def conclude(planned: Iterable[tuple[str, str, dict[str, str]]], tracker: Tracker) -> list[Record]:
    """Print the table of the planned (config hash, cell hash, params), and keep it with its figures as the summary.

    Returns the records of the sweep, those of earlier times included.
    """
    records = tracker.records()
    found = cells(planned, records)
    listed = rows(found)
    # wide enough for every column where no terminal sets the width
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table(listed))
    console.print(caption(found), markup=False, highlight=False, soft_wrap=True)
    if tracker.keeps:
        where = tracker.summary({"summary.csv": as_csv(listed)} | draw(found, tracker))
        said = f"\nTable, figures: {where}\n{tracker.how_to_see()}"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    return records


def draw(found: list[Cell], tracker: Tracker) -> dict[str, bytes]:
    """{file name: PNG} of the comparison and of every cell's gradients."""
    from zeroinit.report.figures import comparison_figure, gradient_figure, png  # after training, never before

    keys = columns(found)
    drawn = {}
    if any(cell.finished for cell in found):
        drawn["comparison.png"] = png(comparison_figure(found))
    for cell in found:
        seen = [histograms(content) for record in cell.finished if (content := tracker.file(record, "histograms.npz"))]
        if seen:
            name = re.sub(r"[^\w.-]+", "_", "-".join(cell.params.get(key, "") for key in keys))
            if len(name) > LONGEST or f"gradients-{name}.png" in drawn:
                name = f"{name[:LONGEST]}-{cell.finished[0].tags['cell_hash']}"
            drawn[f"gradients-{name}.png"] = png(gradient_figure(cell.label(keys), seen))
    return drawn


def histograms(content: bytes) -> Mapping[str, NDArray[Any]]:
    with np.load(io.BytesIO(content)) as arrays:
        return dict(arrays)
