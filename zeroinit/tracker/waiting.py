"""Waits for a store, or a disk, that does not answer, and says so."""

import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import requests

NOTICE_SECONDS = 8.0  # of silence, after which a person reads what the command waits for
RETRY_SECONDS = 0.5  # between two attempts
# codes and words, in lower case, of errors that end by themselves: locks, a full disk, a server that restarts
TRANSIENT = (
    *("locked", "busy", "disk is full", "no space left", "disk quota"),
    *("lock timeout", "lock wait timeout", "deadlock"),  # of PostgreSQL and MySQL
    *("connection refused", "connection reset", "connection aborted", "timed out", "max retries", "server closed"),
    *("lost connection", "gone away", "error code 50", "error 50", "could not connect"),
    *("too many connections", "too many clients", "starting up", "shutting down"),
    "must be in the 'active' state",  # another command has just replaced this summary of the same sweep
)

WAIT_SECONDS = 120.0  # for a store that a command needs, before it gives up

T = TypeVar("T")


def first_error(error: BaseException) -> BaseException:
    """Return the error that MLflow and SQLAlchemy have wrapped into others, whose messages have many lines."""
    inner = error.__cause__ or error.__context__
    is_wrapper = type(error).__module__.partition(".")[0] in ("mlflow", "sqlalchemy", "zeroinit")
    return first_error(inner) if inner and is_wrapper else error


def is_transient(error: BaseException) -> bool:
    """Whether the same call may work later, without anybody's help."""
    first = first_error(error)
    if isinstance(first, requests.RequestException | ConnectionError | TimeoutError):
        return True
    text = f"{error} {first}".lower()
    return any(word in text for word in TRANSIENT)


def describe(error: BaseException) -> str:
    """Return the first line of the error that others wrap."""
    lines = str(first_error(error)).splitlines()
    return lines[0] if lines else type(first_error(error)).__name__


def write_line(line: str) -> None:
    """Write a line of the command to stderr."""
    sys.stderr.write(f"zeroinit: {line}\n")
    sys.stderr.flush()


def call_until_it_works(
    operation: Callable[[], T],
    what: str,
    errors: type[Exception] | tuple[type[Exception], ...],
    seconds: float = float("inf"),
    may_retry: Callable[[BaseException], bool] = is_transient,
) -> T:
    """Call again while it raises a transient error, and write once what the command waits for.

    Args:
        operation: What is called; a second call must do no harm.
        what: What cannot be done meanwhile, as a sentence without its end.
        errors: The errors after which it is called again.
        seconds: How long, until the error is raised.
        may_retry: Whether a further call may work after this error.
    """
    started, reason = time.monotonic(), " (there is no answer yet)"

    def announce() -> None:  # also if a single call takes long
        write_line(f"{what}{reason}; the command waits")

    timer = threading.Timer(NOTICE_SECONDS, announce)
    timer.daemon = True
    timer.start()
    try:
        while True:
            try:
                return operation()
            except errors as error:
                if not may_retry(error) or time.monotonic() - started > seconds:
                    raise
                reason = f" ({describe(error)})"
            time.sleep(RETRY_SECONDS)
    finally:
        timer.cancel()
