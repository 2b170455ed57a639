"""The learning rate of each step, against torch's own schedulers, alone and in stacks."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from helpers.trainings import build_member, flatten, train_members
from torch import nn
from torch.optim import lr_scheduler

from zeroinit import dataset, schedule
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment, Batches
from zeroinit.errors import BadInput
from zeroinit.rng import stream
from zeroinit.training.cohort import Member
from zeroinit.training.scheduler import Scheduler

train = partial(
    train_members, shuffle=True, augment=Augment(padding=0, flip=False), reduction="mean", tied=False, batch_size=32
)
STEPS = 12
# the words of each option, and torch's scheduler in a plain loop of STEPS steps at the rate 0.002
SCHEDULES: dict[str, tuple[tuple[str, ...], Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]]] = {
    "cosine": ((), lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, STEPS)),
    "cosine_restarts": (
        ("schedule.T_0=5", "schedule.eta_min=0.0001"),
        lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 5, eta_min=0.0001),
    ),
    "linear": ((), lambda optimizer: lr_scheduler.LinearLR(optimizer, 1, 0, STEPS)),
    "polynomial": (
        ("schedule.power=2", "schedule.total_iters=9"),
        lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 9, power=2),
    ),
    "exponential": (("schedule.gamma=0.9",), lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.9)),
    "step": (("schedule.step_size=4",), lambda optimizer: lr_scheduler.StepLR(optimizer, 4)),
    "multi_step": (("schedule.milestones=[3,7]",), lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [3, 7])),
    "one_cycle": ((), lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.002, STEPS)),
}


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


def train_plainly(plain: Member, scheduler: lr_scheduler.LRScheduler, data: Data) -> None:
    """Train the model by a loop as one writes it in torch."""
    batches = Batches(data, 32, True, Augment(padding=0, flip=False), [(plain.order, plain.augment)])
    for _ in range(STEPS):
        inputs, labels = next(batches)
        plain.optimizer.zero_grad()
        F.cross_entropy(plain.model(inputs[0]), labels[0]).backward()
        plain.optimizer.step()
        scheduler.step()


def test_the_rate_of_each_step() -> None:
    """Of step 1 the factor times the rate, and then less by the same each step; of step 5 and all later the rate."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.125)
    ramp = schedule.ramp(optimizer, steps=4, factor=9)
    assert ramp
    scheduler, rates = Scheduler(ramp, ""), []
    for step in range(1, 8):
        scheduler.advance(step)
        rates.append(optimizer.param_groups[0]["lr"] / 0.125)
    assert rates == [9, 7, 5, 3, 1, 1, 1]


@pytest.mark.parametrize(
    ("steps", "factor", "is_active"), [(0, 10, False), (5, 1, False), (5, 1.0, False), (5, 2, True)]
)
def test_a_ramp_without_steps_or_of_factor_1_does_nothing(steps: int, factor: float, is_active: bool) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.125)
    assert (schedule.ramp(optimizer, steps, factor) is not None) == is_active


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("factor", [10, 0.1])
def test_a_run_is_that_of_a_plain_loop_with_a_scheduler_of_torch(
    optimizer: str, factor: float, job_of: Callable[..., Job], digits: Data
) -> None:
    words = ("init=zero_normal", "arch.hidden=[8]", f"optimizer={optimizer}", "optimizer.lr=0.002", f"steps={STEPS}")
    ramp = ("schedule=ramp", "schedule.steps=7", f"schedule.factor={factor}")
    ramped = build_member(job_of("dataset=digits", *words, *ramp), digits)
    plain = build_member(job_of("dataset=digits", *words), digits)
    train([ramped], digits)
    assert plain.scheduler is None
    assert "initial_lr" not in plain.optimizer.param_groups[0]
    slope = (factor - 1) / 7
    train_plainly(plain, lr_scheduler.LambdaLR(plain.optimizer, lambda step: max(7 - step, 0) * slope + 1), digits)
    assert flatten(ramped.model).allclose(flatten(plain.model), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "option"), [*(("adam", option) for option in SCHEDULES), ("momentum", "one_cycle")]
)
def test_each_option_is_a_scheduler_of_torch(
    optimizer: str, option: str, job_of: Callable[..., Job], digits: Data
) -> None:
    """Bit for bit the plain loop, alone; and what is null is the length of the run."""
    words = ("dataset=digits", "init=zero_normal", "arch.hidden=[8]", f"optimizer={optimizer}", "optimizer.lr=0.002")
    typed, make = SCHEDULES[option]
    scheduled = build_member(job_of(*words, f"steps={STEPS}", f"schedule={option}", *typed), digits)
    constant_job = job_of(*words, f"steps={STEPS}")
    plain, constant = (build_member(constant_job, digits) for _ in range(2))
    train([scheduled], digits)
    train([constant], digits)
    train_plainly(plain, make(plain.optimizer), digits)
    assert flatten(scheduled.model).equal(flatten(plain.model))
    assert not flatten(scheduled.model).allclose(flatten(constant.model), rtol=0, atol=1e-4)


