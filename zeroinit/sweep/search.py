"""The end of a sweep whose jobs another sweeper than ours has chosen, such as a search by Optuna."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from zeroinit.config.claims import Claim
from zeroinit.report import conclude
from zeroinit.report.manifest import manifest_of
from zeroinit.sweep.command import Command
from zeroinit.sweep.sender import send_leftovers
from zeroinit.tracker import TRACEBACK, Record, Status, Tracker, readable
from zeroinit.tracker.scores import name_scores
from zeroinit.tracker.stale import mark_dead_runs
from zeroinit.tracker.tags import Tag

BEST_FILE = "optimization_results.yaml"  # that Hydra's optimising sweepers write


def conclude_search(
    command: Command,
    tracker: Tracker,
    claims: Sequence[Claim],
    started: float,
    notes: Sequence[str],
    is_search: bool,
) -> bool:
    """Print and keep the table of the runs since the start, and print the best trial.

    Args:
        command: What the command says.
        tracker: The open tracker of the runs.
        claims: The claims of the sweep's file.
        started: When the sweep began, in seconds since the epoch.
        notes: Lines for the page.
        is_search: Whether the sweeper optimises a value.

    Returns:
        Whether all runs finished.
    """
    send_leftovers(tracker)
    mark_dead_runs(tracker, trains_here=False)
    since = [record for record in tracker.records() if record.started >= started]
    new, _ = readable(since)  # the table names the others
    if new:
        manifest = command.manifest(manifest_of(new).planned, claims, new[0].tags.get(Tag.SIZE, ""))
        conclude(replace(manifest, notes=notes), tracker)
    _print_best(command.folder / BEST_FILE, is_search, name_scores(record.score for record in new))
    return _have_finished(since, new) and not _has_traceback(command.folder, started)


def _print_best(path: Path, is_search: bool, score: str) -> None:
    if path.is_file():
        best = yaml.safe_load(path.read_text())
        chosen = " ".join(f"{key}={value}" for key, value in best["best_params"].items())
        print(f"Best validation {score}: {best['best_value']:z.1%}, with {chosen} ({path})")
    elif is_search:
        print("No trial finished, so that there is no best one.")


def _have_finished(since: Sequence[Record], new: Sequence[Record]) -> bool:
    finished = {record.identity for record in new if record.status == Status.FINISHED}
    return all(not record.identity or record.identity in finished for record in since)


def _has_traceback(folder: Path, started: float) -> bool:
    """Whether a run could not even begin: it is not in the store, but its traceback is in the folder of its job."""
    return any(path.stat().st_mtime >= started for path in folder.rglob(TRACEBACK))
