"""Limits: what one types, failures that are alike, time and memory of workers, and a run of this process."""

import mmap
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from conftest import Ended

from zeroinit import build
from zeroinit.config import Job
from zeroinit.config.limits import Limit, RunLimits, parse_memory, parse_seconds
from zeroinit.errors import BadInput, SweepEnded, TimeOver
from zeroinit.progress import Bar
from zeroinit.sweep import alone, run_timer
from zeroinit.sweep.alone import train_alone
from zeroinit.sweep.fail_fast import FailFast, describe_kind
from zeroinit.sweep.run_timer import time_run
from zeroinit.sweep.watch import Deadline, Excess, Watch, format_bytes, read_private_memory
from zeroinit.tracker import TRACEBACK, Record, Status
from zeroinit.tracker.spool import Spool
from zeroinit.tracker.tags import Tag

RUN = Limit("time_limit.run", "1s", 1.0)


@pytest.mark.parametrize(
    ("typed", "seconds"), [(5, 5), (0.5, 0.5), ("5", 5), ("10m", 600), ("2 h", 7200), ("1.5H", 5400), ("90s", 90)]
)
def test_durations(typed: object, seconds: float) -> None:
    limit = parse_seconds("time_limit.run", typed)
    assert limit == Limit("time_limit.run", typed, seconds)
    assert str(limit) == f"time_limit.run={typed}"


@pytest.mark.parametrize(
    ("typed", "size"), [(1e9, 1e9), ("8GB", 8e9), ("512MiB", 512 * 2**20), ("1.5 gib", 1.5 * 2**30), ("7b", 7)]
)
def test_sizes(typed: object, size: float) -> None:
    assert parse_memory(typed) == Limit("hydra.launcher.memory", typed, size)


@pytest.mark.parametrize("typed", [0, -1, "0s", "ten", "10x", "m", "1e3m", True, [1], float("nan"), "9" * 400, ""])
def test_what_is_neither(typed: object) -> None:
    said = r"give a number of seconds above 0, a text such as 10m or 2h, or null$"
    with pytest.raises(BadInput, match=said):
        parse_seconds("time_limit.run", typed)
    with pytest.raises(BadInput, match=r"^hydra.launcher.memory=.*: give a number of bytes above 0, a text such as "):
        parse_memory(typed)
    assert parse_seconds("time_limit.run", None) is parse_memory(None) is None


ALIKE = [
    ("diverged: the loss is not finite at step 12", "diverged: the loss is not finite at step 7"),
    (
        "mine.zero cannot fill hidden1.weight (500, 784): ValueError: 3 is odd (mine.py, line 4)",
        "mine.ones cannot fill output.weight (10, 500): ValueError: 11 is odd (mine.py, line 14)",
    ),
    ("KeyError: 'seed 3'", "KeyError: 'seed 14'"),
    ("OSError: out/seed=3/a.txt: no such file", "OSError: out/seed=4/b.txt: no such file"),
    ("RuntimeError: a 3x4 and b 5x6 of 1e-3", "RuntimeError: a 13x4 and b 5x16 of -2.5e+10"),
    ("ValueError: [0.5, 1.0] nan", "ValueError: [0.25, 1.5, 7] inf"),
]
UNLIKE = [
    ("diverged: the loss is not finite at step 12", "ValueError: 3 is odd"),
    ("ValueError: too large", "TypeError: too large"),
    ("RuntimeError: out of memory", "RuntimeError: shapes do not match"),
]


@pytest.mark.parametrize(("first", "second"), [*ALIKE, *UNLIKE])
def test_errors_are_alike_without_numbers_and_names(first: str, second: str) -> None:
    assert (describe_kind(first) == describe_kind(second)) == ((first, second) in ALIKE)


def ended(error: str, status: str = Status.FAILED) -> Record:
    return Record("run", {}, {Tag.ERROR: error} if error else {}, status)


def test_first_runs_that_fail_alike_end_a_sweep() -> None:
    fail_fast = FailFast(3)
    fail_fast.note([ended("at step 1"), ended("at step 2")])
    with pytest.raises(SweepEnded, match=r"^fail_fast=3: the first 3 runs failed in the same way \(at step 1\)$"):
        fail_fast.note([ended("at step 3"), ended("at step 4")])


