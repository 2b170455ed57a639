"""Messages for errors in code of the user: any exception as one sentence, with the user's file and line."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

from zeroinit.errors import BadInput

MAX_CHARACTERS = 300  # of an exception's own message
# packages that call a user's code, or that it calls; an error in them is located at the user's line that led there
LIBRARIES = sys.stdlib_module_names | {
    *("zeroinit", "hydra_plugins", "hydra", "omegaconf", "antlr4", "mlflow"),
    *("torch", "torchvision", "timm", "functorch", "numpy", "scipy", "sklearn", "PIL", "sympy"),
}
INSTALLED = ("site-packages", "dist-packages")
SELF_EXPLAINING = (ValueError, TypeError, RuntimeError, IndexError)  # their messages need no name of the exception


@contextmanager
def explain_errors(subject: str) -> Iterator[None]:
    """Raise any exception of the block as BadInput(f"{subject}: message (file, line)").

    BadInput and interruptions pass. sys.exit is treated as an exception: it must not end the command with its code.
    """
    try:
        yield
    except (BadInput, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise BadInput(f"{subject}: {describe_error(error)}") from error


@contextmanager
def explain_exits(subject: str) -> Iterator[None]:
    """Raise a call of sys.exit in the block as BadInput, as in `explain_errors`; other exceptions pass."""
    try:
        yield
    except SystemExit as error:
        raise BadInput(f"{subject}: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Return the message and location, such as `KeyError: 'gain' (rules.py, line 29)`.

    An exception from other code has no location, and is named only if its message needs the name.
    """
    message = " ".join((message_of(error).strip().splitlines() or [""])[0].split())[:MAX_CHARACTERS]
    location = locate_error(error)
    needs_name = location or not message or not isinstance(error, SELF_EXPLAINING) or isinstance(error, UnicodeError)
    text = ": ".join([*([type(error).__name__] if needs_name else []), *([message] if message else [])])
    return f"{text} ({location})" if location else text


def message_of(error: BaseException) -> str:
    """Return the exception's own message, without its name and location."""
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r}) was called"
    try:
        return str(error.msg) if isinstance(error, SyntaxError) else str(error)  # the whole text also names the line
    except Exception:  # the exception is of the user's class
        return ""


def locate_error(error: BaseException) -> str:
    """Return `FILE, line NUMBER` of the last line of the user's code that led to the error; empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename and os.path.isfile(error.filename):
        return f"{shorten_path(error.filename)}, line {error.lineno}"
    lines = [
        (frame.f_code.co_filename, number)
        for frame, number in walk_tb(error.__traceback__)
        if _is_user_code(frame.f_globals.get("__name__", "")) and os.path.isfile(frame.f_code.co_filename)
    ]
    if not lines:
        return ""
    # the cause is rarely in an installed library that the user's code calls
    not_installed = [line for line in lines if not any(folder in line[0] for folder in INSTALLED)]
    path, number = (not_installed or lines)[-1]
    return f"{shorten_path(path)}, line {number}"


def find_user_error(error: BaseException) -> BaseException:
    """Return the first of an exception and its causes that is located in the user's code, or the exception itself."""
    current: BaseException | None = error
    while current is not None:
        if locate_error(current):
            return current
        current = current.__cause__
    return error


def _is_user_code(module: str) -> bool:
    """Return whether a module, by its dotted name, is neither ours nor of a library that we use."""
    return module.partition(".")[0] not in LIBRARIES


def shorten_path(path: str) -> str:
    """Return the path relative to the folder from which Python imports it; unchanged if there is no such folder."""
    path = os.path.abspath(path)
    folders = [os.path.join(os.path.abspath(folder), "") for folder in sys.path]
    longest = max((folder for folder in folders if path.startswith(folder)), key=len, default="")
    return path.removeprefix(longest)
