"""On a CUDA device: the numbers of the CPU, the same bits each time, and no waiting for the device inside an epoch."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from cuda_trainings import (
    ARCHS,
    EXAMPLES,
    SOFTMAX,
    STACKABLE,
    Run,
    data_of,
    furthest,
    give_device,
    members_of,
    outcome,
    train,
)
from torch import Tensor, nn

from zeroinit.dataset.batches import Augment, Batches
from zeroinit.rng import stream
from zeroinit.training.evaluation import evaluate_members
from zeroinit.training.events import Event, Step
from zeroinit.training.quotient import quotient
from zeroinit.training.single import SingleModel
from zeroinit.training.stack import ModelStack
from zeroinit.training.ties import Ties

pytestmark = pytest.mark.cuda
device = pytest.fixture(give_device)
CPU = torch.device("cpu")
# other kernels add up in another order: the unit roundoff, times what six steps of Adam make of it, as it divides small
# gradients by their size
DOUBLE, SINGLE = 1e-7, 1e-2
SHIFTED = Augment(padding=2, flip=True)


def constant_(tensor: Tensor) -> Tensor:
    return nn.init.constant_(tensor, 0.01)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_training_has_the_numbers_of_the_cpu(arch: str, dtype: torch.dtype, device: torch.device) -> None:
    """Losses and final parameters, BatchNorm's statistics included, with augmentation."""
    run = Run(arch, device, dtype, augment=SHIFTED)
    assert furthest(run, replace(run, device=CPU)) < (DOUBLE if dtype == torch.float64 else SINGLE)


@pytest.mark.parametrize("arch", STACKABLE)
@pytest.mark.parametrize("own_batches", [True, False])
def test_a_stack_has_the_numbers_of_the_cpu(arch: str, own_batches: bool, device: torch.device) -> None:
    """Three members, of which one ends early, and one alone in a stack."""
    run = Run(arch, device, torch.float64, steps=(6, 3, 6), own_batches=own_batches)
    assert furthest(run, replace(run, device=CPU)) < DOUBLE


@pytest.mark.parametrize("arch", STACKABLE)
def test_a_stack_of_one_is_the_net_alone(arch: str, device: torch.device) -> None:
    run = Run(arch, device, torch.float64)
    data = data_of(run)
    gradients = []
    for kind in (SingleModel, lambda *parts: ModelStack([parts[:2]], SOFTMAX)):
        [member] = members_of(run, data)
        together = kind(member.model, member.optimizer, SOFTMAX)
        inputs, labels = data.to_inputs(data.train[0][:64]), data.train[1][:64]
        together.backward(inputs.unsqueeze(0), labels.unsqueeze(0), "mean")
        gradients.append(together.gradients())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("arch", ARCHS)
def test_two_deterministic_runs_are_bit_equal(arch: str, device: torch.device) -> None:
    run = Run(arch, device, steps=(6,) if arch == "resnet50" else (6, 6), augment=SHIFTED)
    for (state, losses, metrics), (state2, losses2, metrics2) in zip(outcome(run), outcome(run), strict=True):
        assert losses.equal(losses2)
        assert metrics == metrics2
        assert all(state[name].equal(state2[name]) for name in state)


@pytest.mark.parametrize("arch", STACKABLE)
def test_a_member_that_is_not_a_number_leaves_the_others_as_they_are(arch: str, device: torch.device) -> None:
    sane = Run(arch, device, steps=(8, 8, 8))
    [first, _, third] = outcome(sane)
    [first2, broken, third2] = outcome(replace(sane, rates={1: 1e38}))
    assert not broken[1].isfinite().all()
    for (state, losses, _), (state2, losses2, _) in ((first, first2), (third, third2)):
        assert losses.equal(losses2)
        assert all(state[name].equal(state2[name]) for name in state)