@pytest.mark.parametrize("other", [ended("", Status.FINISHED), ended("of another kind"), ended("at step 2", "KILLED")])
def test_a_sweep_of_which_a_first_run_ends_otherwise_goes_on(other: Record) -> None:
    fail_fast = FailFast(3)
    fail_fast.note([ended("at step 1"), other, *[ended("at step 1")] * 9])
    FailFast(None).note([ended("at step 1")] * 9)


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_task_that_takes_longer_is_ended_and_others_are_not() -> None:
    clock = Clock()
    tasks = Watch([RUN, None, Limit("time_limit.run", 3, 3.0)], clock=clock)
    assert (tasks.timeout, tasks.find_excess([])) == (None, [])
    for pid in range(3):
        tasks.start(pid, pid)
    clock.now += 0.75
    assert (tasks.timeout, tasks.find_excess([0, 1, 2])) == (0.25, [])
    clock.now += 0.25
    assert tasks.find_excess([0, 1, 2]) == [Excess(0, "time_limit.run=1s: it took longer, and was ended", False)]
    tasks.stop(0)
    tasks.start(2, 1)  # another task, without a limit
    assert (tasks.timeout, tasks.find_excess([1, 2])) == (None, [])


def test_the_time_of_a_sweep() -> None:
    clock = Clock()
    sweep = Watch(deadline=Deadline(Limit("time_limit.sweep", "1m", 60.0), clock), clock=clock)
    clock.now += 50
    assert (sweep.timeout, sweep.find_excess([1])) == (10, [])
    clock.now += 10
    with pytest.raises(SweepEnded, match=r"^time_limit.sweep=1m: the time of the sweep is over$"):
        sweep.find_excess([1])


def test_memory_of_all_workers_together() -> None:
    """Idle workers go first, then the largest one; no task starts meanwhile, and one that is alone is not retried."""
    clock, sizes = Clock(), {1: 3e9, 2: 4e9, 3: 2e9}
    limited = Watch(memory=Limit("hydra.launcher.memory", "8GB", 8e9), measure=sizes.__getitem__, clock=clock)
    assert limited.find_excess([1, 2], [3]) == [Excess(3, "", False)]
    assert not limited.may_start
    sizes[1] = 5e9
    assert limited.find_excess([1, 2]) == []  # it is too soon to measure again
    clock.now += 0.25
    said = "hydra.launcher.memory=8GB: it had 5 GB of 9 GB that 2 workers had together, and was killed"
    assert limited.find_excess([1, 2]) == [Excess(1, said, True)]
    clock.now += 0.25
    assert limited.find_excess([2]) == []
    assert limited.may_start
    clock.now += 0.25
    sizes[2] = 8.5e9
    said = "hydra.launcher.memory=8GB: it had 8.5 GB, and was killed"
    assert limited.find_excess([2]) == [Excess(2, said, False)]


def test_private_memory_is_that_of_the_process_alone() -> None:
    before = read_private_memory(threading.get_native_id())
    with mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE) as block:
        block.write(b"x" * len(block))
        assert 60 << 20 < read_private_memory(threading.get_native_id()) - before < 80 << 20
    assert read_private_memory(1 << 30) == 0
    assert [format_bytes(size) for size in (123_456, 8.5e9, 2e15)] == ["123 kB", "8.5 GB", "2,000 TB"]


def test_a_run_of_this_process_is_interrupted() -> None:
    given_up: list[str] = []

    def give_up(error: str) -> bool:
        given_up.append(error)
        return True

    limit = Limit("time_limit.run", 0.1, 0.1)
    with (
        pytest.raises(TimeOver, match=r"^time_limit.run=0.1: it took longer, and was ended$"),
        time_run(limit, give_up),
    ):
        time.sleep(5)
    with time_run(limit, give_up):
        pass
    with time_run(None, give_up):
        time.sleep(0.2)
    assert given_up == []


