"""The function that the `_target_` of a node names: import it, bind the node's other keys to it, and call it."""

import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache, partial
from typing import Any

from zeroinit.config.arguments import check_values
from zeroinit.environment import active_variables
from zeroinit.errors import BadInput
from zeroinit.user_code import describe_error, explain_errors, explain_exits, find_user_error, locate_error

Node = dict[str, Any]


def resolve_target(key: str, node: Node) -> partial[Any]:
    """Return the function that the node's `_target_` names, with the node's other keys bound as arguments.

    Raises:
        BadInput: The function cannot be imported, or its signature does not allow a value.
    """
    return resolve_cached(key, json.dumps(node), active_variables())


@lru_cache(maxsize=1000)
def resolve_cached(key: str, text: str, variables: tuple[tuple[str, str], ...]) -> partial[Any]:
    """Return what `resolve_target` returns, once for all jobs of a sweep."""
    function = _load_target(key, json.loads(text))
    check_values(key, function.func, function.keywords)
    return function


def _load_target(key: str, node: Node) -> partial[Any]:
    """Import the function that the node names, and bind its other keys."""
    if hydra_key := next((name for name in node if name.startswith("_") and name != "_target_"), None):
        raise BadInput(f"{key}.{hydra_key}={node[hydra_key]}: zeroinit calls the function; give its arguments by name")
    if shipped := find_shipped_function(node):
        return partial(shipped, **{name: value for name, value in node.items() if name != "_target_"})
    from hydra import utils  # only here: shipped options need no Hydra, whose instantiate takes 5 ms
    from hydra.errors import InstantiationException

    try:
        with explain_exits(f"{key}._target_={node.get('_target_')}"):  # the module may call sys.exit
            function: partial[Any] = utils.instantiate(node, _convert_="all", _partial_=True)
    except InstantiationException as error:
        cause = find_user_error(error)
        reason = describe_error(cause) if locate_error(cause) else error.__cause__ or error
        raise BadInput(f"{key}._target_={node.get('_target_')}: {reason}") from error
    return function


def find_shipped_function(node: Node) -> Callable[..., Any] | None:
    """Return the function of zeroinit or torch that `_target_` names; None if it is elsewhere or the node needs Hydra.

    Machines that train shipped options need no Hydra (benchmarks/gpu.py).
    """
    module, _, name = str(node.get("_target_")).rpartition(".")
    has_hydra_keys = any(key.startswith("_") and key != "_target_" for key in node)
    has_nodes = any(isinstance(value, dict | list) and "_target_" in json.dumps(value) for value in node.values())
    if module.partition(".")[0] not in ("zeroinit", "torch") or has_hydra_keys or has_nodes:
        return None
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return function if callable(function) else None


def instantiate(key: str, node: Node, *arguments: Any, subject: str = "") -> Any:
    """Call the function that the node names, and return the result.

    Args:
        key: the key of the node.
        node: `_target_`, and the keyword arguments.
        arguments: the positional arguments.
        subject: starts the message about an exception of the function; by default the key and target.

    Raises:
        BadInput: The function's signature does not accept the arguments, or the function raises.
    """
    function, target = resolve_target(key, node), f"{key}._target_={node['_target_']}"
    check_arguments(key, target, function, *arguments)
    with explain_errors(subject or target):
        # a copy, because the function is cached with its arguments and may change them
        return function.func(*arguments, **deepcopy(function.keywords))


def check_arguments(key: str, subject: str, function: partial[Any], *arguments: Any, **named: Any) -> None:
    """Raise BadInput if the function's signature does not accept these arguments and the keys of its node."""
    if given := next((name for name in named if name in function.keywords), None):
        raise BadInput(f"{key}.{given}={function.keywords[given]}: zeroinit gives it to the function; leave it out")
    try:
        signature = inspect.signature(function.func)
    except ValueError:  # a function that is not written in Python checks its arguments itself
        return
    try:
        signature.bind(*arguments, **(function.keywords | named))
    except TypeError as error:
        keys = ", ".join([*signature.parameters][len(arguments) :])
        raise BadInput(
            f"{subject}: {error}; the keys that it takes are {keys or 'none'}: drop one with ~{key}.KEY, add one with "
            f"+{key}.KEY=VALUE"
        ) from error


def parameters_of(function: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function by name; none for a function that is not written in Python."""
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return {}
