"""A tracker that keeps nothing."""

from collections.abc import Collection, Mapping, Sequence

from zeroinit.tracker import Record


class Off:
    """Keeps the records of this process in memory, for the table at the end of a sweep."""

    keeps = False

    def __init__(self) -> None:
        self.kept: list[Record] = []

    def refuses(self, values: Mapping[str, str]) -> tuple[str, str] | None:
        return None

    def open(self, sweep: str) -> None:
        self.sweep = sweep

    def begin(self, record: Record) -> None:
        self.kept.append(record)

    def flush(self, record: Record) -> None:
        pass

    def end(self, record: Record) -> None:
        pass

    def mark_failed(self, record: Record) -> None:
        pass

    def running(self) -> list[Record]:
        return [record for record in self.kept if record.status == "RUNNING"]

    def kill(self, records: Sequence[Record]) -> int:
        for record in records:
            record.status = "KILLED"
        return len(records)

    def hear(self, record: Record) -> None:
        self.kept.append(record)

    def records(self) -> list[Record]:
        return self.kept[::-1]

    def finished(self, identities: Collection[str]) -> list[Record]:
        return []

    def everywhere(self) -> list[Record]:
        return self.records()

    def recall(self, records: Sequence[Record], metrics: Sequence[str]) -> None:
        pass  # they have all of it

    def file(self, record: Record, name: str) -> bytes | None:
        return record.files.get(name)

    def prepare(self, files: dict[str, bytes]) -> None:
        pass

    def summary(self, files: dict[str, bytes], anew: bool) -> str:
        return ""

    def summarised(self, name: str) -> bytes | None:
        return None

    def describe(self, text: str) -> None:
        pass

    def how_to_see(self) -> str:
        return ""
