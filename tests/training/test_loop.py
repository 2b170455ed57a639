"""The loop against a naive twin, its schedule, and the oracles of zero initialisation where they hold."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from helpers.trainings import SOFTMAX, train_members
from torch import Tensor, nn

from zeroinit import bias_scale, dataset
from zeroinit.arch import FNN, Logistic
from zeroinit.config.init import Rule, Rules
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment
from zeroinit.init import initialize
from zeroinit.rng import stream
from zeroinit.training.cohort import Member, evaluation_steps
from zeroinit.training.evaluation import evaluate
from zeroinit.training.events import Event, Gradients, Step, TrainingResult, Weights
from zeroinit.training.single import SingleModel

train = partial(train_members, augment=Augment(padding=0, flip=False), reduction="mean", tied=False)
ZEROS, NORMAL = partial(nn.init.zeros_), partial(nn.init.normal_)


def fill(model: nn.Module, weight: Rule, bias: Rule, seed: int = 0) -> nn.Module:
    initialize(model, stream("init", seed), Rules(weight, bias), partial(bias_scale.constant, value=1.0))
    return model


def adam(model: nn.Module, steps: int, seed: int = 0, lr: float = 1e-3) -> Member:
    return Member(
        model,
        torch.optim.Adam(model.parameters(), lr=lr, fused=True),
        stream("order", seed),
        stream("augment", seed),
        steps,
    )


def blobs(shares: Sequence[float] = (0.7, 0.2, 0.1), features: int = 6, examples: int = 100) -> Data:
    """Classes of the given shares around centres of their own."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(shares)).repeat_interleave(torch.tensor([round(share * examples) for share in shares]))
    centres = torch.randn(len(shares), features, generator=generator)

    def split() -> tuple[Tensor, Tensor]:
        return centres[labels] + 0.3 * torch.randn(len(labels), features, generator=generator), labels

    return Data(split(), split(), split(), num_classes=len(shares))


def evaluate_plain(model: nn.Module, data: Data, name: str) -> dict[str, float]:
    """Loss and accuracy of a plain model."""
    metrics = evaluate(SingleModel(model, torch.optim.SGD(model.parameters()), SOFTMAX).predict, data, name, SOFTMAX)
    return {key: value for key, [value] in metrics.items()}


