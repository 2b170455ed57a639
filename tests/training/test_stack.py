"""A stack against its naive twin, the same members one by one; what it must not mix, break or lose."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from helpers.observers import make_observer
from helpers.trainings import SOFTMAX, train_members
from torch import Tensor, nn

from zeroinit import bias_scale, dataset
from zeroinit.arch import FNN, CifarCNN, Logistic, MnistCNN, resnet50
from zeroinit.config.init import Rule, Rules
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment
from zeroinit.init import default_, initialize
from zeroinit.loss import subtract_labels
from zeroinit.probes.measures import count_distinct, mean_cosine, pairs
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.training.cohort import Member
from zeroinit.training.events import Event, Gradients, Step, TrainingResult, Weights
from zeroinit.training.single import SingleModel
from zeroinit.training.stack import ModelStack
from zeroinit.training.stackable import unstackable_reason

DENSE, CONVOLUTION = 1e-6, 5e-5  # the largest difference of any weight after 50 steps
ZEROS, NORMAL, DEFAULT = partial(nn.init.zeros_), partial(nn.init.normal_), partial(default_)
ADAM = partial(torch.optim.Adam, fused=True)
Arch = Callable[[tuple[int, ...], int], nn.Module]


def fnn(*hidden: int, activation: str = "elu") -> Arch:
    return partial(FNN, hidden=list(hidden), activation=activation)


def sequential(*layers: Callable[[], nn.Module]) -> Arch:
    """Of layers that take 8x8 images of one channel."""
    return lambda input_shape, num_classes: nn.Sequential(*(layer() for layer in layers))


def every_layer(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Nested, with groups, without biases, with each pooling and both BatchNorms."""
    return nn.Sequential(
        nn.AvgPool2d(2, stride=1),
        nn.Conv2d(1, 4, 3, padding="same", bias=False),
        nn.BatchNorm2d(4),
        nn.Sequential(nn.LeakyReLU(), nn.Conv2d(4, 6, 3, stride=2, dilation=1, groups=2)),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6, 12, bias=False),
        nn.BatchNorm1d(12, affine=False),
        nn.SELU(),
        nn.Flatten(),
        nn.Linear(12, num_classes),
    )


def normal_first(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 10)
    )


