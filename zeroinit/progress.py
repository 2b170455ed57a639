"""How far a sweep is: one bar on a terminal, a plain line now and then without one."""

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn, track

QUIET = 10  # seconds between two plain lines
DRAWN = 0.1  # seconds between two looks of the bar

Item = TypeVar("Item")


def counted(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items, under a bar that says what is done with them; without a terminal, a line before and one after."""
    console, started = Console(stderr=True), time.monotonic()
    if console.is_terminal:
        yield from track(items, what, console=console, transient=True)
    else:
        console.print(what, markup=False, highlight=False, soft_wrap=True)
        yield from items
        console.print(f"{what}: done in {time.monotonic() - started:.0f} s", highlight=False, soft_wrap=True)


class Bar:
    """Runs done of `total`, the last accuracy, and the time left. Used as a context manager.

    Several trainings may be on their way, each of one run or more; `of` tells them apart.
    """

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.console = Console(stderr=True)
        self.started = self.spoke = self.drawn = time.monotonic()
        self.note = ""
        self.under_way: dict[int, float] = {}  # runs, as a number with a fraction, by training
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.total:.0f} runs"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("training", total=total, done=0, note="")

    def __enter__(self) -> "Bar":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def at(self, share: float, accuracy: float | None, of: int = 0, runs: int = 1) -> None:
        """The training `of` so many runs is through `share` (0 to 1), and had this accuracy if it was taken."""
        now = time.monotonic()
        self.under_way[of] = share * runs
        if accuracy is not None:
            self.note = f"accuracy {accuracy:.1%}"
        elif now - self.drawn < DRAWN:
            return
        self.drawn = now
        self.draw()

    def next(self, of: int = 0, runs: int = 1) -> None:
        """The training `of` so many runs has ended."""
        self.under_way.pop(of, None)
        self.done += runs
        self.draw()

    def draw(self) -> None:
        completed = self.done + sum(self.under_way.values())
        self.bar.update(self.task, completed=completed, done=self.done, note=self.note)
        self.say(completed, last=self.done == self.total)

    def tell(self, line: str) -> None:
        """A line above the bar, at once."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def say(self, completed: float, last: bool) -> None:
        now = time.monotonic()
        if self.console.is_terminal or not completed or (now - self.spoke < QUIET and not last):
            return
        self.spoke = now
        left = (now - self.started) * (self.total / completed - 1)
        done = [f"{completed / self.total:.0%}", f"{self.done}/{self.total} runs", *([self.note] if self.note else [])]
        self.tell(f"{', '.join(done)}, {left:.0f} s left")
