"""Environment variables that a job sets (hydra.job.env_set) in its process while it is built and trained."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zeroinit.errors import BadInput
from zeroinit.kernels import PORTABLE, SWITCH

KEY = "hydra.job.env_set"
# libraries read these as the process starts, so that a job sets them too late
READ_AT_START = (SWITCH, *PORTABLE, "OMP_NUM_THREADS", "MKL_NUM_THREADS")
OF_STORE = "MLFLOW_"  # opens the names that say where and how runs are kept, which changes no number
SECRET = re.compile(r"PASS(WORD|WD|PHRASE)|TOKEN(?!IZ)|SECRET|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.IGNORECASE)

_active: dict[str, str] = {}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the variables while the block runs, and leave the environment as it was."""
    global _active
    before = {name: os.environ.get(name) for name in variables}
    active_before = _active
    os.environ.update(variables)
    _active = _active | dict(variables)
    try:
        yield
    finally:
        _active = active_before
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def active_variables() -> tuple[tuple[str, str], ...]:
    """What jobs have set at the moment: a part of the key of any cache of what a user's function gave."""
    return tuple(sorted(_active.items()))


def checked_variables(variables: Mapping[Any, Any]) -> dict[str, str]:
    """The variables as they are. Raises BadInput for those that no process can have, or that come too late."""
    for name, value in variables.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise BadInput(f"{KEY}.{name}: give a name of letters, digits and _")
        if not isinstance(value, str) or "\0" in value:
            raise BadInput(f"{KEY}.{name}={value}: give a text")
        if name in READ_AT_START:
            raise BadInput(f"{KEY}.{name}={value}: torch has read it before any job starts; set it in the shell")
    return dict(variables)


def changing_numbers(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without those of the store."""
    return {name: value for name, value in variables.items() if not name.startswith(OF_STORE)}


def of_store(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith(OF_STORE)}


def is_secret(name: str) -> bool:
    """Whether a variable's value is for nobody to read, by its name."""
    return bool(SECRET.search(name))
