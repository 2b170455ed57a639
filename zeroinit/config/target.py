"""What the `_target_` of a config's node names: import it, bind the node's other keys to it, and call it."""

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


def bound(key: str, node: Node) -> partial[Any]:
    """What the node's `_target_` names, with the node's other keys bound as arguments."""
    return bound_once(key, json.dumps(node), active_variables())


@lru_cache(maxsize=1000)
def bound_once(key: str, text: str, variables: tuple[tuple[str, str], ...]) -> partial[Any]:
    """Return what `bound` returns, once for all jobs of a sweep."""
    function = load_target(key, json.loads(text))
    check_values(key, function.func, function.keywords)
    return function


def load_target(key: str, node: Node) -> partial[Any]:
    """Import what the node names, and bind its other keys. Hydra's instantiate takes 5 ms, so it comes last."""
    if shipped := shipped_function(node):
        return partial(shipped, **{name: value for name, value in node.items() if name != "_target_"})
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        with explain_exits(f"{key}._target_={node.get('_target_')}"):  # of a module that calls sys.exit at its import
            function: partial[Any] = instantiate(node, _convert_="all", _partial_=True)
    except InstantiationException as error:
        cause = find_user_error(error)
        reason = describe_error(cause) if locate_error(cause) else error.__cause__ or error
        raise BadInput(f"{key}._target_={node.get('_target_')}: {reason}") from error
    return function


def shipped_function(node: Node) -> Callable[..., Any] | None:
    """Return what `_target_` names in zeroinit or torch; None where it is elsewhere or Hydra has more to do.

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


def call(key: str, node: Node, *arguments: Any, subject: str = "") -> Any:
    """Call what the node names. Raises BadInput for keys that its signature does not take, and for what it raises.

    A sentence on what it raises opens with the `subject`: its key and target, if nothing else is given.
    """
    function, target = bound(key, node), f"{key}._target_={node['_target_']}"
    check_arguments(key, target, function, *arguments)
    with explain_errors(subject or target):
        # a copy, as what is bound is kept and the function may change it
        return function.func(*arguments, **deepcopy(function.keywords))


def check_arguments(key: str, subject: str, function: partial[Any], *arguments: Any, **named: Any) -> None:
    """Raise BadInput where the function's signature does not take these arguments and the keys of its node."""
    try:
        signature = inspect.signature(function.func)
    except ValueError:  # of a function that is not Python's, which says itself what it does not take
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
    """The parameters of a function by name; none of one that is not Python's."""
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return {}
