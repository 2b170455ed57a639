"""The key `optimizer.groups`: groups of parameters with options of their own."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from zeroinit.config.read import Values, read, require_nonnegative
from zeroinit.errors import BadInput

ACCEPTED = "give a list of groups, such as [{names: output.*, lr: 0.01}]"


@dataclass(frozen=True)
class OptimizerGroup:
    """Parameters with options of their own.

    Attributes:
        key: of the group, such as optimizer.groups[0].
        names: patterns of the names of parameters.
        text: the options as JSON.
    """

    key: str
    names: tuple[str, ...]
    text: str

    @property
    def options(self) -> dict[str, Any]:
        """The options, by torch's names."""
        options: dict[str, Any] = json.loads(self.text)
        return options

    def has(self, name: str) -> bool:
        """Return whether the group has the parameter, unless an earlier group has it."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)


def parse_groups(values: Values) -> tuple[OptimizerGroup, ...]:
    """Return the groups of the key `optimizer.groups`; none if an optimizer of the user has no such key.

    Raises:
        BadInput: The value is no list of groups.
    """
    nodes = read(values, "optimizer").get("groups", [])
    if not isinstance(nodes, list):
        raise BadInput(f"optimizer.groups={nodes}: {ACCEPTED}, or []")
    return tuple(_parse_group(f"optimizer.groups[{index}]", node) for index, node in enumerate(nodes))


def _parse_group(key: str, node: Any) -> OptimizerGroup:
    """Return the group of a node."""
    if not isinstance(node, dict) or "names" not in node or len(node) < 2 or "params" in node:
        raise BadInput(f"{key}={node}: {ACCEPTED}, each with names and an option of the optimizer")
    patterns = node["names"] if isinstance(node["names"], list) else [node["names"]]
    if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise BadInput(
            f"{key}.names={node['names']}: give a pattern of parameter names such as *.bias, or a list of them"
        )
    options = {str(name): value for name, value in node.items() if name != "names"}
    for name in ("lr", "weight_decay"):
        if name in options:
            require_nonnegative(f"{key}.{name}", options[name])
    return OptimizerGroup(key, tuple(patterns), json.dumps(options))
