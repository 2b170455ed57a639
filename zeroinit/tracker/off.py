"""A tracker that keeps nothing."""

from zeroinit.tracker import Record


class Off:
    """Keeps the records of this process in memory, for the table at the end of a sweep."""

    keeps = False

    def __init__(self) -> None:
        self.kept: list[Record] = []

    def open(self, sweep: str) -> None:
        pass

    def begin(self, record: Record) -> None:
        self.kept.append(record)

    def flush(self, record: Record) -> None:
        pass

    def end(self, record: Record) -> None:
        pass

    def kill(self, record: Record) -> None:
        record.status = "KILLED"

    def hear(self, record: Record) -> None:
        self.kept.append(record)

    def records(self) -> list[Record]:
        return self.kept[::-1]

    def file(self, record: Record, name: str) -> bytes | None:
        return record.files.get(name)

    def summary(self, files: dict[str, bytes]) -> str:
        return ""

    def how_to_see(self) -> str:
        return ""
