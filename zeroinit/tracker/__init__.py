"""Where runs are kept and read back from: what a record is, and what is asked of a tracker."""

import re
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

COURSE = "test/accuracy"  # the metric by which runs are compared
CHOICE = "val/accuracy"  # the metric by which one is chosen
COUNTS = "test_counts"  # the tag of how many examples of each class the test set has
NEEDED_PARAMS = ("arch", "init", "seeds.init")  # without which a run has no row in any table


@dataclass
class Record:
    """A run as it is kept: what it was, what it measured (name, value, step) and its files (name, content)."""

    name: str
    params: dict[str, str]
    tags: dict[str, str]
    status: str = "RUNNING"  # then FINISHED, FAILED or KILLED
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    run_id: str = ""
    ended: bool = False  # whether its end was written
    tracking: float = 0.0  # seconds spent on watching and keeping it, up to its last write

    @property
    def identity(self) -> str:
        """What tells it from others; of runs kept by versions that had none yet, the hash of their config."""
        return self.tags.get("identity") or self.tags.get("config_hash", "")

    @property
    def is_readable(self) -> bool:
        """Whether a report can use the run: a process may end before it writes them, and a person may make a run."""
        return bool(self.identity) and "cell_hash" in self.tags and self.params.keys() >= {*NEEDED_PARAMS}

    def course(self, metric: str) -> dict[int, float]:
        """The metric's values by step."""
        return {step: value for name, value, step in self.metrics if name == metric}

    def last(self, metric: str) -> float:
        """The metric's last value; NaN where it was never taken."""
        return next((value for name, value, _ in reversed(self.metrics) if name == metric), float("nan"))


def readable(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Return the records that a report can use, in their order, and a line on the others if there are any."""
    kept: list[Record] = []
    others: list[Record] = []
    for record in records:
        (kept if record.is_readable else others).append(record)
    if not others:
        return kept, []
    names = ", ".join(record.run_id or record.name for record in others[:3]) + (", ..." if len(others) > 3 else "")
    runs = "1 run is left out, as it lacks" if len(others) == 1 else f"{len(others)} runs are left out, as they lack"
    return kept, [
        f"{runs} parameters or tags that every run has ({names}): its process ended before it wrote them, or the run "
        "was made by hand."
    ]


class Tracker(Protocol):
    """What is asked of a tracker. `open` comes first, and raises BadInput where runs cannot be kept.

    `hear` is for a record that another process has kept to its end. What `records`, `finished` and `everywhere` give,
    newest first, may hold each metric's last value alone, until `recall` puts the whole course of some into them.
    """

    keeps: bool  # whether anything outlives the process
    sweep: str  # once it is open

    def open(self, sweep: str) -> None: ...
    def begin(self, record: Record) -> None: ...
    def flush(self, record: Record) -> None: ...
    def end(self, record: Record) -> None: ...
    def kill(self, record: Record) -> None: ...
    def hear(self, record: Record) -> None: ...
    def records(self) -> list[Record]: ...
    def finished(self, identities: Collection[str]) -> list[Record]: ...
    def everywhere(self) -> list[Record]: ...
    def recall(self, records: Sequence[Record], metrics: Sequence[str]) -> None: ...
    def file(self, record: Record, name: str) -> bytes | None: ...
    def prepare(self, files: dict[str, bytes]) -> None: ...
    def summary(self, files: dict[str, bytes], anew: bool) -> str: ...
    def summarised(self, name: str) -> bytes | None: ...
    def describe(self, text: str) -> None: ...
    def how_to_see(self) -> str: ...


def without_password(text: str) -> str:
    """The text with `***` for the user and password of each uri in it, and for passwords in its query."""
    text = re.sub(r"(\w://)[^\s/]*@", r"\1***@", text)
    return re.sub(r"((?:password|passwd|pwd)=)[^&\s]+", r"\1***", text, flags=re.IGNORECASE)
