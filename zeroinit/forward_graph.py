"""The operations of one forward pass: which parameters they use, and where residual branches end."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zeroinit.roles import LAYER_ROLES, RECURRENT, Role

MAX_TERMS = 32  # of a sum whose terms are all compared with each other: the time grows with their third power
ADDITIONS = (torch.ops.aten.add, torch.ops.aten.add_)
Uses = list[tuple[str, ...]]


class ForwardGraph(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context manager that records the first call of each layer, and the graph of activations.

    An activation is a tensor that is computed from the model's input. Sets of activations are integers with a bit for
    each, because a net has hundreds of them.

    Attributes:
        roles: {name of a parameter: its role}.
        first: (name of a layer or parameter, whether it was called), in order; a dict serves as an ordered set.
    """

    def __init__(self, inputs: Tensor, names: Mapping[int, str], roles: Mapping[str, Role]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.roles = roles
        self.first: dict[tuple[str, bool], None] = {}
        self._alive: list[Tensor] = [inputs]  # so that no two tensors have one id
        self._index = {id(inputs): 0}  # of each activation
        self._ancestors = [1]  # of each activation, itself included
        self._uses: Uses = [()]  # the parameters with which each activation is computed
        self._sources: dict[int, tuple[str, ...]] = {
            key: (name,) for key, name in names.items()
        }  # the parameters of a tensor without inputs
        self._consumers = [0]  # the number of inputs of operations that each activation is
        self._additions: dict[int, tuple[int, int]] = {}  # {sum: its two terms}
        self._recurrent_calls = 0

    def enter(self, name: str, module: nn.Module, inputs: Any) -> None:
        """Record the call of a layer, as its hook before the forward pass."""
        self.first.setdefault((name, True))
        self._recurrent_calls += isinstance(module, RECURRENT)

    def leave(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        """Record the end of a layer's call, as its hook after the forward pass."""
        self._recurrent_calls -= isinstance(module, RECURRENT)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)]
        names = tuple(dict.fromkeys(name for tensor in tensors for name in self._sources.get(id(tensor), ())))
        for name in names:
            self.first.setdefault((name, False))
        parents = [self._index[id(tensor)] for tensor in tensors if id(tensor) in self._index]
        result = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if parents:
            is_sum = func.overloadpacket in ADDITIONS and len(parents) == 2 and tensors[0].shape == tensors[1].shape
            if is_sum and not self._recurrent_calls:  # which add their states
                self._additions[len(self._ancestors)] = parents[0], parents[1]
            self._add_activation(parents, names, outputs)
        elif names:
            self._alive += outputs
            self._sources |= {id(output): names for output in outputs}
        return result

    def _add_activation(self, parents: list[int], names: tuple[str, ...], outputs: list[Tensor]) -> None:
        """Add a node for the outputs of an operation; one in place replaces that of its input."""
        index, ancestors = len(self._ancestors), 0
        for parent in parents:
            ancestors |= self._ancestors[parent]
            self._consumers[parent] += 1
        self._consumers.append(0)
        self._ancestors.append(ancestors | 1 << index)
        self._uses.append(names)
        self._alive += outputs
        self._index |= {id(output): index for output in outputs}

    def residual_parameters(self) -> set[str]:
        """Return the last weight of each residual branch, and the scales and shifts behind it.

        Any two terms of a sum are compared, so that their order does not matter; of a sum with more than MAX_TERMS,
        each with the one computed first, such as the identity. Their last common ancestor is where the branch leaves.
        The path with more weights is the branch, the other one the shortcut; with as many there is no residual. So in a
        sum of branches without the identity, the longer ones are residual, as beside the projection shortcut of a
        ResNet. A weight that a branch uses more than once is that of a recurrence.
        """
        residual, repeated = set(), set()
        for pair in (pair for terms in self._sums() for pair in _pairs(sorted(terms))):
            common = self._ancestors[pair[0]] & self._ancestors[pair[1]]
            before = self._ancestors[common.bit_length() - 1]
            paths = [list(self._parameters_in(self._ancestors[index] & ~before)) for index in pair]
            weights = [[name for name in path if self.roles[name] in LAYER_ROLES] for path in paths]
            shortcut, branch = sorted(weights, key=lambda path: len(set(path)))
            if len(set(shortcut)) == len(set(branch)) or set(shortcut) & set(branch):
                continue
            last, path = branch[-1], paths[weights.index(branch)]
            behind = path[len(path) - path[::-1].index(last) :]
            residual |= {last, *(name for name in behind if self.roles[name] in (Role.SCALE, Role.SHIFT))}
            repeated |= {last} if branch.count(last) > 1 else set()
        return residual - repeated

    def _sums(self) -> list[list[int]]:
        """Return the terms of each sum. A sum that is used only as a term of another one is part of that one."""
        sums: dict[int, list[int]] = {}
        for index, pair in self._additions.items():
            terms = [sums.pop(term) if term in sums and self._consumers[term] == 1 else [term] for term in pair]
            sums[index] = [*terms[0], *terms[1]]
        return list(sums.values())

    def _parameters_in(self, activations: int) -> Iterator[str]:
        """Yield the names of the parameters with which the activations are computed, in order."""
        while activations:
            lowest = activations & -activations
            yield from self._uses[lowest.bit_length() - 1]
            activations ^= lowest


def _pairs(terms: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of terms that are compared."""
    return combinations(terms, 2) if len(terms) <= MAX_TERMS else ((terms[0], term) for term in terms[1:])