def activation_first(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """The activation acts on the inputs, which it must not change; the convolution has two groups."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(2, 4, 3, groups=2), nn.GELU(), nn.Flatten(), nn.Linear(144, 10))


def members(
    arch: Arch,
    data: Data,
    seeds: Sequence[int],
    *,
    steps: int | Sequence[int] = 50,
    lr: float | Sequence[float] = 1e-3,
    optimizer: Callable[..., torch.optim.Optimizer] = ADAM,
    rules: tuple[Rule, Rule] = (DEFAULT, DEFAULT),
    same_batches: bool = False,
) -> list[Member]:
    """A member a seed."""
    made = []
    for index, seed in enumerate(seeds):
        model = arch(data.input_shape, data.num_classes)
        initialize(model, stream("init", seed), Rules(*rules), partial(bias_scale.constant, value=1.0))
        own_lr = lr if isinstance(lr, float) else lr[index]
        own_steps = steps if isinstance(steps, int) else steps[index]
        order = stream("order", 0 if same_batches else seed)
        bound = optimizer(model.parameters(), lr=own_lr)
        made.append(Member(model, bound, order, stream("augment", seed), own_steps))
    return made


train = partial(
    train_members,
    shuffle=True,
    augment=Augment(padding=0, flip=False),
    reduction="mean",
    tied=False,
    batch_size=32,
)


def state(member: Member) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in member.model.state_dict().items()}


def furthest(a: Member, b: Member) -> float:
    pairs = [(tensor, state(b)[name]) for name, tensor in state(a).items()]
    return max((tensor - other).abs().max().item() for tensor, other in pairs)


@pytest.fixture(scope="module")
def digits() -> Data:
    """A few of them, so that 50 steps are some epochs."""
    whole = dataset.digits(stream("split", 0))
    few = [(inputs[:150], labels[:150]) for inputs, labels in (whole.train, whole.val, whole.test)]
    return Data(*few, num_classes=10)


@pytest.fixture(scope="module")
def blobs() -> Data:
    """Three classes of unequal shares around centres of their own."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(torch.tensor([70, 20, 10]))
    centres = torch.randn(3, 6, generator=generator)
    splits = [(centres[labels] + 0.3 * torch.randn(100, 6, generator=generator), labels) for _ in range(3)]
    return Data(*splits, num_classes=3)


def with_second_channel(data: Data) -> Data:
    """With a second channel."""
    return Data(*((inputs.repeat(1, 2, 1, 1), labels) for inputs, labels in (data.train, data.val, data.test)), 10)


# Equality with the same run alone


@pytest.mark.parametrize("same_batches", [True, False])
@pytest.mark.parametrize(
    ("arch", "within"),
    [
        (Logistic, DENSE),
        (fnn(16), DENSE),
        (fnn(16, 9, activation="tanh"), DENSE),
        (fnn(16, activation="gelu"), DENSE),
        (fnn(16, activation="sigmoid"), DENSE),
        (fnn(100, activation="relu"), DENSE),
        (partial(MnistCNN, activation="elu"), CONVOLUTION),
        (partial(CifarCNN, activation="elu"), CONVOLUTION),
        (every_layer, CONVOLUTION),
        (normal_first, CONVOLUTION),
    ],
)
def test_a_member_ends_where_it_ends_alone(arch: Arch, within: float, same_batches: bool, digits: Data) -> None:
    optimizer = partial(torch.optim.SGD, momentum=0.9)  # Adam divides rounding of small gradients by its size
    make = partial(members, arch, digits, optimizer=optimizer, lr=0.01, same_batches=same_batches)
    steps = 50 if within == DENSE else 12 if "CifarCNN" in str(arch) else 50
    together, alone = make(range(3), steps=steps), make(range(3), steps=steps)
    ends = train(together, digits)
    for index, member in enumerate(alone):
        [end] = train([member], digits)
        assert furthest(member, together[index]) <= within
        assert torch.allclose(end.losses, ends[index].losses, atol=1e-4)
        assert [point.step for point in end.metrics] == [point.step for point in ends[index].metrics]
        for ours, theirs in zip(ends[index].metrics, end.metrics, strict=True):
            assert (ours.member, theirs.member) == (index, 0)
            assert ours.values == pytest.approx(theirs.values, abs=2e-3)


def test_grouped_convolutions_of_shared_inputs_which_stay_as_they_are(digits: Data) -> None:
    data = with_second_channel(digits)
    before = data.train[0].clone()
    make = partial(members, activation_first, data, optimizer=torch.optim.SGD, lr=0.01, same_batches=True)
    together, alone = make(range(2)), make(range(2))
    train(together, data)
    for member, twin in zip(together, alone, strict=True):
        train([twin], data)
        assert furthest(member, twin) <= CONVOLUTION
    assert torch.equal(data.train[0], before)


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD),
        partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True),
        partial(torch.optim.Adam, fused=True),
        partial(torch.optim.Adam, amsgrad=True, weight_decay=0.01),
        partial(torch.optim.AdamW, fused=True),
        partial(torch.optim.NAdam),
        partial(torch.optim.RAdam),
        partial(torch.optim.Adamax),
        partial(torch.optim.RMSprop, foreach=True),
    ],
)
def test_members_differ_in_optimizer_settings_and_length(
    optimizer: partial[torch.optim.Optimizer], blobs: Data
) -> None:
    """Some leave early, from the midst of a group of the same learning rate and of an epoch."""
    keys = {"lr": [1e-3, 1e-3, 1e-2, 1e-3, 1e-3], "steps": [50, 17, 33, 5, 50], "optimizer": optimizer}
    together, alone = (members(fnn(8), blobs, range(5), **keys) for _ in range(2))
    ends = train(together, blobs)
    for index, member in enumerate(alone):
        [end] = train([member], blobs)
        assert furthest(member, together[index]) <= 2 * DENSE
        assert len(ends[index].losses) == len(ends[index].score_sums) == keys["steps"][index]
        assert [point.step for point in end.metrics] == [point.step for point in ends[index].metrics]


