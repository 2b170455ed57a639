"""Checks the jobs of a command before the first of them trains."""

import sys
from collections.abc import Iterable, Sequence

from zeroinit.build import check
from zeroinit.build.repeatable import check_repeatable
from zeroinit.config import Job
from zeroinit.errors import BadInput

_written_notes: set[str] = set()  # of the command that this process runs


def check_jobs(jobs: Sequence[Job]) -> None:
    """Check all that can be checked before training, and write the notes on the data to stderr.

    Raises:
        BadInput: The first job that cannot be trained.
    """
    check_repeatable(jobs)
    _write_notes(check(jobs))


def check_distinct(jobs: Iterable[Job]) -> None:
    """Raise BadInput if two jobs have the same config, or the same folder."""
    overrides: dict[str, list[str]] = {}
    folders: dict[str, Job] = {}
    for job in jobs:
        if job.folder in folders:
            both = f"{' '.join(folders[job.folder].overrides)} and {' '.join(job.overrides)}"
            raise BadInput(
                f"hydra.sweep.subdir: {both} would share the folder {job.folder}; give a name that differs between "
                "jobs, such as ${hydra.job.num}"
            )
        folders[job.folder] = job
        if job.config_hash in overrides:
            same = f"{' '.join(overrides[job.config_hash])} and {' '.join(job.overrides)}"
            raise BadInput(f"{same}: the two would be one and the same run; drop the axis that changes nothing")
        overrides[job.config_hash] = job.overrides


def forget_notes() -> None:
    """Forget which notes were written, at the start of another command in the same process."""
    _written_notes.clear()


def _write_notes(notes: Iterable[str]) -> None:
    for note in notes:
        if note not in _written_notes:
            sys.stderr.write(f"zeroinit: {note}\n")
            _written_notes.add(note)
