"""Ends a sweep whose first runs all fail in the same way, which the others would do as well."""

import re
from collections.abc import Iterable

from zeroinit.errors import SweepEnded
from zeroinit.tracker import Record, Status
from zeroinit.tracker.tags import Tag

MAX_SHOWN = 300  # characters of an error in the sentence
QUOTED = re.compile(r"(['\"`]).*?\1")
NUMBER = re.compile(r"(?<![A-Za-z_])[+-]?(?:\d[\d_]*\.?\d*(?:e[+-]?\d+)?|nan|inf)\b", re.IGNORECASE)
# with a dot, a slash, an underscore, a digit or a sign of equality: of a file, a function, a layer or a key
NAME = re.compile(r"[^\s,;:()\[\]]*\w[./_=\d][^\s,;:()\[\]]*")


class FailFast:
    """Watches the runs of a sweep that end.

    Args:
        count: The number of first runs that must all fail in the same way to end the sweep; None: it never ends.
    """

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._errors: list[str] = []  # of the first runs; a run that finishes ends the watch

    def note(self, records: Iterable[Record]) -> None:
        """Note runs that ended. Raises SweepEnded when the first ones are complete and all alike."""
        for record in records:
            if self._count is None:
                return
            error = record.tags.get(Tag.ERROR, "")
            if record.status != Status.FAILED or describe_kind(error) != describe_kind((self._errors or [error])[0]):
                self._count = None
                return
            self._errors.append(error)
            if len(self._errors) == self._count:
                first = " ".join(self._errors[0].split())[:MAX_SHOWN]
                runs = f"first {self._count} runs" if self._count > 1 else "first run"
                raise SweepEnded(f"fail_fast={self._count}: the {runs} failed in the same way ({first})")


def describe_kind(error: str) -> str:
    """Return an error without its numbers, its names and what is quoted in it."""
    for pattern, replacement in ((QUOTED, "''"), (NUMBER, "#"), (NAME, "*")):
        error = pattern.sub(replacement, error)
    return re.sub(r"(?:[#*]|'')(?:[\s,()\[\]x-]*(?:[#*]|''))*", "*", error)
