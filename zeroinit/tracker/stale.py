"""Runs that are still marked RUNNING although nothing trains them: after a kill -9, a crash or a full memory."""

import sys
from collections import Counter
from collections.abc import Sequence

from zeroinit.process import Process, current_process, is_alive, is_comparable, process_of_tags
from zeroinit.tracker import Record, Tracker

# why this process cannot know whether a RUNNING run still trains
OTHER_HOST, OTHER_BOOT, UNTAGGED = (
    "of other hosts",
    "of another boot or container of this host",
    "without a process tag",
)


def kill_dead_runs(tracker: Tracker, trains_here: bool) -> tuple[int, Counter[str]]:
    """Mark each RUNNING run of the store as KILLED whose process is gone.

    Args:
        tracker: an open tracker; all of its sweeps are searched, by one query.
        trains_here: whether this very process may still train the runs that carry its tags.

    Returns:
        How many trainings were marked, and how many runs this process cannot judge, by reason. A sweep's summary is
        marked but not counted. A run of another host, boot or container may be alive and is never marked, nor is a
        run without process tags.
    """
    here = current_process()
    dead: list[Record] = []
    summaries: list[Record] = []
    unknown: Counter[str] = Counter()
    for record in tracker.find_running():
        process = process_of_tags(record.tags)
        if process is None:
            unknown[UNTAGGED] += 1
        elif not is_comparable(process):
            unknown[OTHER_HOST if process.host != here.host else OTHER_BOOT] += 1
        elif not (trains_here if process == here else is_alive(process)):
            (summaries if record.tags.get("kind") == "summary" else dead).append(record)
    if summaries:
        tracker.mark_killed(summaries)
    return (tracker.mark_killed(dead) if dead else 0), unknown


def tell_dead_runs(tracker: Tracker) -> None:
    """Do what `kill_dead_runs` does as a command starts, and say it on stderr, in a line each."""
    killed, unknown = kill_dead_runs(tracker, trains_here=True)
    if killed:
        were = "run was" if killed == 1 else "runs were"
        sys.stderr.write(f"zeroinit: {killed} {were} marked RUNNING without a process that trains; now KILLED\n")
    if unknown:
        parts = [f"{count} {'run' if count == 1 else 'runs'} {reason}" for reason, count in unknown.items()]
        are = "is" if unknown.total() == 1 else "are"
        sys.stderr.write(f"zeroinit: {', '.join(parts)} {are} still marked RUNNING\n")


def ended_in(process: Process, identities: Sequence[str], tracker: Tracker) -> list[Record]:
    """Return the runs, of these identities, that a process brought to their end: FINISHED or FAILED, not KILLED."""
    ended: dict[str, Record] = {}
    for record in tracker.records():  # newest first
        if record.status in ("FINISHED", "FAILED") and process_of_tags(record.tags) == process:
            ended.setdefault(record.identity, record)
    return [ended[identity] for identity in identities if identity in ended]
