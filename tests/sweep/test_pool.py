"""Worker processes: what they report, what they return, and how they end."""

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing import forkserver
from pathlib import Path

import pytest

from zeroinit.config.limits import Limit
from zeroinit.errors import SweepEnded
from zeroinit.process import is_alive, process_of_pid
from zeroinit.sweep import watch as watch_module
from zeroinit.sweep.pool import Pool, start_server
from zeroinit.sweep.watch import Deadline, Watch


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool(2)


def double(number: int, report: Callable[[object], None]) -> int:
    report(f"about to double {number}")
    return 2 * number


def faulty(number: int, report: Callable[[object], None]) -> int:
    if number == 1:
        raise ArithmeticError("one is too few")
    return number


def killed(number: int, folder: str, times: int, report: Callable[[object], None]) -> int:
    """Task 1 kills its process, as the system does when memory is short, so many times."""
    marks = Path(folder)
    if number == 1 and len(list(marks.iterdir())) < times:
        (marks / str(time.monotonic_ns())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return number


def patient(report: Callable[[object], None]) -> None:
    report(os.getpid())
    time.sleep(60)


def patient_child(report: Callable[[object], None]) -> None:
    """As `patient`, and says whose child it is."""
    report(os.getppid())
    patient(report)


def process(report: Callable[[object], None]) -> int:
    time.sleep(0.2)
    return os.getpid()


def test_each_task_is_told_of_and_done_once(pool: Pool) -> None:
    messages = list(pool.run(double, [(number,) for number in range(5)]))
    assert {message.index: message.content for message in messages if message.kind == "done"} == {
        index: 2 * index for index in range(5)
    }
    assert {message.content for message in messages if message.kind == "progress"} == {
        f"about to double {number}" for number in range(5)
    }
    assert len(messages) == 10


def test_what_raises_is_told_with_its_traceback_and_the_others_go_on(pool: Pool) -> None:
    messages = sorted(pool.run(faulty, [(number,) for number in range(4)]))
    assert [(message.index, message.kind) for message in messages] == [
        (0, "done"),
        (1, "failed"),
        (2, "done"),
        (3, "done"),
    ]
    assert "in faulty" in messages[1].content
    assert messages[1].content.strip().endswith("ArithmeticError: one is too few")


@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_that_dies_costs_no_other_its_task(times: int, pool: Pool, tmp_path: Path) -> None:
    """Its task is tried once more."""
    messages = list(pool.run(killed, [(number, str(tmp_path), times) for number in range(4)]))
    assert sorted(message.index for message in messages if message.kind == "done") == (
        [0, 1, 2, 3] if times == 1 else [0, 2, 3]
    )
    kinds = ["retried", "died"][:times]
    deaths = [message for message in messages if message.kind in ("retried", "died")]
    assert [(death.index, death.kind, death.content.exit_code) for death in deaths] == [
        (1, kind, -signal.SIGKILL) for kind in kinds
    ]
    assert not any(is_alive(death.content.process) for death in deaths)


def test_workers_stay_for_the_next_tasks_and_one_that_died_meanwhile_is_replaced(pool: Pool) -> None:
    first = {message.content for message in pool.run(process, [()] * 4)}
    assert len(first) == 2
    assert {message.content for message in pool.run(process, [()] * 4)} == first
    gone = first.pop()
    there = process_of_pid(gone)
    os.kill(gone, signal.SIGKILL)
    while is_alive(there):
        time.sleep(0.02)
    again = {message.content for message in pool.run(process, [()] * 4)}
    assert gone not in again
    assert len(again) == 2


def test_who_closes_the_iterator_kills_the_workers(pool: Pool) -> None:
    with closing(pool.run(patient, [()])) as messages:
        [message] = [next(messages)]
        assert message.kind == "progress"
        worker = process_of_pid(message.content)
    assert not is_alive(worker)  # although the server may not have read its exit code yet


def test_a_task_that_is_tried_again_is_what_the_caller_makes_of_it(pool: Pool, tmp_path: Path) -> None:
    """Tasks 0 and 1 kill their processes; of the one something else is left to do, of the other nothing."""
    marks = [tmp_path / str(number) for number in range(2)]
    for mark in marks:
        mark.mkdir()
    tasks: list[tuple[object, ...] | None] = [(1, str(mark), 1) for mark in marks]
    answers = {}
    for message in pool.run(killed, tasks):
        if message.kind == "retried":
            tasks[message.index] = (7, str(tmp_path), 0) if message.index == 0 else None
        else:
            answers[message.index] = message.kind, message.content
    assert answers == {0: ("done", 7)}


def test_the_last_task_may_be_taken_back_after_its_worker_died(pool: Pool, tmp_path: Path) -> None:
    """The iterator ends, although no worker is busy and no task waits."""
    tasks: list[tuple[object, ...] | None] = [(1, str(tmp_path), 1)]
    kinds = []
    for message in pool.run(killed, tasks):
        kinds.append(message.kind)
        tasks[message.index] = None
    assert kinds == ["retried"]


def test_a_dead_server_costs_no_task_and_no_interruption(pool: Pool) -> None:
    """The process from which workers are forked: its death hides their exit codes, and they go on."""
    fresh = Pool(1)
    with closing(fresh.run(patient_child, [()])) as messages:
        server, worker = (process_of_pid(next(messages).content) for _ in range(2))
        os.kill(server.pid, signal.SIGKILL)
        while is_alive(server):
            time.sleep(0.02)
        assert is_alive(worker)
    assert not is_alive(worker)
    assert fresh.map(reciprocal, [(4,)]) == [0.25]


def reciprocal(number: float) -> float:
    return 1 / number


def test_map_keeps_the_order_and_tells_what_raised(pool: Pool) -> None:
    assert pool.map(reciprocal, [(number,) for number in (1, 2, 4, 8, 16)]) == [1, 0.5, 0.25, 0.125, 0.0625]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        pool.map(reciprocal, [(1,), (0,)])


# limits


def hold(megabytes: int, folder: str, report: Callable[[object], None]) -> int:
    """Hold some memory until there is a file of this name, and note when in it."""
    block = bytearray(megabytes << 20)
    block[::4096] = b"x" * len(block[::4096])
    began, path = time.monotonic(), Path(folder) / str(megabytes)
    report(os.getpid())
    while not path.exists() and time.monotonic() < began + 60:
        time.sleep(0.02)
    path.write_text(f"{began} {time.monotonic()}")
    return len(block)


def test_a_task_that_takes_longer_than_its_limit_is_killed_alone(pool: Pool, tmp_path: Path) -> None:
    watch = Watch([Limit("time_limit.run", 0.5, 0.5), None, None])
    for number in (1, 2):
        (tmp_path / str(number)).touch()
    messages = list(pool.run(hold, [(number, str(tmp_path)) for number in range(3)], watch))
    assert sorted(message.index for message in messages if message.kind == "done") == [1, 2]
    [death] = [message for message in messages if message.kind in ("retried", "died")]
    assert (death.index, death.kind) == (0, "died")
    assert death.content.reason == "time_limit.run=0.5: it took longer, and was ended"
    assert not is_alive(death.content.process)


def test_the_end_of_a_sweep_ends_its_workers(pool: Pool, tmp_path: Path) -> None:
    watch, busy = Watch(deadline=Deadline(Limit("time_limit.sweep", 1, 1.0))), []
    messages = pool.run(hold, [(1, str(tmp_path)), (2, str(tmp_path))], watch)

    def read_all() -> None:
        busy.extend(process_of_pid(message.content) for message in messages)

    with closing(messages), pytest.raises(SweepEnded, match=r"^time_limit.sweep=1: the time of the sweep is over$"):
        read_all()
    assert len(busy) == 2
    assert not any(map(is_alive, busy))


def test_a_task_with_too_much_memory_is_tried_once_more_alone(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not one that has too much by itself."""
    monkeypatch.setattr(watch_module, "MEMORY_SECONDS", 0.05)
    memory = Limit("hydra.launcher.memory", "400MB", 400e6)
    news, done = {}, []
    for message in pool.run(hold, [(size, str(tmp_path)) for size in (100, 300, 1, 500)], Watch(memory=memory)):
        if message.kind == "retried":
            for size in (100, 300, 1):
                (tmp_path / str(size)).touch()
        if message.kind in ("retried", "died"):
            news[message.index] = message.content
        elif message.kind == "done":
            done.append(message.index)
    assert sorted(done) == [0, 1, 2]
    assert re.fullmatch(
        r"hydra.launcher.memory=400MB: it had \d+ MB of \d+ MB that 2 workers had together, and was killed",
        news[1].reason,
    )
    assert re.fullmatch(r"hydra.launcher.memory=400MB: it had \d+ MB, and was killed", news[3].reason)
    spans = {int(path.name): [*map(float, path.read_text().split())] for path in tmp_path.iterdir()}
    assert spans[300][0] > max(spans[100][1], spans[1][1])


def test_ctrl_c_while_the_server_starts_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "ensure_running", lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        start_server()
