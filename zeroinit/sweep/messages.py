"""The lines that a person reads when a run has ended."""

from pathlib import Path

from zeroinit.config import Job
from zeroinit.tracker import TEST_LOSS, TRACEBACK, Record, Status
from zeroinit.tracker.tags import Tag


def failure_line(job: Job, record: Record) -> str:
    """Return the line that says why a run of a sweep failed. Write its traceback, if any, to the job's folder."""
    error = " ".join(record.tags[Tag.ERROR].split())[:400]
    if TRACEBACK in record.files:
        path = Path(job.folder, TRACEBACK)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.files[TRACEBACK])
            error += f" (traceback in {path})"
        except OSError as unwritten:  # such as a full disk; the other runs go on
            error += f" (no traceback in {path}: {unwritten.strerror})"
    return f"failed: {' '.join(job.overrides)}: {error}"


def best_val_score(record: Record) -> float | None:
    """Return the best validation score of a run, which an optimising sweeper maximises; None if the run failed."""
    return max(record.history(record.score.val).values(), default=0.0) if record.status == Status.FINISHED else None


def new_warnings(record: Record, already_shown: set[str]) -> list[str]:
    """Return the warnings in the run's tags that are not in `already_shown`, and add them to it.

    Only the findings of the first run of a cell are returned: another seed gives other numbers.
    """
    findings = record.tags.get(Tag.LINT_FINDINGS, "").splitlines()
    if findings and record.tags[Tag.CELL_HASH] in already_shown:
        findings = []
    elif findings:
        already_shown.add(record.tags[Tag.CELL_HASH])
    new = [
        line
        for line in (record.tags.get(Tag.SKIPPED_PROBES), record.tags.get(Tag.CHECKPOINT), *findings)
        if line and line not in already_shown
    ]
    already_shown.update(new)
    return new


def result_line(record: Record) -> str:
    """Return the line for a run that has ended: its test score, loss and outcome, or its error."""
    if Tag.ERROR in record.tags:
        return f"{record.name}: {record.tags[Tag.ERROR]}"
    score, loss = record.score, record.last(TEST_LOSS)
    stopped = f", stopped after step {record.tags[Tag.STOPPED_AT]}" if Tag.STOPPED_AT in record.tags else ""
    outcome = f"{record.tags[Tag.OUTCOME]} ({record.tags[Tag.OUTCOME_REASON]}){stopped}"
    return f"{record.name}: test {score.label} {record.last(score.test):z.1%}, loss {loss:.3g}, {outcome}"
