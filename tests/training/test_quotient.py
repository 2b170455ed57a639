"""The quotient of a net is the net: the same training in exact arithmetic, with one neuron for all that are equal."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from helpers.copies import RANDOM, ROWS, TIED, double, duplicate_neurons, fill, fnn, member, naive, rows_and_more, train
from torch import Tensor, nn

from zeroinit import build
from zeroinit.arch import MnistCNN, resnet50
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.errors import BadInput
from zeroinit.sweep.runner import run_jobs
from zeroinit.sweep.stacking import find_limits
from zeroinit.tracker.memory import Off
from zeroinit.training.quotient import expand_state_dict, quotient, quotient_summary
from zeroinit.training.ties import preserves_column_offsets, tie_representatives

# constant weights behind a layer give it a gradient that is zero in mathematics, as the slopes at the outputs add up to
# zero; what rounding leaves of it, an adaptive optimizer divides by itself, unless eps is larger
ADAPTIVE = {"lr": 0.001, "eps": 1e-4}
OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": partial(torch.optim.Adam, **ADAPTIVE),
    "adamw": partial(torch.optim.AdamW, weight_decay=0.1, **ADAPTIVE),
    "rmsprop": partial(torch.optim.RMSprop, weight_decay=0.01, **ADAPTIVE),
}
INITS = {
    **{name: partial(fill, rules=rules) for name, rules in TIED.items()},
    "three classes": partial(duplicate_neurons, every=3),
    "row_constant": partial(fill, rules=ROWS),  # tied in front of the logits alone
    "no ties": partial(fill, rules=RANDOM),
}


@pytest.fixture(scope="module")
def blobs() -> Data:
    """Four classes around centres of their own, of one channel of 8x8."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(25)
    centres = torch.randn(4, 1, 8, 8, generator=generator)
    splits = [(centres[labels] + 0.5 * torch.randn(100, 1, 8, 8, generator=generator), labels) for _ in range(3)]
    return Data(*splits, num_classes=4)


def means(weight: Tensor, inputs: Tensor) -> Tensor:
    """Each column as the mean of those of its class."""
    return torch.stack([weight[:, inputs == of_class].mean(1) for of_class in inputs.tolist()], dim=1)


def agree(
    data: Data, model: nn.Module, optimizer: Any, rtol: float, atol: float, steps: int, reduction: str
) -> nn.Module:
    """Train the net, tied, and its quotient; assert that they end alike. Returns the quotient."""
    small = quotient(model, preserves_column_offsets(optimizer(model.parameters())))
    lr = optimizer.keywords["lr"] / (32 if reduction == "sum" else 1)
    both = partial(train, data=data, reduction=reduction, is_observed=lambda step: False)
    [full] = both([member(model, optimizer, steps, lr=lr)], tied=True)
    [end] = both([member(small, optimizer, steps, lr=lr)], tied=False)
    full_state = expand_state_dict(small.state_dict())
    assert full_state.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        mean = means(parameter.detach(), small.output.inputs) if name == "output.weight" else parameter
        assert torch.allclose(full_state[name], mean, rtol=rtol, atol=atol), name
    assert torch.allclose(end.losses, full.losses, rtol=max(rtol, 1e-6), atol=atol)
    return small


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize(
    ("hidden", "optimizer"),
    [
        ((9,), "sgd"),
        ((8, 6), "adam"),
        ((8, 6), "momentum"),
        ((7, 5, 6), "adamw"),
        ((5, 4, 6, 3), "rmsprop"),
        ((5, 4, 6, 3), "momentum"),
    ],
)
def test_the_training_of_the_quotient_is_that_of_the_net(
    hidden: tuple[int, ...], optimizer: str, init: str, blobs: Data
) -> None:
    """In float64 to 1e-10 after 25 steps, and with the same classes before and after."""
    model = INITS[init](fnn(*hidden)).double()
    before = naive(model), naive(model, outgoing=False)
    small = agree(double(blobs), model, OPTIMIZERS[optimizer], 1e-10, 1e-12, 25, "mean")
    if init != "row_constant":  # whose columns differ by constants but for rounding then
        assert naive(model) == before[0]
    elif len(hidden) == 1:
        assert before[0] == naive(model, outgoing=False) == before[1] == {"hidden1": [0] * hidden[0]}
    model.load_state_dict(expand_state_dict(small.state_dict()))
    parted = init == "row_constant" and optimizer == "rmsprop"  # with its weight decay
    assert (naive(model) == before[0]) != parted


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("activation", ["elu", "relu", "leaky_relu", "tanh", "sigmoid", "selu", "gelu"])
def test_for_every_activation_and_reduction(activation: str, reduction: str, blobs: Data) -> None:
    for init in ("layer_constant", "three classes"):
        model = INITS[init](fnn(8, 6, activation=activation)).double()
        agree(double(blobs), model, OPTIMIZERS["momentum"], 1e-10, 1e-12, 25, reduction)


