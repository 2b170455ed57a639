"""A tracker that stores nothing beyond the process."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from zeroinit.tracker import Record
from zeroinit.tracker.scores import Score


class Off:
    """Holds the records of this process in memory, for the table at the end of a sweep."""

    is_persistent = False
    store = "memory"

    def __init__(self) -> None:
        self._records: list[Record] = []

    def refuses(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        return None

    def open(self, sweep: str) -> None:
        self.sweep = sweep

    def claim(self, records: Sequence[Record]) -> list[Record]:
        return []

    def write_progress(self, records: Sequence[Record]) -> None:
        pass

    def write(self, records: Sequence[Record]) -> None:
        self._records += records

    def find_ended(self, identities: Collection[str]) -> list[Record]:
        return []

    def find_running(self) -> list[Record]:
        return []

    def mark_killed(self, records: Sequence[Record]) -> int:
        return 0

    def records(self) -> list[Record]:
        return self._records[::-1]

    def find_finished(self, identities: Collection[str]) -> list[Record]:
        return []

    def all_records(self) -> list[Record]:
        return self.records()

    def load_histories(self, records: Sequence[Record], metrics: Sequence[str]) -> None:
        pass  # the records have them

    def read_file(self, record: Record, name: str) -> bytes | None:
        return record.files.get(name)

    def begin_summary(self, files: dict[str, bytes]) -> None:
        pass

    def write_summary(self, files: dict[str, bytes], anew: bool, description: str = "") -> str:
        return ""

    def read_summary(self, name: str) -> bytes | None:
        return None

    def describe(self, text: str) -> None:
        pass

    def prepare_charts(self, keys: Sequence[str], score: Score) -> None:
        pass

    def report_folder(self) -> Path:
        return Path("mlruns", "reports", self.sweep)

    def runs_address(self) -> tuple[str, str]:
        return "", ""

    def uri_to_give(self) -> str:
        return ""
