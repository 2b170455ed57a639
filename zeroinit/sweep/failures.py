"""Writes the end of runs, and of those that failed the error, the traceback and the status."""

import traceback

from zeroinit.errors import BadInput, StoreFailed
from zeroinit.tracker import TRACEBACK, Record, RunWriter, Status, without_password
from zeroinit.tracker.tags import Tag
from zeroinit.user_code import locate_error, message_of


def write_end(record: Record, tracker: RunWriter) -> None:
    """Write the end of a run. A run that cannot be written is FAILED, also in the store if the store still answers."""
    record.ended = True
    try:
        tracker.end(record)
    except Exception as error:
        mark_failed(record, error, f"{record.tags[Tag.ERROR]}; " if Tag.ERROR in record.tags else "")
        tracker.mark_failed(record)


def mark_failed(record: Record, error: BaseException, earlier: str = "") -> None:
    """Mark the run as FAILED by an error, or KILLED by an interruption; `earlier` says what had failed before."""
    record.status = Status.KILLED if isinstance(error, KeyboardInterrupt) else Status.FAILED
    prefix = "" if isinstance(error, BadInput | StoreFailed) else f"{type(error).__name__}: "
    location = locate_error(error)
    text = f"{earlier}{prefix}{message_of(error)}" + (f" ({location})" if location else "")
    record.tags[Tag.ERROR] = as_text(text).decode()[:5000]
    if not isinstance(error, KeyboardInterrupt):
        record.files[TRACEBACK] = as_text("".join(traceback.format_exception(error)))


def as_text(message: str) -> bytes:
    """Return the message as a store takes it: without passwords, and with a code for each character that is no text."""
    return without_password(message).replace("\0", "\\0").encode(errors="backslashreplace")
