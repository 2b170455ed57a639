"""The environment variables that a config sets: those of a job, of its store, and their params."""

from collections.abc import Mapping
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from zeroinit.environment import KEY, OF_STORE, changing_numbers, checked_variables, is_secret
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


def store_variables_of(hydra_node: Any) -> dict[str, str]:
    """Those variables that say where and how runs are kept."""
    return variables_of(hydra_node, OF_STORE)


def params_of_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Params of the variables that can change a number; a value that is for nobody to read becomes `***`."""
    return {
        f"{KEY}.{name}": "***" if is_secret(name) else without_password(value)
        for name, value in changing_numbers(variables).items()
    }