def test_a_summed_loss_and_augmentation(digits: Data) -> None:
    make = partial(members, fnn(16), digits, optimizer=torch.optim.SGD, lr=1e-3)
    together, alone = make(range(3)), make(range(3))
    keys = {"augment": Augment(padding=2, flip=True), "reduction": "sum"}
    ends = train(together, digits, **keys)
    for index, member in enumerate(alone):
        [end] = train([member], digits, **keys)
        assert furthest(member, together[index]) <= DENSE
        assert torch.allclose(end.losses, ends[index].losses, atol=1e-5)


def test_the_slope_of_the_loss_is_that_of_autograd(blobs: Data) -> None:
    """The stack has the gradient of cross-entropy as a formula."""
    shown: list[dict[str, Tensor]] = []

    def observe(event: Event) -> None:
        if isinstance(event, Gradients) and event.step == 1:
            shown.append({name: gradient.clone() for name, gradient in event.layers.items()})

    one_step = members(fnn(8), blobs, range(2), steps=1)
    plain = [arch.model for arch in members(fnn(8), blobs, range(2), steps=1)]
    train(one_step, blobs, batch_size=100, observe=observe)
    for index, model in enumerate(plain):
        nn.functional.cross_entropy(model(blobs.train[0]), blobs.train[1]).backward()
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                gradient = shown[0][name.removesuffix(".weight")][index]
                assert torch.allclose(gradient, parameter.grad, rtol=1e-5, atol=1e-8)


def test_gradients_name_the_members_that_still_train(blobs: Data) -> None:
    members_at: dict[int, list[int]] = {}

    def observe(event: Event) -> None:
        if isinstance(event, Gradients):
            assert all(len(gradient) == len(event.members) for gradient in event.layers.values())
            members_at[event.step] = event.members

    optimizer = torch.optim.SGD
    lr, steps = [0.1, 1e30, 0.1], [9, 9, 5]
    train(members(fnn(8), blobs, range(3), lr=lr, steps=steps, optimizer=optimizer), blobs, observe=observe)
    assert members_at[1] == members_at[4] == [0, 1, 2]  # an epoch has four steps; what diverges is seen at its end
    assert members_at[5] == [0, 2]
    assert members_at[6] == members_at[9] == [0]


