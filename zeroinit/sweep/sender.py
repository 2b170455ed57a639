"""Sends the runs in the spool to the store, while others train."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from zeroinit.errors import BadInput, StoreFailed
from zeroinit.tracker import Record, RunWriter
from zeroinit.tracker.spool import Spool, read_file
from zeroinit.tracker.waiting import NOTICE_SECONDS, WAIT_SECONDS, describe, is_transient, write_line

POLL_SECONDS = 0.05  # between two checks for new files
MAX_PAUSE_SECONDS = 2.0  # between two attempts, while the store does not answer
LAST_SECONDS = 1.0  # for the write under way when the command is interrupted
LOCK_NAME = ".sending"
FILES_AT_ONCE = 16  # in one transaction


def send_files(tracker: RunWriter, spool: Spool) -> int:
    """Send the files of a spool to the store, oldest first, and return how many were sent.

    Only one process at a time sends the files of a spool; while another does, none is sent here.

    Raises:
        StoreFailed: The store does not take the runs.
        BadInput: A file is damaged; the others are sent.
    """
    sent, damaged = 0, None
    with suppress(Timeout), FileLock(spool.folder / LOCK_NAME, blocking=False):
        files = spool.list_files()
        for start in range(0, len(files), FILES_AT_ONCE):
            runs_of: dict[Path, list[Record]] = {}
            for path in files[start : start + FILES_AT_ONCE]:
                try:
                    runs_of[path] = read_file(path)
                except BadInput as error:
                    damaged = error
                except FileNotFoundError:  # another process has just sent it
                    pass
            if runs_of:
                tracker.write([record for records in runs_of.values() for record in records])
            for path in runs_of:
                path.unlink(missing_ok=True)
            sent += len(runs_of)
    if damaged:
        raise damaged
    return sent


def send_leftovers(tracker: RunWriter) -> None:
    """Send what earlier commands left in the spool, and wait for a store that is busy.

    Raises:
        BadInput: The store does not take the runs, or nothing can be written to the spool.
    """
    if not tracker.is_persistent:
        return
    spool = Spool.for_tracker(tracker)
    spool.open()
    if spool.list_files():
        with Sender(tracker, spool, write_line) as sender:
            sender.finish()


class Sender:
    """A thread that sends the files of a spool; `finish` waits until no file is left. A context manager.

    Args:
        tracker: An open tracker.
        spool: Its spool.
        write: Writes a line for a person.
    """

    def __init__(self, tracker: RunWriter, spool: Spool, write: Callable[[str], None]) -> None:
        self._tracker, self._spool, self._write = tracker, spool, write
        self._failing_since: float | None = None
        self._is_announced = False
        self._reason: Exception | None = None  # why the store did not take the last file
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sender":
        if self._tracker.is_persistent:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()
        if kind and issubclass(kind, KeyboardInterrupt) and self._tracker.is_persistent:
            self._thread.join(LAST_SECONDS)
            with suppress(Exception):  # the next command sends them otherwise
                send_files(self._tracker, self._spool)  # so that a run that has just ended is not seen as killed

    def _run(self) -> None:
        pause = POLL_SECONDS
        while not self._has_ended.wait(pause):
            began = time.monotonic()
            try:
                if not send_files(self._tracker, self._spool) and self._spool.list_files():
                    raise TimeoutError("another process sends them")
            except Exception as error:  # whatever it is, the files stay
                self._note_failure(error, began)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
            else:
                self._note_success()
                pause = POLL_SECONDS

    def _note_failure(self, error: Exception, began: float) -> None:
        self._failing_since = self._failing_since or began
        self._reason = error
        if not self._is_announced and time.monotonic() - self._failing_since > NOTICE_SECONDS:
            self._is_announced = True
            self._write(f"finished runs wait in {self._shown_folder}: {self._describe_reason()}")

    def _note_success(self) -> None:
        was_announced, self._is_announced = self._is_announced, False
        self._failing_since = self._reason = None
        if was_announced:
            self._write("the store takes runs again; those that waited are stored")

    def finish(self) -> None:
        """Wait until the store has all files. Raises BadInput, with what is left, if the store does not take them."""
        if not self._tracker.is_persistent:
            return
        progress, left = time.monotonic(), len(self._spool.list_files())
        while files := self._spool.list_files():
            if len(files) < left:
                progress, left = time.monotonic(), len(files)
            is_hopeless = self._reason is not None and not is_transient(self._reason)
            if is_hopeless or (self._reason and time.monotonic() - progress > WAIT_SECONDS):
                raise self._left_over()
            time.sleep(POLL_SECONDS)
        self._note_success()

    def _left_over(self) -> BadInput:
        if isinstance(self._reason, BadInput):  # a damaged file
            self._reason.exit_code = 1
            return self._reason
        files = self._spool.list_files()
        runs = 0
        for path in files:
            with suppress(OSError, BadInput):
                runs += len(read_file(path))
        are = "1 run is" if runs == 1 else f"{runs} runs are"
        error = BadInput(
            f"{are} in {self._shown_folder} and not in the store ({self._describe_reason()}); the same command, or "
            "`zeroinit sync`, sends them when the store takes them"
        )
        error.exit_code = 1
        return error

    @property
    def _shown_folder(self) -> Path:
        with suppress(ValueError):
            return self._spool.folder.relative_to(Path.cwd())
        return self._spool.folder

    def _describe_reason(self) -> str:
        return (
            describe(self._reason) if self._reason and not isinstance(self._reason, StoreFailed) else str(self._reason)
        )
