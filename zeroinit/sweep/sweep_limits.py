"""The limits of a sweep, which last from its first stack to its last, whoever chooses the runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from zeroinit.config import Job
from zeroinit.config.limits import Limit, RunLimits, parse_memory
from zeroinit.config.read import Values
from zeroinit.sweep.fail_fast import FailFast
from zeroinit.sweep.watch import Deadline, Watch, check_memory_is_readable


@dataclass(frozen=True)
class SweepLimits:
    """What ends a sweep early, and the memory of its workers.

    Attributes:
        fail_fast: Watches the runs that end.
        deadline: When the sweep ends.
        memory: Of all workers together; None is no limit.
    """

    fail_fast: FailFast = field(default_factory=lambda: FailFast(None))
    deadline: Deadline = field(default_factory=lambda: Deadline(None))
    memory: Limit | None = None
    is_killing: bool = False  # whether a limit is set for which workers are killed

    @classmethod
    def parse(cls, values: Values, memory: object) -> Self:
        """Return the limits of a sweep that begins now. Raises BadInput.

        Args:
            values: The config of the sweep.
            memory: The value of hydra.launcher.memory.
        """
        limits, limit = RunLimits.parse(values), parse_memory(memory)
        check_memory_is_readable(limit)
        is_killing = any((limits.run, limits.sweep, limit))
        return cls(FailFast(limits.fail_fast), Deadline(limits.sweep), limit, is_killing)

    def watch(self, tasks: Iterable[Sequence[Job]]) -> Watch:
        """Return the watch over workers that train these tasks; the jobs of a task have one limit on their time."""
        return Watch([jobs[0].config.limits.run for jobs in tasks], self.deadline, self.memory)
