"""On a CUDA device: each probe gives what it gives on the CPU, for values that are hard to hold as well."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from cuda_trainings import SOFTMAX, Run, data_of, give_device, members_of, train
from torch import Tensor, nn

from zeroinit.dataset.data import evenly_spaced
from zeroinit.observed_layers import hidden_layers
from zeroinit.probes import measures
from zeroinit.probes.inspection import inspect_model
from zeroinit.probes.lanczos import hessian_ends
from zeroinit.probes.metrics import all_probes
from zeroinit.probes.observer import Observer
from zeroinit.probes.probe import Schedule, Subject
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off
from zeroinit.training.events import Event, Finished
from zeroinit.training.single import SingleModel

pytestmark = pytest.mark.cuda
device = pytest.fixture(give_device)
CPU = torch.device("cpu")


def hard_values() -> Tensor:
    """(4, 8, 6): copies, zeros of both signs, subnormal numbers, and in two members infinity and NaN."""
    values = torch.randn(4, 8, 6, generator=stream("data", 0))
    values[0, 1:4] = values[0, 0]
    values[1, 2] = 0.0
    values[1, 3] = -0.0
    values[1, 4] = 1e-40
    values[1, 5] = -1e-40
    values[2, 0, 0] = torch.inf
    values[3, 0, 0] = torch.nan
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("counts", [measures.bit_counts, measures.count_distinct])
def test_probes_that_count_are_equal(
    counts: Callable[[Tensor], Tensor], dtype: torch.dtype, device: torch.device
) -> None:
    values = hard_values().to(dtype)
    torch.use_deterministic_algorithms(True)
    torch.testing.assert_close(counts(values.to(device)).cpu(), counts(values), rtol=0, atol=0, equal_nan=True)


PROBES: dict[str, Callable[[Tensor], Any]] = {
    "norm": measures.norm,
    "mean_cosine": measures.mean_cosine,
    "pairs": measures.pairs,
    "relative_update": lambda values: measures.relative_update(values, values * 1.5),
    "angle": lambda values: measures.angle(values, values.roll(1, 1)),
    "dead": lambda values: measures.dead_share(measures.slopes(nn.ReLU(), values)),
    "saturated": lambda values: measures.saturated_share(
        measures.slopes(nn.Tanh(), values), measures.steepest_slope(nn.Tanh())
    ),
    "neurons": lambda values: measures.neurons(values, values[:, :, 0]),
}


@pytest.mark.parametrize("name", PROBES)
def test_probes_that_compute_agree(name: str, device: torch.device) -> None:
    values = hard_values()
    torch.use_deterministic_algorithms(True)
    there, here = PROBES[name](values.to(device)), PROBES[name](values)
    for first, second in zip(*(each if isinstance(each, tuple) else (each,) for each in (there, here)), strict=True):
        torch.testing.assert_close(first.cpu(), second, rtol=1e-6, atol=1e-9, equal_nan=True)


def test_probes_of_curvature_agree(device: torch.device) -> None:
    """In float64; 30 iterations of Lanczos find the same ends."""
    results = []
    for where in (device, CPU):
        run = Run("fnn", where, torch.float64)
        data = data_of(run)
        [member] = members_of(run, data)
        together = SingleModel(member.model, member.optimizer, SOFTMAX)
        inputs, labels = evenly_spaced(data.train, 64)
        batch = data.to_inputs(inputs).unsqueeze(0), labels.unsqueeze(0)
        parameters = together.tensors()
        ends = hessian_ends(
            lambda parts, t=together, b=batch: t.losses(parts, *b),  # type: ignore[misc]
            parameters,
            list(parameters),
        )
        results.append(ends)
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first.cpu(), second, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("arch", "members"), [("fnn", 1), ("fnn", 3), ("mnist_cnn", 3), ("cifar_cnn", 1)])
def test_probes_of_a_training_agree(arch: str, members: int, device: torch.device) -> None:
    """All of them, at every step, with the metrics that they write; float64, in which rounding decides nothing."""
    records = [train_watched(arch, members, where) for where in (device, CPU)]
    for there, here in zip(*records, strict=True):
        assert there.tags == here.tags
        assert [point[::2] for point in there.metrics] == [point[::2] for point in here.metrics]
        for (name, value, step), (_, second, _) in zip(there.metrics, here.metrics, strict=True):
            assert value == pytest.approx(second, rel=1e-4, abs=1e-7), (name, step)


def train_watched(arch: str, members: int, where: torch.device) -> list[Record]:
    """The records of a stack under all probes."""
    run = Run(arch, where, torch.float64, steps=(3,) * members)
    data = data_of(run)
    records = [Record(str(index), {}, {}) for index in range(members)]
    model = members_of(run, data)[0].model
    inputs, labels = evenly_spaced(data.train, 32)
    batch = data.to_inputs(inputs).unsqueeze(0), labels.unsqueeze(0)
    slow = {"fnn": (), "mnist_cnn": ("curvature",), "cifar_cnn": ("curvature", "pairs")}[arch]
    probes = [name for name in all_probes() if name not in slow]
    observer = Observer(
        records,
        Off(),
        3,
        lambda share, accuracy: None,
        probes,
        Subject(hidden_layers(model), batch, Schedule(0, 0, [1])),
    )

    def observe(event: Event) -> None:
        if not isinstance(event, Finished):
            observer(event)

    train(run, observe)
    return records


def test_probes_of_the_verdict_agree(device: torch.device) -> None:
    looked = []
    for where in (device, CPU):
        run = Run("mnist_cnn", where, torch.float64)
        data = data_of(run)
        [member] = train(run)
        inputs, labels = evenly_spaced(data.train, 64)
        looked.append(inspect_model(member.model, (data.to_inputs(inputs), labels), SOFTMAX, float))
    assert looked[0].accuracy == pytest.approx(looked[1].accuracy)
    for there, here in zip(looked[0].layers, looked[1].layers, strict=True):
        assert (there.name, there.hidden, there.are_copies) == (here.name, here.hidden, here.are_copies)
        assert there.gradient == pytest.approx(here.gradient, rel=1e-5)
        assert (there.dead, there.saturated) == pytest.approx((here.dead, here.saturated), nan_ok=True)