def test_probes_are_those_of_each_member_alone(blobs: Data) -> None:
    """Of a stack in which one ends early and one diverges, at sparse steps, against the weights of every step."""
    steps, lr = [13, 6, 13, 13], [0.1, 0.1, 1e30, 0.01]
    make = partial(members, fnn(8, 5), blobs, range(4), lr=lr, steps=steps, optimizer=torch.optim.SGD)
    weights: dict[int, dict[int, dict[str, tuple[Tensor, Tensor]]]] = {row: {} for row in range(4)}

    def remember(event: Event) -> None:
        if isinstance(event, Weights):
            for row, member in enumerate(event.members):
                layers = {name: (pair[0][row].clone(), pair[1][row].clone()) for name, pair in event.layers.items()}
                weights[member][event.step] = layers

    train(make(), blobs, observe=remember)
    records = [Record(str(row), {}, {}) for row in range(4)]
    probes = ["weight", "symmetry", "pairs", "first_gradient"]
    batch = blobs.train[0].unsqueeze(0), blobs.train[1].unsqueeze(0)
    observer = make_observer(records, 13, probes, ["hidden1", "hidden2"], batch, [])
    train(make(), blobs, observe=observer, is_observed=lambda step: step in (1, 2, 6, 9))
    for row, record in enumerate(records):
        last = {0: 9, 1: 6, 2: 2, 3: 9}[row]  # what diverges is seen at the end of its epoch of 4
        taken = [step for step in (0, 1, 2, 6, 9) if step <= last]
        assert list(record.history("first_gradient/hidden1").values()) == [1]
        for layer in ("hidden1", "hidden2", "output"):
            norms, updates, angles = (record.history(f"weight/{layer}/{part}") for part in ("norm", "update", "angle"))
            finite = taken if row != 2 else [0]
            assert [step for step in norms if step in finite] == finite
            start = weights[row][0][layer][0]
            for step in finite:
                now, bias = weights[row][step][layer]
                assert norms[step] == pytest.approx(now.norm().item(), rel=1e-6)
                if step:
                    before = weights[row][step - 1][layer][0]
                    assert updates[step] == pytest.approx(((now - before).norm() / before.norm()).item(), rel=1e-5)
                    cosine = nn.functional.cosine_similarity(now.double().flatten(), start.double().flatten(), dim=0)
                    assert angles[step] == pytest.approx(math.degrees(math.acos(min(cosine.item(), 1))), abs=1e-3)
                if layer != "output":
                    neurons = torch.cat([now, bias.unsqueeze(1)], dim=1).unsqueeze(0)
                    clusters, rank = pairs(neurons)
                    expected = {"distinct": count_distinct(neurons), "cosine": mean_cosine(neurons), "rank": rank}
                    for part, value in (expected | {"clusters": clusters}).items():
                        course = record.history(f"symmetry/{layer}/{part}")
                        if part in ("distinct", "cosine") or step in (0, 2, 9):  # the others at every other look
                            assert course[step] == pytest.approx(value.item(), rel=1e-6)
                        else:
                            assert step not in course


@pytest.mark.parametrize("arch", [fnn(8, 5, activation="relu"), every_layer], ids=["dense", "convolutions"])
def test_activations_losses_and_float64_are_those_of_each_member_alone(arch: Arch, digits: Data) -> None:
    some = members(arch, digits, range(3))
    stack = ModelStack([(member.model, member.optimizer) for member in some], SOFTMAX)
    each = [SingleModel(member.model, member.optimizer, SOFTMAX) for member in some]
    inputs, labels = digits.train[0][:37].unsqueeze(0), digits.train[1][:37].unsqueeze(0)

    together = stack.activations(inputs)
    for member, alone in enumerate(each):
        assert list(alone.activations(inputs)) == list(together)
        for layer, (values, activation) in alone.activations(inputs).items():
            assert type(activation) is type(together[layer][1])
            assert torch.allclose(values[0], together[layer][0][member], atol=1e-5)

    losses = stack.losses(stack.tensors(), inputs, labels)
    apart = [alone.losses(alone.tensors(), inputs, labels) for alone in each]
    assert losses.tolist() == pytest.approx([loss.item() for loss in apart], rel=1e-5)

    before = {name: buffer.clone() for name, buffer in stack.buffers.items()}
    batch = inputs, labels, "mean"
    exact = stack.gradients_in(batch, torch.float64, {})
    stack.gradients_in(batch, torch.float32, {})  # in which all is already
    assert all(torch.equal(buffer, before[name]) for name, buffer in stack.buffers.items())
    assert all(parameter.grad is None for parameter in stack.parameters.values())
    for member, alone in enumerate(each):
        again = alone.gradients_in(batch, torch.float64, {})
        assert list(again) == list(exact) == list(stack.parameters)
        for parameter, gradient in again.items():
            assert gradient.dtype == torch.float64
            assert torch.allclose(gradient[0], exact[parameter][member], atol=1e-14)
        alone.backward(inputs, labels, "mean")
        for parameter, gradient in alone.gradients().items():
            assert torch.allclose(gradient[0].double(), exact[parameter][member], atol=1e-6)


