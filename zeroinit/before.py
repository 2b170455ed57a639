"""What is told of jobs in the place of training them: check=only and check=audit."""

from collections.abc import Sequence
from dataclasses import asdict

from zeroinit import lint
from zeroinit.audit import audit
from zeroinit.build import build, load, set_up_torch
from zeroinit.config import Job
from zeroinit.lint.made import listed
from zeroinit.report import checks, show
from zeroinit.report.cells import Cell, columns
from zeroinit.report.confounded import confounded


def only(jobs: Sequence[Job], a_sweep: bool) -> int:
    """Print what the lint finds in a run, or in the first of each cell of a sweep; 1 where it found something."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.cell_hash, job)
    found, filled = [], []
    for job in first.values():
        data = load(job.values, set_up_torch(job.values))
        model, lines, optimizer = build(job.values, data)
        found.append((job.params, lint.findings(job.values, data, model, optimizer)))
        filled.append((job.params, [{key: str(value) for key, value in asdict(line).items()} for line in lines]))
    keys = columns([Cell(job.params) for job in first.values()])
    notes = confounded(filled, keys)
    show(checks.of_cells(keys, found) if a_sweep else checks.of_run(lint.RULES, found[0][1]), notes)
    return int(any(one for _, one in found) or bool(notes))


def audited(job: Job) -> None:
    """Print where the asymmetry of a run comes from."""
    found = audit(job.values, load(job.values, set_up_torch(job.values)))
    drawn = [(one.phase, listed(one.of), one.entries, one.source, one.effect) for one in found.drawn]
    show(checks.of_draws(drawn), [""])
    if found.replays:
        show(checks.of_replays(found.units, found.replays), [""])
    show(None, found.notes)
