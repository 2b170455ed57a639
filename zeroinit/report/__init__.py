"""The report of a sweep: its table, its page and its figures."""

import math
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import starmap
from pathlib import Path

from rich.console import Console
from rich.table import Table

from zeroinit.errors import BadInput
from zeroinit.report.answer import summarize
from zeroinit.report.cells import Cell, group_cells, independent_keys, list_scores, naming_keys
from zeroinit.report.comparisons import compare_with_baseline, warn_of_scores
from zeroinit.report.confounding import read_init_csv, warn_of_scale
from zeroinit.report.histories import CellHistograms
from zeroinit.report.identical import starts_of, warn_of_identical_cells
from zeroinit.report.judgements import judge, metrics_of_claims
from zeroinit.report.manifest import (
    MANIFEST_FILE,
    Manifest,
    manifest_of,
    read_manifest,
    replace_strays,
    training_commands,
)
from zeroinit.report.page import Extras, RunLinks, curve_metrics, read_snapshots, render_page
from zeroinit.report.select_figures import MapFunction, draw, units_of_layers
from zeroinit.report.tables import as_csv, caption, cell_table, claim_table, explain_marks, summarize_cells
from zeroinit.tracker import Record, RunReader, SummaryStore, Tracker, readable

PAGE = "report.html"
LOCAL_UI = "http://127.0.0.1:5000"  # where `zeroinit ui` shows the runs, unless the port is taken


class PatientConsole(Console):
    """A console that goes on if its reader is gone, as after `| head`: the summary still has to be written."""

    def on_broken_pipe(self) -> None:
        """Ignore that the output has no reader."""
        with suppress(SystemExit):
            super().on_broken_pipe()


def announce(manifest: Manifest, tracker: Tracker) -> None:
    """Keep the manifest of a sweep before it trains, so that its report can be made meanwhile or after an abort."""
    if tracker.is_persistent:
        tracker.begin_summary({MANIFEST_FILE: manifest.to_json()})
        _describe_sweep(manifest.question, [manifest.command], tracker)
        _prepare_charts(group_cells(manifest.planned, []), tracker)


def _describe_sweep(question: str, commands: Sequence[str], tracker: SummaryStore) -> None:
    """Show the question of the sweep and the commands that train its runs in the tracker."""
    tracker.describe("\n\n".join(part for part in (question, *(f"`{command}`" for command in commands)) if part))


