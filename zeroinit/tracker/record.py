"""The record of a run, and when a stored run is complete."""

import json
import math
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from zeroinit.tracker.scores import Score, find_score
from zeroinit.tracker.tags import Tag

TEST_LOSS = "test/loss"
NEEDED_PARAMS = ("arch", "init", "seeds.init")  # a run without them has no row in any table
TRACEBACK = "traceback.txt"  # the file of a run that raised


class Status(StrEnum):
    """How far a run has come."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    INCOMPLETE = "INCOMPLETE"  # in memory alone: the run is FINISHED in the store, which does not have all of it
    HELD = "HELD"  # in memory alone: another process trains the run, or has trained it since the command began


ENDED = (Status.FINISHED.value, Status.FAILED.value)  # of a run that has a result, as a store has it


@dataclass
class Record:
    """A run as it is stored: what was trained, its metrics (name, value, step) and its files {name: content}."""

    name: str
    params: dict[str, str]
    tags: dict[str, str]
    status: str = Status.RUNNING  # a Status; another tool may have written another word to the store
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    ended_at: float = 0.0  # when the run ended, in seconds since the epoch; 0 before
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    tracking: float = 0.0  # seconds spent on its probes and on its writes while it trained
    # the list that was indexed, its length then, and {metric: {step: value}} of it
    _index: tuple[list[tuple[str, float, int]], int, dict[str, dict[int, float]]] = field(
        default_factory=lambda: ([], 0, {}), init=False, repr=False, compare=False
    )

    @property
    def identity(self) -> str:
        """What distinguishes the run from others: the hash of its config if its version had no identities yet."""
        return self.tags.get(Tag.IDENTITY) or self.tags.get(Tag.CONFIG_HASH, "")

    @property
    def score(self) -> Score:
        """The score of the run: accuracy or R²."""
        return find_score(self.histories, self.params)

    @property
    def is_readable(self) -> bool:
        """Whether a report can use the run. Some runs lack tags: their process ended early, or a person made them."""
        return bool(self.identity) and Tag.CELL_HASH in self.tags and self.params.keys() >= {*NEEDED_PARAMS}

    def close(self) -> None:
        """Note that the run has ended, and which files it has; whoever stores it expects these."""
        self.ended_at = time.time()
        self.tags.pop(Tag.LEASE, None)
        self.tags[Tag.ARTIFACTS] = json.dumps(sorted(self.files))
        self.tags[Tag.TRACKING_SECONDS] = f"{self.tracking:.3f}"

    def lacks(self, list_files: Callable[[], Collection[str]]) -> str:
        """Say what the store lacks of a run that is FINISHED there; empty if the run is complete.

        This is the only definition of a complete run. A complete run has its test score after its last step and all
        files that its tag `artifacts` lists. A run from a version without these tags needs a test score alone.

        Args:
            list_files: Returns the names of the run's files in the store. It is called only if a file is expected.
        """
        metric = self.score.test
        steps = self.history(metric)
        if not steps:
            return f"it has no {metric}"
        if max(steps) < int(self.tags.get(Tag.LAST_STEP, 0)):
            return f"it has no {metric} after its last step, {self.tags[Tag.LAST_STEP]}"
        expected = json.loads(self.tags.get(Tag.ARTIFACTS, "[]"))
        missing = sorted({*expected} - {*list_files()}) if expected else []
        return f"it has no {', '.join(missing)}" if missing else ""

    def history(self, metric: str) -> dict[int, float]:
        """Return {step: value} of a metric."""
        return self.histories.get(metric, {})

    def replace_histories(self, histories: Mapping[str, dict[int, float]], metrics: Collection[str]) -> None:
        """Put all values {metric: {step: value}} of these metrics in place of those that the record has of them."""
        by_metric = {name: history for name, history in self.histories.items() if name not in metrics}
        by_metric |= {name: histories.get(name, {}) for name in sorted({*metrics} & self.histories.keys())}
        self.metrics = [(name, value, step) for name, values in by_metric.items() for step, value in values.items()]
        self._index = self.metrics, len(self.metrics), {name: values for name, values in by_metric.items() if values}

    def last(self, metric: str) -> float:
        """Return the last value of a metric; NaN if it was never measured."""
        values = self.histories.get(metric)
        return values[next(reversed(values))] if values else math.nan

    @cached_property
    def seeds(self) -> tuple[tuple[str, str], ...]:
        """The seeds of all streams, by which runs of several cells are paired."""
        return tuple(sorted((key, value) for key, value in self.params.items() if key.startswith("seeds.")))

    @property
    def histories(self) -> dict[str, dict[int, float]]:
        """The values {step: value} of each metric, in the order in which they were measured."""
        if self._index[0] is not self.metrics or self._index[1] != len(self.metrics):
            by_metric: dict[str, dict[int, float]] = {}
            for name, value, step in self.metrics:
                by_metric.setdefault(name, {})[step] = value
            self._index = self.metrics, len(self.metrics), by_metric
        return self._index[2]


def readable(records: Iterable[Record]) -> tuple[list[Record], list[str]]:
    """Return the records that a report can use, in their order, and a line on the others if there are any."""
    usable: list[Record] = []
    others: list[Record] = []
    for record in records:
        (usable if record.is_readable else others).append(record)
    if not others:
        return usable, []
    names = ", ".join(record.run_id or record.name for record in others[:3]) + (", ..." if len(others) > 3 else "")
    runs = "1 run is left out, as it lacks" if len(others) == 1 else f"{len(others)} runs are left out, as they lack"
    return usable, [
        f"{runs} parameters or tags that every run has ({names}): its process ended before it wrote them, or the run "
        "was made by hand."
    ]


def folder_of(sweep: str) -> str:
    """Return the name of the folder that has the files of a sweep."""
    return re.sub(r"[^\w.-]", "_", sweep)
