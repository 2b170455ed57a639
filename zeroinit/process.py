"""Identifies the process of a run, tells whether it is alive, and ends a worker with its launcher."""

import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

PROCESS_TAGS = ("process.host", "process.boot", "process.pid", "process.start")
POLL_SECONDS = 0.5  # between two checks of a launcher, where the system does not report its end
PROC = Path("/proc")  # of Linux; on other systems ps and sysctl are run
ORPHANED = 1  # exit code of a worker whose launcher has ended
MAX_PID = 1 << 31
DEAD_STATES = ("Z", "X")  # of /proc and ps


@dataclass(frozen=True)
class Process:
    """One process of one boot of one host. A process that gets the same pid later has another `start`.

    `boot` names the boot and the pid namespace: pids of two containers on one host mean different processes. `boot` and
    `start` are empty on a system that does not report them.
    """

    host: str
    boot: str
    pid: int
    start: str

    def tags(self) -> dict[str, str]:
        """Return the tags by which a later command identifies the process; none if it could not be certain."""
        if not (self.boot and self.start):
            return {}
        values = self.host, self.boot, str(self.pid), self.start
        return dict(zip(PROCESS_TAGS, values, strict=True))


def process_of_tags(tags: Mapping[str, str]) -> Process | None:
    """Return the process that `Process.tags` describes; None if a tag is missing or malformed."""
    host, boot, pid, start = (tags.get(name, "") for name in PROCESS_TAGS)
    if not (host and boot and start and pid.isdecimal() and 0 < int(pid) < MAX_PID):
        return None
    return Process(host, boot, int(pid), start)


def current_process() -> Process:
    """Return this process."""
    return process_of_pid(os.getpid())


def process_of_pid(pid: int) -> Process:
    """Return the process that has this pid now."""
    return Process(socket.gethostname(), _boot(), pid, _state_of(pid).start)


def is_comparable(process: Process) -> bool:
    """Whether this host, boot and container are those of the process, so that its pid means the same here."""
    return (process.host, process.boot) == (socket.gethostname(), _boot())


def is_alive(process: Process) -> bool:
    """Whether a process of this host and boot has not ended. True where the system does not report it."""
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists, and belongs to another user
        pass
    state = _state_of(process.pid)
    return not state.start or (state.start == process.start and not state.has_ended)


@cache
def _boot() -> str:
    """Return an id of this boot, and of the namespaces in which its pids and start times count."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _output_of("sysctl", "-n", "kern.bootsessionuuid")  # macOS
    spaces = []
    for name in ("pid", "time"):
        with suppress(OSError):  # a kernel without such namespaces
            spaces.append(os.readlink(PROC / "self/ns" / name))
    return " ".join([boot, *spaces])


class _State(NamedTuple):
    start: str  # in the words of the system, which compare as equal or not; empty if it does not report it
    has_ended: bool  # although its parent has not read its exit code yet


def _state_of(pid: int) -> _State:
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        if (PROC / "self/stat").exists():  # Linux hides this process
            return _State("", False)
        letter, _, start = _output_of("ps", "-o", "stat=,lstart=", "-p", str(pid)).partition(" ")
        return _State(start.strip(), letter[:1] in DEAD_STATES)
    # from field 3 of proc(5) on: field 2, the name in brackets, may hold blanks and brackets
    fields = stat.rpartition(b")")[2].decode().split()
    letter, threads, start = fields[0], int(fields[17]), fields[19]
    return _State(start, letter in DEAD_STATES and threads <= 1)  # its other threads may hold its files a moment longer


def _output_of(*command: str) -> str:
    environment = os.environ | {"LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


_launcher: Process | None = None  # the process without which this one must not write


def end_with(launcher: Process) -> None:
    """End this process, at once and without a further write, when its launcher ends."""
    global _launcher
    _launcher = launcher
    threading.Thread(target=_end_after, args=(launcher,), daemon=True).start()


def end_if_orphaned() -> None:
    """End this process if its launcher has ended. To be called before each write to a store."""
    if _launcher and not is_alive(_launcher):
        os._exit(ORPHANED)


def _end_after(launcher: Process) -> None:
    try:
        descriptor = os.pidfd_open(launcher.pid)
    except ProcessLookupError:
        os._exit(ORPHANED)
    except (AttributeError, OSError):  # not Linux, or an old kernel
        while is_alive(launcher):
            time.sleep(POLL_SECONDS)
        os._exit(ORPHANED)
    if is_alive(launcher):  # and not a later process with its pid
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
    os._exit(ORPHANED)
