"""The environment variables that a config sets for a job and its store, and their params."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from zeroinit.environment import (
    ENV_SET,
    STORE_PREFIX,
    active_variables,
    check_variables,
    environment,
    is_secret,
    result_variables,
    store_variables,
)
from zeroinit.errors import BadInput
from zeroinit.tracker import mask_uri


def variables_of(hydra_node: Any, prefix: str = "") -> dict[str, str]:
    """Return the environment variables that a job sets, resolved; with a prefix, only those whose names start with it.

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
                raise BadInput(f"{ENV_SET}.{name}: {str(error).splitlines()[0]}") from error
    return check_variables(variables)


@contextmanager
def environment_of_store(hydra_node: Any) -> Iterator[None]:
    """Set the variables of the store for the block, among those that the jobs of a sweep set."""
    with environment(variables_of(hydra_node, STORE_PREFIX)):
        yield


def check_one_store(jobs_variables: Iterable[Mapping[str, str]]) -> None:
    """Raise BadInput if the variables of a job name another store than those of the process that reports."""
    store = store_variables(dict(active_variables()))
    for variables in jobs_variables:
        if differing := store.items() ^ store_variables(variables).items():
            raise BadInput(
                f"{ENV_SET}.{min(differing)[0]}: all runs of a sweep are stored in one store; give all of them the "
                "same value, on the command line"
            )


def params_of_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return params of the variables that can change a number; a secret value becomes `***`."""
    return {
        f"{ENV_SET}.{name}": "***" if is_secret(name) else mask_uri(value)
        for name, value in result_variables(variables).items()
    }
