"""Layers in the order in which the forward pass calls them, whatever the order of their declaration."""

import random
import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit import arch, build, call_order
from zeroinit.call_order import record_call_order
from zeroinit.config import Job
from zeroinit.config.init import Rules
from zeroinit.diagnostics.symmetry import summarize_draws
from zeroinit.init import initialize, layer_constant_
from zeroinit.layers import called_layers, declared_layers, weight_layers
from zeroinit.observed_layers import hidden_layers
from zeroinit.rng import stream
from zeroinit.sweep import runner
from zeroinit.tracker.memory import Off

INPUTS = torch.randn(2, 64)


class Backwards(nn.Module):
    """Declares its output first; what else it may do depends on `extra`."""

    def __init__(self, input_shape: tuple[int, ...] = (64,), num_classes: int = 10, extra: str = "") -> None:
        super().__init__()
        self.extra, self.passes = extra, 0
        self.output = nn.Linear(8, num_classes)
        self.middle = nn.Linear(8, 8)
        self.first = nn.Linear(64, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        if extra == "never called":
            self.idle = nn.Linear(3, 3)
        if "no copy" in extra:
            self.lock = threading.Lock()
        if "eval" in extra:
            self.norm.train = lambda mode=True: self.norm  # type: ignore[method-assign, misc]

    def forward(self, inputs: Tensor) -> Tensor:
        self.passes += 1
        if self.extra == "noise":
            inputs = inputs + torch.rand_like(inputs) + np.random.rand() + random.random()
        hidden = torch.tanh(self.norm(self.first(inputs.flatten(1))))
        middle = F.linear(hidden, self.middle.weight) if self.extra == "used" else self.middle(hidden)
        hidden = self.drop(torch.tanh(middle))
        if self.extra == "twice":
            hidden = torch.tanh(self.middle(hidden))
        logits: Tensor = self.output(hidden)
        return logits


@pytest.mark.parametrize("extra", ["", "never called", "no copy", "used", "twice", "noise", "eval"])
def test_layers_are_in_the_order_of_their_first_call(extra: str) -> None:
    model = Backwards(extra=extra)
    assert called_layers(model) == [name for name, _ in declared_layers(model)]  # nothing is recorded yet
    record_call_order(model, INPUTS)
    assert called_layers(model) == ["first", "middle", "output"]
    assert hidden_layers(model) == ["first", "middle"]
    idle = ["idle"] if extra == "never called" else []
    assert [name for name, _ in weight_layers(model)] == ["first", "middle", "output", *idle]
    assert [name for name, _ in declared_layers(model)] == ["output", "middle", "first", *idle]


@pytest.mark.parametrize("extra", ["noise", "eval", "no copy", "no copy, eval"])
def test_recording_moves_nothing(extra: str) -> None:
    model = Backwards(extra=extra).train()
    model.drop.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    record_call_order(model, INPUTS)
    assert torch.get_rng_state().equal(states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in (model, model.norm, model.drop)] == [True, True, False]
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert model.passes == ("no copy" in extra)


def test_a_chain_is_not_run() -> None:
    """A Sequential of layers calls them as it declares them; of any other model of ours, the first runs."""
    chain = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(64, 3), nn.Tanh()), nn.Linear(3, 2))
    record_call_order(chain, torch.full((1, 5), torch.nan))  # which it could not be given
    assert called_layers(chain) == ["1.0", "2"]
    call_order.known_orders.clear()
    resnet = arch.resnet50((1, 8, 8), 10, "elu")
    record_call_order(resnet, torch.randn(1, 1, 8, 8), key="resnet50")
    assert called_layers(resnet) == [name for name, _ in declared_layers(resnet)]
    assert hidden_layers(resnet)[-1] == "layer4.2.conv3"
    other = arch.resnet50((1, 8, 8), 10, "elu")
    record_call_order(other, torch.full((1, 5), torch.nan), key="resnet50")
    assert called_layers(other) == called_layers(resnet)


def test_depth_follows_the_calls_and_draws_the_declaration() -> None:
    """A layer's depth is that of its first call; the generator is at the same numbers as if nothing were recorded."""
    ordered, plain = Backwards(extra="never called"), Backwards(extra="never called")
    record_call_order(ordered, INPUTS)
    normal, zero = partial(nn.init.normal_), partial(nn.init.zeros_)
    for model in (ordered, plain):
        initialize(model, stream("init", 0), Rules(normal, normal), float)
    assert all(a.equal(b) for a, b in zip(ordered.parameters(), plain.parameters(), strict=True))
    initialize(ordered, stream("init", 0), Rules(partial(layer_constant_, value=1.0), zero), float)
    layers = dict(weight_layers(ordered))
    depths = {name: layer.weight.unique().tolist() for name, layer in layers.items()}
    assert depths == {"first": [1], "middle": [2], "output": [3], "idle": [4]}


@pytest.fixture
def digits(job_of: Callable[..., Job]) -> Callable[..., Job]:
    def job(*overrides: str) -> Job:
        target = "arch._target_=test_call_order.Backwards"
        return job_of("dataset=digits", "dataset.max_examples=200", "arch=logistic", target, "steps=4", *overrides)

    return job


def test_metrics_and_outcome_are_of_the_layers_that_act_first(digits: Callable[..., Job]) -> None:
    job = digits("init=constant", "optimizer=sgd", "probe=all", "+arch.extra=never called", "probe.curvature=[0]")
    [record] = runner.run_jobs([job], Keeps(), lambda share, accuracy: None)
    assert record.status == "FINISHED", record.tags["error"]
    names = list(dict.fromkeys(name for name, _, _ in record.metrics))
    assert [name for name in names if name.startswith("symmetry/") and name.endswith("distinct")] == [
        "symmetry/first/distinct",
        "symmetry/middle/distinct",
    ]
    of_gradients = [name for name in names if name.startswith("grad/") and name.endswith("norm")]
    assert of_gradients == [f"grad/{layer}/norm" for layer in ("first", "middle", "output", "idle")]
    assert record.history("symmetry/first/distinct")[4] == 1


class Keeps(Off):
    """A tracker that keeps nothing, and has probes watch as if it did."""

    is_persistent = True


def test_the_pass_in_eval_mode_is_none_of_the_constructors_draws(digits: Callable[..., Job]) -> None:
    """What the audit lists as drawn in the construction is what the constructor draws."""
    job = digits("+arch.extra=noise")
    drawn, _, _ = summarize_draws(job.config, build.load(job.config, torch.device("cpu")))
    construction = {name for line in drawn if line.phase == "construction" for name in line.names}
    assert construction == {f"{layer}.{part}" for layer in ("first", "middle", "output") for part in ("weight", "bias")}


def test_the_command_names_the_layer_that_is_symmetric(zeroinit: Callable[..., object]) -> None:
    words = ("dataset=digits", "arch=logistic", "arch._target_=test_call_order.Backwards", "init=constant")
    ended = zeroinit(*words, "optimizer=sgd", "optimizer.lr=0.001", "steps=6", "tracker=off")
    assert ended.code == 0, ended.err
    assert ", symmetric (" in ended.out
    assert "all 8 neurons of first are copies of one another" in ended.out