def conclude(
    manifest: Manifest, tracker: Tracker, map_function: MapFunction = starmap, since: float = math.inf
) -> list[Record]:
    """Print the answer of a sweep after its training, and keep its report.

    The report has the table, the page and the figures. It is in the summary of the tracker, and in a folder whose path
    stays the same.

    Args:
        manifest: What the sweep asks and plans.
        tracker: Where its runs are.
        map_function: Draws the figures, maybe in other processes.
        since: When the training began, in seconds.

    Returns:
        The records of the sweep, with those of earlier trainings.
    """
    records, left_out = readable(tracker.records())
    manifest, stray_notes = replace_strays(manifest, records, since)
    cells = group_cells(manifest.planned, records)
    _load_claim_histories(manifest, cells, tracker)
    warnings, answer = _comparison_warnings(cells, tracker), _answer(manifest, cells)
    console = _print_tables(manifest, cells, [*left_out, *stray_notes])
    for line in [*answer, *_shorten(warnings, tracker.is_persistent)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if tracker.is_persistent:
        _describe_sweep(manifest.question, training_commands(manifest, cells)[0], tracker)
        files = _report_files(manifest, cells, [*warnings, *left_out], tracker)
        files |= draw(cells, tracker, map_function, (), manifest.baseline)
        address = keep_report(files, tracker, _describe_answer(manifest, answer), anew=True)
        _prepare_charts(cells, tracker)
        for line in ("", f"Report:  {address}", *where_to_look(tracker)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return records


def _print_tables(manifest: Manifest, cells: Sequence[Cell], notes: Sequence[str]) -> PatientConsole:
    """Print the table of the cells and of the claims, with notes below the first."""
    rows, judgements = summarize_cells(cells, manifest.baseline), judge(manifest.claims, cells)
    lines = [caption(cells, manifest.baseline), *explain_marks(rows, judgements), *notes]
    console = show(cell_table(rows, manifest.baseline), lines)
    if judgements:
        console.print()
        console.print(claim_table(judgements), markup=False, highlight=False)
        console.print()
    return console


def _answer(manifest: Manifest, cells: Sequence[Cell]) -> list[str]:
    """Return the answer of the sweep in sentences."""
    comparisons = compare_with_baseline(cells, manifest.baseline)
    return summarize(comparisons, judge(manifest.claims, cells), manifest.baseline)


def _shorten(warnings: Sequence[str], has_report: bool) -> list[str]:
    """Return the number of warnings if the report has their texts, else the warnings."""
    if not has_report or not warnings:
        return list(warnings)
    return ["1 warning, in the report." if len(warnings) == 1 else f"{len(warnings)} warnings, in the report."]


def _describe_answer(manifest: Manifest, answer: Sequence[str]) -> str:
    """Return the description of the summary: the question and the answer, in Markdown."""
    return "\n".join([f"**{manifest.question}**\n" if manifest.question else "", *(f"- {line}" for line in answer)])


def _prepare_charts(cells: Sequence[Cell], tracker: SummaryStore) -> None:
    """Make the tracker's charts open with a line for each combination of values of the keys, the init first."""
    keys = independent_keys([cell.params for cell in cells], naming_keys(cells))
    tracker.prepare_charts(["init", *(key for key in keys if key != "init")], list_scores(cells)[0])


def keep_report(files: dict[str, bytes], tracker: SummaryStore, description: str, anew: bool) -> str:
    """Keep the files of a report in the summary, and in the folder of the report; return the address of the page.

    Args:
        files: {name: content}.
        tracker: The open tracker of the sweep.
        description: The description of the summary.
        anew: Whether they replace the last summary.
    """
    where = tracker.write_summary(files, anew, description)
    folder = tracker.report_folder()
    try:
        write_files(folder, files)
    except OSError as error:  # the summary has them, too
        sys.stderr.write(f"zeroinit: the report is in {where} alone, as {folder} cannot be written: {error.strerror}\n")
        return where
    return (folder / PAGE).as_uri() if PAGE in files else str(folder)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files {name: content} into a folder, each at once, as a browser may read them. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        part = folder / f"{name}.part"
        part.write_bytes(content)
        part.replace(folder / name)


def where_to_look(tracker: Tracker) -> list[str]:
    """Return the command that shows the charts of the tracker's sweep, and the call that loads it in Python."""
    if not tracker.is_persistent:
        return []
    uri, sweep = tracker.uri_to_give(), tracker.sweep
    argument = f", {uri!r}" if uri else ""
    return [f"Charts:  {ui_command(tracker)}", f"Python:  zeroinit.load({sweep!r}{argument})"]


def ui_command(tracker: Tracker) -> str:
    """Return the command that shows the runs of the tracker's sweep in MLflow's UI."""
    uri = tracker.uri_to_give()
    return f"zeroinit ui {shlex.quote(tracker.sweep)}" + (f" --uri {shlex.quote(uri)}" if uri else "")


def remake(
    tracker: Tracker, folder: Path | None, figures: bool, axes: Sequence[str], watch_seconds: int | None = None
) -> str:
    """Make the report of the tracker's sweep again.

    Args:
        tracker: Where the runs are, opened at the sweep.
        folder: Where to write; None for the sweep's summary.
        figures: Whether to draw the figures.
        axes: The two keys of the map; empty to choose them here.
        watch_seconds: After how many seconds the page loads itself again; None for never.

    Returns:
        Where the report is.

    Raises:
        BadInput: The sweep has no runs, the axes are not keys of its runs, or the folder cannot be written.
    """
    records, notes = readable(tracker.records())
    for line in notes:
        sys.stderr.write(f"{line}\n")
    content = tracker.read_summary(MANIFEST_FILE)
    manifest = read_manifest(content) if content else manifest_of(records)
    if not manifest.planned:
        raise BadInput(f"{tracker.sweep}: the sweep has no runs; there is nothing to report")
    cells = group_cells(manifest.planned, records)
    _load_claim_histories(manifest, cells, tracker)
    _check_axes(axes, cells)
    files = _report_files(manifest, cells, [*_comparison_warnings(cells, tracker), *notes], tracker, watch_seconds)
    if figures:
        files |= draw(cells, tracker, starmap, axes, manifest.baseline)
    if folder is None:
        _prepare_charts(cells, tracker)
        return keep_report(files, tracker, _describe_answer(manifest, _answer(manifest, cells)), anew=False)
    try:
        write_files(folder, files)
    except OSError as error:
        raise BadInput(f"--to={folder}: {error.strerror}; give a folder that can be written to") from error
    return str(folder)


def _check_axes(axes: Sequence[str], cells: Sequence[Cell]) -> None:
    """Raise BadInput for axes of the map that the cells lack, or that are the same."""
    keys = ", ".join(naming_keys(cells))
    unknown = next((key for key in axes if key not in cells[0].params), None)
    if unknown:
        raise BadInput(f"--map={unknown}: the sweep's runs have no such key; give two of {keys}")
    if len(set(axes)) < len(axes):
        raise BadInput(f"--map={axes[0]}: the key is given for both axes; give two of {keys}")


def _load_claim_histories(manifest: Manifest, cells: Sequence[Cell], tracker: RunReader) -> None:
    """Load the metrics by which the claims are judged into the records, at every step."""
    if metrics := metrics_of_claims(manifest.claims):
        tracker.load_histories([record for cell in cells for record in cell.finished], metrics)


def _report_files(
    manifest: Manifest,
    cells: Sequence[Cell],
    notes: Sequence[str],
    tracker: Tracker,
    watch_seconds: int | None = None,
) -> dict[str, bytes]:
    """Return {file name: content} of the tables, the manifest, and the page unless it cannot be made."""
    files = {"summary.csv": as_csv([row.columns() for row in summarize_cells(cells, manifest.baseline)])}
    files[MANIFEST_FILE] = manifest.to_json()
    if judgements := judge(manifest.claims, cells):
        files["claims.csv"] = as_csv([judgement.columns() for judgement in judgements])
    try:
        finished = [record for cell in cells for record in cell.finished]
        tracker.load_histories(finished, curve_metrics(finished))
        extras = Extras(
            _link_runs(tracker), units_of_layers(cells, tracker), read_snapshots(cells, tracker), watch_seconds
        )
        files[PAGE] = render_page(tracker.sweep, manifest, cells, CellHistograms(cells, tracker), notes, extras)
    except BadInput:
        raise
    except Exception as error:  # for example a damaged file, which must not cost the table
        sys.stderr.write(f"zeroinit: no report.html: {' '.join(f'{type(error).__name__}: {error}'.split())}\n")
    return files


def _link_runs(tracker: Tracker) -> RunLinks:
    """Return where MLflow shows the runs: on the server, or by `zeroinit ui` on this machine."""
    address, experiment = tracker.runs_address()
    if address:
        return RunLinks(address, experiment)
    return RunLinks(LOCAL_UI, experiment, f"The links to the runs need MLflow's UI: {ui_command(tracker)}")


def _comparison_warnings(cells: Sequence[Cell], tracker: RunReader) -> list[str]:
    """Return what a reader should know before comparing the cells."""
    contents = [(cell.params, _newest_init_csv(cell, tracker)) for cell in cells]
    inits = [(params, read_init_csv(content)) for params, content in contents if content]
    keys = naming_keys(cells)
    return [*warn_of_scores(cells), *warn_of_scale(inits, keys), *warn_of_identical_cells(starts_of(cells), keys)]


def show(table: Table | None, notes: Sequence[str]) -> PatientConsole:
    """Print a table, if there is one, and notes below it."""
    # without a terminal, wide enough for every column
    console = PatientConsole(width=None if sys.stdout.isatty() else 200)
    if table:
        console.print(table, markup=False, highlight=False)
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    return console


def _newest_init_csv(cell: Cell, tracker: RunReader) -> bytes | None:
    """Return the init.csv of the cell's newest finished run."""
    return tracker.read_file(cell.finished[0], "init.csv") if cell.finished else None
