"""Environment variables that a job sets (hydra.job.env_set) in its process while it is built and trained."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zeroinit.errors import BadInput
from zeroinit.kernels import PORTABLE, SWITCH

ENV_SET = "hydra.job.env_set"  # the key of these variables
# libraries read these when the process starts, so a job sets them too late
READ_AT_START = (SWITCH, *PORTABLE, "OMP_NUM_THREADS", "MKL_NUM_THREADS")
STORE_PREFIX = "MLFLOW_"  # of names that say where and how runs are stored, which changes no number
SECRET = re.compile(r"PASS(WORD|WD|PHRASE)|TOKEN(?!IZ)|SECRET|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.IGNORECASE)

_active: dict[str, str] = {}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the variables for the block, and restore the environment afterwards."""
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
    """Return the variables that jobs have set now; caches of results of a user's function need them as a key."""
    return tuple(sorted(_active.items()))


def check_variables(variables: Mapping[Any, Any]) -> dict[str, str]:
    """Return the variables. Raise BadInput for one that no process can have, or that is set too late."""
    for name, value in variables.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise BadInput(f"{ENV_SET}.{name}: give a name of letters, digits and _")
        if not isinstance(value, str) or "\0" in value:
            raise BadInput(f"{ENV_SET}.{name}={value}: give a text")
        if name in READ_AT_START:
            raise BadInput(f"{ENV_SET}.{name}={value}: torch reads it before any job starts; set it in the shell")
    return dict(variables)


def result_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that can change a number: all but those of the store."""
    return {name: value for name, value in variables.items() if not name.startswith(STORE_PREFIX)}


def store_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that say where and how runs are stored."""
    return {name: value for name, value in variables.items() if name.startswith(STORE_PREFIX)}


def is_secret(name: str) -> bool:
    """Return whether a variable holds a secret, judged by its name."""
    return bool(SECRET.search(name))
