"""Worker processes that do a list of tasks; the death of a worker affects only its own task."""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, NamedTuple

from zeroinit.errors import BadInput
from zeroinit.process import ORPHANED, Process, current_process, end_with, is_alive, process_of_pid
from zeroinit.sweep.watch import Excess, Watch

EXIT_SECONDS = 5  # that a process has to end after its pipe is closed, or after SIGKILL
START_ATTEMPTS = 3  # to start a worker, each with a new server if the last server was killed meanwhile
# What the server imports for all workers, including what their first optimizer and first connection would import
MODULES = (
    "zeroinit.garbage",
    "zeroinit.sweep.runner",
    "torch._dynamo",
    "zeroinit.tracker.mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
)


@dataclass(frozen=True, order=True)
class Message:
    """News of the task with this index. `kind` is progress, done, failed, retried or died (Pool.run)."""

    index: int
    kind: str
    content: Any


class Death(NamedTuple):
    """A worker process that ended before its task did, and its exit code: 255 if the server that knows it is dead.

    `reason` names the limit for which it was killed; empty if it died by itself.
    """

    process: Process
    exit_code: int | None
    reason: str = ""


class Worker(NamedTuple):
    """A worker process, this side's end of its pipe, and what identifies it after its death."""

    handle: ForkServerProcess
    connection: Connection
    process: Process


def count_cores() -> int:
    """Return the number of cores that this process may use; of all cores if the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_pool(workers: int | None, is_killable: bool = False) -> "Pool | None":
    """Return a pool of `workers` processes, or as many as cores.

    Returns None for one worker, as this process can do its tasks, unless it must be one that can be killed.

    Raises:
        BadInput: The number, of the key hydra.launcher.workers, is not a whole number from 1.
    """
    count = count_cores() if workers is None else workers
    if type(count) is not int or count < 1:
        raise BadInput(f"hydra.launcher.workers={workers}: give a whole number from 1, or null")
    return Pool(count) if count > 1 or is_killable else None


def start_server() -> None:
    """Start the process from which workers are forked, unless it runs; it imports what they need meanwhile."""
    multiprocessing.set_forkserver_preload(list(MODULES))
    resource_tracker.ensure_running()  # the server would start it, and that unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the server inherits this: Ctrl-C is not for it
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # Ctrl-C of meanwhile comes now


def end_server() -> None:
    """End the server at once. By itself it would first free each module, and keep our pipes open meanwhile."""
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if pid:
        os.kill(pid, signal.SIGTERM)


class Pool:
    """Workers that are forked from one server: the imports are paid once, in parallel, and share their memory.

    Each worker initialises CUDA itself, because CUDA does not survive a fork.
    """

    def __init__(self, workers: int) -> None:
        start_server()
        self.workers = workers
        self._context = multiprocessing.get_context("forkserver")
        self._idle: list[Worker] = []

    def run(
        self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...] | None], watch: Watch | None = None
    ) -> Generator[Message]:
        """Have workers call function(*task, report) for each task, and yield news of the tasks.

        The kinds of messages, and their content:
            progress: what the function reports.
            done: what it returned.
            failed: the traceback of what it raised.
            retried: the Death of its worker. The task is tried once more, as it stands in `tasks` when the iterator
                goes on; the caller may replace it there by what is left to do, or by None. A task that had too much
                memory together with others is tried when no other one runs.
            died: the Death of its second worker, or of one that was killed for a limit that another would not keep.

        `watch` has the limits on the time and the memory of the workers; it raises SweepEnded when the time is over.

        Close the iterator to kill the workers.
        """
        watch = watch or Watch()
        waiting, lonely = list(range(len(tasks)))[::-1], list[int]()
        died = set[int]()
        busy: dict[Connection, tuple[Worker, int]] = {}
        try:
            while waiting or lonely or busy:
                while (waiting and len(busy) < self.workers and (watch.may_start or not busy)) or (
                    lonely and not waiting and not busy
                ):
                    index = (waiting or lonely).pop()
                    task = tasks[index]
                    if task is not None:
                        worker = self._give((function, task))
                        watch.start(worker.process.pid, index)
                        busy[worker.connection] = worker, index
                if not busy:  # the caller left nothing to do; without a connection, wait() would wait forever
                    continue
                ready = wait(list(busy), watch.timeout)
                excess = self._find_excess(watch, [worker for worker, _ in busy.values()])
                for connection in [pipe for pipe in busy if pipe in ready or busy[pipe][0].process.pid in excess]:
                    worker, index = busy[connection]
                    kind, content = _read(worker, excess.get(worker.process.pid) if connection not in ready else None)
                    if kind == "retried" and index in died:
                        kind = "died"
                    if kind != "progress":
                        del busy[connection]
                        watch.stop(worker.process.pid)
                    if kind in ("done", "failed"):
                        self._idle.append(worker)
                    yield Message(index, kind, content)
                    if kind == "retried":
                        died.add(index)
                        (lonely if content.reason else waiting).append(index)
        finally:
            _kill([worker for worker, _ in busy.values()])

    def _find_excess(self, watch: Watch, busy: Sequence[Worker]) -> dict[int, Excess]:
        """Return the workers with a task that take too much, by pid; kill those without one."""
        idle = {worker.process.pid: worker for worker in self._idle}
        excess = watch.find_excess([worker.process.pid for worker in busy], idle)
        for each in excess:
            if each.pid in idle:
                self._idle.remove(idle[each.pid])
                _kill([idle[each.pid]])
        return {each.pid: each for each in excess if each.pid not in idle}

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return function(*task) of each task, in order. Raises RuntimeError if one raises or dies twice."""
        answers: dict[int, Any] = {}
        with closing(self.run(_call, [(function, task) for task in tasks])) as messages:
            for message in messages:
                if message.kind in ("failed", "died"):
                    raise RuntimeError(f"a worker could not do its task: {message.content}")
                answers[message.index] = message.content
        return [answers[index] for index in range(len(tasks))]

    def _give(self, task: tuple[Any, ...]) -> Worker:
        """Send the task to a worker that waits for one, or to a new one."""
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.connection.send(task)
            except OSError:  # it has died since
                continue
            return worker
        worker = self._start()
        with suppress(OSError):  # if it is dead already, the next read from its pipe shows that
            worker.connection.send(task)
        return worker

    def _start(self) -> Worker:
        """Start a worker. Raises OSError or EOFError if the server from which it is forked dies each time."""
        for attempt in range(1, START_ATTEMPTS + 1):
            connection, worker_end = self._context.Pipe()
            arguments = worker_end, dict(os.environ), current_process()
            handle = self._context.Process(target=_do_tasks, args=arguments, daemon=True)
            try:
                handle.start()
            except (EOFError, OSError):  # the server was killed
                if attempt == START_ATTEMPTS:
                    raise
                start_server()
                continue
            finally:
                worker_end.close()
            break
        assert handle.pid
        return Worker(handle, connection, process_of_pid(handle.pid))


