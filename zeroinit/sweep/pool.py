"""Processes that work off a list of tasks; one that dies costs no other its task."""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, NamedTuple

from zeroinit.process import Process, current_process, end_with, is_alive, process_of_pid
from zeroinit.signals import interrupt_for_certain

PATIENCE = 60  # seconds that an interrupted worker has for its last writes
EXIT_SECONDS = 5  # that a process has to end after its pipe is closed, or after SIGKILL
START_ATTEMPTS = 3  # to start a worker, each with a new server if the last one was killed meanwhile
# What the workers import: beside the obvious, what the first optimizer and the first connection of a process would
MODULES = (
    "zeroinit.garbage",
    "zeroinit.sweep.runner",
    "torch._dynamo",
    "zeroinit.tracker.mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
)


class Message(NamedTuple):
    """What is heard of the task at `place`: `kind` is at, done, failed, retried or died."""

    place: int
    kind: str
    content: Any


class Death(NamedTuple):
    """A worker process that ended before its task did, and its exit code: 255 if nobody was left to read it."""

    process: Process
    exit_code: int | None


class Worker(NamedTuple):
    """A worker process, the end of its pipe on this side, and what identifies it once it is dead."""

    handle: ForkServerProcess
    connection: Connection
    process: Process


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
        self.idle: list[Worker] = []

    def run(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...] | None]) -> Generator[Message]:
        """What is heard of the tasks: for each, a worker calls function(*task, tell).

        at: whatever it tells. done: what it returned. failed: the traceback of what it raised. retried: the Death of
        its process; the task is tried once more, as it stands in `tasks` when the iterator goes on. The caller may
        replace it there by what is left to do, or by None. died: the same, for the second time. Close the iterator to
        interrupt the workers by KeyboardInterrupt; they have as long as they still tell something, and a minute.
        """
        waiting, died = list(range(len(tasks)))[::-1], set()
        busy: dict[Connection, tuple[Worker, int]] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    place = waiting.pop()
                    task = tasks[place]
                    if task is not None:
                        worker = self.give((function, task))
                        busy[worker.connection] = worker, place
                if not busy:  # the caller left nothing to do; without a connection, wait() would wait forever
                    continue
                ready = wait(list(busy))
                for connection in [pipe for pipe in busy if pipe in ready]:
                    worker, place = busy[connection]
                    try:
                        kind, content = connection.recv()
                    except (EOFError, OSError):  # the process has ended
                        kind, content = "died" if place in died else "retried", bury(worker)
                    if kind != "at":
                        del busy[connection]
                    if kind in ("done", "failed"):
                        self.idle.append(worker)
                    yield Message(place, kind, content)
                    if kind == "retried":
                        died.add(place)
                        waiting.append(place)
        finally:
            interrupt(worker for worker, _ in busy.values())

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
        """function(*task) of each task, in their order. Raises RuntimeError where one raises or dies twice."""
        answers: dict[int, Any] = {}
        with closing(self.run(called, [(function, task) for task in tasks])) as messages:
            for place, kind, content in messages:
                if kind in ("failed", "died"):
                    raise RuntimeError(f"a worker could not do its task: {content}")
                answers[place] = content
        return [answers[place] for place in range(len(tasks))]

    def give(self, task: tuple[Any, ...]) -> Worker:
        """Send the task to a worker that waits for one, or to a new one."""
        while self.idle:
            worker = self.idle.pop()
            try:
                worker.connection.send(task)
            except OSError:  # it died since
                continue
            return worker
        worker = self.start()
        with suppress(OSError):  # if it is dead already, its pipe says so to whoever reads
            worker.connection.send(task)
        return worker

    def start(self) -> Worker:
        """Start a worker. Raises OSError or EOFError if the server from which it is forked dies each time."""
        for attempt in range(1, START_ATTEMPTS + 1):
            connection, theirs = self.context.Pipe()
            arguments = theirs, dict(os.environ), current_process()
            handle = self.context.Process(target=work, args=arguments, daemon=True)
            try:
                handle.start()
            except (EOFError, OSError):  # the server was killed
                if attempt == START_ATTEMPTS:
                    raise
                start_server()
                continue
            finally:
                theirs.close()
            break
        assert handle.pid
        return Worker(handle, connection, process_of_pid(handle.pid))


def bury(worker: Worker) -> Death:
    """Make sure that a worker that closed its pipe has ended, so that it writes no more."""
    worker.handle.join(EXIT_SECONDS)
    kill(worker)
    worker.handle.join(EXIT_SECONDS)
    return Death(worker.process, worker.handle.exitcode)


def kill(worker: Worker) -> None:
    """End a worker that is alive, whether or not the server that could tell its exit code is."""
    if is_alive(worker.process):
        with suppress(ProcessLookupError):
            os.kill(worker.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + EXIT_SECONDS
    while is_alive(worker.process) and time.monotonic() < deadline:
        time.sleep(0.01)


def interrupt(workers: Iterable[Worker]) -> None:
    """Interrupt the workers, hear their last words, and see them end; a second interruption is the end at once."""
    workers = list(workers)
    try:
        for worker in workers:
            if is_alive(worker.process):
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGINT)
        for worker in workers:
            drain(worker.connection)
            worker.handle.join(PATIENCE)
    finally:
        for worker in workers:
            kill(worker)


def called(function: Callable[..., Any], task: tuple[Any, ...], tell: object) -> Any:
    """A task that has nothing to tell."""
    return function(*task)


def work(connection: Connection, environment: dict[str, str], launcher: Process) -> None:
    """A worker: one task after another, until its connection is closed. It ends at once when its launcher ends."""
    end_with(launcher)
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
