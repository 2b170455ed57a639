"""Which process is which, whether it is alive, and that a worker ends with its launcher."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from zeroinit import process
from zeroinit.process import current_process, is_alive, is_comparable, process_of_pid, process_of_tags

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
# a worker, and its launcher, which ends without a word to it
WORKER = """
import os, sys, time
from zeroinit.process import end_with, process_of_pid
if sys.argv[1] == "poll":
    del os.pidfd_open
end_with(process_of_pid(int(sys.argv[2])))
print("up", os.getpid(), flush=True)
while True:
    time.sleep(0.01)
"""
LAUNCHER = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {WORKER!r}, sys.argv[1], str(os.getpid())])
time.sleep(60)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        yield child
        child.kill()


def ends(pid: int, seconds: float) -> bool:
    """Whether the process with this pid ends in time."""
    deadline, there = time.monotonic() + seconds, process_of_pid(pid)
    while is_alive(there) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(there)


def test_a_process_is_alive_until_it_ends(sleeper: subprocess.Popen[str]) -> None:
    """A zombie, whose parent has not asked for its exit code, has ended."""
    child = process_of_pid(sleeper.pid)
    assert is_alive(current_process())
    assert is_alive(child)
    sleeper.kill()
    assert ends(child.pid, 10)
    assert Path(f"/proc/{child.pid}").exists() or not Path("/proc").exists()  # a zombie
    sleeper.wait()
    assert not is_alive(child)


def test_a_later_process_with_the_same_pid_is_another() -> None:
    here = current_process()
    assert here == process_of_tags(here.tags())
    assert not is_alive(replace(here, start=str(int(here.start) - 1)))


def test_a_name_with_blanks_and_brackets_hides_nothing() -> None:
    comm, before = Path("/proc/self/comm"), current_process()
    name = comm.read_text()
    comm.write_text("a) Z 1 (b")
    after, alive = current_process(), is_alive(before)
    comm.write_text(name)
    assert after == before
    assert alive


def test_what_the_system_hides_counts_as_alive(sleeper: subprocess.Popen[str]) -> None:
    """A process of another user, whose folder in /proc may be invisible."""
    child = process_of_pid(sleeper.pid)

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        assert is_alive(child)
        patch.setattr(process, "_state_of", lambda pid: process._State("", False))
        assert is_alive(child)


def test_only_processes_of_this_boot_and_host_are_comparable() -> None:
    here = current_process()
    assert is_comparable(here)
    assert not is_comparable(replace(here, host="another"))
    assert not is_comparable(replace(here, boot=here.boot.replace("pid:", "pid:1")))  # another container
    assert not is_comparable(replace(here, boot="another"))


@pytest.mark.parametrize(
    "change", [{"process.pid": "0"}, {"process.pid": "-1"}, {"process.pid": "x"}, {"process.pid": "9" * 30}]
)
def test_malformed_tags_name_no_process(change: dict[str, str]) -> None:
    tags = current_process().tags()
    assert process_of_tags(tags | change) is None
    assert process_of_tags({key: value for key, value in tags.items() if key not in change}) is None


def test_without_proc_ps_knows(sleeper: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS; without an id of the boot a run has no tags, as nobody could judge it."""
    if not shutil.which("ps"):
        pytest.skip("no ps")
    monkeypatch.setattr(process, "PROC", Path("nowhere"))
    child = process_of_pid(sleeper.pid)
    assert str(time.gmtime().tm_year) in child.start
    assert is_alive(child)
    assert not is_alive(replace(child, start="Thu Jan  1 00:00:00 1970"))
    assert replace(child, boot="").tags() == {}
    sleeper.kill()
    assert ends(child.pid, 10)


@pytest.mark.parametrize("how", ["pidfd", "poll"])
def test_a_worker_ends_when_its_launcher_is_killed(how: str) -> None:
    """Within moments, whether the system reports the end of a process or it must be asked."""
    with subprocess.Popen([sys.executable, "-c", LAUNCHER, how], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout
        worker = int(launcher.stdout.readline().split()[1])
        assert not ends(worker, 1.2)
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
        assert ends(worker, 5)


def test_a_worker_does_not_start_after_its_launcher() -> None:
    with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) as launcher:
        launcher.kill()
    worker = subprocess.run([sys.executable, "-c", WORKER, "pidfd", str(launcher.pid)], timeout=20, check=False)
    assert worker.returncode == process.ORPHANED
