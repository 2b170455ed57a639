"""Prints tables about jobs without training them: mode=plan, mode=lint and mode=audit."""

from collections.abc import Sequence

from zeroinit.build import build, identity_of, load, set_up_torch
from zeroinit.config import Job
from zeroinit.diagnostics import lint
from zeroinit.diagnostics.construction import abbreviate
from zeroinit.diagnostics.moments import with_moments
from zeroinit.diagnostics.symmetry import audit
from zeroinit.environment import environment
from zeroinit.init import state_hash
from zeroinit.report import show, tables
from zeroinit.report.cells import Cell, group_cells, naming_keys
from zeroinit.report.confounding import warn_of_scale
from zeroinit.report.identical import warn_of_identical_cells
from zeroinit.sweep.resume import find_finished, seconds_needed
from zeroinit.tracker import RunReader, Status, readable


def print_findings(jobs: Sequence[Job], is_sweep: bool) -> int:
    """Print what the lint finds in a run, or in the first run of each cell; return 1 if it finds something, else 0."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.cell_hash, job)
    findings, moments, starts = [], [], []
    for job in first.values():
        with environment(job.variables):
            data = load(job.config, set_up_torch(job.config))
            model, lines, optimizer = build(job.config, data)
            findings.append((job.params, lint.findings(job.config, data, model, optimizer)))
            with_values = with_moments(job.config, lines)
        moments.append((job.params, [{key: str(value) for key, value in line.items()} for line in with_values]))
        starts.append((job.params, {str(job.config.seeds.init): state_hash(model)}))
    keys = naming_keys([Cell(job.params) for job in first.values()])
    notes = [*warn_of_scale(moments, keys), *warn_of_identical_cells(starts, keys)]
    if is_sweep:
        show(tables.cell_findings_table(keys, findings), notes)
    else:
        show(tables.run_findings_table(lint.RULES, findings[0][1]), notes)
    return int(any(lines for _, lines in findings) or bool(notes))


def print_plan(jobs: Sequence[Job], tracker: RunReader, workers: int, skipped: int = 0) -> None:
    """Print how many runs of each cell are done, failed or to do, and how long the rest takes.

    `skipped` is how many combinations of the axes hydra.sweeper.skip_if leaves out.
    """
    identities = [identity_of(job) for job in jobs]
    records, left_out = readable(tracker.records())
    runs = [(identity, job.cell_hash, job.params) for identity, job in zip(identities, jobs, strict=True)]
    all_cells = group_cells(runs, records)
    done = find_finished(jobs, tracker)
    failed = {
        record.identity
        for cell in all_cells
        for record in cell.newest
        if record.status in (Status.FAILED, Status.KILLED)
    }
    to_do = [(job, identity) for job, identity in zip(jobs, identities, strict=True) if identity not in done]
    seconds = seconds_needed([job for job, _ in to_do], readable(tracker.all_records())[0])
    keys = naming_keys(all_cells)
    lines = []
    by_cell: dict[str, list[Job]] = {}
    for job in jobs:
        by_cell.setdefault(job.cell_hash, []).append(job)
    for cell_hash, cell_jobs in by_cell.items():
        rest = [
            (identity, estimate)
            for (job, identity), estimate in zip(to_do, seconds, strict=True)
            if job.cell_hash == cell_hash
        ]
        failures = sum(identity in failed for identity, _ in rest)
        values = [cell_jobs[0].params.get(key, "") for key in keys]
        counts = len(cell_jobs) - len(rest), failures, len(rest) - failures
        lines.append((values, counts, [estimate for _, estimate in rest]))
    notes = [tables.summarize_plan(len(jobs), seconds, workers), *left_out]
    if skipped:
        notes.append(f"hydra.sweeper.skip_if leaves out {skipped} of {len(jobs) + skipped} combinations.")
    show(tables.plan_table(keys, lines), notes)


def print_audit(job: Job) -> None:
    """Print where the asymmetry of a run comes from."""
    result = audit(job.config, load(job.config, set_up_torch(job.config)))
    draws = [(line.phase, abbreviate(line.names), line.entries, line.source, line.effect) for line in result.drawn]
    show(tables.draws_table(draws), [""])
    if result.replays:
        show(tables.replays_table(result.units, result.replays), [""])
    show(None, result.notes)
