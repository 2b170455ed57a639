"""Checks what MLflow can store: names and values of params, tags and metrics, and names of sweeps."""

import re
import unicodedata
from collections.abc import Mapping

from mlflow.exceptions import MlflowException
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, _validate_experiment_name, _validate_param

from zeroinit.tracker.record import folder_of

MAX_FOLDER_BYTES = 255  # of a folder's name on usual file systems
NOT_TEXT = re.compile("[\0\ud800-\udfff]")  # NUL, and the surrogates that stand for bytes that are not UTF-8


def find_refused(values: Mapping[str, str], ignores_case: bool) -> tuple[str, str] | None:
    """Find the first {name: value} of params, tags or metrics that MLflow does not take: (name, reason).

    MLflow has the same rules for the names of all three. A value that is too long would be cut without an error.
    `ignores_case`: the database treats names as equal that differ only in case or accents.
    """
    known: dict[str, str] = {}
    for name, value in values.items():
        if reason := _reason_against(name, value):
            return name, reason
        if ignores_case and (other := known.setdefault(_without_case(name), name)) != name:
            return name, f"the database takes it for the same as {other}; rename one of them"
    return None


def reason_against_sweep(name: str) -> str | None:
    """Return why a sweep cannot have this name; None if it can."""
    if unsuitable := next((char for char in name if unicodedata.category(char) in ("Cc", "Cs")), ""):
        return f"the name has the character {unsuitable!r}; give letters, digits, spaces and punctuation"
    folder = folder_of(name)
    if set(folder) <= {"."}:
        return "no folder can have this name; give a name with a letter or a digit"
    size = len(folder.encode())
    if size > MAX_FOLDER_BYTES:
        return f"the name has {size} bytes, and a folder is named after it; give {MAX_FOLDER_BYTES} at most"
    try:
        _validate_experiment_name(name)  # type: ignore[no-untyped-call]
    except MlflowException as error:
        return str(error.message)
    return None


def _reason_against(name: str, value: str) -> str | None:
    if len(value) > MAX_PARAM_VAL_LENGTH:
        return f"the value has {len(value)} characters; MLflow keeps {MAX_PARAM_VAL_LENGTH} at most"
    if unsuitable := NOT_TEXT.search(name + value):
        return f"MLflow cannot keep the character {unsuitable[0]!r}; leave it out"
    try:
        _validate_param(name, value)  # type: ignore[no-untyped-call]
    except MlflowException as error:
        return str(error.message).rpartition("supplied: ")[2].strip().rstrip(".")
    return None


def _without_case(name: str) -> str:
    """Return the name as a database compares it that ignores case and accents."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(char for char in plain if not unicodedata.combining(char))
