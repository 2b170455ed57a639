"""Records of the random draws that torch makes: how many entries, for what, and from which generator."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from zeroinit.init import Observe
from zeroinit.rng import ForeignStates


@dataclass(frozen=True)
class Draw:
    """One call of a random operation.

    Attributes:
        where: the name of the layer or parameter that it was made for; empty if it has none.
        op: the name of the operation.
        entries: how many numbers were drawn.
        seed: of the generator that it was given; None if it drew from torch's global one.
        drawn: the tensor that was filled.
    """

    where: str
    op: str
    entries: int
    seed: int | None
    drawn: Tensor


class Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context manager that records the draws in its block.

    Attributes:
        expected: whether draws are replaced by their means; dropout becomes the identity.
        where: the name that the next draws get.
        records: the draws so far.
        foreign: {where: the generators other than torch's that a rule drew from}; see `record_fills`.
        random: the operations whose mean is not known here; they stay random.
    """

    def __init__(self, expected: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.expected, self.where = expected, ""
        self.records: list[Draw] = []
        self.foreign: dict[str, list[str]] = {}
        self.random: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.expected and func is torch.ops.aten.native_dropout_backward.default:
            return args[0].clone()
        result = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return result
        given = {argument.name: argument.default_value for argument in func._schema.arguments}
        given |= dict(zip(given, args, strict=False)) | (kwargs or {})
        if given.get("dropout_p") == 0:  # attention without dropout
            return result
        drawn = result[0] if isinstance(result, tuple) else result  # dropout also returns its mask
        name, generator = func.overloadpacket.__name__, given.get("generator")
        seed = None if generator is None else generator.initial_seed()  # torch wraps it in a new object at each call
        self.records.append(Draw(self.where, name, drawn.numel(), seed, drawn))
        if self.expected:
            mean = mean_of(name, given)
            if mean is None:
                self.random.add(name)
            else:
                drawn.copy_(mean) if isinstance(mean, Tensor) else drawn.fill_(mean)
        return result


def mean_of(op: str, given: dict[str, Any]) -> Tensor | float | None:
    """Return the mean of what the operation draws, given its arguments; None if it is not known here."""
    if op in ("bernoulli_", "bernoulli"):
        mean = given.get("p", given["self"])  # bernoulli(self): self holds the probabilities
    elif op in ("normal_", "normal"):
        mean = given["mean"]
    elif op == "uniform_":
        mean = (given["from"] + given["to"]) / 2
    elif op == "native_dropout":
        mean = given["input"]
    else:
        mean = {"randn": 0.0, "randn_like": 0.0, "rand": 0.5, "rand_like": 0.5}.get(op)
    return mean if isinstance(mean, Tensor) or mean is None else float(mean)


def record_fills(draws: Draws, filled: list[Tensor]) -> Observe:
    """Return what `initialize` takes as `observe`: draws are named by the id of the parameter that they are for.

    Args:
        draws: the active records.
        filled: a list to which each parameter is added, once for all of its blocks.
    """

    @contextmanager
    def observe(parameters: Sequence[nn.Parameter], is_first: bool) -> Iterator[None]:
        filled.extend(parameters if is_first else ())
        draws.where, before = str(id(parameters[0])), ForeignStates()
        yield
        if moved := before.name_moved():
            draws.foreign[draws.where] = moved
        draws.where = ""

    return observe


@contextmanager
def name_by_layer(draws: Draws, model: nn.Module) -> Iterator[None]:
    """Name the draws of forward passes in the block by the layers that make them."""
    outer: list[str] = []

    def enter(name: str, module: nn.Module, inputs: Any) -> None:
        outer.append(draws.where)
        draws.where = name

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        draws.where = outer.pop()

    handles = [module.register_forward_pre_hook(partial(enter, name)) for name, module in model.named_modules()]
    handles += [module.register_forward_hook(leave) for module in model.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