@pytest.mark.parametrize("init", INITS)
def test_in_float32_they_differ_by_rounding(init: str, blobs: Data) -> None:
    agree(blobs, INITS[init](fnn(100, 77)), OPTIMIZERS["sgd"], 1e-4, 1e-5, 60, "mean")


def test_a_gradient_is_that_of_one_entry_of_the_net(blobs: Data) -> None:
    """The naive twins: of the net, and of a quotient whose gradients are divided by the sizes of the blocks."""
    model = duplicate_neurons(fnn(8, 9), 3).double()
    small = quotient(model)
    inputs, labels = double(blobs).train
    nn.functional.cross_entropy(model(inputs), labels).backward()
    nn.functional.cross_entropy(small(inputs), labels).backward()
    plain = {name: parameter.detach().clone().requires_grad_() for name, parameter in small.named_parameters()}
    hidden = inputs.flatten(1)
    for name in ("hidden1", "hidden2", "output"):
        layer = small.get_submodule(name)
        hidden = hidden @ (plain[f"{name}.weight"] * layer.inputs.bincount()).T + plain[f"{name}.bias"]
        hidden = hidden if name == "output" else nn.functional.elu(hidden)
    nn.functional.cross_entropy(hidden, labels).backward()
    for name in ("hidden1", "hidden2", "output"):
        layer, full = small.get_submodule(name), model.get_submodule(name)
        of_outputs, of_inputs = layer.outputs.bincount(), layer.inputs.bincount()
        assert torch.allclose(
            layer.weight.grad[layer.outputs][:, layer.inputs], full.weight.grad, rtol=1e-12, atol=1e-15
        )
        assert torch.allclose(layer.bias.grad[layer.outputs], full.bias.grad, rtol=1e-12, atol=1e-15)
        block = of_outputs.unsqueeze(1) * of_inputs
        assert torch.allclose(plain[f"{name}.weight"].grad / block, layer.weight.grad, rtol=1e-12, atol=1e-15)
        assert torch.allclose(plain[f"{name}.bias"].grad / of_outputs, layer.bias.grad, rtol=1e-12, atol=1e-15)


def test_a_net_is_its_quotient_expanded_and_without_ties_its_own(blobs: Data) -> None:
    for init, words in (
        ("constant", "hidden1 1 of 8, hidden2 1 of 5"),
        ("three classes", "hidden1 3 of 8, hidden2 3 of 5"),
        ("row_constant", "hidden1 8 of 8, hidden2 1 of 5"),
        ("no ties", "hidden1 8 of 8, hidden2 5 of 5"),
    ):
        model = INITS[init](fnn(8, 5))
        small = quotient(model)
        assert quotient_summary(small) == words
        for name, parameter in model.named_parameters():
            if (init, name) != ("row_constant", "output.weight"):
                assert torch.equal(expand_state_dict(small.state_dict())[name], parameter)
        assert all(len(firsts.unique()) == len(firsts) for firsts in tie_representatives(small).values())
        assert torch.allclose(small(blobs.train[0]), model(blobs.train[0]), atol=1e-6)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, dict(small.named_parameters())[name])


