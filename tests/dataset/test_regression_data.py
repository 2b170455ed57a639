"""Data sets with real targets: diabetes, and the outputs of a teacher whose weights a student may have."""

from typing import Any

import pytest
import torch
from torch import Tensor

from zeroinit import dataset
from zeroinit.arch import FNN
from zeroinit.config.identity import hash_data
from zeroinit.dataset import Data
from zeroinit.dataset.check import check_data
from zeroinit.dataset.data import hold_out, subsample
from zeroinit.dataset.teacher import draw_teacher
from zeroinit.errors import BadInput
from zeroinit.rng import stream

TEACHER: dict[str, Any] = {
    **{"inputs": 6, "hidden": 4, "activation": "tanh", "outputs": 2, "examples": 4000, "noise": 0}
}


def r2_of(predicted: Tensor, targets: Tensor) -> float:
    return 1 - ((predicted - targets).square().sum() / (targets - targets.mean(0)).square().sum()).item()


def test_diabetes_is_standardised_by_its_training_split() -> None:
    data = check_data(dataset.diabetes(stream("split", 0)), "diabetes")
    assert (data.input_shape, data.num_classes) == ((10,), None)
    splits = data.train, data.val, data.test
    assert [len(targets) for _, targets in splits] == [310, 44, 88]
    for part in data.train:
        assert torch.allclose(part.mean(0), torch.zeros(part.shape[1]), atol=1e-6)
        assert torch.allclose(part.std(0, correction=0), torch.ones(part.shape[1]), atol=1e-6)
    assert all(part.mean(0).abs().max() > 1e-3 for part in data.test)  # by the training split, not by their own
    rows = {row.numpy().tobytes() for inputs, _ in splits for row in inputs}
    assert len(rows) == 442
    weights = torch.linalg.lstsq(data.train[0], data.train[1]).solution
    assert 0.4 < r2_of(data.test[0] @ weights, data.test[1]) < 0.6  # as published: about half of the variance
    assert hash_data(data) == hash_data(dataset.diabetes(stream("split", 0)))
    assert hash_data(data) != hash_data(dataset.diabetes(stream("split", 1)))


def test_real_targets_are_held_out_at_random() -> None:
    inputs, targets = torch.arange(100.0).unsqueeze(1), torch.arange(100.0).unsqueeze(1)
    rest, chosen = hold_out(inputs, targets, 30, stream("split", 0))
    other = hold_out(inputs, targets, 30, stream("split", 1))[1]
    assert sorted([*rest[1].flatten().tolist(), *chosen[1].flatten().tolist()]) == list(range(100))
    assert torch.equal(chosen[0], chosen[1])
    assert len(chosen[1]) == 30
    assert not torch.equal(chosen[1], other[1])  # the targets, which all differ, do not decide what is held out


def test_data_with_real_targets_are_subsampled_and_hashed() -> None:
    data = dataset.teacher_student(stream("split", 0), **TEACHER)
    few = subsample(data, 7)
    assert [tuple(targets.shape) for _, targets in (few.train, few.val, few.test)] == [(7, 2)] * 3
    assert torch.equal(few.train[1][-1], data.train[1][-1])
    changed = Data((few.train[0], few.train[1] + 1), few.val, few.test, None)
    assert hash_data(few) != hash_data(changed)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_student_with_the_weights_of_its_teacher_explains_all(activation: str) -> None:
    data = dataset.teacher_student(stream("split", 3), **TEACHER | {"activation": activation})
    assert check_data(data, "teacher") is data
    first, second = draw_teacher(stream("split", 3), 6, 4, 2)
    student = FNN(data.input_shape, 2, [4], activation)
    with torch.no_grad():
        for layer, weights in (("hidden1", first), ("output", second)):
            student.get_submodule(layer).weight.copy_(weights)
            student.get_submodule(layer).bias.zero_()
        for inputs, targets in (data.train, data.val, data.test):
            assert r2_of(student(inputs), targets) == pytest.approx(1, abs=1e-6)
        assert r2_of(2 * student(data.test[0]), data.test[1]) < 0.5
    assert not torch.equal(data.train[0], data.val[0])


def test_noise_limits_what_can_be_explained() -> None:
    clean = dataset.teacher_student(stream("split", 3), **TEACHER)
    noisy = dataset.teacher_student(stream("split", 3), **TEACHER | {"noise": 0.5})
    assert torch.equal(clean.test[0], noisy.test[0])
    errors = noisy.test[1] - clean.test[1]
    assert errors.std().item() == pytest.approx(0.5, rel=0.03)
    assert r2_of(clean.test[1], noisy.test[1]) == pytest.approx(1 - 0.25 / noisy.test[1].var(0).mean().item(), abs=0.02)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hidden", 0, r"dataset.hidden=0: give a whole number from 1"),
        ("examples", True, r"dataset.examples=true: give a whole number from 1"),
        ("activation", "erf", r"dataset.activation=erf: choose one of elu, relu"),
        ("noise", -1, r"dataset.noise=-1: give a finite number, 0 or greater"),
    ],
)
def test_a_teacher_that_cannot_be_is_refused(key: str, value: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        dataset.teacher_student(stream("split", 0), **TEACHER | {key: value})
