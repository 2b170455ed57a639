"""Gradient clipping, against torch's own functions."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from helpers.trainings import build_member, flatten, train_members
from torch import nn

from zeroinit import build, dataset
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment, Batches
from zeroinit.errors import BadInput
from zeroinit.rng import stream
from zeroinit.training.clip import Clip
from zeroinit.training.events import Event, Gradients

STEPS = 6
LIMITS = [Clip(norm=0.05, value=None), Clip(norm=None, value=0.001), Clip(norm=0.05, value=0.001)]


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


@pytest.fixture(scope="module")
def jobs(job_of: Callable[..., Job]) -> list[Job]:
    """One at the rate of 0.1, one that diverges at once, and others."""
    words = ("dataset=digits", "arch.hidden=[8]", "optimizer=sgd", f"steps={STEPS}")
    rates = ("0.1", "1e30", "0.5", "0.2")
    return [job_of(*words, f"seed={seed}", f"optimizer.lr={rate}") for seed, rate in enumerate(rates)]


@pytest.mark.parametrize("clip", LIMITS, ids=str)
def test_a_clipped_run_is_that_of_a_plain_loop(clip: Clip, jobs: list[Job], digits: Data) -> None:
    """Bit for bit alone, and in a stack within rounding; the gradients shown are those before clipping."""
    alone, stacked, plain, free = (build_member(jobs[0], digits) for _ in range(4))
    norms = []

    def observe(event: Event) -> None:
        if isinstance(event, Gradients):
            norms.append(torch.cat([gradient.flatten() for gradient in event.layers.values()]).norm().item())

    train_members([alone], digits, batch_size=32, clip=clip, observe=observe)
    train_members([stacked], digits, batch_size=32, clip=clip, stacked=True)
    train_members([free], digits, batch_size=32)
    batches = Batches(digits, 32, True, Augment(padding=0, flip=False), [(plain.order, plain.augment)])
    for _ in range(STEPS):
        inputs, labels = next(batches)
        plain.optimizer.zero_grad()
        F.cross_entropy(plain.model(inputs[0]), labels[0]).backward()
        if clip.norm:
            nn.utils.clip_grad_norm_(plain.model.parameters(), clip.norm)
        if clip.value:
            nn.utils.clip_grad_value_(plain.model.parameters(), clip.value)
        plain.optimizer.step()
    assert flatten(alone.model).equal(flatten(plain.model))
    assert flatten(stacked.model).allclose(flatten(plain.model), rtol=0, atol=1e-6)
    assert not flatten(free.model).allclose(flatten(plain.model), rtol=0, atol=1e-3)
    assert min(norms) > 2 * 0.05


@pytest.mark.parametrize("clip", LIMITS, ids=str)
def test_a_member_is_clipped_alone_and_keeps_a_nan_to_itself(clip: Clip, jobs: list[Job], digits: Data) -> None:
    """No bit of a member depends on the others, not even if another one diverges at once."""
    together, by_itself = ([build_member(job, digits) for job in jobs] for _ in range(2))
    together[1].model.get_parameter("output.weight").data[0, 0] = torch.nan
    train_members(together, digits, batch_size=32, clip=clip)
    assert not flatten(together[1].model).isfinite().all()
    for index in (0, 2, 3):
        train_members([by_itself[index]], digits, batch_size=32, clip=clip, stacked=True)
        assert flatten(by_itself[index].model).equal(flatten(together[index].model))
        assert flatten(by_itself[index].model).isfinite().all()


def test_the_keys_reach_the_recipe(job_of: Callable[..., Job], digits: Data) -> None:
    config = job_of("dataset=digits", "clip.norm=1", "clip.value=0.5").config
    assert build.recipe_of(config, digits).clip == Clip(norm=1, value=0.5)
    assert build.recipe_of(job_of("dataset=digits").config, digits).clip is None
    with pytest.raises(BadInput, match=r"^clip\.norm=0: give a finite number above 0, or null$"):
        job_of("clip.norm=0")
    with pytest.raises(BadInput, match=r"^clip\.norm=1: in arithmetic=quotient the norm would miss the copies"):
        job_of("clip.norm=1", "arithmetic=quotient")
