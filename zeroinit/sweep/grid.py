"""A sweep whose jobs are known from the start: every job is checked before the first one trains, a table at the end."""

import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import starmap

from zeroinit.build import identity_of, open_tracker
from zeroinit.config import Job
from zeroinit.config.claims import check_meant
from zeroinit.config.unknown import shipped_defaults
from zeroinit.errors import BadInput, Ended, SweepEnded
from zeroinit.report import announce, conclude
from zeroinit.report.manifest import Manifest
from zeroinit.signals import INTERRUPTED, announce_interruption
from zeroinit.sweep import dry_run
from zeroinit.sweep.checkpoint import discard
from zeroinit.sweep.checks import check_distinct, check_jobs
from zeroinit.sweep.claim_cells import check_cells
from zeroinit.sweep.command import Command
from zeroinit.sweep.job_folder import check_folder
from zeroinit.sweep.pool import Pool
from zeroinit.sweep.resume import find_finished
from zeroinit.sweep.runner import size_of
from zeroinit.sweep.sender import send_leftovers
from zeroinit.tracker import Record, Status, Tracker
from zeroinit.tracker.stale import mark_dead_runs, report_dead_runs
from zeroinit.user_code import explain_exits

Train = Callable[[list[int]], bool]


def run_grid(jobs: Sequence[Job], command: Command, train: Train, pool: Pool | None) -> None:
    """Check the jobs, train those that were not trained before, and print the table of all.

    Args:
        jobs: The jobs of the sweep.
        command: What the command says beside them.
        train: Trains the jobs with these indices, and returns whether all could be launched.
        pool: Worker processes that can draw the figures; None draws in this process.

    Raises:
        BadInput: A job cannot be trained, or the store does not answer.
        Ended: The command ends with an exit code, after all output: a run failed, or nothing was to be trained.
    """
    check_distinct(jobs)
    check_jobs(jobs)
    _check_claims(jobs, command)
    _check_reference(jobs, command.changed_keys)
    _print_findings_and_stop(jobs)
    began = time.time()  # a run that ends from here on counts as one of this command, whoever trains it
    tracker = open_tracker(jobs[0], command.sweep)
    send_leftovers(tracker)
    report_dead_runs(tracker)
    if "plan" in {job.config.mode for job in jobs}:
        dry_run.print_plan(jobs, tracker, pool.workers if pool else 1, command.skipped)
        raise Ended(0)
    identities = [identity_of(job) for job in jobs]
    finished = find_finished(jobs, tracker)
    discard(finished)  # a process may have died before it did so
    planned = [(identity, job.cell_hash, job.params) for identity, job in zip(identities, jobs, strict=True)]
    manifest = command.manifest(planned, jobs[0].config.claims, size_of(jobs[0]))
    _announce(manifest, command, tracker)
    if finished:
        print(f"{len(finished)} of {len(jobs)} runs were trained before; rerun=true trains them again")
    missing = [index for index, identity in enumerate(identities) if identity not in finished]
    started = time.time()
    code = _train_missing(missing, len(jobs), train, tracker)
    records = _conclude(manifest, tracker, started, code, pool)
    done = {record.identity for record in records if record.ended_at >= began and record.status == Status.FINISHED}
    is_complete = {identities[index] for index in missing} <= done
    if code or not is_complete:
        raise Ended(code or 1)


def _check_claims(jobs: Sequence[Job], command: Command) -> None:
    """Raise BadInput for a claim about a key, an option, a cell or a layer that the sweep does not have."""
    claims = jobs[0].config.claims
    check_meant(claims, [job.params for job in jobs], command.find_options)
    check_cells(claims, jobs, size_of(jobs[0]) or command.size, command.changed_keys)


def _check_reference(jobs: Sequence[Job], changed_keys: Collection[str]) -> None:
    """Raise BadInput if no job has the init that is the reference, unless no one asked for that init."""
    inits, reference = dict.fromkeys(job.params["init"] for job in jobs), jobs[0].config.reference
    is_shipped = reference == shipped_defaults()["reference"]
    if reference not in inits and not is_shipped and ("reference" in changed_keys or "init" not in changed_keys):
        raise BadInput(f"reference={reference}: no run of the sweep has this init; give {' or '.join(inits)}")


def _print_findings_and_stop(jobs: Sequence[Job]) -> None:
    """Print the findings of the jobs and raise Ended, if mode=lint is given. Raise BadInput for mode=audit."""
    modes = {job.config.mode for job in jobs}
    if "audit" in modes:
        raise BadInput("mode=audit: it replays one run; leave out -m, or give mode=lint")
    if "lint" in modes:
        with explain_exits("mode=lint"):
            code = dry_run.print_findings(jobs, is_sweep=True)
        raise Ended(code)


def _announce(manifest: Manifest, command: Command, tracker: Tracker) -> None:
    """Write what the sweep asks to the store, and its config to its folder."""
    check_folder("hydra.sweep.dir", command.folder)
    announce(manifest, tracker)
    try:
        (command.folder / "multirun.yaml").write_text(command.config_yaml, encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"hydra.sweep.dir={command.folder}: {error.strerror}; name a folder that can be written"
        ) from error


def _train_missing(missing: list[int], total: int, train: Train, tracker: Tracker) -> int:
    """Train the jobs with these indices, of `total` jobs; return the exit code: 1 if one could not be launched.

    Raises:
        Ended: The command was interrupted, or a limit ended the sweep.
    """
    try:
        return int(not train(missing)) if missing else 0
    except KeyboardInterrupt:
        announce_interruption()
        code = INTERRUPTED
    except SweepEnded as end:
        done = total - len(missing) + end.finished
        sys.stderr.write(f"zeroinit: {end}; {done} of {total} runs are done, and the same command goes on\n")
        code = 1
    with suppress(BadInput):  # the next command marks them otherwise
        mark_dead_runs(tracker, trains_here=False)
    raise Ended(code)


def _conclude(manifest: Manifest, tracker: Tracker, started: float, code: int, pool: Pool | None) -> list[Record]:
    """Print the table, and return the records of the sweep."""
    try:
        mark_dead_runs(tracker, trains_here=False)  # the rows of runs whose worker died
        return conclude(manifest, tracker, pool.map if pool else starmap, started)
    except BadInput as error:
        error.exit_code = code or 1
        raise
