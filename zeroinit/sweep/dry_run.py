"""What is told of jobs in the place of training them: plan=true, check=only and check=audit."""

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
from zeroinit.sweep import resume
from zeroinit.tracker import Tracker, readable


def only(jobs: Sequence[Job], a_sweep: bool) -> int:
    """Print what the lint finds in a run, or in the first of each cell of a sweep; 1 where it found something."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.cell_hash, job)
    found, filled, starts = [], [], []
    for job in first.values():
        with environment(job.variables):
            data = load(job.values, set_up_torch(job.values))
            model, lines, optimizer = build(job.values, data)
            found.append((job.params, lint.findings(job.values, data, model, optimizer)))
            drawn = with_moments(job.values, model, lines)
        filled.append((job.params, [{key: str(value) for key, value in line.items()} for line in drawn]))
        starts.append((job.params, {str(job.values["seeds"]["init"]): state_hash(model)}))
    keys = naming_keys([Cell(job.params) for job in first.values()])
    notes = [*warn_of_scale(filled, keys), *warn_of_identical_cells(starts, keys)]
    show(
        tables.cell_findings_table(keys, found) if a_sweep else tables.run_findings_table(lint.RULES, found[0][1]),
        notes,
    )
    return int(any(one for _, one in found) or bool(notes))


def planned(jobs: Sequence[Job], tracker: Tracker, workers: int) -> None:
    """Print which runs of each cell are done, failed or to do, and how long those will take on so many processes."""
    identities = [identity_of(job) for job in jobs]
    records, left_out = readable(tracker.records())
    found = group_cells([(one, job.cell_hash, job.params) for one, job in zip(identities, jobs, strict=True)], records)
    done = resume.finished(jobs, tracker)
    broken = {record.identity for cell in found for record in cell.newest if record.status in ("FAILED", "KILLED")}
    to_do = [(job, one) for job, one in zip(jobs, identities, strict=True) if one not in done]
    needed = resume.seconds_needed([job for job, _ in to_do], readable(tracker.all_records())[0])
    keys, lines = naming_keys(found), []
    by_cell: dict[str, list[Job]] = {}
    for job in jobs:
        by_cell.setdefault(job.cell_hash, []).append(job)
    for cell_hash, of_cell in by_cell.items():
        own = [(one, took) for (job, one), took in zip(to_do, needed, strict=True) if job.cell_hash == cell_hash]
        failed = sum(one in broken for one, _ in own)
        named = [of_cell[0].params.get(key, "") for key in keys]
        counts = len(of_cell) - len(own), failed, len(own) - failed
        lines.append((named, counts, [took for _, took in own]))
    show(tables.plan_table(keys, lines), [tables.summarize_plan(len(jobs), needed, workers), *left_out])


def audited(job: Job) -> None:
    """Print where the asymmetry of a run comes from."""
    found = audit(job.values, load(job.values, set_up_torch(job.values)))
    drawn = [(one.phase, abbreviate(one.names), one.entries, one.source, one.effect) for one in found.drawn]
    show(tables.draws_table(drawn), [""])
    if found.replays:
        show(tables.replays_table(found.units, found.replays), [""])
    show(None, found.notes)
