"""The learning rate of the first steps, against torch's own scheduler, alone and in stacks."""

from collections.abc import Callable, Iterable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers.trainings import train_members
from torch import nn

from zeroinit import build, dataset
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment, Batches
from zeroinit.errors import BadInput
from zeroinit.rng import stream
from zeroinit.training import warmup
from zeroinit.training.cohort import Member

train = partial(
    train_members, shuffle=True, augment=Augment(padding=0, flip=False), reduction="mean", tied=False, batch_size=32
)


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


def member(job: Job, data: Data) -> Member:
    model, _, optimizer = build.build(job.config, data)
    seed = job.config.seeds.order
    return Member(model, optimizer, stream("order", seed), stream("augment", 0), job.config.duration.steps)


def flat(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def test_the_rate_of_each_step() -> None:
    """Of step 1 the factor times the rate, and then less by the same each step; of step 5 and all later the rate."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.125)
    warmup.set_warmup(optimizer, warmup.Warmup(steps=4, factor=9))
    rates = []
    for step in range(1, 8):
        warmup.set_rates(optimizer, step)
        rates.append(optimizer.param_groups[0]["lr"] / 0.125)
    assert rates == [9, 7, 5, 3, 1, 1, 1]


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("factor", [10, 0.1])
def test_a_run_is_that_of_a_plain_loop_with_a_scheduler_of_torch(
    optimizer: str, factor: float, job_of: Callable[..., Job], digits: Data
) -> None:
    words = ("init=zero_normal", "arch.hidden=[8]", f"optimizer={optimizer}", "optimizer.lr=0.002", "steps=12")
    ramped = member(job_of("dataset=digits", *words, "ramp.steps=7", f"ramp.factor={factor}"), digits)
    plain = member(job_of("dataset=digits", *words), digits)
    train([ramped], digits)
    assert "ramp" not in plain.optimizer.param_groups[0]
    slope = (factor - 1) / 7
    scheduler = torch.optim.lr_scheduler.LambdaLR(plain.optimizer, lambda step: max(7 - step, 0) * slope + 1)
    batches = Batches(digits, 32, True, Augment(padding=0, flip=False), [(plain.order, plain.augment)])
    for _ in range(12):
        inputs, labels = next(batches)
        plain.optimizer.zero_grad()
        F.cross_entropy(plain.model(inputs[0]), labels[0]).backward()
        plain.optimizer.step()
        scheduler.step()
    assert flat(ramped.model).allclose(flat(plain.model), rtol=0, atol=1e-6)


def rateless(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """An optimizer of one's own that steps as far as it likes."""

    class Rateless(torch.optim.Optimizer):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.data.sub_(parameter.grad, alpha=0.1)

    return Rateless(parameters, {})


def test_an_optimizer_without_a_rate_has_no_ramp(job_of: Callable[..., Job], digits: Data) -> None:
    words = ("dataset=digits", "~optimizer", "+optimizer._target_=test_warmup.rateless", "steps=3")
    train([member(job_of(*words), digits)], digits)
    with pytest.raises(BadInput, match=r"^ramp\.steps=5: Rateless has no learning rate lr .*; give ramp\.steps=0$"):
        member(job_of(*words, "ramp.steps=5"), digits)


def test_each_member_of_a_stack_keeps_its_own(job_of: Callable[..., Job], digits: Data) -> None:
    """Neighbours alike and not, without one, of other lengths, and where members leave in the midst of a ramp."""
    settings = [(0, 10, 40), (30, 10, 40), (30, 10, 13), (30, 0.1, 40), (20, 3, 40), (0, 10, 7)]
    jobs = [
        job_of(
            *("dataset=digits", "init=zero_normal", "arch.hidden=[8]", f"seed={seed}"),
            *(f"ramp.steps={steps}", f"ramp.factor={factor}", f"steps={length}"),
        )
        for seed, (steps, factor, length) in enumerate(settings)
    ]
    together = [member(job, digits) for job in jobs]
    train(together, digits)
    for job, stacked in zip(jobs, together, strict=True):
        alone = member(job, digits)
        train([alone], digits)
        assert flat(alone.model).allclose(flat(stacked.model), rtol=0, atol=5e-6)
    first, ramped = (member(jobs[index], digits) for index in (0, 1))
    train([first], digits)
    train([ramped], digits)
    assert (flat(first.model) - flat(ramped.model)).abs().max() > 0.01  # or nothing above could fail
