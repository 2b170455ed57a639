"""Groups of parameters with options of their own, against optimizers as one writes them in torch."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from helpers.trainings import build_member, flatten, train_members

from zeroinit import dataset
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment, Batches
from zeroinit.errors import BadInput
from zeroinit.rng import stream
from zeroinit.training.stackable import unstackable_reason

STEPS = 8
WORDS = ("dataset=digits", "arch.hidden=[32,9]", "optimizer=adamw", "optimizer.lr=0.02")
GROUPS = "optimizer.groups=[{names: [hidden2.weight, output.weight], lr: 0.002}, {names: '*.bias', weight_decay: 0.5}]"


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


def test_a_run_is_that_of_a_plain_loop(job_of: Callable[..., Job], digits: Data) -> None:
    """Bit for bit, with a schedule that moves the rate of each group from its own rate."""
    words = (*WORDS, f"steps={STEPS}")
    grouped = build_member(job_of(*words, GROUPS, "schedule=cosine"), digits)
    plain, other = (build_member(job_of(*words), digits) for _ in range(2))
    parameters = dict(plain.model.named_parameters())
    slow = [parameters.pop(name) for name in ("hidden2.weight", "output.weight")]
    decayed = [parameters.pop(f"{layer}.bias") for layer in ("hidden1", "hidden2", "output")]
    groups = [{"params": slow, "lr": 0.002}, {"params": decayed, "weight_decay": 0.5}, {"params": parameters.values()}]
    optimizer = torch.optim.AdamW(groups, lr=0.02, weight_decay=0.01, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    train_members([grouped], digits, batch_size=32)
    train_members([other], digits, batch_size=32)
    batches = Batches(digits, 32, True, Augment(padding=0, flip=False), [(plain.order, plain.augment)])
    for _ in range(STEPS):
        inputs, labels = next(batches)
        optimizer.zero_grad()
        F.cross_entropy(plain.model(inputs[0]), labels[0]).backward()
        optimizer.step()
        scheduler.step()
    assert flatten(grouped.model).equal(flatten(plain.model))
    assert not flatten(grouped.model).allclose(flatten(other.model), rtol=0, atol=1e-3)


def test_members_of_a_stack_have_groups_of_their_own(job_of: Callable[..., Job], digits: Data) -> None:
    """In bits a member depends on no other, and one that leaves early takes its state along."""
    cases = [
        *((GROUPS, "schedule=cosine", steps) for steps in (8, 3)),
        *((GROUPS, "schedule=constant", steps) for steps in (3, 8)),
        *(
            (f"optimizer.groups=[{{names: {layer}.*, betas: [0.5, 0.9]}}]", "schedule=constant", 8)
            for layer in ("hidden1", "output")
        ),
        ("optimizer.groups=[]", "schedule=exponential", 8),
    ]
    jobs = [
        job_of(*WORDS, groups, schedule, f"steps={steps}", f"seed={seed}")
        for seed, (groups, schedule, steps) in enumerate(cases)
    ]
    together, by_itself = ([build_member(job, digits) for job in jobs] for _ in range(2))
    assert all(unstackable_reason(each.model, each.optimizer, digits.input_shape) is None for each in together)
    train_members(together, digits, batch_size=32)
    for stacked, separate, job in zip(together, by_itself, jobs, strict=True):
        train_members([separate], digits, batch_size=32, stacked=True)
        assert flatten(stacked.model).equal(flatten(separate.model))
        alone = build_member(job, digits)
        train_members([alone], digits, batch_size=32)
        assert flatten(stacked.model).allclose(flatten(alone.model), rtol=0, atol=1e-5)


REFUSED = {
    "[{names: conv*, lr: 0.1}]": "[0].names=conv*: no parameter has such a name; the parameters are hidden1.weight, ",
    "[{names: [output.*, x], lr: 0.1}]": "[0].names=x: no parameter has such a name; the parameters are hidden1.weight",
    "[{names: output.*, rate: 0.1}]": "[0].rate=0.1: AdamW has no such option of a group; it has lr, betas, ",
    "[{names: output.*, lr: -1}]": "[0].lr=-1: give a finite number, 0 or greater",
    "[{names: output.*, betas: 0.9}]": "[0].betas=0.9: give a list of 2 finite numbers",
    "[{names: output.*, lr: 0.1}, {names: [output.weight, '*t.bias'], lr: 0.2}]": (
        "[1].names=[output.weight,*t.bias]: earlier groups have all parameters of such names; move this group before"
    ),
    "[{names: [hidden*, output.*], lr: 0.1}, {names: '*.bias', lr: 0.2}]": "[1].names=*.bias: earlier groups have all",
    "[{names: output.*}]": "[0]={'names': 'output.*'}: give a list of groups, such as [{names: output.*, lr: 0.01}], ",
    "[{names: [], lr: 0.1}]": "[0].names=[]: give a pattern of parameter names such as *.bias, or a list of them",
    "output.*": "=output.*: give a list of groups, such as [{names: output.*, lr: 0.01}], or []",
}


@pytest.mark.parametrize("groups", REFUSED)
def test_groups_that_do_not_fit_are_refused(groups: str, job_of: Callable[..., Job], digits: Data) -> None:
    with pytest.raises(BadInput) as raised:
        build_member(job_of(*WORDS, "steps=3", f"optimizer.groups={groups}"), digits)
    assert str(raised.value).startswith(f"optimizer.groups{REFUSED[groups]}")


def test_one_rate_for_all_groups_is_refused_where_they_differ(job_of: Callable[..., Job], digits: Data) -> None:
    with pytest.raises(BadInput, match=r"^schedule\.max_lr=0\.02: it would be the rate of each of optimizer\.groups"):
        build_member(job_of(*WORDS, "steps=3", GROUPS, "schedule=one_cycle"), digits)
