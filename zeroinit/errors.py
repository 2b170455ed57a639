"""The one exception that a user sees as a sentence, without a traceback."""


class BadInput(Exception):
    """Something the user can mend; the message names the key, the value and what is accepted."""
