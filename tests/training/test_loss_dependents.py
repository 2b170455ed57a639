"""What depends on the loss: one sigmoid against numpy, ties, quotients, baselines, and what is refused."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from helpers.losses import LOSSES, REAL, THREE, make_members
from helpers.trainings import train_members
from numpy.typing import NDArray
from torch import Tensor, nn

from zeroinit import loss as losses
from zeroinit.arch import FNN
from zeroinit.build import load, make_loss
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.data import mean_deviation
from zeroinit.diagnostics.first_batch import check_forward_signals, run_first_pass
from zeroinit.errors import BadInput
from zeroinit.probes.outcome import find_baselines
from zeroinit.rng import stream
from zeroinit.tracker.scores import ACCURACY, R2
from zeroinit.training.cohort import Member
from zeroinit.training.quotient import expand_state_dict, quotient
from zeroinit.training.ties import Ties, tie_representatives

JobOf = Callable[..., Job]
Course = Callable[[Job], list[dict[str, Tensor]]]
Array = NDArray[np.float64]


# One sigmoid, in its original form


def run_numpy(
    states: dict[str, Tensor], data: Data, rate: float, steps: int, activation: str
) -> list[dict[str, Array]]:
    """Gradient descent on the mean cross-entropy of one sigmoid output, by the formulas of a textbook."""
    inputs, labels = (part.numpy().astype(np.float64) for part in data.train)
    w1, b1, w2, b2 = (
        states[key].numpy().copy() for key in ("hidden1.weight", "hidden1.bias", "output.weight", "output.bias")
    )
    course = []
    for _ in range(steps):
        z1 = inputs @ w1.T + b1
        hidden = np.tanh(z1) if activation == "tanh" else 1 / (1 + np.exp(-z1))
        probability = 1 / (1 + np.exp(-(hidden @ w2.T + b2)))
        dz2 = (probability - labels[:, None]) / len(labels)
        slope = 1 - hidden**2 if activation == "tanh" else hidden * (1 - hidden)
        dz1 = (dz2 @ w2) * slope
        w2, b2 = w2 - rate * dz2.T @ hidden, b2 - rate * dz2.sum(0)
        w1, b1 = w1 - rate * dz1.T @ inputs, b1 - rate * dz1.sum(0)
        course.append({"hidden1.weight": w1, "hidden1.bias": b1, "output.weight": w2, "output.bias": b2})
    return course


@pytest.mark.parametrize(
    ("dataset", "hidden", "activation", "rate", "init"),
    [
        ("xor", 2, "tanh", 0.5, "default"),
        ("xor", 2, "sigmoid", 0.5, "zero_normal"),
        ("planar", 4, "tanh", 1.2, "default"),
        ("planar", 4, "tanh", 1.2, "zero_normal"),
    ],
)
def test_one_sigmoid_agrees_with_numpy(
    dataset: str, hidden: int, activation: str, rate: float, init: str, job_of: JobOf, course: Course
) -> None:
    """XOR 2-2-1 and the two-layer net on planar data, for 100 steps in float64."""
    job = job_of(
        *(f"dataset={dataset}", "loss=bce", f"arch.hidden=[{hidden}]", f"arch.activation={activation}"),
        *(f"init={init}", "optimizer=sgd", f"optimizer.lr={rate}", "dtype=float64", "steps=100"),
        "dataset.batch_size=all",
    )
    states = course(job)
    data = load(job.config, torch.device("cpu"))
    for ours, theirs in zip(states[1:], run_numpy(states[0], data, rate, 100, activation), strict=True):
        for key, values in theirs.items():
            np.testing.assert_allclose(ours[key].numpy(), values, rtol=0, atol=1e-12)


# Ties and quotients


def fill_tied(model: nn.Module) -> None:
    """Give the first two hidden neurons of four equal weights and biases, and outgoing columns that differ by 0.5."""
    with torch.no_grad():
        model.hidden1.weight[1] = model.hidden1.weight[0]  # type: ignore[operator,index,union-attr]
        model.hidden1.bias[1] = model.hidden1.bias[0]  # type: ignore[operator,index,union-attr]
        model.output.weight[:] = (model.output.weight * 8).round() / 8  # type: ignore[operator,index,union-attr]
        model.output.weight[:, 1] = model.output.weight[:, 0] + 0.5  # type: ignore[operator,index,union-attr]


@pytest.mark.parametrize("name", ["cross_entropy", "smoothed", "weighted", "bce", "mse", "huber"])
def test_columns_with_an_offset_are_tied_only_under_a_softmax(name: str) -> None:
    """Theorem: neurons with equal inputs and such columns stay copies if the slopes of the outputs sum to zero."""
    data, loss, _ = LOSSES[name]
    member, tied = make_members(data, loss, 1, steps=5) + make_members(data, loss, 1, steps=5)
    for each in (member, tied):
        fill_tied(each.model)
        each.model.double()
    double = Data(
        *((inputs.double(), targets) for inputs, targets in (data.train, data.val, data.test)), data.num_classes
    )
    ties = Ties([(member.model, member.optimizer)], loss.slopes_sum_to_zero)
    [plain] = train_members([member], double, batch_size=70, loss=loss)
    assert plain.diverged_at is None
    weights = member.model.hidden1.weight  # type: ignore[union-attr]
    apart = (weights[0] - weights[1]).abs().max().item()  # type: ignore[index,operator,union-attr]
    assert (apart < 1e-12) == bool(ties) == loss.slopes_sum_to_zero
    train_members([tied], double, batch_size=70, loss=loss, tied=True)  # it enforces what holds, and nothing else
    for ours, theirs in zip(tied.model.parameters(), member.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["bce", "mse", "cross_entropy"])
def test_a_quotient_trains_as_its_full_net(name: str) -> None:
    data, loss, _ = LOSSES[name]
    [member] = make_members(data, loss, 1)
    with torch.no_grad():
        for parameter in member.model.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter).clone())  # equal rows; in the last layer equal columns
        member.model.output.weight.fill_(0.25)  # type: ignore[union-attr,operator]
        member.model.output.bias.copy_(torch.arange(loss.outputs) / 4)  # type: ignore[union-attr,operator]
    small = quotient(member.model, loss.slopes_sum_to_zero)
    assert len(small.hidden1.weight) == 1  # type: ignore[arg-type]
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    twin = Member(small, optimizer, stream("order", 0), stream("augment", 0), 30)
    full, reduced = (train_members([each], data, batch_size=16, loss=loss)[0] for each in (member, twin))
    torch.testing.assert_close(full.losses, reduced.losses, rtol=1e-4, atol=1e-6)
    for key, values in expand_state_dict(small.state_dict()).items():
        torch.testing.assert_close(values, member.model.state_dict()[key], rtol=1e-3, atol=1e-5)


def test_representatives_of_one_output() -> None:
    """With one row, every column differs from another by a constant: without offsets they are no copies."""
    model = FNN((2,), 1, [3], "tanh")
    with torch.no_grad():
        model.hidden1.weight.fill_(0.5)
        model.hidden1.bias.zero_()
        model.output.weight.copy_(torch.tensor([[0.5, 0.25, 0.5]]))
    assert tie_representatives(model, offsets=False)["hidden1"].tolist() == [0, 1, 0]


# Baselines


def test_the_baselines_of_real_targets_by_numpy() -> None:
    data = REAL
    (train_x, train_y), (val_x, val_y) = (
        (inputs.double().numpy(), targets.double().numpy()) for inputs, targets in (data.train, data.val)
    )
    solution, *_ = np.linalg.lstsq(np.column_stack([train_x, np.ones(len(train_x))]), train_y, rcond=None)
    predicted = np.column_stack([val_x, np.ones(len(val_x))]) @ solution
    deviations = (val_y - train_y.mean(0)) ** 2
    baselines = find_baselines(data, R2)
    assert (baselines.score, baselines.prior) == (R2, 0)
    assert baselines.reference == pytest.approx(1 - ((predicted - val_y) ** 2).mean() / deviations.mean())
    each = deviations.mean(1)
    assert baselines.error == pytest.approx(each.std(ddof=1) / math.sqrt(len(each)) / each.mean())
    assert mean_deviation(data, "val") == pytest.approx(deviations.mean())
    assert not baselines.is_above_prior(0.0)
    assert baselines.is_learned(baselines.reference)


def test_the_mean_of_the_training_set_has_r2_zero_there() -> None:
    loss = losses.mean_squared_error(REAL)
    constant = REAL.train[1].mean(0).expand(70, 2)
    terms = loss.score_terms(constant, REAL.train[1])
    assert loss.value_of_score(terms.mean().item(), partial(mean_deviation, REAL, "train")) == pytest.approx(
        0, abs=1e-6
    )
    perfect = loss.score_terms(REAL.train[1], REAL.train[1])
    assert loss.value_of_score(perfect.mean().item(), partial(mean_deviation, REAL, "train")) == 1


def test_large_outputs_of_a_regression_are_no_fault() -> None:
    for name, faults in (("cross_entropy", 1), ("mse", 0)):
        data, loss, _ = LOSSES[name]
        [member] = make_members(data, loss, 1)
        with torch.no_grad():
            member.model.output.bias.fill_(1000)  # type: ignore[union-attr,operator]
        first_pass = run_first_pass(member.model, *data.train, loss, "mean")
        assert len(check_forward_signals(first_pass)) == faults


# Bad input


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss=bce"], "loss=bce is for two classes, and the data have 10; give loss=cross_entropy"),
        (["loss=mse"], "loss=mse is for real targets, and the data have 10 classes; give loss=cross_entropy"),
        (["loss.label_smoothing=1"], "loss.label_smoothing=1: give a number from 0, and below 1"),
        (["loss.label_smoothing=true"], "loss.label_smoothing=true: give a finite number"),
        (["loss.class_weights=[1,2]"], "loss.class_weights=[1, 2]: give balanced, null, or a list of 10 numbers"),
        (["loss.class_weights=even"], "loss.class_weights=even: give balanced, null, or a list"),
        (
            ["loss=mse", "loss._target_=builtins.type"],
            "loss._target_=builtins.type: it returned a type; for a function",
        ),
        (
            ["loss=function", "loss.function._target_=torch.nn.functional.cross_entropy"],
            "loss.function: for 2 examples it returns a Tensor of shape (); return a loss for each example",
        ),
        (
            ["loss=function", "loss.function._target_=torch.nn.functional.cross_entropy", "loss.task=ranking"],
            "loss.task=ranking: give classification or regression",
        ),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(words: list[str], message: str, job_of: JobOf) -> None:
    job = job_of("dataset=digits", *words)
    with pytest.raises(BadInput) as refused:
        make_loss(job.config, load(job.config, torch.device("cpu")))
    assert str(refused.value).startswith(message)


def test_real_targets_have_no_classes() -> None:
    for make in (partial(losses.cross_entropy, label_smoothing=0, class_weights=None), losses.binary_cross_entropy):
        with pytest.raises(BadInput, match="the data have real targets; give loss=mse"):
            make(REAL)
    unseen = Data((THREE.train[0], THREE.train[1].clamp(max=1)), THREE.val, THREE.test, num_classes=3)
    with pytest.raises(BadInput, match="class 2 has no training example"):
        losses.cross_entropy(unseen, 0, "balanced")


def test_balanced_weights_have_the_mean_one_over_the_training_set() -> None:
    weights: Any = losses.cross_entropy(THREE, 0, "balanced")
    assert weights.class_weights[THREE.train[1]].mean().item() == pytest.approx(1)
    assert (losses.cross_entropy(THREE, 0, None).score, losses.mean_squared_error(REAL).score) == (ACCURACY, R2)
