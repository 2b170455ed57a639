"""The protocols of a tracker, which stores runs and reads them back."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from zeroinit.tracker.record import Record


class RunWriter(Protocol):
    """Writes runs. `open` is called first, and raises BadInput if runs cannot be written."""

    is_persistent: bool  # whether anything outlives the process

    def refuses(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the first {name: value} of params, tags or metrics that the store can never take: its name, and why.

        It needs no open store.
        """

    def open(self, sweep: str) -> None: ...
    def begin(self, record: Record) -> None:
        """Write what is known of a run before it trains. Raises StoreFailed."""

    def flush(self, record: Record) -> None: ...
    def end(self, record: Record) -> None:
        """Write the files, then metrics and tags, then the status. Raises StoreFailed; the run is then not FINISHED."""

    def mark_failed(self, record: Record) -> None:
        """Write that a run FAILED whose `end` raised, as far as the store answers. Raises nothing."""

    def mark_killed(self, records: Sequence[Record]) -> int:
        """Mark the runs that are still RUNNING as KILLED, and return how many they are."""

    def adopt(self, record: Record) -> None:
        """Take a record that another process has written to its end."""


class RunReader(Protocol):
    """Reads runs, newest first.

    A record may hold only the last value of each metric, until `load_histories` adds the others. `records` and
    `find_finished` give the status INCOMPLETE to a run that is FINISHED in the store but not complete (Record.lacks).
    """

    sweep: str  # the name of the sweep, after `open`

    def records(self) -> list[Record]: ...
    def find_finished(self, identities: Collection[str]) -> list[Record]: ...
    def find_running(self) -> list[Record]: ...
    def all_records(self) -> list[Record]: ...
    def load_histories(self, records: Sequence[Record], metrics: Sequence[str]) -> None: ...
    def read_file(self, record: Record, name: str) -> bytes | None: ...


class SummaryStore(Protocol):
    """Writes and reads the summary of a sweep: its table, page and figures, and what its charts need."""

    def begin_summary(self, files: dict[str, bytes]) -> None: ...
    def write_summary(self, files: dict[str, bytes], anew: bool, description: str = "") -> str: ...
    def read_summary(self, name: str) -> bytes | None: ...
    def describe(self, text: str) -> None: ...
    def prepare_charts(self, keys: Sequence[str]) -> None: ...
    def report_folder(self) -> Path: ...
    def uri_to_give(self) -> str: ...
    def runs_address(self) -> tuple[str, str]: ...


class Tracker(RunWriter, RunReader, SummaryStore, Protocol):
    """Writes runs, reads them back, and keeps the summary of their sweep."""
