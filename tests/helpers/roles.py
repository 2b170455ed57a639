"""Rules of roles, and what they get for each block of a model."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zeroinit.config.init import KEEP, Rules
from zeroinit.init import Filled, initialize
from zeroinit.rng import stream

NORMAL, ZEROS = partial(nn.init.normal_), partial(nn.init.zeros_)
Requests = list[dict[str, Any]]


def fill(model: nn.Module, rules: Rules) -> dict[str, Filled]:
    lines = initialize(model, stream("init", 0), rules, lambda fan_in: 2.0)
    assert [line.parameter for line in lines] == [name for name, _ in model.named_parameters()]
    return {line.parameter: line for line in lines}


def rules(weight: Any = NORMAL, bias: Any = ZEROS, **others: Any) -> Rules:
    return Rules(weight, bias, **({"embedding": NORMAL, "other": KEEP} | others))


def recorder(requests: Requests) -> Callable[..., Tensor]:
    """A rule that notes what it gets."""

    def note_(
        tensor: Tensor,
        fan_in: int,
        fan_out: int,
        depth: int,
        num_layers: int,
        name: str,
        role: str,
        residual: bool,
    ) -> Tensor:
        requests.append({**locals(), "shape": tuple(tensor.shape)})
        return tensor.fill_(0.5)

    return note_


def collect_requests(model: nn.Module) -> dict[str, dict[str, Any]]:
    """What a rule gets for each block of the model."""
    requests: Requests = []
    rule = partial(recorder(requests))
    initialize(model, stream("init", 0), Rules(*[rule] * 7), lambda fan_in: 1.0)
    return {request["name"]: request for request in requests}


class Residual(nn.Module):
    """A user's own residual branch, and a token of its own."""

    def __init__(self, input_shape: tuple[int, ...] = (64,), num_classes: int = 10, draw: bool = False) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(8) if draw else torch.zeros(8))
        self.first = nn.Linear(64, 8)
        self.norm = nn.LayerNorm(8)
        self.branch = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), nn.BatchNorm1d(8))
        self.out = nn.Linear(8, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs.flatten(1)) + self.token
        logits: Tensor = self.out(self.norm(hidden + self.branch(hidden)))
        return logits
