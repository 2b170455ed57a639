"""A forward pass and a loss in bfloat16, against a loop as one writes it in torch."""

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from helpers.trainings import SOFTMAX, build_member
from torch import Tensor

from zeroinit import build, dataset
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment, Batches
from zeroinit.errors import BadInput
from zeroinit.loss import CrossEntropy
from zeroinit.rng import stream
from zeroinit.sweep.stacking import find_limits
from zeroinit.training.loop import train
from zeroinit.training.single import SingleModel

STEPS = 6
WORDS = ("dataset=digits", "arch.hidden=[8]", "device=cpu", f"steps={STEPS}")


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


def test_a_run_is_that_of_a_plain_loop(job_of: Callable[..., Job], digits: Data) -> None:
    """Bit for bit; its parameters and its losses are float32, and its outputs are rounded in the evaluation, too."""
    low, full = job_of(*WORDS, "autocast=bf16"), job_of(*WORDS)
    lowered, plain, other = build_member(low, digits), build_member(full, digits), build_member(full, digits)
    [result] = train([lowered], digits, build.recipe_of(low.config, digits))
    train([other], digits, build.recipe_of(full.config, digits))
    batches = Batches(digits, 128, True, Augment(padding=0, flip=False), [(plain.order, plain.augment)])
    for step in range(STEPS):
        inputs, labels = next(batches)
        plain.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(plain.model(inputs[0]).float(), labels[0])
        loss.backward()
        assert result.losses[step].item() == loss.item()
        plain.optimizer.step()
    for trained, expected, unrounded in zip(
        lowered.model.parameters(), plain.model.parameters(), other.model.parameters(), strict=True
    ):
        assert trained.dtype == torch.float32
        assert trained.equal(expected)
        assert not trained.equal(unrounded)
    inputs = digits.to_inputs(digits.val[0])[None]
    single = SingleModel(lowered.model, lowered.optimizer, SOFTMAX, autocast=torch.bfloat16)
    outputs = single.predict(inputs)
    assert outputs.dtype == torch.float32
    assert outputs.equal(outputs.bfloat16().float())
    assert result.metrics[-1].values["val/loss"] == pytest.approx(
        F.cross_entropy(outputs[0].t(), digits.val[1]).item(), abs=1e-6
    )


class Recorder(CrossEntropy):
    """A loss that keeps the dtype of the outputs that it is given."""

    dtypes: ClassVar[list[torch.dtype]] = []

    def total(self, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
        self.dtypes.append(outputs.dtype)
        return super().total(outputs, targets, reduction)


def test_a_loss_gets_outputs_in_float32(job_of: Callable[..., Job], digits: Data) -> None:
    """A function of the user would round them else."""
    lowered = build_member(job_of(*WORDS), digits)
    single = SingleModel(lowered.model, lowered.optimizer, Recorder(outputs=10), autocast=torch.bfloat16)
    single.backward(digits.to_inputs(digits.train[0][:9])[None], digits.train[1][:9][None], "mean")
    assert Recorder.dtypes == [torch.float32]


def test_it_trains_alone_and_says_why(job_of: Callable[..., Job]) -> None:
    assert find_limits(job_of(*WORDS), 1).alone_reason is None
    assert find_limits(job_of(*WORDS, "autocast=bf16"), 1).alone_reason == "autocast=bf16 rounds each forward pass"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("autocast=fp16",), "autocast=fp16: give bf16 or null"),
        (
            ("autocast=bf16", "dtype=float64"),
            "autocast=bf16: it lowers float32; give dtype=float32 in place of",
        ),
        (("autocast=bf16", "arithmetic=quotient"), "autocast=bf16: arithmetic=quotient computes in one precision; "),
    ],
)
def test_what_does_not_fit_is_refused(words: tuple[str, ...], message: str, job_of: Callable[..., Job]) -> None:
    with pytest.raises(BadInput) as raised:
        job_of(*words)
    assert str(raised.value).startswith(message)
