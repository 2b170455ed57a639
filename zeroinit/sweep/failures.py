"""How a run that failed is written: the error in words, its traceback, and the status in the store."""

import traceback

from zeroinit.errors import BadInput, StoreFailed
from zeroinit.tracker import TRACEBACK, Record, Tracker, without_password
from zeroinit.user_code import locate_error, message_of


def end(record: Record, tracker: Tracker) -> None:
    """Write the run's end. A run that cannot be written has failed, in the store too, where that still answers."""
    record.ended = True
    try:
        tracker.end(record)
    except Exception as error:
        fail(record, error, f"{record.tags['error']}; " if "error" in record.tags else "")
        tracker.mark_failed(record)


def fail(record: Record, error: BaseException, before: str = "") -> None:
    """Mark the run as one that raised, or was interrupted; `before` is what had failed before the error."""
    record.status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
    named = "" if isinstance(error, BadInput | StoreFailed) else f"{type(error).__name__}: "
    location = locate_error(error)
    said = f"{before}{named}{message_of(error)}" + (f" ({location})" if location else "")
    record.tags["error"] = as_text(said).decode()[:5000]
    if not isinstance(error, KeyboardInterrupt):
        record.files[TRACEBACK] = as_text("".join(traceback.format_exception(error)))


def as_text(message: str) -> bytes:
    """The message as a store takes it: without passwords, and with a code for each character that is no text."""
    return without_password(message).replace("\0", "\\0").encode(errors="backslashreplace")
