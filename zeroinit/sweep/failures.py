"""Notes why a run failed: its error, its traceback and its status."""

import traceback

from zeroinit.errors import BadInput, TimeOver
from zeroinit.tracker import TRACEBACK, Record, Status, without_password
from zeroinit.tracker.tags import Tag
from zeroinit.user_code import locate_error, message_of


def mark_failed(record: Record, error: BaseException) -> None:
    """Mark the run as FAILED by an error."""
    record.status = Status.FAILED
    prefix = "" if isinstance(error, BadInput | TimeOver) else f"{type(error).__name__}: "
    location = locate_error(error)
    text = f"{prefix}{message_of(error)}" + (f" ({location})" if location else "")
    record.tags[Tag.ERROR] = as_text(text).decode()[:5000]
    record.files[TRACEBACK] = as_text("".join(traceback.format_exception(error)))


def as_text(message: str) -> bytes:
    """Return the message as a store takes it: without passwords, and with a code for each character that is no text."""
    return without_password(message).replace("\0", "\\0").encode(errors="backslashreplace")
