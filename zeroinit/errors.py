"""Exceptions that a user sees as one sentence, without a traceback."""


class BadInput(Exception):
    """An error that the user can correct; the message names the key, the value and what is accepted."""


class Ended(Exception):
    """A single run ends, and the user was told why; `code` is the exit code of the command."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class RunFailed(Exception):
    """The run of a trial of a search failed or diverged, so it has no value for the search."""


class StoreFailed(Exception):
    """A run cannot be written to the store; the message says what failed."""
