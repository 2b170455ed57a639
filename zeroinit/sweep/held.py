"""Runs of this command that another process trains: this command waits for their results."""

import time
from collections.abc import Callable, Collection

from zeroinit.tracker import TRACEBACK, Record, Status, Tracker
from zeroinit.tracker.leases import is_held
from zeroinit.tracker.scores import VAL_SCORES
from zeroinit.tracker.spool import Spool

POLL_SECONDS = 1.0  # between two checks


def find_ended(identities: Collection[str], tracker: Tracker, spool: Spool) -> list[Record]:
    """Return the runs of these identities that ended since the store was opened, from the spool or from the store."""
    waiting = {record.identity: record for record in spool.find(identities)}
    rest = {*identities} - waiting.keys()
    stored: dict[str, Record] = {}
    for record in tracker.find_ended(rest) if rest else ():  # newest first
        stored.setdefault(record.identity, record)
    tracker.load_histories(list(stored.values()), VAL_SCORES)
    for record in stored.values():
        trace = tracker.read_file(record, TRACEBACK) if record.status == Status.FAILED else None
        record.files |= {TRACEBACK: trace} if trace else {}
    return [*waiting.values(), *stored.values()]


def await_held(
    identities: Collection[str], tracker: Tracker, spool: Spool, check: Callable[[], None] = lambda: None
) -> tuple[list[Record], set[str]]:
    """Wait until some of the runs with these identities ended, or nobody trains them any more.

    `check` is called now and then, and may raise.

    Returns:
        The records of those that ended, and the identities of those that nobody trains.

    Raises:
        BadInput: The store does not answer.
    """
    while True:
        check()
        trained = {record.identity for record in tracker.find_running() if is_held(record.tags)}
        ended = find_ended(identities, tracker, spool)  # later, so that a run that ends meanwhile is in one of the two
        free = {*identities} - trained - {record.identity for record in ended}
        if ended or free:
            return ended, free
        time.sleep(POLL_SECONDS)