def test_the_mean_of_columns_that_differ_by_constants_gives_the_logits_of_all(blobs: Data) -> None:
    inputs = double(blobs).train[0]
    for model, words in ((fill(fnn(300), ROWS), "hidden1 1 of 300"), (rows_and_more(7, 300), "hidden2 1 of 300")):
        model.double()
        small = quotient(model)
        assert quotient_summary(small).endswith(words)
        logits = model(inputs)
        assert torch.allclose(small(inputs), logits, rtol=1e-12, atol=1e-13)
        full_state = expand_state_dict(small.state_dict())
        weight = model.output.weight.detach()
        assert torch.allclose(full_state["output.weight"], weight.mean(1, keepdim=True).expand_as(weight), rtol=1e-12)
        model.load_state_dict(full_state)
        assert torch.allclose(model(inputs), logits, rtol=1e-12, atol=1e-13)


def test_weight_decay_in_an_adaptive_step_keeps_such_neurons_apart(job_of: Callable[..., Job]) -> None:
    """As exact arithmetic does; where it is none of the step, they are one."""
    words = ["dataset=digits", "init=row_constant", "arch.hidden=[12]", "steps=3", "arithmetic=quotient"]
    for optimizer, decay, said in (
        ("adam", 0, "hidden1 1 of 12"),
        ("adam", 0.1, "hidden1 12 of 12"),
        ("adamw", 0.1, "hidden1 1 of 12"),
        ("sgd", 0.1, "hidden1 1 of 12"),
    ):
        [record] = run_jobs(
            [job_of(*words, f"optimizer={optimizer}", f"++optimizer.weight_decay={decay}")],
            Off(),
            lambda share, accuracy: None,
        )
        assert record.tags["quotient"] == said


def test_nested_nets_and_layers_without_biases_keep_their_names() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(64, 6, bias=False), nn.Tanh()), nn.Linear(6, 3))
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1)
    small = quotient(model)
    assert quotient_summary(small) == "1.0 1 of 6"
    assert list(expand_state_dict(small.state_dict())) == list(dict(model.named_parameters()))
    assert quotient_summary(quotient(nn.Sequential(nn.Linear(4, 2)))) == "no hidden layer"


def with_hook() -> nn.Module:
    model = fnn(3)
    model.hidden1.register_forward_hook(lambda *arguments: None)
    return model


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: MnistCNN((1, 8, 8), 10, "elu"), "conv1 is a Conv2d"),
        (lambda: resnet50((1, 8, 8), 10, "elu"), "ResNet has a forward of its own"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Dropout()), "2 is a Dropout"),
        (
            lambda: nn.Sequential(nn.Linear(8, 8), nn.Flatten(), nn.Linear(64, 2)),
            "0 is a Linear that cannot be stacked",
        ),
        (with_hook, "FNN has hooks"),
        (lambda: fnn(3).requires_grad_(False), "FNN has parameters that are shared or frozen"),
    ],
)
def test_what_has_no_quotient_says_so(model: Callable[[], nn.Module], reason: str) -> None:
    with pytest.raises(BadInput) as raised:
        quotient(model())
    said = f"arithmetic=quotient is for chains of Flatten, Linear and activations, but {reason}"
    assert str(raised.value).startswith(said)
    assert str(raised.value).endswith("; give arithmetic=native")


def test_a_run_says_its_arithmetic_and_its_classes(job_of: Callable[..., Job]) -> None:
    """And trains alone; init.csv is of the full net."""
    words = ["dataset=digits", "init=layer_constant", "arch.hidden=[12,5]", "steps=9", "save=true"]
    accuracies = {}
    for arithmetic, counts in (("native", None), ("tied", None), ("quotient", "hidden1 1 of 12, hidden2 1 of 5")):
        job = job_of(*words, f"arithmetic={arithmetic}")
        build.check([job])
        [record] = run_jobs([job], Off(), lambda share, accuracy: None)
        assert record.status == "FINISHED"
        assert (record.tags["arithmetic"], record.tags.get("quotient")) == (arithmetic, counts)
        assert b"hidden1.weight,12x64," in record.files["init.csv"]
        accuracies[arithmetic] = record.last("test/loss")
        assert find_limits(job, 1).alone_reason == (
            counts and "a quotient network has the shape that its own init gives it"
        )
    assert accuracies["quotient"] == pytest.approx(accuracies["tied"], rel=1e-5)