def _read(worker: Worker, excess: Excess | None) -> tuple[str, Any]:
    """Return the kind and the content of the news of a worker, which is killed if it takes too much."""
    if excess:
        _kill([worker])
        return "retried" if excess.may_retry else "died", _confirm_death(worker)._replace(reason=excess.reason)
    try:
        kind, content = worker.connection.recv()
    except (EOFError, OSError):  # the process has ended
        return "retried", _confirm_death(worker)
    return kind, content


def _confirm_death(worker: Worker) -> Death:
    """Make sure that a worker that closed its pipe has ended, so that it writes no more."""
    worker.handle.join(EXIT_SECONDS)
    _kill([worker])
    worker.handle.join(EXIT_SECONDS)
    return Death(worker.process, worker.handle.exitcode)


def _kill(workers: Sequence[Worker]) -> None:
    """Kill the workers that are alive, even if the server that knows their exit codes is dead."""
    for worker in workers:
        if is_alive(worker.process):
            with suppress(ProcessLookupError):
                os.kill(worker.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + EXIT_SECONDS
    while any(is_alive(worker.process) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.01)


def _call(function: Callable[..., Any], task: tuple[Any, ...], report: object) -> Any:
    """Call a function that reports nothing."""
    return function(*task)


def _do_tasks(connection: Connection, environment: dict[str, str], launcher: Process) -> None:
    """Do one task after another, in a worker, until the connection is closed; end at once when the launcher ends."""
    end_with(launcher)
    os.setsid()  # Ctrl-C is for the process that started this one, which passes it on, once
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def report(content: Any) -> None:
        try:
            connection.send(("progress", content))
        except OSError:  # nobody reads any more
            os._exit(ORPHANED)

    try:
        while True:
            function, task = connection.recv()
            try:
                answer = "done", function(*task, report)
            except Exception:
                answer = "failed", traceback.format_exc()
            connection.send(answer)
    except (EOFError, OSError, KeyboardInterrupt):
        pass
