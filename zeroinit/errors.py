"""Exceptions that a user sees as one sentence, without a traceback."""


class BadInput(Exception):
    """An error that the user can correct; the message names the key, the value and what is accepted."""

    exit_code = 2  # of the command; 1 if the store fails after training


class Ended(Exception):
    """The command has written all output, and ends with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class RunFailed(Exception):
    """The run of a trial of a search failed or diverged, so it has no value for the search."""


class StoreFailed(Exception):
    """A run cannot be written to the store; the message says what failed."""


class SweepEnded(BaseException):
    """A limit ends the sweep before all of its runs are done; the message says which.

    As of KeyboardInterrupt, no `except Exception` stops it. `finished` is how many of its runs have finished.
    """

    finished = 0


class TimeOver(BaseException):
    """A run takes longer than it may; the message says so. No `except Exception` of a user's code stops it."""