def rateless(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """An optimizer of one's own that steps as far as it likes."""

    class Rateless(torch.optim.Optimizer):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.data.sub_(parameter.grad, alpha=0.1)

    return Rateless(parameters, {})


def test_an_optimizer_without_a_rate_has_no_schedule(job_of: Callable[..., Job], digits: Data) -> None:
    words = ("dataset=digits", "~optimizer", "+optimizer._target_=test_schedule.rateless", "steps=3")
    train([build_member(job_of(*words), digits)], digits)
    with pytest.raises(
        BadInput, match=r"^schedule\._target_=.*ramp: Rateless has no learning rate lr .*; give schedule=constant$"
    ):
        build_member(job_of(*words, "schedule=ramp"), digits)


def test_each_member_of_a_stack_keeps_its_own(job_of: Callable[..., Job], digits: Data) -> None:
    """Neighbours alike and not, without one, of other lengths, and where members leave in the midst of a ramp."""
    settings = [(0, 10, 40), (30, 10, 40), (30, 10, 13), (30, 0.1, 40), (20, 3, 40), (0, 10, 7)]
    jobs = [
        job_of(
            *("dataset=digits", "init=zero_normal", "arch.hidden=[8]", f"seed={seed}", "schedule=ramp"),
            *(f"schedule.steps={steps}", f"schedule.factor={factor}", f"steps={length}"),
        )
        for seed, (steps, factor, length) in enumerate(settings)
    ]
    together = [build_member(job, digits) for job in jobs]
    train(together, digits)
    for job, stacked in zip(jobs, together, strict=True):
        alone = build_member(job, digits)
        train([alone], digits)
        assert flatten(alone.model).allclose(flatten(stacked.model), rtol=0, atol=5e-6)
    first, ramped = (build_member(jobs[index], digits) for index in (0, 1))
    train([first], digits)
    train([ramped], digits)
    assert (flatten(first.model) - flatten(ramped.model)).abs().max() > 0.01  # or nothing above could fail


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_members_of_a_stack_differ_in_rate_and_schedule(
    optimizer: str, job_of: Callable[..., Job], digits: Data
) -> None:
    """In bits a member does not depend on the others: not on their schedules, and not on those that leave early.

    The members that have one schedule are led by the first of them, which here ends before the others.
    """
    words = ("dataset=digits", "init=zero_normal", "arch.hidden=[32]", f"optimizer={optimizer}")
    cases = [
        *(("schedule=one_cycle", 0.01, 12, seed) for seed in (0, 1)),
        *(("schedule=exponential", 0.01, steps, seed) for seed, steps in ((2, 5), (3, 12), (4, 12))),
        *(("schedule=cosine", rate, 12, 5) for rate in (0.01, 0.02)),
        ("schedule=cosine", 0.01, 9, 5),
        ("schedule=constant", 0.01, 12, 6),
    ]
    jobs = [
        job_of(*words, option, f"optimizer.lr={rate}", f"steps={steps}", f"seed={seed}")
        for option, rate, steps, seed in cases
    ]
    together, by_itself = ([build_member(job, digits) for job in jobs] for _ in range(2))
    train(together, digits)
    for separate in by_itself:
        train([separate], digits, stacked=True)
    results = [flatten(each.model) for each in together]
    assert all(result.equal(flatten(each.model)) for result, each in zip(results, by_itself, strict=True))
    assert not any(a.allclose(b, rtol=0, atol=1e-4) for a, b in combinations(results, 2))
    alone = build_member(jobs[0], digits)
    train([alone], digits)
    assert flatten(alone.model).allclose(results[0], rtol=0, atol=5e-6)


def keeps_the_rate(optimizer: torch.optim.Optimizer, total_steps: int | None) -> object:
    """Not a scheduler."""
    return total_steps


CYCLIC = (
    "schedule._target_=torch.optim.lr_scheduler.CyclicLR",
    *("+schedule.base_lr=0.001", "+schedule.max_lr=0.01", "+schedule.cycle_momentum=false"),
)
REFUSED = {
    (
        "schedule=cosine",
        "schedule.T_max=13",
    ): "T_max=13: it is longer than the run of 12 steps; give at most 12, or",
    (
        "schedule=linear",
        "schedule.total_iters=13",
    ): "total_iters=13: it is longer than the run of 12 steps; give at",
    ("schedule=one_cycle", "schedule.total_steps=13"): "total_steps=13: it is longer than the run of 12 steps; give at",
    (
        "schedule=one_cycle",
        "schedule.total_steps=11",
    ): "total_steps=11: it is shorter than the run of 12 steps; give",
    (
        "schedule=multi_step",
        "schedule.milestones=[3,12]",
    ): "milestones=[3,12]: it is longer than the run of 12 steps;",
    ("schedule=step", "schedule.step_size=12"): "step_size=12: it is longer than the run of 12 steps; give at most 11",
    ("schedule=cosine_restarts", "schedule.T_0=13"): "T_0=13: it is longer than the run of 12 steps; give at most 12",
    (
        "schedule._target_=test_schedule.keeps_the_rate",
        "+schedule.total_steps=null",
    ): "_target_=test_schedule.keeps_the_rate: it returned a int; return an LRScheduler of torch that needs no metric",
    (
        "schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
    ): "_target_=torch.optim.lr_scheduler.ReduceLROnPlateau: it needs a metric in each step; give another",
    **{
        (
            "schedule=multi_step",
            f"schedule.milestones={typed}",
        ): f"milestones={typed}: give a list of whole numbers from 1"
        for typed in ("[1,a]", "[a]", "[2.5]", "[-5]", "[]", "[0]", "[true]", "5")
    },
    (*CYCLIC, "+schedule.step_size_up=13"): "step_size_up=13: it is longer than the run of 12 steps; give at most 12",
    (*CYCLIC, "+schedule.step_size_up=0"): "step_size_up=0: give a whole number from 1",
    CYCLIC: "step_size_up=2000: it is longer than the run of 12 steps; give at most 12",  # torch's default
    (
        *CYCLIC,
        "+schedule.step_size_up=2",
        "+schedule.step_size_down=13",
    ): "step_size_down=13: it is longer than the run of 12 steps; give at most 12, or null",
    (
        *("schedule=one_cycle", "+schedule.epochs=50", "+schedule.steps_per_epoch=9"),
    ): "epochs=50: the length of the cycle is schedule.total_steps; leave epochs out",
    (
        "schedule=one_cycle",
        "+schedule.steps_per_epoch=9",
    ): "steps_per_epoch=9: the length of the cycle is schedule.total",
    ("schedule=ramp", "schedule.steps=-1"): "steps=-1: give a whole number from 0, or null",
    ("schedule=cosine", "schedule.T_max=0"): "T_max=0: give a whole number from 1, or null",
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_schedule_that_does_not_fit_is_refused(
    words: tuple[str, ...], job_of: Callable[..., Job], digits: Data
) -> None:
    with pytest.raises(BadInput) as raised:
        build_member(job_of("dataset=digits", "arch.hidden=[8]", f"steps={STEPS}", *words), digits)
    assert str(raised.value).startswith(f"schedule.{REFUSED[words]}")
