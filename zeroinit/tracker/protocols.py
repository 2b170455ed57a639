"""The protocols of a tracker, which stores runs and reads them back."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from zeroinit.tracker.record import Record
from zeroinit.tracker.scores import Score


class RunWriter(Protocol):
    """Writes runs. `open` is called first, and raises BadInput if runs cannot be written.

    An open writer is pickled, with its connection closed, and sent to the processes that train.
    """

    is_persistent: bool  # whether anything outlives the process
    store: str  # names the store, without a password; a file in the current folder by its relative path
    sweep: str  # the name of the sweep, after `open`

    def refuses(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the first {name: value} of params, tags or metrics that the store can never take: its name, and why.

        It needs no open store.
        """

    def open(self, sweep: str) -> None:
        """Connect to the store, and find or make the experiment of the sweep. Raises BadInput."""

    def claim(self, records: Sequence[Record]) -> list[Record]:
        """Write the runs as RUNNING, before they train, and return those that this process must not train.

        These are the runs that another process trains, or has trained since the store was opened. Raises StoreFailed.
        """

    def write_progress(self, records: Sequence[Record]) -> None:
        """Write the new metrics of runs that train, and renew their lease. Raises StoreFailed, soon."""

    def write(self, records: Sequence[Record]) -> None:
        """Write runs that ended, whole. It may be called again for the same runs. Raises StoreFailed."""

    def mark_killed(self, records: Sequence[Record]) -> int:
        """Mark the runs that are still RUNNING as KILLED, and return how many they are. Raises StoreFailed."""


class RunReader(Protocol):
    """Reads runs, newest first.

    A record may hold only the last value of each metric, until `load_histories` adds the others. `records` and
    `find_finished` give the status INCOMPLETE to a run that is FINISHED in the store but not complete (Record.lacks).
    """

    sweep: str  # the name of the sweep, after `open`

    def records(self) -> list[Record]:
        """Return every run of the sweep, newest first."""

    def find_finished(self, identities: Collection[str]) -> list[Record]:
        """Return the finished runs of the sweep that have one of the identities, newest first."""

    def find_ended(self, identities: Collection[str]) -> list[Record]:
        """Return the runs of these identities that FINISHED or FAILED since the store was opened, newest first."""

    def find_running(self) -> list[Record]:
        """Return the runs of every sweep of the store that are marked RUNNING, summaries included."""

    def all_records(self) -> list[Record]:
        """Return every run of every sweep of the store."""

    def load_histories(self, records: Sequence[Record], metrics: Sequence[str]) -> None:
        """Put all values of these metrics into the records that have them."""

    def read_file(self, record: Record, name: str) -> bytes | None:
        """Return the content of an artifact; None if the run has no such file."""


class SummaryStore(Protocol):
    """Writes and reads the summary of a sweep: its table, page and figures, and what its charts need."""

    def begin_summary(self, files: dict[str, bytes]) -> None:
        """Begin the summary of a sweep with these files {name: content}."""

    def write_summary(self, files: dict[str, bytes], anew: bool, description: str = "") -> str:
        """Write files {name: content} into the summary, and return where that is.

        Args:
            files: The files.
            anew: Whether they replace the last summary; otherwise they are added to it.
            description: What is shown above them, in Markdown.
        """

    def read_summary(self, name: str) -> bytes | None:
        """Return the content of a file of the summary; None if there is none."""

    def describe(self, text: str) -> None:
        """Show a description of the sweep, in Markdown."""

    def prepare_charts(self, keys: Sequence[str], score: Score) -> None:
        """Make the charts of the sweep open with this score, a line for each combination of the keys' values."""

    def report_folder(self) -> Path:
        """Return the folder of the sweep's report, whose path stays the same."""

    def uri_to_give(self) -> str:
        """Return the uri that another command needs to find the store; empty if it needs none."""

    def runs_address(self) -> tuple[str, str]:
        """Return the address of the server, empty for a database, and the ID of the experiment."""


class Tracker(RunWriter, RunReader, SummaryStore, Protocol):
    """Writes runs, reads them back, and keeps the summary of their sweep."""