@pytest.mark.parametrize("must_end", [True, False])
def test_a_run_that_python_cannot_interrupt_ends_the_process(must_end: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the run has ended in the meantime."""
    monkeypatch.setattr(run_timer, "GRACE_SECONDS", 0.1)
    has_ended, events = threading.Event(), list[object]()

    def give_up(error: str) -> bool:
        events.append(error)
        return must_end

    def end_process(code: int) -> None:
        events.append(code)
        has_ended.set()

    with time_run(Limit("time_limit.run", 0.1, 0.1), give_up, end_process):
        try:
            time.sleep(5)
        except TimeOver:
            assert has_ended.wait(5 if must_end else 0.5) == must_end
    assert events == ["time_limit.run=0.1: it took longer, and was ended", *[1] * must_end]


@pytest.mark.usefixtures("database")
def test_a_limit_of_a_sweep_is_refused_for_a_single_run(zeroinit: Callable[..., Ended]) -> None:
    words = ("dataset=xor", "steps=2")
    for line in ("fail_fast=3", "time_limit.sweep=1h", "hydra.launcher.memory=8GB", "hydra.sweeper.max_jobs=5"):
        ended = zeroinit(*words, line)
        reason = "it limits a sweep, and this is a single run; leave it out, or give -m"
        assert (ended.code, ended.err) == (2, f"zeroinit: {line}: {reason}\n")
    assert zeroinit(*words, "fail_fast=null", "time_limit.run=1h").code == 0
    assert zeroinit("-m", *words, "fail_fast=3", "time_limit.sweep=1h", "hydra.launcher.workers=1").code == 0


def test_limits_are_no_part_of_a_run(job_of: Callable[..., Job]) -> None:
    plain, limited = job_of("seed=1"), job_of("seed=1", "time_limit.run=5m", "time_limit.sweep=2h", "fail_fast=3")
    assert limited.config.limits == RunLimits(
        3, Limit("time_limit.run", "5m", 300.0), Limit("time_limit.sweep", "2h", 7200.0)
    )
    assert plain.config.limits == RunLimits(None, None, None)
    assert (limited.config_hash, limited.params, limited.name) == (plain.config_hash, plain.params, plain.name)
    said = "fail_fast=0: give a whole number from 1, or null"
    with pytest.raises(BadInput, match=f"^{said}$"):
        job_of("fail_fast=0")


HANGS = """
import time
from zeroinit.arch import Logistic

class Net(Logistic):
    steps = 0

    def forward(self, inputs):
        self.steps += self.training
        if self.steps > 2:
            time.sleep(9)
        return super().forward(inputs)
"""


@pytest.mark.usefixtures("database")
def test_a_single_run_that_hangs_is_failed(job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hangs.py").write_text(HANGS)
    monkeypatch.syspath_prepend(Path.cwd())
    words = ("dataset=xor", "arch=logistic", "arch._target_=hangs.Net", "steps=4", "probe=none")
    job = job_of(*words, "time_limit.run=1.5")
    build.set_up_torch(job.config)  # imports take seconds, and no later test could use half a module
    tracker = build.open_tracker(job, "zeroinit")
    with Bar(1) as bar:
        record = train_alone(job, tracker, Spool.for_tracker(tracker), bar, False)
    assert record.status == Status.FAILED
    assert record.tags[Tag.ERROR].startswith("time_limit.run=1.5: it took longer, and was ended")
    assert b"in forward" in record.files[TRACEBACK]
    assert [stored.status for stored in tracker.records()] == ["FAILED"]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("is_being_kept", [True, False])
def test_a_single_run_has_one_end(
    is_being_kept: bool, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is over while its record is written, or while it trains: it is FINISHED or FAILED, and never both."""
    job = job_of("dataset=xor", "arch=logistic", "steps=4", "probe=none", "time_limit.run=100")
    tracker = build.open_tracker(job, "zeroinit")
    ends: list[bool] = []

    def time_run_that_is_over(limit: Limit, give_up: Callable[[str], bool]) -> AbstractContextManager[None]:
        def end() -> None:
            thread = threading.Thread(target=lambda: ends.append(give_up("it took longer")))
            thread.start()
            thread.join()

        if is_being_kept:
            write = Spool.write
            monkeypatch.setattr(Spool, "write", lambda spool, records: (end(), write(spool, records)))
        else:
            claim = tracker.claim
            monkeypatch.setattr(tracker, "claim", lambda records: (claim(records), end())[0])
        return nullcontext()

    class Blocked(Exception):
        """The main thread waits for the end of the process."""

    def block() -> None:
        raise Blocked

    monkeypatch.setattr(alone, "time_run", time_run_that_is_over)
    monkeypatch.setattr(alone, "_wait_for_end_of_process", block)
    with Bar(1) as bar:
        if is_being_kept:
            assert train_alone(job, tracker, Spool.for_tracker(tracker), bar, False).status == Status.FINISHED
        else:
            with pytest.raises(Blocked):
                train_alone(job, tracker, Spool.for_tracker(tracker), bar, False)
    assert {*ends} == {not is_being_kept}
    statuses = sorted(stored.status for stored in tracker.records())
    assert statuses == (["FINISHED"] if is_being_kept else ["FAILED", "KILLED"])
