"""Every probe against its naive twin, the schedule against its description."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from helpers.observers import make_observer
from helpers.trainings import train_members
from torch import nn
from torch.overrides import TorchFunctionMode

from zeroinit.arch import ACTIVATIONS, FNN, CifarCNN, Logistic
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment
from zeroinit.observed_layers import hidden_layers
from zeroinit.probes import histogram as histograms
from zeroinit.probes import measures
from zeroinit.probes.histogram import Histogram
from zeroinit.probes.measures import (
    CLUSTER_RTOL,
    SATURATION_RTOL,
    angle,
    bit_counts,
    count_distinct,
    dead_share,
    mean_cosine,
    pairs,
    relative_update,
    saturated_share,
    slopes,
    steepest_slope,
)
from zeroinit.probes.metrics import all_probes, skip_reasons
from zeroinit.probes.probe import Schedule
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.training import loop
from zeroinit.training.cohort import Member
from zeroinit.training.events import Event, Gradients, Step, TrainingResult, Weights
from zeroinit.training.quotient import quotient


def histogram(values: torch.Tensor) -> Histogram:
    return histograms.histogram(bit_counts(values).numpy(), values[0].numel())


def quantiles(values: torch.Tensor, *shares: float) -> np.ndarray:
    result = histogram(values)
    return histograms.quantiles(result.counts, result.zeros, shares)


def naive(values: list[float]) -> tuple[dict[tuple[int, int], int], int, int, int]:
    """Counts by (sign, exponent field), zeros, NaN, inf: one number at a time, from the definition."""
    counts: dict[tuple[int, int], int] = {}
    zeros = nan = inf = 0
    for value in values:
        if math.isnan(value):
            nan += 1
        elif math.isinf(value):
            inf += 1
        elif value == 0:
            zeros += 1
        else:
            exponent = math.frexp(value)[1] - 1  # 2^exponent <= |value| < 2^(exponent + 1)
            key = int(value > 0), min(max(exponent + 127, 0), 254)
            counts[key] = counts.get(key, 0) + 1
    return counts, zeros, nan, inf


def awkward() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(3, 997, generator=generator) * 10.0 ** torch.randint(-44, 38, (3, 997), generator=generator)
    ones = torch.tensor([0.0, -0.0, 1e-45, -1e-45, 1e-40, 2.0**-126, -(2.0**-126), 1.0, -1.0, 3.4e38])
    special = torch.tensor([math.nan, -math.nan, math.inf, -math.inf])
    return torch.cat([spread, ones.expand(3, -1), special.expand(3, -1)], dim=1)


@pytest.mark.parametrize("members", [1, 3])
def test_histogram_is_the_naive_count(members: int) -> None:
    values = awkward()[:members]
    result = histogram(values)
    for member in range(members):
        counts, zeros, nan, inf = naive(values[member].tolist())
        nonzero = {(int(s), int(e)): int(result.counts[member, s, e]) for s, e in np.argwhere(result.counts[member])}
        assert nonzero == counts
        assert (result.zeros[member], result.nan[member], result.inf[member]) == (zeros, nan, inf)


def test_of_float64_it_is_the_naive_count_with_what_float32_lacks_in_the_outer_bins() -> None:
    """And a zero is a zero, and nothing else: 1e-300 is none, which float32 would make one."""
    ends = [1e-300, -5e-324, 1e300, -1.7e308, 2.0**128, 2 - 2.0**-52, -(2.0**-126) * (1 - 2.0**-53), 0.0, -0.0]
    values = torch.cat([awkward().double(), torch.tensor(ends, dtype=torch.float64).expand(3, -1)], dim=1)
    result = histogram(values)
    for member in range(3):
        counts, zeros, nan, inf = naive(values[member].tolist())
        nonzero = {(int(s), int(e)): int(result.counts[member, s, e]) for s, e in np.argwhere(result.counts[member])}
        assert nonzero == counts
        assert (result.zeros[member], result.nan[member], result.inf[member]) == (zeros, nan, inf)
    [tiny] = histogram(torch.full((1, 7), 1e-60, dtype=torch.float64)).counts
    assert tiny[1, 0] == 7
    assert histogram(torch.zeros(1, 7, dtype=torch.float64)).zeros == 7


@pytest.mark.parametrize("members", [1, 3])
def test_neurons_of_float64_are_compared_in_float64(members: int) -> None:
    neurons = torch.full((members, 5, 3), 0.1, dtype=torch.float64)
    assert count_distinct(neurons).tolist() == [1] * members
    neurons[:, 2, 1] += 2.0**-56  # the last bit
    neurons[:, 4, 0] = 0.1 - 2.0**-56
    assert count_distinct(neurons).tolist() == [3] * members
    assert count_distinct(neurons.float()).tolist() == [1] * members
    neurons[0, 0] = 0.0
    neurons[0, 1] = -0.0
    assert count_distinct(neurons)[0] == 4
    neurons[0, 0, 0] = torch.inf
    assert count_distinct(neurons)[0].isnan()


def test_histogram_accounts_for_every_entry() -> None:
    values = awkward()
    result = histogram(values)
    assert (result.counts.sum(axis=(1, 2)) + result.zeros + result.nan + result.inf == values.shape[1]).all()


def test_histogram_of_a_matrix_with_nothing_special() -> None:
    values = torch.randn(2, 30, 40, generator=torch.Generator().manual_seed(1))
    values[:, :3] = 0
    result = histogram(values)
    assert result.zeros.tolist() == [120, 120]
    assert result.nan.tolist() == result.inf.tolist() == [0, 0]
    assert naive(values[1].flatten().tolist())[0] == {
        (int(s), int(e)): int(result.counts[1, s, e]) for s, e in np.argwhere(result.counts[1])
    }


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("zeros", [0, 600])
def test_quantiles_are_numpys_to_a_factor_of_two(share: float, zeros: int) -> None:
    values = torch.randn(2, 1001, generator=torch.Generator().manual_seed(2)) * 1e-5
    values[:, :zeros] = 0
    result = quantiles(values, share)
    exact = np.quantile(values.numpy(), share, axis=1, method="inverted_cdf")
    for estimate, true in zip(result[:, 0], exact, strict=True):
        if true == 0 or estimate == 0:
            assert abs(estimate - true) < 2e-8  # next to zero, where a rank may fall on either side
        else:
            assert 0.5 <= estimate / true <= 2


def test_quantiles_of_nothing_finite_are_nan() -> None:
    assert np.isnan(quantiles(torch.full((1, 4), math.nan), 0.5)).all()


def test_quantiles_of_zeros_are_zero() -> None:
    assert quantiles(torch.zeros(1, 9), 0.05, 0.5, 0.95).tolist() == [[0.0, 0.0, 0.0]]


def test_histogram_counts_can_be_added_over_seeds() -> None:
    a, b = torch.randn(2, 1, 500, generator=torch.Generator().manual_seed(3))
    both = histogram(torch.cat([a, b], dim=1))
    apart = [histogram(a), histogram(b)]
    assert Histogram(
        *(sum(getattr(single, part) for single in apart) for part in Histogram._fields)
    ).counts.tolist() == (both.counts.tolist())


# Neurons


def neurons() -> torch.Tensor:
    """Members of 12 neurons: all different, all zero, copies in the last bit and nearly, a NaN, one not zero."""
    generator = torch.Generator().manual_seed(4)
    random = torch.randn(12, 7, generator=generator)
    copies = random[[0, 1, 2] * 4]
    last_bit = copies.clone()
    last_bit[5, 3] = torch.nextafter(last_bit[5, 3], torch.tensor(9.0))
    chain = torch.zeros(12, 7)
    chain[:, 0] = 1 - 0.9 * CLUSTER_RTOL * torch.arange(12)  # each near the next, the ends far apart
    broken, single, signed = random.clone(), torch.zeros(12, 7), torch.zeros(12, 7)
    broken[3, 2] = math.nan
    single[4] = 1
    signed[::2] = -0.0
    return torch.stack([random, torch.zeros(12, 7), copies, last_bit, chain, broken, single, signed])


def naive_distinct(member: list[list[float]]) -> int:
    result: list[list[float]] = []
    for neuron in member:
        if not any(neuron == second for second in result):  # by value: -0 is 0, and NaN is not NaN
            result.append(neuron)
    return len(result)


def naive_clusters(member: list[list[float]]) -> int:
    near = CLUSTER_RTOL * max((math.hypot(*neuron) for neuron in member), default=0)
    unseen, count = set(range(len(member))), 0
    while unseen:
        count, edge = count + 1, [unseen.pop()]
        while edge:
            index = edge.pop()
            close = {other for other in unseen if math.dist(member[index], member[other]) <= near}
            edge += close
            unseen -= close
    return count


def naive_cosine(member: list[list[float]]) -> float:
    some = [neuron for neuron in member if any(neuron)]
    cosines = [
        sum(a * b for a, b in zip(first, second, strict=True)) / (math.hypot(*first) * math.hypot(*second))
        for index, first in enumerate(some)
        for second in some[:index]
    ]
    return sum(cosines) / len(cosines) if cosines else math.nan


def naive_rank(member: list[list[float]]) -> float:
    if not np.isfinite(member).all():
        return math.nan
    singular = np.linalg.svd(np.array(member), compute_uv=False)
    shares = [value / singular.sum() for value in singular if value > 1e-12]
    return math.exp(-sum(share * math.log(share) for share in shares)) if shares else 0.0


def test_distinct_neurons_are_the_naive_count() -> None:
    expected = [naive_distinct(member) for member in neurons().tolist()]
    expected[5] = math.nan  # where one neuron is not finite
    assert count_distinct(neurons()).tolist() == pytest.approx(expected, nan_ok=True)
    assert expected[:5] == [12, 1, 3, 4, 12]
    assert expected[6:] == [2, 1]


def test_clusters_are_the_naive_count() -> None:
    expected = [naive_clusters(member) for member in neurons().tolist()]
    expected[5] = math.nan
    assert pairs(neurons())[0].tolist() == pytest.approx(expected, nan_ok=True)
    assert expected[:5] == [12, 1, 3, 3, 1]
    assert expected[6:] == [2, 1]


def test_mean_cosine_is_the_naive_mean() -> None:
    expected = [naive_cosine(member) for member in neurons().tolist()]
    assert mean_cosine(neurons()).tolist() == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert [math.isnan(value) for value in expected] == [False, True, False, False, False, True, True, True]


def test_effective_rank_is_that_of_the_singular_values() -> None:
    expected = [naive_rank(member) for member in neurons().tolist()]
    # a singular value of zero is the root of a rounding error there, 1e-8 of the largest
    assert pairs(neurons())[1].tolist() == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert expected[1] == 0
    assert expected[6] == pytest.approx(1)


def test_what_is_not_finite_has_no_value() -> None:
    for bad in (math.nan, math.inf):
        values = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(6))
        values[1, 2, 0] = bad
        for result in (count_distinct(values), mean_cosine(values), *pairs(values)):
            assert result.isfinite().tolist() == [True, False]


def test_relative_update_and_angle_are_their_definitions() -> None:
    before, after = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(5))
    after[2] = before[2] * 7
    for member, (first, second) in enumerate(zip(before.flatten(1).tolist(), after.flatten(1).tolist(), strict=True)):
        assert relative_update(before, after)[member].item() == pytest.approx(
            math.dist(first, second) / math.hypot(*first), rel=1e-6
        )
        cosine = sum(a * b for a, b in zip(first, second, strict=True)) / (math.hypot(*first) * math.hypot(*second))
        assert angle(before, after)[member].item() == pytest.approx(math.degrees(math.acos(min(cosine, 1))), abs=1e-5)


def test_an_angle_too_small_for_a_cosine_is_seen() -> None:
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1e-7]])
    assert angle(first, second).item() == pytest.approx(math.degrees(1e-7), rel=1e-6)


def test_zero_weights_have_no_angle_and_no_relative_update() -> None:
    zeros, ones = torch.zeros(1, 3), torch.ones(1, 3)
    assert angle(zeros, ones).isnan().all()
    assert not relative_update(zeros, ones).isfinite().any()


def test_skip_reasons() -> None:
    logistic, plain, normalised = Logistic((4,), 2), FNN((4,), 2, [3], "elu"), CifarCNN((1, 8, 8), 10, "elu")
    wide, twice = nn.Sequential(nn.Linear(3000, 4000, device="meta")), nn.Linear(4, 4)
    expected: list[tuple[str, nn.Module, str]] = [
        ("symmetry", logistic, "it is of hidden neurons, and the net has no hidden layer"),
        ("pairs", FNN((4,), 2, [9, 5000], "elu"), "hidden2 has 5000 neurons; it takes pairs of 4096 at most"),
        (
            "activation",
            nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)),
            "the net has no hidden layer with an activation that is a module",
        ),
        ("curvature", wide, "it would take 1.3 GiB; it takes 1 at most"),
        (
            "curvature",
            quotient(plain),
            "the gradients of a quotient are those of single neurons, not of its own loss",
        ),
        ("curvature", nn.Sequential(twice, nn.ELU(), twice), "layers of the net share parameters"),
    ]
    parameters = sum(parameter.numel() for parameter in normalised.parameters())
    too_large = f"it has {parameters:,} parameters; snapshots are of nets with 1,000 at most"
    expected.append(("snapshot", normalised, too_large))
    for probe, model, reason in expected:
        assert skip_reasons([probe], model) == {probe: reason}
    assert skip_reasons(all_probes(), normalised) == {"snapshot": too_large}
    assert skip_reasons(all_probes(), plain) == {}


def test_hidden_layers_are_those_whose_rows_are_neurons() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 3, 3), nn.Conv2d(3, 4, 3), nn.Linear(4, 2))
    assert hidden_layers(net) == ["0", "2"]


# Activations


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_slopes_are_the_difference_quotients(name: str) -> None:
    activation = ACTIVATIONS[name]().double()
    inputs = torch.linspace(-5, 5, 40, dtype=torch.float64).view(2, 4, 5)  # no kink among them
    result = slopes(activation, inputs)
    h = 1e-6
    assert torch.allclose(result, (activation(inputs + h) - activation(inputs - h)) / (2 * h), atol=1e-8)
    assert steepest_slope(activation) >= result.abs().max().item() - 1e-6


def test_slopes_of_one_that_acts_in_place_leave_its_inputs() -> None:
    inputs = torch.tensor([[[-1.0, 2.0]]])
    assert slopes(nn.ReLU(inplace=True), inputs).tolist() == [[[0.0, 1.0]]]
    assert inputs.tolist() == [[[-1.0, 2.0]]]


def test_dead_and_saturated_units_are_the_naive_shares() -> None:
    inputs = torch.randn(3, 12, 20, generator=torch.Generator().manual_seed(7)) * 3
    inputs[:, :3] -= 20
    inputs[1, 5:9] += 100
    for activation in (nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.ELU()):
        result, most = slopes(activation, inputs), steepest_slope(activation)
        for member, units in enumerate(result.tolist()):
            no_slope = sum(all(slope == 0 for slope in unit) for unit in units) / 12
            next_to_none = sum(all(abs(slope) < SATURATION_RTOL * most for slope in unit) for unit in units) / 12
            assert dead_share(result)[member].item() == pytest.approx(no_slope)
            assert saturated_share(result, most)[member].item() == pytest.approx(next_to_none)


def test_relu_is_dead_where_no_input_activates_it_and_tanh_saturated_on_either_side() -> None:
    inputs = torch.tensor([[[-1.0, -2.0], [-1.0, 2.0], [-9.0, 9.0], [0.0, 0.0]]])
    assert dead_share(slopes(nn.ReLU(), inputs)).tolist() == [0.5]  # at 0 it has no slope
    assert dead_share(slopes(nn.Tanh(), inputs)).tolist() == [0]
    assert saturated_share(slopes(nn.Tanh(), inputs), 1).tolist() == [0.25]


def test_the_flat_side_of_a_leaky_relu_is_not_saturated() -> None:
    assert saturated_share(slopes(nn.LeakyReLU(), torch.full((1, 2, 3), -5.0)), 1).tolist() == [0]


def test_what_is_not_finite_is_neither() -> None:
    values = torch.zeros(2, 3, 4)
    values[1, 0, 0] = math.nan
    assert dead_share(values).isfinite().tolist() == [True, False]
    assert saturated_share(values, 1).isfinite().tolist() == [True, False]


def test_norms_of_tiny_values_survive() -> None:
    assert measures.norm(torch.full((1, 4), 1e-30)).item() == pytest.approx(2e-30)


# Schedule


def test_observed_is_dense_then_thin() -> None:
    steps = [step for step in range(1, 200_001) if Schedule(20, 10, ()).is_observed(step)]
    assert steps[:20] == list(range(1, 21))
    assert [sum(20 * 10**k < step <= 20 * 10 ** (k + 1) for step in steps) for k in range(4)] == [10, 10, 10, 10]
    assert max(b / a for a, b in pairwise(steps[20:])) < 1.35


@pytest.mark.parametrize(
    ("dense", "a_decade", "expected"),
    [(3, 0, [1, 2, 3]), (0, 1, [1, 10, 100, 1000]), (1, 1, [1, 10, 100, 1000]), (2, 2, [1, 2, 7, 20, 64, 200, 633])],
)
def test_the_schedule_is_the_users(dense: int, a_decade: int, expected: list[int]) -> None:
    assert [step for step in range(1, 1001) if Schedule(dense, a_decade, ()).is_observed(step)] == expected


# An observation


class Once(torch.autograd.Function):
    """Its input, and of no second derivative."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> Any:
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        return Slope.apply(slope)


