"""Data sets that users write: what a net cannot be trained on is refused in one sentence, before any training."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from zeroinit import build
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.check import check_data
from zeroinit.dataset.data import Split
from zeroinit.errors import BadInput
from zeroinit.loss import CrossEntropy
from zeroinit.sweep.runner import run_jobs
from zeroinit.tracker.memory import Off
from zeroinit.tracker.tags import Tag
from zeroinit.training.single import SingleModel

Command = Callable[..., Any]


def make_split(examples: int = 40) -> Split:
    points = torch.linspace(-1, 1, examples * 2).view(examples, 2)
    return points, (points.sum(1) > 0).long()


def data_of(**changes: Any) -> Data:
    return replace(Data(make_split(), make_split(), make_split(), num_classes=2), **changes)


def change_split(inputs: Tensor | None = None, labels: Tensor | None = None) -> Split:
    points, classes = make_split()
    return points if inputs is None else inputs, classes if labels is None else labels


POINTS, CLASSES = make_split()
BROKEN = POINTS.clone()
BROKEN[3, 1], BROKEN[4, 0] = torch.nan, -torch.inf
FAULTS: dict[str, tuple[object, str]] = {
    "labels from one": (
        data_of(train=change_split(labels=CLASSES + 1)),
        "the labels of train are 1 to 2; give 0 to 1, as",
    ),
    "negative labels": (data_of(test=change_split(labels=CLASSES - 1)), "the labels of test are -1 to 0; give 0 to 1"),
    "short labels": (
        data_of(val=change_split(labels=CLASSES[:-3])),
        "val has 40 inputs and 37 labels; give a label for",
    ),
    "empty": (data_of(val=make_split(0)), "val has inputs of shape (0, 2); give at least one example"),
    "no features": (
        data_of(train=change_split(torch.zeros(40, 0))),
        "train has inputs of shape (40, 0); give at least one",
    ),
    "unlike shapes": (
        data_of(test=change_split(torch.zeros(40, 3))),
        "an input has the shape (2,) in train and (3,) in test; give inputs of one shape",
    ),
    "unlike dtypes": (
        data_of(val=change_split(torch.zeros(40, 2, dtype=torch.uint8))),
        "inputs are torch.float32 in train and torch.uint8 in val; give one dtype",
    ),
    "real labels": (
        data_of(train=change_split(labels=POINTS.sum(1))),
        "the labels of train are torch.float32; give torch.int64, the number of a class each, as labels.long()",
    ),
    "small labels": (data_of(train=change_split(labels=CLASSES.int())), "the labels of train are torch.int32; give"),
    "one-hot labels": (
        data_of(train=change_split(labels=torch.eye(2).long()[CLASSES])),
        "the labels of train have the shape (40, 2); give one dimension, a label for each input",
    ),
    "flat inputs": (
        data_of(train=change_split(POINTS[:, 0])),
        "the inputs of train have the shape (40,); give (examples, ",
    ),
    "a gradient": (
        data_of(train=change_split(POINTS.clone().requires_grad_())),
        "the inputs of train require a gradient; give inputs.detach()",
    ),
    "sparse": (data_of(train=change_split(POINTS.to_sparse())), "train has sparse tensors; give dense ones, as "),
    "short integers": (
        data_of(train=change_split(POINTS.short())),
        "the inputs of train are torch.int16; give torch.float32, as",
    ),
    "halves": (data_of(train=change_split(POINTS.half())), "the inputs of train are torch.float16; give torch.float32"),
    "not a number": (
        data_of(val=change_split(BROKEN)),
        "the inputs of val hold 2 numbers that are NaN or infinite; give",
    ),
    "arrays": (data_of(train=(np.zeros((4, 2)), np.zeros(4))), "train is no pair of tensors; give (inputs, labels)"),
    "no pair": (data_of(train=POINTS), "train is no pair of tensors; give (inputs, labels)"),
    "one class": (data_of(num_classes=1), "num_classes is 1; give a whole number from 2"),
    "half a class": (data_of(num_classes=2.0), "num_classes is 2.0; give a whole number from 2"),
    "no data": ([make_split()] * 3, "it returned a list; return a zeroinit.dataset.Data"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_no_net_can_be_trained_on_is_refused(fault: str) -> None:
    data, said = FAULTS[fault]
    with pytest.raises(BadInput, match=f"^mine: {re.escape(said)}"):
        check_data(data, "mine")


def test_data_that_fit_are_as_they_were() -> None:
    big = POINTS.clone()
    big[:4] = torch.finfo(torch.float32).max  # whose sum alone is infinite
    many = data_of(num_classes=10)
    as_bytes = [(inputs.byte(), labels) for inputs, labels in (make_split() for _ in range(3))]
    for data in (data_of(), data_of(train=change_split(big)), many, Data(*as_bytes, num_classes=2)):
        assert check_data(data, "mine") is data
    in_double = Data(*((inputs.double(), labels) for inputs, labels in [make_split()] * 3), num_classes=2)
    assert check_data(in_double, "mine") is in_double


def labels_from_one(generator: Generator) -> Data:
    return data_of(train=change_split(labels=CLASSES + 1))


def in_double(generator: Generator) -> Data:
    return Data(*((inputs.double(), labels) for inputs, labels in [make_split()] * 3), num_classes=2)


def unreadable(generator: Generator) -> Data:
    raise FileNotFoundError("points.csv")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            "labels_from_one",
            "dataset._target_=test_user_data.labels_from_one: the labels of train are 1 to 2; give 0 to",
        ),
        (
            "unreadable",
            "dataset._target_=test_user_data.unreadable: FileNotFoundError: points.csv (test_user_data.py, ",
        ),
        ("in_double", "dtype=float32: the inputs of the data are torch.float64; give inputs.float(), or dtype=float64"),
    ],
)
@pytest.mark.parametrize("words", [(), ("-m", "seed=0,1")])
def test_the_command_refuses_them_before_training(
    function: str, said: str, words: tuple[str, ...], zeroinit: Command
) -> None:
    target = f"dataset._target_=test_user_data.{function}"
    ended = zeroinit(*words, target, "arch.hidden=[8]", "dataset.batch_size=20", "steps=20", "tracker=off")
    assert (ended.code, ended.out) == (2, "")
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {said}")


def tokens(generator: Generator) -> Data:
    """Six tokens of five kinds, and whether the first is below three."""
    splits = (torch.randint(5, (40, 6), generator=generator) for _ in range(3))
    return Data(*((inputs, (inputs[:, 0] < 3).long()) for inputs in splits), num_classes=2)


class Embedded(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.embedding, self.output = nn.Embedding(5, 3), nn.Linear(3 * input_shape[0], num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.output(self.embedding(inputs).flatten(1))
        return output


def test_tokens_reach_an_embedding_as_they_are(job_of: Callable[..., Job]) -> None:
    words = (
        "dataset._target_=test_user_data.tokens",
        "dataset.batch_size=20",
        "arch=logistic",
        "steps=60",
        "probe=all",
    )
    job = job_of(*words, "arch._target_=test_user_data.Embedded", "init=zero_normal", "optimizer.lr=0.05")
    build.check([job])
    tracker = Off()
    tracker.is_persistent = True  # so that it probes
    [record] = run_jobs([job], tracker, lambda *_: None)
    assert record.status == "FINISHED"
    assert record.tags[Tag.OUTCOME] == "learned"
    assert "lint" not in record.tags.get(Tag.LINT_FINDINGS, "")
    assert {"curvature/largest", "grad/embedding/norm", "weight/embedding/norm"} <= {*record.histories}
    refused = job_of(*words, "dataset.normalize.mean=0.5", "arch._target_=test_user_data.Embedded")
    with pytest.raises(BadInput, match=r"dataset\.normalize: the inputs are tokens"):
        build.check([refused])


def test_tokens_stay_whole_numbers_in_gradients_of_another_dtype() -> None:
    inputs, labels = tokens(Generator()).train
    model = Embedded((6,), 2)
    net = SingleModel(model, torch.optim.SGD(model.parameters()), CrossEntropy(outputs=2))
    gradients = net.gradients_in((inputs.unsqueeze(0), labels.unsqueeze(0), "mean"), torch.float64, {})
    assert {gradient.dtype for gradient in gradients.values()} == {torch.float64}


def few_targets(generator: Generator) -> Data:
    split = torch.randn(9, 2, generator=generator), torch.randn(9, 1, generator=generator)
    return Data(split, split, split, num_classes=None)


def test_targets_of_a_subsample_are_checked_again(job_of: Callable[..., Job]) -> None:
    words = ("dataset._target_=test_user_data.few_targets", "loss=mse", "dataset.batch_size=1")
    with pytest.raises(BadInput, match=r"^dataset\.max_examples=1: the targets of train are all equal"):
        build.check([job_of(*words, "dataset.max_examples=1")])
