"""Where runs are kept and read back from: what a record is, and what is asked of a tracker."""

import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

# set before MLflow is imported: no reports to its makers, no bar for each artifact, and no line after each run, which
# would show the uri's password
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

COURSE = "test/accuracy"  # the metric by which runs are compared
CHOICE = "val/accuracy"  # the metric by which one is chosen
COUNTS = "test_counts"  # the tag of how many examples of each class the test set has
INIT_HASH = "init_hash"  # the tag of the hash of a model's parameters and buffers before it trains
NEEDED_PARAMS = ("arch", "init", "seeds.init")  # without which a run has no row in any table
ARTIFACTS = "artifacts"  # the tag that lists the run's files, as sorted JSON
LAST_STEP = "last_step"  # the tag of the step after which the run ended
INCOMPLETE = "INCOMPLETE"  # the status, in memory alone, of a run that is FINISHED in the store but not all there
TRACEBACK = "traceback.txt"  # the file of a run that raised
MAX_TAG = 8000  # characters of a tag, beyond which MLflow cuts it


@dataclass
class Record:
    """A run as it is kept: what it was, what it measured (name, value, step) and its files (name, content)."""

    name: str
    params: dict[str, str]
    tags: dict[str, str]
    status: str = "RUNNING"  # then FINISHED, FAILED or KILLED; as read from a store, also INCOMPLETE
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

    def lacks(self, list_files: Callable[[], Collection[str]]) -> str:
        """Say what the store lacks of a run that is FINISHED there; empty if the run is complete.

        This is the only definition of a complete run. A complete run has its test accuracy after its last step and
        all files that its tag `artifacts` lists. A run from a version without these tags needs a test accuracy alone.

        Args:
            list_files: Returns the names of the run's files in the store. It is called only if a file is expected.
        """
        steps = self.course(COURSE)
        if not steps:
            return f"it has no {COURSE}"
        if max(steps) < int(self.tags.get(LAST_STEP, 0)):
            return f"it has no {COURSE} after its last step, {self.tags[LAST_STEP]}"
        expected = json.loads(self.tags.get(ARTIFACTS, "[]"))
        missing = sorted({*expected} - {*list_files()}) if expected else []
        return f"it has no {', '.join(missing)}" if missing else ""

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

    `refuses` needs no open store. Of {name: value} of params, tags or metrics it returns the first name that the store
    can never take, and why.

    `begin` and `end` raise StoreFailed where the store does not take the run. `end` writes the files, then metrics and
    tags, then the status: a run whose `end` raised is not FINISHED. `mark_failed` then writes that it FAILED, as far as
    the store answers, and raises nothing.

    `hear` is for a record that another process has kept to its end. What `records`, `finished` and `everywhere` give,
    newest first, may hold each metric's last value alone, until `recall` puts the whole course of some into them.
    `records` and `finished` give the status INCOMPLETE to a run that is FINISHED in the store but not complete
    (Record.lacks).
    """

    keeps: bool  # whether anything outlives the process
    sweep: str  # once it is open

    def refuses(self, values: Mapping[str, str]) -> tuple[str, str] | None: ...
    def open(self, sweep: str) -> None: ...
    def begin(self, record: Record) -> None: ...
    def flush(self, record: Record) -> None: ...
    def end(self, record: Record) -> None: ...
    def mark_failed(self, record: Record) -> None: ...
    def running(self) -> list[Record]: ...
    def kill(self, records: Sequence[Record]) -> int: ...
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
