"""Finds runs that are still marked RUNNING although nothing trains them: after kill -9, a crash or lack of memory."""

import sys
from collections import Counter

from zeroinit.process import current_process, process_of_tags
from zeroinit.tracker import Record, Tracker
from zeroinit.tracker.leases import is_in_progress
from zeroinit.tracker.tags import Kind, Tag

# why this process cannot know whether a RUNNING run still trains
OTHER_HOST, OTHER_BOOT, UNTAGGED = (
    "of other hosts",
    "of another boot or container of this host",
    "without a process tag",
)


def is_training(tracker: Tracker) -> bool:
    """Return whether the tracker's sweep still trains, as far as this process can know: dead runs are marked first."""
    mark_dead_runs(tracker, trains_here=True)
    return any(record.tags.get(Tag.SWEEP) == tracker.sweep for record in tracker.find_running())


def mark_dead_runs(tracker: Tracker, trains_here: bool) -> tuple[int, Counter[str]]:
    """Mark each RUNNING run of the store as KILLED whose process is gone.

    Args:
        tracker: An open tracker; all of its sweeps are searched, by one query.
        trains_here: Whether this very process may still train the runs that carry its tags.

    Returns:
        The number of runs that were marked, and the number of runs that this process cannot judge, by reason. The
        summary of a sweep is marked but not counted. A run of another host, boot or container is marked when its lease
        has expired; without a lease, or without process tags, it is never marked.
    """
    here = current_process()
    dead: list[Record] = []
    summaries: list[Record] = []
    unknown: Counter[str] = Counter()
    for record in tracker.find_running():
        process = process_of_tags(record.tags)
        is_alive = trains_here if process == here else is_in_progress(record.tags)
        if is_alive is None:
            is_other_host = process is not None and process.host != here.host
            unknown[UNTAGGED if process is None else OTHER_HOST if is_other_host else OTHER_BOOT] += 1
        elif not is_alive:
            (summaries if record.tags.get(Tag.KIND) == Kind.SUMMARY else dead).append(record)
    if summaries:
        tracker.mark_killed(summaries)
    return (tracker.mark_killed(dead) if dead else 0), unknown


def report_dead_runs(tracker: Tracker) -> None:
    """Do what `mark_dead_runs` does when a command starts, and print the numbers on stderr."""
    killed, unknown = mark_dead_runs(tracker, trains_here=True)
    if killed:
        were = "run was" if killed == 1 else "runs were"
        sys.stderr.write(f"zeroinit: {killed} {were} marked RUNNING without a process that trains; now KILLED\n")
    if unknown:
        parts = [f"{count} {'run' if count == 1 else 'runs'} {reason}" for reason, count in unknown.items()]
        are = "is" if unknown.total() == 1 else "are"
        sys.stderr.write(f"zeroinit: {', '.join(parts)} {are} still marked RUNNING\n")