class Slope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, slope: torch.Tensor) -> Any:
        return slope.clone()

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        raise RuntimeError("no second derivative\nhere")


class OnceLinear(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = Once.apply(super().forward(input))
        return result


def test_curvature_that_fails_while_it_trains_is_left_out_and_the_run_goes_on() -> None:
    points = torch.randn(8, 4, generator=torch.Generator().manual_seed(9)), torch.arange(8) % 2
    record, batch = Record("", {}, {}), (points[0].unsqueeze(0), points[1].unsqueeze(0))
    observer = make_observer([record], 3, ["curvature", "weight"], [], batch, [0, 1])
    [trained] = trained_by(observer, [nn.Sequential(OnceLinear(4, 2))], points, steps=3)
    assert len(trained.losses) == 3
    assert record.tags["skipped_probes"].endswith("curvature is left out after step 0: no second derivative here")
    assert list(record.history("weight/0/norm")) == [0, 1, 2, 3]
    assert not [name for name, _, _ in record.metrics if name.startswith("curvature")]


def trained_by(
    observe: Callable[[Event], None],
    models: list[nn.Module],
    points: tuple[torch.Tensor, torch.Tensor],
    steps: int,
    observed: Callable[[int], bool] = loop.always,
) -> list[TrainingResult]:
    members = [
        Member(model, torch.optim.SGD(model.parameters(), lr=0.1), stream("order", 0), stream("augment", 0), steps)
        for model in models
    ]
    return train_members(
        members,
        Data(points, points, points, num_classes=2),
        batch_size=8,
        shuffle=True,
        augment=Augment(padding=0, flip=False),
        reduction="mean",
        tied=False,
        observe=observe,
        is_observed=observed,
    )


class Reads(TorchFunctionMode):
    """Counts what would wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.Tensor.cpu, torch.Tensor.tolist)
        return func(*args, **(kwargs or {}))


def test_an_observation_is_read_back_once() -> None:
    """Once every layer has its gradient; the CPU's own look for subnormals, and what pairs asks each round, apart."""
    points = torch.randn(32, 4, generator=torch.Generator().manual_seed(8)), torch.arange(32) % 2
    records = [Record(str(index), {}, {}) for index in range(3)]
    batch = points[0].unsqueeze(0), points[1].unsqueeze(0)
    probes = ["gradient", "first_gradient", "symmetry", "weight", "activation"]
    observer = make_observer(records, 6, probes, ["hidden1", "hidden2"], batch, [])
    reads: dict[int, int] = {}

    def observe(event: Event) -> None:
        with Reads() as counted:
            observer(event)
        if isinstance(event, Gradients | Weights | Step):
            reads[event.step] = reads.get(event.step, 0) + counted.count

    models: list[nn.Module] = [FNN((4,), 2, [8, 8], "elu") for _ in range(3)]
    trained_by(observe, models, points, 6, lambda step: step != 4)
    assert [reads[step] for step in (2, 3, 4, 5, 6)] == [1, 1, 0, 1, 1]
    assert all(record.history("activation/hidden2/variance").keys() == {0, 1, 2, 3, 5, 6} for record in records)