def test_activations_are_those_that_the_layers_are_given(digits: Data) -> None:
    """By hand, of a net in which one acts in place; a convolution's units are its channels."""
    convolution, dense = nn.Conv2d(1, 3, 3), nn.Linear(3 * 36, 10)
    model = nn.Sequential(convolution, nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Flatten(), dense)
    inputs = digits.train[0][:5]
    net = SingleModel(model, torch.optim.SGD(model.parameters(), lr=0.1), SOFTMAX)
    activations = net.activations(inputs.unsqueeze(0))
    assert list(activations) == ["0"]
    assert torch.equal(activations["0"][0][0], convolution(inputs).transpose(0, 1).flatten(1))
    assert model.training


# Isolation


@pytest.mark.parametrize("arch", [fnn(8), fnn(500), every_layer], ids=["small", "large", "convolutions"])
@pytest.mark.parametrize("same_batches", [True, False])
def test_a_member_that_diverges_leaves_the_others_their_bits(arch: Arch, same_batches: bool, digits: Data) -> None:
    """Against the same plan in which it does not diverge."""

    def train_with_rate(lr: float) -> tuple[list[Member], list[TrainingResult]]:
        rates = [0.01, lr, 0.02, 0.01]
        make = partial(members, arch, digits, range(4), optimizer=torch.optim.SGD, same_batches=same_batches)
        all_of_them = make(lr=rates, steps=[20, 20, 20, 11])
        return all_of_them, train(all_of_them, digits)

    (fine, fine_ends), (mixed, mixed_ends) = train_with_rate(0.01), train_with_rate(1e38)
    assert fine_ends[1].diverged_at is None
    assert mixed_ends[1].diverged_at is not None
    assert not mixed_ends[1].losses[mixed_ends[1].diverged_at - 1].isfinite()
    assert all(point.step < mixed_ends[1].diverged_at for point in mixed_ends[1].metrics)
    assert all(math.isfinite(value) for point in mixed_ends[1].metrics for value in point.values.values())
    for index in (0, 2, 3):
        assert all(torch.equal(tensor, state(mixed[index])[name]) for name, tensor in state(fine[index]).items())
        assert torch.equal(fine_ends[index].losses, mixed_ends[index].losses)
        assert fine_ends[index].metrics == mixed_ends[index].metrics


@pytest.mark.parametrize("hidden", [(2,), (16,), (100, 30)])
def test_bits_do_not_depend_on_how_many_train_together(hidden: tuple[int, ...], digits: Data) -> None:
    """So the number of workers, and who leaves when, changes no number; nor does it if a stack's last is left alone."""
    make = partial(members, fnn(*hidden), digits, steps=20)
    ends = {size: make(range(size)) for size in (1, 2, 7, 64)}
    metrics = {size: train(all_of_them, digits, stacked=True) for size, all_of_them in ends.items()}
    assert all(torch.equal(tensor, state(ends[2][0])[name]) for name, tensor in state(ends[1][0]).items())
    assert metrics[1][0].metrics == metrics[2][0].metrics
    for size in (7, 64):
        for index in (0, 1):
            same = state(ends[size][index])
            assert all(torch.equal(tensor, same[name]) for name, tensor in state(ends[2][index]).items())
            assert metrics[size][index].metrics == metrics[2][index].metrics


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_a_hopeless_member_ends_as_one_of_fewer_steps_and_leaves_the_others(seeds: list[int], digits: Data) -> None:
    make = partial(members, fnn(8), digits, seeds)
    calls: list[tuple[int, int]] = []
    stopped = make(steps=30)

    def hopeless(step: int, member: int) -> bool:
        calls.append((step, member))
        assert any(parameter.any() for parameter in stopped[member].model.parameters())
        return member == 0 and step == 10

    ended = train(stopped, digits, early_stop_steps=(5, 10), should_stop=hopeless)
    assert calls == [(step, seed) for step in (5, 10) for seed in seeds]
    expected = make(steps=[10 if seed == 0 else 30 for seed in seeds])
    alike = train(expected, digits)
    for stopped_member, expected_member in zip(stopped, expected, strict=True):
        assert furthest(stopped_member, expected_member) == 0
    for row, (stopped_member, expected_member) in enumerate(zip(ended, alike, strict=True)):
        assert stopped_member.losses.equal(expected_member.losses)
        assert stopped_member.metrics[-1] == expected_member.metrics[-1]
        assert len(stopped_member.losses) == (10 if row == 0 else 30)


