"""The gradient noise scale against the gradients of single examples."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.observers import make_observer
from helpers.trainings import train_members
from torch import Tensor, nn

from zeroinit import dataset
from zeroinit.arch import FNN
from zeroinit.dataset import Data
from zeroinit.probes.metrics import skip_reasons
from zeroinit.probes.noise_scale import DECAY, estimate
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.training.cohort import Member
from zeroinit.training.quotient import quotient


class Uncopyable(nn.Linear):
    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("no copy")


def test_a_net_that_cannot_be_copied_is_not_measured() -> None:
    reasons = skip_reasons(["noise_scale"], nn.Sequential(Uncopyable(2, 2)))
    assert reasons == {"noise_scale": "the net cannot be copied, so its gradients of half a batch are unknown"}
    assert not skip_reasons(["noise_scale"], nn.Sequential(nn.Linear(2, 2)))


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


def observe(models: list[nn.Module], data: Data, steps: int, batch_size: int) -> list[Record]:
    """Train the models together by SGD, each with its own batches, and observe every step."""
    records = [Record("", {}, {}) for _ in models]
    observer = make_observer(records, steps, ["noise_scale"], [], data.train)
    members = [
        Member(model, torch.optim.SGD(model.parameters(), lr=0.05), stream("order", i), stream("augment", i), steps)
        for i, model in enumerate(models)
    ]
    train_members(members, data, batch_size=batch_size, observe=observer)
    return records


def example_gradients(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each example's loss, (examples, parameters), one backward pass each."""
    rows = []
    for row, label in zip(inputs, labels, strict=True):
        model.zero_grad()
        F.cross_entropy(model(row.unsqueeze(0)), label.unsqueeze(0)).backward()
        rows.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    return torch.stack(rows).double()


def test_the_estimates_are_those_of_single_examples(digits: Data) -> None:
    torch.manual_seed(0)
    model = FNN(digits.input_shape, digits.num_classes, [5], "tanh")
    batch = tuple(part[:6] for part in digits.train)
    gradients = example_gradients(model, *batch)
    few = Data(batch, digits.val, digits.test, digits.num_classes)
    [record] = observe([model], few, 1, 6)
    first, second = gradients[:3].mean(0), gradients[3:].mean(0)
    halves, whole = (first.square().sum() + second.square().sum()) / 2, gradients.mean(0).square().sum()
    expected = {"variance": 6 * (halves - whole), "squared_gradient": 2 * whole - halves}
    for name, value in expected.items():
        assert record.last(f"noise_scale/{name}") == pytest.approx(value.item(), rel=1e-4)
    assert record.last("noise_scale/simple") == pytest.approx(
        (expected["variance"] / expected["squared_gradient"]).item(), rel=1e-4
    )


def test_the_estimates_are_unbiased(digits: Data) -> None:
    """Theorem: in expectation they are the trace of the covariance and the squared norm of the mean."""
    torch.manual_seed(0)
    model = FNN(digits.input_shape, digits.num_classes, [5], "tanh")
    inputs = digits.train[0][:200]
    gradients = example_gradients(model, inputs, digits.train[1][:200])
    mean, trace = gradients.mean(0).square().sum().item(), gradients.var(0, correction=0).sum().item()
    draws = torch.randint(200, (20_000, 8), generator=torch.Generator().manual_seed(1))
    first, second = ({"all": gradients[draws[:, part]].mean(1)} for part in (slice(4), slice(4, 8)))
    variance, squared = estimate(first, second, 4).mean(1).tolist()
    assert variance == pytest.approx(trace, rel=0.03)
    assert squared == pytest.approx(mean, rel=0.1)


def test_a_member_of_a_stack_has_the_values_that_it_has_alone(digits: Data) -> None:
    def models() -> list[nn.Module]:
        torch.manual_seed(0)
        return [FNN(digits.input_shape, digits.num_classes, [6], "elu") for _ in range(3)]

    together = observe(models(), digits, 4, 32)
    alone = models()[0]
    [record] = observe([alone], digits, 4, 32)
    for name in ("simple", "variance", "squared_gradient"):
        ours, expected = together[0].history(f"noise_scale/{name}"), record.history(f"noise_scale/{name}")
        assert list(ours) == [1, 2, 3, 4]
        assert list(ours.values()) == pytest.approx(list(expected.values()), rel=1e-3)
    running = [0.0, 0.0]
    for step in range(1, 5):
        for index, name in enumerate(("variance", "squared_gradient")):
            running[index] = DECAY * running[index] + (1 - DECAY) * record.history(f"noise_scale/{name}")[step]
        assert record.history("noise_scale/simple")[step] == pytest.approx(running[0] / running[1], rel=1e-9)


def test_a_batch_of_one_example_has_no_noise_scale(digits: Data) -> None:
    [record] = observe([FNN(digits.input_shape, digits.num_classes, [3], "elu")], digits, 2, 1)
    assert not [name for name, _, _ in record.metrics if name.startswith("noise_scale")]


def test_it_does_not_apply_to_a_quotient(digits: Data) -> None:
    plain = FNN(digits.input_shape, digits.num_classes, [3], "elu")
    assert skip_reasons(["noise_scale"], plain) == {}
    assert "quotient" in skip_reasons(["noise_scale"], quotient(plain))["noise_scale"]


def test_the_option_measures_it(zeroinit: Callable[..., Any]) -> None:
    ended = zeroinit("dataset=digits", "arch.hidden=[8]", "steps=20", "probe=noise_scale")
    assert (ended.code, ended.err) == (0, "")
