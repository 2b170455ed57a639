"""The function that the `_target_` of a node names: import it, bind the node's other keys to it, and call it."""

import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Self

from zeroinit.config.arguments import check_values
from zeroinit.config.read import Values, read
from zeroinit.environment import active_variables
from zeroinit.errors import BadInput
from zeroinit.user_code import describe_error, explain_errors, explain_exits, find_user_error, locate_error

Node = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """The function that a node of the config names under `_target_`, with the arguments that the node gives it.

    Attributes:
        key: of the node.
        name: the dotted name of the function.
        text: the keyword arguments as JSON, by which targets are compared and cached.
    """

    key: str
    name: str
    text: str
    _arguments: Mapping[Any, Any] = field(compare=False, repr=False)

    @classmethod
    def read(cls, values: Values, key: str, without: Sequence[str] = ()) -> Self:
        """Return the target of the node under a dotted key; keys in `without` are no arguments.

        Raises:
            BadInput: There is no such node, or it names no function.
        """
        node = read(values, key)
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            raise BadInput(f"{key}={node}: give the keys of a function, its name under _target_")
        arguments = {name: value for name, value in node.items() if name not in ("_target_", *without)}
        return cls(key, node["_target_"], json.dumps(arguments), arguments)

    def __str__(self) -> str:
        return f"{self.key}._target_={self.name}"

    @property
    def arguments(self) -> dict[str, Any]:
        """A copy of the keyword arguments."""
        return deepcopy(dict(self._arguments))

    @property
    def node(self) -> Node:
        """The node as in the config."""
        return {"_target_": self.name, **self.arguments}

    @property
    def is_shipped(self) -> bool:
        """Whether the function is zeroinit's."""
        return self.name.startswith("zeroinit.")

    def with_arguments(self, arguments: Mapping[str, Any]) -> Self:
        """Return the target with more arguments."""
        more = self.arguments | dict(arguments)
        return replace(self, text=json.dumps(more), _arguments=more)

    def resolve(self) -> partial[Any]:
        """Return the function with the arguments bound to it.

        Raises:
            BadInput: The function cannot be imported, or its signature does not allow a value.
        """
        return resolve_cached(self, active_variables())

    def instantiate(self, *arguments: Any, subject: str = "") -> Any:
        """Call the function, and return the result.

        Args:
            arguments: the positional arguments.
            subject: starts the message about an exception of the function; by default the key and the name.

        Raises:
            BadInput: The function's signature does not accept the arguments, or the function raises.
        """
        function = self.resolve()
        check_arguments(self.key, str(self), function, *arguments)
        with explain_errors(subject or str(self)):
            # a copy, because the function is cached with its arguments and may change them
            return function.func(*arguments, **deepcopy(function.keywords))


@lru_cache(maxsize=1000)
def resolve_cached(target: Target, variables: tuple[tuple[str, str], ...]) -> partial[Any]:
    """Return what `Target.resolve` returns, once for all jobs of a sweep."""
    function = _load_target(target)
    check_values(target.key, function.func, function.keywords)
    return function


def _load_target(target: Target) -> partial[Any]:
    """Import the function, and bind its arguments."""
    arguments = target.arguments
    if hydra_key := next((name for name in arguments if name.startswith("_")), None):
        raise BadInput(
            f"{target.key}.{hydra_key}={arguments[hydra_key]}: zeroinit calls the function; give its arguments by name"
        )
    if shipped := _find_shipped_function(target):
        return partial(shipped, **arguments)
    from hydra import utils  # only here: shipped options need no Hydra, whose instantiate takes 5 ms
    from hydra.errors import InstantiationException

    try:
        with explain_exits(str(target)):  # the module may call sys.exit
            function: partial[Any] = utils.instantiate(target.node, _convert_="all", _partial_=True)
    except InstantiationException as error:
        cause = find_user_error(error)
        reason = describe_error(cause) if locate_error(cause) else error.__cause__ or error
        raise BadInput(f"{target}: {reason}") from error
    return function


def _find_shipped_function(target: Target) -> Callable[..., Any] | None:
    """Return the function if it is zeroinit's or torch's, and no argument needs Hydra; else None.

    Machines that train shipped options need no Hydra (benchmarks/gpu.py).
    """
    module, _, name = target.name.rpartition(".")
    if module.partition(".")[0] not in ("zeroinit", "torch") or "_target_" in target.text:
        return None
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return function if callable(function) else None


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
