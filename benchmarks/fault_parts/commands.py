"""Starts zeroinit as a real process, reads what it says and when, and finds or kills the processes of its tree."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

MARK = "ZEROINIT_FAULT_COMMAND"  # environment variable by which the processes of a command are known
HURRY_SECONDS = 0.02  # between two looks at a process
LIMIT_SECONDS = 1500.0  # of a command; a longer one hangs


class Command:
    """A command of zeroinit that runs in a folder.

    Args:
        words: The words after `zeroinit`.
        folder: The current folder of the command.
        log: Its output is added to this file.
        variables: Environment variables of the command.
    """

    def __init__(self, words: Sequence[str], folder: Path, log: Path, variables: dict[str, str] | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self.began = time.monotonic()
        self.seconds = 0.0  # from the start to the end
        self.lines: list[tuple[float, str]] = []  # (when it was read, line)
        environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "zeroinit", *words],
            cwd=folder,
            env=environment | {MARK: self.mark, "MPLBACKEND": "agg"} | (variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches it alone
        )
        self.pid = self._process.pid
        self._log = log
        self._note(f"$ zeroinit {' '.join(words)}")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _note(self, line: str) -> None:
        with self._log.open("a") as file:
            file.write(f"{time.monotonic() - self.began:7.2f} {line}\n")

    def _read(self) -> None:
        assert self._process.stdout
        for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.lines.append((time.monotonic(), line))
            self._note(line)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def output(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def wait(self, seconds: float = LIMIT_SECONDS) -> int | None:
        """Return the exit code; None if the command has not ended in time."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.seconds = time.monotonic() - self.began
        self._reader.join(2)
        self._note(f"exit code {code}")
        return code

    def end(self) -> None:
        """Kill what is left of the command."""
        for pid in self.tree():
            kill(pid)
        self._process.wait()

    def tree(self) -> list[int]:
        """Return the processes that the command started and that are alive, and its own."""
        return [pid for pid in all_pids() if self._is_part(pid)]

    def _is_part(self, pid: int) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return f"{MARK}={self.mark}".encode() in environment.split(b"\0")

    def workers(self) -> list[int]:
        """Return the processes that train: those that the fork server started."""
        return [pid for pid in self.tree() if b"forkserver" in command_line_of(parent_of(pid))]

    def wait_until(self, is_reached: Callable[[], bool], seconds: float = LIMIT_SECONDS) -> bool:
        """Wait for a moment in the life of the command; return whether it came before the command ended."""
        end = time.monotonic() + seconds
        while not self.has_ended and time.monotonic() < end:
            if is_reached():
                return True
            time.sleep(HURRY_SECONDS)
        return False

    def first_line_with(self, words: Sequence[str], earliest: float) -> tuple[float, str] | None:
        """Return (when it was read, line) of the first line, since the earliest moment, that has one of the words."""
        for when, line in self.lines:
            if when >= earliest and any(word in line for word in words):
                return when, line
        return None


def all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def command_line_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