def layers(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


# The loop itself


@pytest.mark.parametrize(("batch_size", "shuffle"), [(32, True), (32, False), (100, True)])
def test_the_loop_is_its_naive_twin_bit_by_bit(batch_size: int, shuffle: bool) -> None:
    data, steps = blobs(), 11
    model = fill(FNN((6,), 3, [8], "elu"), NORMAL, NORMAL)
    twin = fill(FNN((6,), 3, [8], "elu"), NORMAL, NORMAL)
    [trained] = train([adam(model, steps)], data, batch_size=batch_size, shuffle=shuffle)

    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3, fused=True)
    order = stream("order", 0)
    inputs, labels = data.train
    taken, losses = 0, []
    while taken < steps:
        indices = list(range(100))
        if shuffle and batch_size < 100:
            indices = torch.randperm(100, generator=order).tolist()
        for start in range(0, 100, batch_size):
            if taken < steps:
                batch = indices[start : start + batch_size]
                loss = F.cross_entropy(twin(inputs[batch]), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                taken += 1
    assert trained.losses.tolist() == losses
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_a_summed_loss_has_the_gradient_of_the_batch_and_is_told_as_a_mean() -> None:
    """With a learning rate divided by the batch size it is the mean."""
    data = blobs(examples=96, shares=(0.5, 0.5))

    def train_with(lr: float, reduction: str) -> tuple[nn.Module, TrainingResult]:
        model = fill(FNN((6,), 2, [8], "elu"), NORMAL, NORMAL)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        member = Member(model, optimizer, stream("order", 0), stream("augment", 0), 20)
        [end] = train([member], data, batch_size=32, shuffle=True, reduction=reduction)
        return model, end

    (mean, mean_end), (summed, summed_end) = train_with(0.5, "mean"), train_with(0.5 / 32, "sum")
    for a, b in zip(mean.parameters(), summed.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert torch.allclose(mean_end.losses, summed_end.losses, rtol=1e-5)
    other, _ = train_with(0.5, "sum")  # under SGD the step grows with the batch
    assert not torch.allclose(other[1].weight, mean[1].weight, atol=1e-2)


def test_augmented_batches_change_training_and_not_evaluation() -> None:
    data = dataset.digits(stream("split", 0))

    def train_with(augment: Augment, seed: int) -> TrainingResult:
        model = fill(Logistic((1, 8, 8), 10), NORMAL, NORMAL)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        member = Member(model, optimizer, stream("order", 0), stream("augment", seed), 12)
        [end] = train([member], data, batch_size=128, shuffle=True, augment=augment)
        return end

    plain, changed = train_with(Augment(0, False), 0), train_with(Augment(2, True), 0)
    again, other = train_with(Augment(2, True), 0), train_with(Augment(2, True), 1)
    assert plain.metrics[0].values == changed.metrics[0].values
    assert torch.equal(changed.losses, again.losses)
    assert not torch.equal(changed.losses, other.losses)
    assert not torch.equal(changed.losses, plain.losses)


def test_every_step_is_told() -> None:
    steps: list[int] = []

    def observe(event: Event) -> None:
        if isinstance(event, Step):
            steps.append(event.step)

    train([adam(fill(Logistic((6,), 3), NORMAL, NORMAL), 7)], blobs(), batch_size=32, shuffle=True, observe=observe)
    assert steps == [*range(1, 8)]


def test_gradients_have_a_leading_member_axis_and_come_before_the_update() -> None:
    data = blobs()
    models = [fill(FNN((6,), 3, [8], "elu"), NORMAL, NORMAL, seed) for seed in (0, 1)]
    expected = []
    for model in models:
        F.cross_entropy(model(data.train[0]), data.train[1]).backward()
        expected.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
        model.zero_grad()
    events: list[Gradients] = []

    def observe(event: Event) -> None:
        if isinstance(event, Gradients):
            events.append(replace(event, layers={k: v.clone() for k, v in event.layers.items()}))

    train(
        [adam(model, 3 - seed) for seed, model in enumerate(models)],
        data,
        batch_size=100,
        shuffle=False,
        observe=observe,
    )
    assert [(event.step, event.members) for event in events] == [(1, [0, 1]), (2, [0, 1]), (3, [0])]
    assert list(events[0].layers) == ["hidden1", "output"]
    for member in (0, 1):
        for layer, gradient in events[0].layers.items():
            assert torch.allclose(gradient[member], expected[member][f"{layer}.weight"], atol=1e-7)


@pytest.mark.parametrize("count", [1, 2])
def test_weights_are_shown_before_and_after_each_observed_update(count: int) -> None:
    """They are the models' own, alone and in a stack, once where one update follows the other."""
    made = [fill(FNN((6,), 3, [8], "elu"), NORMAL, NORMAL, seed) for seed in range(count)]
    start = [[tensor.clone() for tensor in model.state_dict().values()] for model in made]
    order: list[tuple[str, int]] = []
    shown: list[list[Tensor]] = []

    def observe(event: Event) -> None:
        if isinstance(event, Gradients | Weights):
            order.append((type(event).__name__[0], event.step))
        if isinstance(event, Weights):
            assert event.members == list(range(count))
            shown.append([part.clone() for parts in event.layers.values() for part in parts if part is not None])

    members = [adam(model, 5) for model in made]
    train(members, blobs(), batch_size=25, shuffle=True, observe=observe, is_observed=lambda step: step in (1, 2, 5))
    assert order == [("W", 0), ("G", 1), ("W", 1), ("G", 2), ("W", 2), ("W", 4), ("G", 5), ("W", 5)]
    for index, model in enumerate(made):
        for first, last, before, after in zip(
            shown[0], shown[-1], start[index], model.state_dict().values(), strict=True
        ):
            assert torch.equal(first[index], before)
            assert torch.equal(last[index], after)
            assert not torch.equal(before, after)


def test_a_member_that_diverges_stops_and_the_others_go_on() -> None:
    data = blobs()

    def member(lr: float) -> Member:
        model = fill(FNN((6,), 3, [8], "relu"), NORMAL, NORMAL)
        return Member(model, torch.optim.SGD(model.parameters(), lr=lr), stream("order", 0), stream("augment", 0), 20)

    alone, (bad, good) = train([member(0.1)], data, batch_size=32, shuffle=True), (member(1e30), member(0.1))
    gone, fine = train([bad, good], data, batch_size=32, shuffle=True)
    assert gone.diverged_at is not None
    assert not gone.losses[gone.diverged_at - 1].isfinite()
    assert gone.losses[: gone.diverged_at - 1].isfinite().all()
    assert all(point.step < gone.diverged_at for point in gone.metrics)
    assert all(math.isfinite(value) for point in gone.metrics for value in point.values.values())
    assert fine.diverged_at is None
    assert torch.allclose(fine.losses, alone[0].losses, atol=1e-5)


def test_a_model_that_starts_infinite_diverges_at_step_0() -> None:
    model = fill(FNN((6,), 3, [8], "relu"), partial(nn.init.constant_, val=1e38), ZEROS)
    [end] = train([adam(model, 5)], blobs(), batch_size=32, shuffle=True)
    assert (end.diverged_at, end.metrics) == (0, [])


def test_evaluation_is_in_eval_mode_and_leaves_no_trace() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    data = blobs()
    buffers = [buffer.clone() for buffer in model.buffers()]
    first, again = evaluate_plain(model, data, "test"), evaluate_plain(model, data, "test")
    assert first == again
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    assert model.training


def test_evaluation_is_the_mean_over_the_split() -> None:
    data = blobs(examples=2500)  # more than one chunk, the last one smaller
    model = fill(Logistic((6,), 3), NORMAL, NORMAL)
    logits = model(data.val[0])
    metrics = evaluate_plain(model, data, "val")
    assert metrics["val/loss"] == pytest.approx(F.cross_entropy(logits, data.val[1]).item(), rel=1e-5)
    assert metrics["val/accuracy"] == pytest.approx((logits.argmax(1) == data.val[1]).float().mean().item())


def test_train_metrics_are_means_over_the_epoch() -> None:
    sizes = [32, 32, 32, 4]
    [end] = train([adam(fill(FNN((6,), 3, [8], "elu"), NORMAL, NORMAL), 10)], blobs(), batch_size=32, shuffle=True)
    assert [point.step for point in end.metrics] == [0, 4, 8, 10]
    assert "train/loss" not in end.metrics[0].values
    for point, (first, last) in zip(end.metrics[1:], [(0, 4), (4, 8), (8, 10)], strict=True):
        loss = sum(end.losses[step].item() * sizes[step % 4] for step in range(first, last))
        examples = sum(sizes[step % 4] for step in range(first, last))
        assert point.values["train/loss"] == pytest.approx(loss / examples, rel=1e-6)
        hits = end.score_sums[first:last].sum().item()
        assert point.values["train/accuracy"] == pytest.approx(hits / examples, rel=1e-6)


@pytest.mark.parametrize("per_epoch", [1, 28, 400])
@pytest.mark.parametrize("steps", [1, 2, 27, 28, 29, 49, 50, 224, 1234, 100_000])
def test_evaluation_steps(steps: int, per_epoch: int) -> None:
    points = sorted(evaluation_steps(steps, per_epoch))
    assert points[0] == 0
    assert points[-1] == steps
    assert len(points) <= 50
    if per_epoch > 1:
        assert all(point % per_epoch == 0 or point == steps for point in points)
        if math.ceil(steps / per_epoch) < 50:
            assert len(points) == 1 + math.ceil(steps / per_epoch)
    if per_epoch == 1 and steps >= 1000:
        late = [b / a for a, b in pairwise(points) if a > 100]
        assert max(late) / min(late) < 1.05  # the same ratio from one to the next


def test_two_archs_see_the_same_batches() -> None:
    batches: dict[str, list[Tensor]] = {"fnn": [], "logistic": []}
    for name, model in (("fnn", FNN((6,), 3, [4], "elu")), ("logistic", Logistic((6,), 3))):
        model.register_forward_pre_hook(
            lambda m, args, name=name: batches[name].append(args[0]) if m.training else None
        )
        train([adam(model, 9)], blobs(), batch_size=32, shuffle=True)
    assert len(batches["fnn"]) == 9
    assert all(torch.equal(a, b) for a, b in zip(batches["fnn"], batches["logistic"], strict=True))


# Oracles


def run_zero(activation: str) -> tuple[nn.Module, TrainingResult]:
    model = fill(FNN((6,), 3, [7, 5], activation), ZEROS, ZEROS)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    [end] = train(
        [Member(model, optimizer, stream("order", 0), stream("augment", 0), 400)],
        blobs(),
        batch_size=100,
        shuffle=False,
    )
    return model, end


@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
def test_all_zero_with_g0_zero_moves_the_output_bias_alone(activation: str) -> None:
    """Every weight stays exactly 0; the loss tends to the entropy of the class frequencies, accuracy to the largest."""
    model, end = run_zero(activation)
    *hidden, output = layers(model)
    assert all((layer.weight == 0).all() and (layer.bias == 0).all() for layer in hidden)
    assert (output.weight == 0).all()
    assert (output.bias != 0).all()
    last = end.metrics[-1].values
    assert last["test/accuracy"] == 0.7
    assert last["test/loss"] == pytest.approx(-sum(p * math.log(p) for p in (0.7, 0.2, 0.1)), abs=1e-5)


def test_all_zero_with_g0_not_zero_moves_weights() -> None:
    """The sigmoid's g(0) = 1/2 reaches the last layer's weights, which the oracle above therefore excludes."""
    model, _ = run_zero("sigmoid")
    assert (layers(model)[-1].weight != 0).any()


@pytest.mark.parametrize("activation", ["elu", "tanh", "sigmoid", "gelu", "selu", "leaky_relu"])
@pytest.mark.parametrize(
    ("depth", "optimizer", "lr"),
    [(depth, torch.optim.Adam, 0.001) for depth in (1, 2, 4, 6)]
    + [(depth, torch.optim.SGD, 1.0) for depth in (1, 2, 4)],
)
def test_layers_wake_from_the_output_one_a_step(activation: str, depth: int, optimizer: type, lr: float) -> None:
    """Zero weights, random biases: at step t exactly the last t weight layers have a non-zero gradient.

    Under SGD a layer's first gradient is a product of all later updates, each of which is one already: with six
    layers of sigmoids it underflows, and the layer comes late. Adam's updates are of the size of lr.
    """
    model = fill(FNN((6,), 3, [9] * (depth - 1), activation), ZEROS, NORMAL)
    awake = []

    def observe(event: Event) -> None:
        if isinstance(event, Gradients):
            awake.append([bool((gradient != 0).any()) for gradient in event.layers.values()])

    member = Member(model, optimizer(model.parameters(), lr=lr), stream("order", 0), stream("augment", 0), depth + 2)
    train([member], blobs(), batch_size=25, shuffle=True, observe=observe)
    assert awake == [[index >= depth - step for index in range(depth)] for step in range(1, depth + 3)]


def test_permuting_hidden_units_leaves_the_loss() -> None:
    data = blobs()
    model = fill(FNN((6,), 3, [20], "elu"), NORMAL, NORMAL)
    before = evaluate_plain(model, data, "test")["test/loss"]
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    hidden, output = layers(model)
    with torch.no_grad():
        hidden.weight.copy_(hidden.weight[order])
        hidden.bias.copy_(hidden.bias[order])
        output.weight.copy_(output.weight[:, order])
    assert evaluate_plain(model, data, "test")["test/loss"] == pytest.approx(before, rel=1e-6)


def test_logistic_regression_learns_from_all_zero() -> None:
    data = dataset.mnist5k(stream("split", 0))
    [end] = train([adam(fill(Logistic((1, 28, 28), 10), ZEROS, ZEROS), 28 * 4)], data, batch_size=128, shuffle=True)
    assert end.metrics[0].values["test/accuracy"] == 0.1
    assert end.metrics[-1].values["test/accuracy"] > 0.8


def distinct_neurons(model: nn.Module) -> list[int]:
    hidden = layers(model)[:-1]
    return [len(torch.cat([layer.weight, layer.bias[:, None]], 1).unique(dim=0)) for layer in hidden]


@pytest.mark.parametrize("weight", [partial(nn.init.constant_, val=0.01), partial(nn.init.ones_), ZEROS])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "elu"])
@pytest.mark.parametrize("widths", [[16], [32, 16]])
def test_a_constant_init_keeps_one_distinct_neuron_a_layer(weight: Rule, activation: str, widths: list[int]) -> None:
    """At widths that fill the kernels' vectors: elsewhere the last columns round in another order, and ties break."""
    model = fill(FNN((16,), 4, widths, activation), weight, ZEROS)
    train([adam(model, 300)], blobs((0.4, 0.3, 0.2, 0.1), features=16, examples=160), batch_size=32, shuffle=True)
    assert distinct_neurons(model) == [1] * len(widths)


@pytest.mark.parametrize(
    ("weight", "bias"),
    [(ZEROS, NORMAL), (partial(nn.init.normal_, std=0.01), ZEROS), (partial(nn.init.xavier_normal_), ZEROS)],
)
def test_random_biases_or_weights_break_the_symmetry(weight: Rule, bias: Rule) -> None:
    model = fill(FNN((6,), 3, [13, 7], "elu"), weight, bias)
    train([adam(model, 10)], blobs(), batch_size=32, shuffle=True)
    assert distinct_neurons(model) == [13, 7]


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_demonstration_of_2_inputs_and_3_neurons(activation: str) -> None:
    """All parameters zero: the three neurons are identical, step after step (sources, 002)."""
    model = fill(FNN((2,), 2, [3], activation), ZEROS, ZEROS)
    for _ in range(50):
        train([adam(model, 1)], dataset.xor(stream("split", 0)), batch_size=4, shuffle=False)
        assert distinct_neurons(model) == [1]
