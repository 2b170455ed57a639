"""The lint finds what no seed of a run sets: draws from numpy's, Python's or a generator of a user's own."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zeroinit import build
from zeroinit.config import Job
from zeroinit.diagnostics import lint
from zeroinit.rng import ForeignStates, restore_generators

ADVICE = "draw from the `generator` that a rule is handed"
FORWARD = "the forward pass draws from numpy's global generator and Python's global generator, which no seed sets"


def from_numpy(tensor: Tensor) -> None:
    tensor.copy_(torch.from_numpy(np.random.randn(*tensor.shape)))


def from_python(tensor: Tensor) -> None:
    tensor.fill_(random.random())


def from_the_system(tensor: Tensor) -> None:
    tensor.copy_(torch.from_numpy(np.random.default_rng().normal(size=tuple(tensor.shape))))


def from_the_given(tensor: Tensor, generator: torch.Generator) -> None:
    """Reproducible: numpy's generator has the seed of the one that is handed to it."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    tensor.copy_(torch.from_numpy(np.random.default_rng(seed).normal(size=tuple(tensor.shape))))


class Wired(nn.Sequential):
    """Draws in the constructor from numpy, in the forward pass from numpy and Python, or from the system."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, source: str) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, num_classes))
        self.source = source
        order = np.random.permutation(64) if source == "constructor" else np.arange(64)
        self.order = torch.from_numpy(order)  # no buffer, so that its values are not compared
        if source == "system":
            self.register_buffer("shift", torch.from_numpy(np.random.default_rng().normal(size=1)).float())
        if source == "torch":
            self.register_buffer("shift", torch.randn(1))  # seeds.forward sets it

    def forward(self, input: Tensor) -> Tensor:
        logits: Tensor = super().forward(input.flatten(1)[:, self.order])
        return logits + np.random.rand() * random.random() if self.source == "forward" else logits


@pytest.fixture
def texts_of(job_of: Callable[..., Job]) -> Callable[..., list[str]]:
    def texts(*overrides: str) -> list[str]:
        job = job_of("dataset=digits", "dataset.max_examples=200", "arch=logistic", *overrides)
        data = build.load(job.config, build.set_up_torch(job.config))
        model, _, optimizer = build.build(job.config, data)
        return [
            each.text for each in lint.findings(job.config, data, model, optimizer) if each.rule in ("seed", "lint")
        ]

    return texts


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("from_numpy", f"output.weight are drawn from numpy's global generator, which no seed sets; {ADVICE}"),
        ("from_python", f"output.weight are drawn from Python's global generator, which no seed sets; {ADVICE}"),
        ("from_the_system", f"a second build with the same seeds has other values of output.weight; {ADVICE}"),
        ("from_the_given", None),
    ],
)
def test_a_rule_draws_from_what_no_seed_sets(rule: str, said: str | None, texts_of: Callable[..., list[str]]) -> None:
    assert texts_of(f"init.weight._target_=test_unseeded.{rule}") == ([said] if said else [])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "constructor",
            "parts of the net that no rule fills are drawn from numpy's global generator, which no seed sets",
        ),
        ("system", "a second build with the same seeds has other values of shift"),
        ("forward", FORWARD),
        ("torch", None),
    ],
)
def test_an_arch_draws_from_what_no_seed_sets(
    source: str, said: str | None, texts_of: Callable[..., list[str]]
) -> None:
    texts = texts_of("arch._target_=test_unseeded.Wired", f"+arch.source={source}")
    assert [text.split(";")[0] for text in texts] == ([said] if said else [])


def test_states_are_compared_and_restored() -> None:
    states = ForeignStates()
    assert states.name_moved() == []
    random.random()
    assert states.name_moved() == ["Python's global generator"]
    np.random.randn()
    np.random.randn()  # the second of a pair, which was drawn with the first
    assert states.name_moved() == ["numpy's global generator", "Python's global generator"]
    with restore_generators(torch.device("cpu")):
        states.restore()
        assert states.name_moved() == []
    assert len(states.name_moved()) == 2
