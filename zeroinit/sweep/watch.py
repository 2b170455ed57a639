"""The limits of a sweep while its workers train: on the time of a task, of the sweep, and on their memory together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zeroinit.errors import BadInput, SweepEnded

if TYPE_CHECKING:  # it imports torch, which the start of the workers must not wait for
    from zeroinit.config.limits import Limit

MEMORY_SECONDS = 0.25  # between two measurements of the memory of the workers, if that is 20 times what one takes
PROC = Path("/proc")


class Excess(NamedTuple):
    """A worker that is to be killed: its pid, why, and whether its task may be tried once more."""

    pid: int
    reason: str
    may_retry: bool


class Deadline:
    """The time at which a sweep ends.

    Args:
        limit: How long it may take from now on; None: as long as it does.
        clock: Seconds, of which only differences count.
    """

    def __init__(self, limit: Limit | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self._clock = limit, clock
        self._end = clock() + limit.amount if limit else None

    @property
    def seconds_left(self) -> float | None:
        """The seconds until the end; None if there is no limit."""
        return None if self._end is None else max(0.0, self._end - self._clock())

    def check(self) -> None:
        """Raise SweepEnded if the time is over."""
        if self.seconds_left == 0:
            raise SweepEnded(f"{self.limit}: the time of the sweep is over")


class Watch:
    """What the workers of a pool may take.

    Args:
        task_limits: The longest time of each task.
        deadline: Of all tasks.
        memory: Of all workers together.
        measure: Returns the private memory of a process in bytes.
        clock: Seconds, of which only differences count.
    """

    def __init__(
        self,
        task_limits: Sequence[Limit | None] = (),
        deadline: Deadline | None = None,
        memory: Limit | None = None,
        measure: Callable[[int], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._task_limits, self._memory = task_limits, memory
        self._deadline = deadline or Deadline(None)
        self._measure, self._clock = measure or read_private_memory, clock
        self._ends: dict[int, tuple[float, Limit]] = {}  # by the pid of a worker that has a task with a limit
        self._next_measurement = clock()
        self._is_full = False

    def start(self, pid: int, index: int) -> None:
        """Note that a worker has got a task."""
        self._ends.pop(pid, None)
        limit = self._task_limits[index] if index < len(self._task_limits) else None
        if limit:
            self._ends[pid] = self._clock() + limit.amount, limit

    def stop(self, pid: int) -> None:
        """Note that a worker has no task any more."""
        self._ends.pop(pid, None)

    @property
    def may_start(self) -> bool:
        """Whether a further task may start: the workers had less memory than the limit when it was measured last."""
        return not self._is_full

    @property
    def timeout(self) -> float | None:
        """The seconds until the limits are to be checked again; None if there are none."""
        waits = [max(0.0, end - self._clock()) for end, _ in self._ends.values()]
        if self._memory:
            waits.append(max(0.0, self._next_measurement - self._clock()))
        if (left := self._deadline.seconds_left) is not None:
            waits.append(left)
        return min(waits, default=None)

    def find_excess(self, busy: Iterable[int], idle: Iterable[int] = ()) -> list[Excess]:
        """Return the workers that take too much, those without a task first.

        Args:
            busy: The pids of the workers that have a task.
            idle: The pids of the others.

        Raises:
            SweepEnded: The time of the sweep is over.
        """
        self._deadline.check()
        now = self._clock()
        late = [(pid, limit) for pid, (end, limit) in self._ends.items() if end <= now]
        excess = [Excess(pid, limit.overrun, False) for pid, limit in late]
        if self._memory and now >= self._next_measurement:
            excess += self._find_largest({*busy} - {pid for pid, _ in late}, idle)
            ended = self._clock()
            self._next_measurement = ended + max(MEMORY_SECONDS, 20 * (ended - now))
        return excess

    def _find_largest(self, busy: set[int], idle: Iterable[int]) -> list[Excess]:
        """Return the workers without a task, or the largest of the others, if all take too much memory together."""
        assert self._memory
        of_idle = {pid: self._measure(pid) for pid in idle}
        of_busy = {pid: self._measure(pid) for pid in sorted(busy)}
        total = sum((of_idle | of_busy).values())
        self._is_full = total > self._memory.amount
        if not self._is_full:
            return []
        if of_idle:
            return [Excess(pid, "", False) for pid in of_idle]
        pid = max(of_busy, key=lambda worker: of_busy[worker])
        alone = of_busy[pid] > self._memory.amount
        others = "" if alone else f" of {format_bytes(total)} that {len(of_busy)} workers had together"
        return [Excess(pid, f"{self._memory}: it had {format_bytes(of_busy[pid])}{others}, and was killed", not alone)]


def read_private_memory(pid: int) -> int:
    """Return the bytes of memory that a process shares with no other, in use or swapped out; 0 if it has ended."""
    with suppress(OSError, ValueError):
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "Swap:")))
    return 0


def check_memory_is_readable(limit: Limit | None) -> None:
    """Raise BadInput for a limit on memory where the system does not report that of a process."""
    if limit and not (PROC / "self" / "smaps_rollup").exists():
        raise BadInput(f"{limit}: only Linux reports the memory of a process; give null")


def format_bytes(count: float) -> str:
    """Return a number of bytes in a suitable unit, with two digits or more."""
    units = {"TB": 1e12, "GB": 1e9, "MB": 1e6}
    unit, size = next(((unit, size) for unit, size in units.items() if count >= size), ("kB", 1e3))
    return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