def test_when_all_have_diverged_it_ends(blobs: Data) -> None:
    steps: list[int] = []

    def observe(event: Event) -> None:
        if isinstance(event, Step):
            steps.append(event.step)

    ends = train(members(fnn(8), blobs, range(2), lr=1e38, optimizer=torch.optim.SGD), blobs, observe=observe)
    assert all(end.diverged_at is not None for end in ends)
    assert max(steps) < 10


# Ties and oracles


def is_tied(weight: Tensor) -> bool:
    """Whether all neurons, (fan_out, fan_in), are the same to the bit."""
    return bool((weight == weight[0]).all())


@pytest.mark.parametrize("size", [2, 7, 64])
@pytest.mark.parametrize("width", [2, 3, 5, 9, 10, 16, 17, 48, 100])
def test_a_stack_breaks_no_tie_that_the_run_alone_keeps(width: int, size: int, digits: Data) -> None:
    """Of the neurons of a constant init, with members that differ between those that are tied.

    The run alone breaks many, by rounding; at which widths is the processor's own matter.
    """
    constant = (partial(nn.init.constant_, val=0.01), ZEROS)
    make = partial(members, fnn(width), digits, steps=40)
    [alone] = make([1], rules=constant)
    train([alone], digits)
    random = make(range(1, size + 1))
    mixed = [make([index], rules=constant)[0] if index % 2 else member for index, member in enumerate(random)]
    train(mixed, digits)
    weights = [member.model.hidden1.weight for index, member in enumerate(mixed) if index % 2]
    if is_tied(alone.model.hidden1.weight):
        assert all(is_tied(weight) for weight in weights)
        assert all(is_tied(member.model.output.weight.t()) for index, member in enumerate(mixed) if index % 2)
    else:
        assert width > 3  # what fits any vector keeps its ties on every processor
    assert (weights[0] != 0.01).any()
    assert not is_tied(mixed[0].model.hidden1.weight)


@pytest.mark.parametrize("size", [2, 7, 64])
@pytest.mark.parametrize("activation", ["tanh", "relu", "elu"])
def test_all_zero_moves_the_output_bias_alone(activation: str, size: int, blobs: Data) -> None:
    """Every weight stays exactly 0; the loss tends to the entropy of the class frequencies, accuracy to the largest."""
    arch = fnn(7, 5, activation=activation)
    make = partial(members, arch, blobs, steps=300, lr=1.0, optimizer=torch.optim.SGD)
    zero, others = make([0] * (size - 1), rules=(ZEROS, ZEROS)), make([1])
    ends = train([*zero, *others], blobs, batch_size=100)
    for member, end in zip(zero, ends[:-1], strict=True):
        *hidden, output = [layer for layer in member.model if isinstance(layer, nn.Linear)]
        assert all((layer.weight == 0).all() and (layer.bias == 0).all() for layer in hidden)
        assert (output.weight == 0).all()
        assert (output.bias != 0).all()
        assert end.metrics[-1].values["test/accuracy"] == 0.7
        entropy = -sum(share * math.log(share) for share in (0.7, 0.2, 0.1))
        assert end.metrics[-1].values["test/loss"] == pytest.approx(entropy, abs=1e-5)
    assert (others[0].model.hidden1.weight != 0).any()


@pytest.mark.parametrize("size", [2, 7, 64])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_layers_wake_from_the_output_one_a_step(depth: int, size: int, blobs: Data) -> None:
    """Zero weights, random biases: at step t exactly the last t weight layers of every member have a gradient."""
    awake: list[list[list[bool]]] = []

    def observe(event: Event) -> None:
        if isinstance(event, Gradients):
            awake.append([gradient.flatten(1).ne(0).any(1).tolist() for gradient in event.layers.values()])

    arch = fnn(*[9] * (depth - 1))
    train(members(arch, blobs, range(size), steps=depth + 2, rules=(ZEROS, NORMAL)), blobs, observe=observe)
    assert awake == [[[index >= depth - step] * size for index in range(depth)] for step in range(1, depth + 3)]


