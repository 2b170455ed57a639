"""Exceptions with a meaning of their own; a user sees each as a sentence, without a traceback."""


class BadInput(Exception):
    """Something the user can mend; the message names the key, the value and what is accepted."""


class Ended(Exception):
    """A single run has told the user why it ends; `code` is the exit code of the command."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class RunFailed(Exception):
    """A trial of a search whose run failed or diverged: it has no value that the search could use."""


class StoreFailed(Exception):
    """A run cannot be written; the message says what failed."""
