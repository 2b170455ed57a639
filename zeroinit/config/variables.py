"""The environment variables that a config sets: those of a job, of its store, and their params."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from zeroinit.environment import (
    KEY,
    OF_STORE,
    active_variables,
    changing_numbers,
    checked_variables,
    environment,
    is_secret,
    of_store,
)
from zeroinit.errors import BadInput
from zeroinit.tracker import without_password


def variables_of(hydra_node: Any, prefix: str = "") -> dict[str, str]:
    """The environment variables that a job sets, resolved; with a prefix, those whose names begin so.

    Raises:
        BadInput: A value cannot be resolved, or no process can have such a variable.
    """
    variables = {}
    env_set = hydra_node.job.env_set
    for name in env_set:
        if str(name).startswith(prefix):
            try:
                variables[name] = env_set[name]
            except OmegaConfBaseException as error:
                raise BadInput(f"{KEY}.{name}: {str(error).splitlines()[0]}") from error
    return checked_variables(variables)


@contextmanager
def environment_of_store(hydra_node: Any) -> Iterator[None]:
    """The environment in which a sweep reports: of the variables that its jobs set, those of the store."""
    with environment(variables_of(hydra_node, OF_STORE)):
        yield


def check_one_store(of_jobs: Iterable[Mapping[str, str]]) -> None:
    """Raise BadInput where the variables of a job name another store than those of the process that reports."""
    store = of_store(dict(active_variables()))
    for variables in of_jobs:
        if other := store.items() ^ of_store(variables).items():
            raise BadInput(
                f"{KEY}.{min(other)[0]}: all runs of a sweep are kept in one store; give all of them the same value, "
                "on the command line"
            )


def params_of_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Params of the variables that can change a number; a value that is for nobody to read becomes `***`."""
    return {
        f"{KEY}.{name}": "***" if is_secret(name) else without_password(value)
        for name, value in changing_numbers(variables).items()
    }