# What can be stacked


class Residual(nn.Sequential):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + super().forward(inputs)


class Hooked(nn.Linear):
    pass


def with_hook() -> nn.Module:
    layer = nn.Linear(64, 10)
    layer.register_forward_hook(lambda *arguments: None)
    return layer


def without_gradients() -> nn.Module:
    return nn.Linear(64, 10).requires_grad_(False)


@pytest.mark.parametrize(
    ("arch", "why"),
    [
        (fnn(8), None),
        (every_layer, None),
        (partial(CifarCNN, activation="selu"), None),
        (partial(resnet50, activation="elu"), "ResNet has a forward of its own"),
        (sequential(nn.Flatten, partial(nn.Linear, 64, 10), nn.Dropout), "2 is a Dropout that cannot be stacked there"),
        (sequential(nn.Flatten, partial(Hooked, 64, 10)), "1 is a Hooked that cannot be stacked there"),
        (sequential(nn.Flatten, with_hook), "Sequential has hooks"),
        (sequential(partial(nn.Linear, 8, 10)), "0 is a Linear that cannot be stacked there"),
        (sequential(nn.Flatten, partial(nn.LayerNorm, 64)), "1 is a LayerNorm that"),
        (sequential(partial(nn.Flatten, 2), partial(nn.Linear, 8, 8)), "0 is a Flatten that"),
        (sequential(partial(nn.Conv2d, 1, 1, 3, padding=1, padding_mode="circular")), "0 is a Conv2d that"),
        (sequential(partial(nn.BatchNorm2d, 1, momentum=None)), "0 is a BatchNorm2d that"),
        (sequential(partial(nn.BatchNorm2d, 1, track_running_stats=False)), "0 is a BatchNorm2d that"),
        (sequential(nn.Flatten, without_gradients), "Sequential has parameters that are shared or frozen"),
        (lambda *shape: Residual(nn.Linear(64, 64)), "Residual has a forward of its own"),
        (sequential(lambda: Residual(nn.Conv2d(1, 1, 3, padding=1))), "0 is a Residual that"),
    ],
)
def test_what_cannot_be_stacked_says_so(arch: Arch, why: str | None) -> None:
    model = arch((1, 8, 8), 10)
    reason = unstackable_reason(model, torch.optim.SGD(model.parameters()), (1, 8, 8))
    assert reason == why or (why and reason and reason.startswith(why))


def test_one_layer_twice_cannot_be_stacked() -> None:
    layer = nn.Linear(6, 6)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert "shared or frozen" in str(unstackable_reason(model, torch.optim.SGD(model.parameters()), (6,)))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda model: torch.optim.LBFGS(model.parameters()),
        lambda model: torch.optim.Adafactor(model.parameters()),
        lambda model: torch.optim.SGD(list(model.parameters())[:1]),
    ],
)
def test_optimizers_that_look_beyond_an_entry_cannot(optimizer: Callable[[nn.Module], torch.optim.Optimizer]) -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    assert "not an optimizer of all parameters" in str(unstackable_reason(model, optimizer(model), (6,)))


@pytest.mark.parametrize("padding", [0, 24])
def test_labels_are_subtracted_as_by_a_scatter(padding: int) -> None:
    """What CUDA computes in place of a scatter; examples may be followed by columns that fill up a kernel's width."""
    drawn = torch.Generator().manual_seed(0)
    shares = torch.rand(3, 10, 8 + padding, generator=drawn)
    truth = torch.randint(10, (3, 1, 8), generator=drawn)
    scattered = shares.clone().scatter_add_(1, truth, torch.full((3, 1, 8), -1.0))
    subtract_labels(shares, truth)
    assert shares.equal(scattered)
