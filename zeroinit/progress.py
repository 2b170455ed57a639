"""Shows how far a sweep is: one bar on a terminal, otherwise a plain line now and then."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from rich import progress
from rich.console import Console

if TYPE_CHECKING:
    from zeroinit.tracker.scores import ScoreValue

SECONDS_VARIABLE = "ZEROINIT_PROGRESS_SECONDS"  # the environment variable of the seconds between two plain lines
PLAIN_LINE_SECONDS = float(os.environ.get(SECONDS_VARIABLE, 10))
PLAIN_LINE = re.compile(r"(?P<percent>\d+)%, (?P<runs>\d+/\d+) runs")  # the beginning of a plain line
REDRAW_SECONDS = 0.1  # between two states of the bar

Item = TypeVar("Item")


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Yield the items under a bar with a description; without a terminal, print a line before and a line after."""
    console, started = Console(stderr=True), time.monotonic()
    if console.is_terminal:
        yield from progress.track(items, description, console=console, transient=True)
    else:
        console.print(description, markup=False, highlight=False, soft_wrap=True)
        yield from items
        console.print(f"{description}: done in {time.monotonic() - started:.0f} s", highlight=False, soft_wrap=True)


class Bar:
    """Shows the finished runs of `total`, the last score, and the time left. Used as a context manager.

    Several tasks may train at a time, each of one run or more; `task` is the number of one of them.
    """

    def __init__(self, total: int) -> None:
        self._total, self._finished = total, 0
        self._console = Console(stderr=True)
        self._started = self._printed_at = self._drawn_at = time.monotonic()
        self._note = ""
        self._under_way: dict[int, float] = {}  # {task: its runs, times the share that is done}
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[done]}/{task.total:.0f} runs"),
            progress.TextColumn("{task.fields[note]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._bar_id = self._bar.add_task("training", total=total, done=0, note="")

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, share: float, value: "ScoreValue | None", task: int = 0, runs: int = 1) -> None:
        """Show how far a task is.

        Args:
            share: The part of its steps that is done, from 0 to 1.
            value: Its validation score, if it was just measured.
            task: The number of the task.
            runs: How many runs train in the task.
        """
        now = time.monotonic()
        self._under_way[task] = share * runs
        if value is not None:
            self._note = f"{value.score.label} {value.value:z.1%}"
        elif now - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = now
        self._draw()

    def finish(self, task: int = 0, runs: int = 1) -> None:
        """Show that this number of runs of a task have ended."""
        self._under_way.pop(task, None)
        self._finished += runs
        self._draw()

    def print_line(self, line: str) -> None:
        """Print a line above the bar, at once."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _draw(self) -> None:
        completed = self._finished + sum(self._under_way.values())
        self._bar.update(self._bar_id, completed=completed, done=self._finished, note=self._note)
        self._print_plain(completed, is_last=self._finished == self._total)

    def _print_plain(self, completed: float, is_last: bool) -> None:
        now = time.monotonic()
        is_early = now - self._printed_at < PLAIN_LINE_SECONDS
        if self._console.is_terminal or not completed or (is_early and not is_last):
            return
        self._printed_at = now
        left = (now - self._started) * (self._total / completed - 1)
        note = [self._note] if self._note else []
        parts = [f"{completed / self._total:.0%}", f"{self._finished}/{self._total} runs", *note]
        self.print_line(f"{', '.join(parts)}, {left:.0f} s left")
