"""Where runs are kept and read back from: what a record is, and what is asked of a tracker."""

import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

COURSE = "test/accuracy"  # the metric by which runs are compared
CHOICE = "val/accuracy"  # the metric by which one is chosen
COUNTS = "test_counts"  # the tag of how many examples of each class the test set has


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
        return self.tags.get("identity") or self.tags["config_hash"]

    def course(self, metric: str) -> dict[int, float]:
        """The metric's values by step."""
        return {step: value for name, value, step in self.metrics if name == metric}

    def last(self, metric: str) -> float:
        """The metric's last value; NaN where it was never taken."""
        return next((value for name, value, _ in reversed(self.metrics) if name == metric), float("nan"))


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