@pytest.fixture
def _sync_allowed_again() -> Iterator[None]:
    yield
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("_sync_allowed_again")
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("kind", ["alone", "stack", "tied"])
def test_no_step_waits_for_the_device(arch: str, kind: str, device: torch.device) -> None:
    """From the first step, before which an epoch's order is sent, to the one whose end is evaluated."""
    if kind != "alone" and arch not in STACKABLE:
        pytest.skip("it has no stack and no ties")
    if device.type != "cuda":
        pytest.skip("the CPU is never waited for")
    run = Run(arch, device, steps=(4,) if kind == "alone" else (4, 4), augment=SHIFTED)
    last = -(-EXAMPLES // 64)  # step of the epoch

    def observe(event: Event) -> None:
        if isinstance(event, Step):
            torch.cuda.set_sync_debug_mode("error" if event.step < last - 1 else "default")

    if kind == "tied":
        run = replace(run, tied=True, weight=constant_, bias=nn.init.zeros_)
    train(run, observe, is_observed=lambda step: False)


@pytest.mark.usefixtures("_sync_allowed_again")
def test_a_wait_inside_an_epoch_is_caught(device: torch.device) -> None:
    """The test above fails where a step reads a value."""
    if device.type != "cuda":
        pytest.skip("the CPU is never waited for")

    def observe(event: Event) -> None:
        if isinstance(event, Step) and event.step == 1:
            torch.cuda.set_sync_debug_mode("error")
            torch.ones(1, device=device).item()

    with pytest.raises(RuntimeError, match="synchroniz"):
        train(Run("logistic", device), observe, is_observed=lambda step: False)


def test_tied_neurons_stay_copies(device: torch.device) -> None:
    """Bit for bit, in a stack."""
    run = Run("cifar_fnn", device, steps=(8, 8), tied=True, weight=constant_, bias=nn.init.zeros_, own_batches=False)
    for state, losses, _ in outcome(run):
        assert losses[-1] < losses[0]
        assert all(state[name].equal(state[name][:1].expand_as(state[name])) for name in state if "hidden" in name[:6])


def test_ties_are_those_of_the_cpu(device: torch.device) -> None:
    firsts = []
    for where in (device, CPU):
        run = Run("fnn", where, weight=constant_, bias=nn.init.zeros_)
        members = members_of(run, data_of(run))
        ties = Ties([(member.model, member.optimizer) for member in members], True)
        firsts.append({layer: each.cpu() for layer, each in ties.representatives.items()})
    assert firsts[0].keys() == firsts[1].keys()
    assert all(firsts[0][layer].equal(firsts[1][layer]) for layer in firsts[0])


def test_a_quotient_has_the_numbers_of_the_cpu(device: torch.device) -> None:
    logits = []
    for where in (device, CPU):
        run = Run("fnn", where, torch.float64, weight=constant_, bias=nn.init.zeros_)
        data = data_of(run)
        [member] = members_of(run, data)
        net = quotient(member.model)
        inputs, labels = data.to_inputs(data.train[0][:64]), data.train[1][:64]
        loss = nn.functional.cross_entropy(net(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        logits.append([loss.detach().cpu(), *(parameter.grad.cpu() for parameter in net.parameters())])
    for first, second in zip(*logits, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)


def test_batches_are_those_of_the_cpu(device: torch.device) -> None:
    """Order, augmentation and normalisation, bit for bit."""
    batches_of = []
    for where in (device, CPU):
        data = data_of(Run("fnn", where))
        mean, std = (torch.full((3, 1, 1), value, device=where) for value in (0.3, 0.7))
        streams = [(stream("order", index), stream("augment", index)) for index in range(2)]
        batches = Batches(replace(data, normalize=(mean, std)), 64, True, SHIFTED, streams)
        batches_of.append([tensor.cpu() for _ in range(6) for tensor in next(batches)])
    assert all(first.equal(second) for first, second in zip(*batches_of, strict=True))


@pytest.mark.parametrize("arch", ARCHS)
def test_an_evaluation_has_the_numbers_of_the_cpu(arch: str, device: torch.device) -> None:
    results = []
    for where in (device, CPU):
        run = Run(arch, where, torch.float64)
        data = data_of(run)
        [member] = members_of(run, data)
        losses = torch.tensor([[1.0], [2.0], [torch.nan]], device=where)
        together = SingleModel(member.model, member.optimizer, SOFTMAX)
        results.append(evaluate_members(together.predict, data, losses, losses, 64, SOFTMAX))
    assert results[0][1] == results[1][1] == [3]
    for name, values in results[1][0].items():
        assert results[0][0][name] == pytest.approx(values, rel=1e-6, nan_ok=True), name


def test_float32_is_not_tf32(device: torch.device) -> None:
    """Products and convolutions are off by rounding of 24 bits, not of 11."""
    train(Run("logistic", device))
    generator = stream("data", 0)
    left, right = (torch.rand(512, 512, generator=generator).to(device) for _ in range(2))
    images = torch.rand(8, 32, 16, 16, generator=generator).to(device)
    kernels = torch.rand(32, 32, 3, 3, generator=generator).to(device)
    for computed, exact in (
        (left @ right, left.double() @ right.double()),
        (nn.functional.conv2d(images, kernels), nn.functional.conv2d(images.double(), kernels.double())),
    ):
        assert ((computed - exact).abs().max() / exact.abs().max()).item() < 2e-6
