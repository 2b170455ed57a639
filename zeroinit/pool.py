"""Processes that work off a list of tasks; one that dies costs no other its task."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, NamedTuple

from zeroinit.signals import interrupt_for_certain

PATIENCE = 60  # seconds that an interrupted worker has for its last writes
# What the workers import: beside the obvious, what the first optimizer and the first connection of a process would
MODULES = (
    "zeroinit.garbage",
    "zeroinit.runs",
    "torch._dynamo",
    "zeroinit.tracker.mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
)


class Message(NamedTuple):
    """What is heard of the task at `place`: `kind` is at, done, failed, retried or died."""

    place: int
    kind: str
    content: Any


def cores() -> int:
    """Those that this process may use, where the system knows; else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_server() -> None:
    """Start the process from which workers are forked, unless it runs; it imports what they need meanwhile."""
    multiprocessing.set_forkserver_preload(list(MODULES))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the server inherits: Ctrl-C is not for it
    forkserver.ensure_running()
    signal.signal(signal.SIGINT, before)


def end_server() -> None:
    """End that process at once, where it would free all that it has imported, one by one, with our pipes open."""
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if pid:
        os.kill(pid, signal.SIGTERM)


class Pool:
    """Workers, forked from one process, so that the imports are paid once, beside this process, and shared in memory.

    CUDA, which no fork survives, is each worker's own.
    """

    def __init__(self, workers: int) -> None:
        start_server()
        self.context = multiprocessing.get_context("forkserver")
        self.workers = workers
        self.idle: list[tuple[ForkServerProcess, Connection]] = []

    def run(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Generator[Message]:
        """What is heard of the tasks: for each, a worker calls function(*task, tell).

        at: whatever it tells. done: what it returned. failed: the traceback of what it raised. retried: the exit code
        of its process, which died; the task is tried once more. died: the same, for the second time. Close the iterator
        to interrupt the workers by KeyboardInterrupt; they have as long as they still tell something, and a minute.
        """
        waiting, died = list(range(len(tasks)))[::-1], set()
        busy: dict[Connection, tuple[ForkServerProcess, int]] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    place = waiting.pop()
                    process, connection = self.give((function, tasks[place]))
                    busy[connection] = process, place
                ready = wait(list(busy))
                for connection in [one for one in busy if one in ready]:
                    process, place = busy[connection]
                    try:
                        kind, content = connection.recv()
                    except (EOFError, OSError):  # the process is gone
                        process.join()
                        kind, content = "died" if place in died else "retried", process.exitcode
                        if place not in died:
                            waiting.append(place)
                        died.add(place)
                    if kind != "at":
                        del busy[connection]
                    if kind in ("done", "failed"):
                        self.idle.append((process, connection))
                    yield Message(place, kind, content)
        finally:
            for process, _ in busy.values():
                if process.is_alive() and process.pid:
                    os.kill(process.pid, signal.SIGINT)
            for connection, (process, _) in busy.items():
                drain(connection)
                process.join(PATIENCE)
                process.kill()

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
        """function(*task) of each task, in their order. Raises RuntimeError where one raises or dies twice."""
        found: dict[int, Any] = {}
        with closing(self.run(called, [(function, task) for task in tasks])) as messages:
            for place, kind, content in messages:
                if kind in ("failed", "died"):
                    raise RuntimeError(f"a worker could not do its task: {content}")
                found[place] = content
        return [found[place] for place in range(len(tasks))]

    def give(self, task: tuple[Any, ...]) -> tuple[ForkServerProcess, Connection]:
        """Send the task to a worker that waits for one, or to a new one."""
        while self.idle:
            process, connection = self.idle.pop()
            try:
                connection.send(task)
            except OSError:  # it died since
                continue
            return process, connection
        connection, theirs = self.context.Pipe()
        process = self.context.Process(target=work, args=(theirs, dict(os.environ)), daemon=True)
        process.start()
        theirs.close()
        connection.send(task)
        return process, connection


def called(function: Callable[..., Any], task: tuple[Any, ...], tell: object) -> Any:
    """A task that has nothing to tell."""
    return function(*task)


def work(connection: Connection, environment: dict[str, str]) -> None:
    """A worker: one task after another, until its connection is closed."""
    os.setsid()  # Ctrl-C is for the process that started it, which passes it on, once
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    interrupt_for_certain()

    def tell(content: Any) -> None:
        try:
            connection.send(("at", content))
        except OSError:  # nobody listens any more
            raise KeyboardInterrupt from None

    try:
        while True:
            function, task = connection.recv()
            try:
                answer = "done", function(*task, tell)
            except Exception:
                answer = "failed", traceback.format_exc()
            connection.send(answer)
    except (EOFError, OSError, KeyboardInterrupt):
        pass


def drain(connection: Connection) -> None:
    """Hear what an interrupted worker still has to say, so that it does not wait for that."""
    try:
        while connection.poll(PATIENCE):
            connection.recv()
    except (EOFError, OSError):
        pass
