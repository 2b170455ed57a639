"""Runs of this command that another process trains: this command waits for their results."""

import time
from collections.abc import Callable, Collection

from zeroinit.errors import BadInput
from zeroinit.tracker import TRACEBACK, Record, Status, Tracker
from zeroinit.tracker.leases import is_held
from zeroinit.tracker.scores import VAL_SCORES
from zeroinit.tracker.spool import Spool
from zeroinit.tracker.tags import Tag

POLL_SECONDS = 1.0  # between two checks


def find_ended(identities: Collection[str], tracker: Tracker, spool: Spool) -> list[Record]:
    """Return the runs of these identities that ended since the store was opened, from the spool or from the store."""
    waiting = {record.identity: record for record in spool.find(identities)}
    rest = {*identities} - waiting.keys()
    stored: dict[str, Record] = {}
    for record in tracker.find_ended(rest) if rest else ():  # newest first
        stored.setdefault(record.identity, record)
    if stored:
        tracker.load_histories(list(stored.values()), VAL_SCORES)
    for record in stored.values():
        trace = tracker.read_file(record, TRACEBACK) if record.status == Status.FAILED else None
        record.files |= {TRACEBACK: trace} if trace else {}
    return [*waiting.values(), *stored.values()]


def find_held(tracker: Tracker) -> set[str]:
    """Return the identities of the runs of the sweep that another process trains."""
    running = [record for record in tracker.find_running() if record.tags.get(Tag.SWEEP) == tracker.sweep]
    return {record.identity for record in running if is_held(record.tags)}


def await_held(
    identities: Collection[str], tracker: Tracker, spool: Spool, check: Callable[[], None] = lambda: None
) -> tuple[list[Record], set[str]]:
    """Wait until some of the runs with these identities ended, or nobody trains them any more.

    `check` is called now and then, and may raise.

    Returns:
        The records of those that ended, and the identities of those that nobody trains.

    Raises:
        BadInput: The store does not answer. The exit code is 1, as runs may have been trained.
    """
    while True:
        check()
        try:
            held = find_held(tracker)
            ended = find_ended(identities, tracker, spool)  # later, so that a run that ends meanwhile is in one of them
        except BadInput as error:
            error.exit_code = 1
            raise
        free = {*identities} - held - {record.identity for record in ended}
        if ended or free:
            return ended, free
        time.sleep(POLL_SECONDS)
