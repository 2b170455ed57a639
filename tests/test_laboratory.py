"""The laboratory: each of its questions has a theorem, asserted exactly, and each of its sweeps still runs."""

import copy
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torch.func import functional_call

from zeroinit import CONF, SWEEPS, build, dataset, init
from zeroinit.arch import FNN
from zeroinit.config import Job
from zeroinit.config.init import Rules
from zeroinit.dataset import Data
from zeroinit.probes import measures
from zeroinit.probes.lanczos import hessian_ends
from zeroinit.rng import stream

JobOf = Callable[..., Job]
State = dict[str, Tensor]
Course = Callable[[Job], list[State]]
LABORATORY = sorted(path.stem for path in SWEEPS.glob("lab_*.yaml"))
WITHOUT_OFFSET = ["tanh", "relu", "elu"]  # g(0) = 0


def copies(neurons: Tensor) -> bool:
    return torch.equal(neurons, neurons[:1].expand_as(neurons))


def all_zero(state: State, but: str = "") -> bool:
    return all(torch.equal(part, torch.zeros_like(part)) for name, part in state.items() if name != but)


# Two inputs, three neurons


@pytest.mark.parametrize("activation", [*WITHOUT_OFFSET, "sigmoid"])
def test_three_neurons_from_zero_are_one_neuron_after_every_step(
    activation: str, job_of: JobOf, course: Course
) -> None:
    three = ["dataset=planar", "dataset.batch_size=32", "arch.hidden=[3]", "init=zero", "steps=50", "arithmetic=tied"]
    states = course(job_of(*three, f"arch.activation={activation}"))
    assert len(states) == 51
    for state in states:
        assert copies(state["hidden1.weight"])
        assert copies(state["hidden1.bias"])
        assert copies(state["output.weight"].T)
    assert all_zero(states[-1], but="output.bias") == (activation != "sigmoid")


@pytest.mark.parametrize(
    ("option", "std"), [("lecun_normal", 0.5**0.5), ("kaiming_normal", 1.0), ("small_normal", 0.01)]
)
def test_each_random_init_of_the_demonstration_is_its_rule_and_breaks_it(
    option: str, std: float, job_of: JobOf, course: Course
) -> None:
    """sqrt(1/n), sqrt(2/n) and 0.01 times N(0, 1), of n = 2 inputs."""
    states = course(job_of("dataset=planar", "arch.hidden=[3]", f"init={option}", "steps=20"))
    drawn = torch.randn(3, 2, generator=stream("init", 0))
    torch.testing.assert_close(states[0]["hidden1.weight"], drawn * std)
    assert all(len(state["hidden1.weight"].unique(dim=0)) == 3 for state in states)


# Exclusive or: two outputs with a softmax are one with a sigmoid


def test_two_outputs_with_a_softmax_learn_as_one_with_a_sigmoid_and_twice_its_rate() -> None:
    points, labels = dataset.xor(stream("split", 0)).train
    two = FNN((2,), 2, [2], "tanh").double()
    init.initialize(
        two, stream("init", 0), Rules(partial(nn.init.normal_), partial(nn.init.normal_)), lambda fan_in: 1.0
    )
    single = copy.deepcopy(two)
    single.output = nn.Linear(2, 1).double()
    with torch.no_grad():
        for mine, both in zip(single.output.parameters(), two.output.parameters(), strict=True):
            mine.copy_(both[1:] - both[:1])
    hidden, output = list(single.hidden1.parameters()), list(single.output.parameters())
    learners = [
        torch.optim.SGD(two.parameters(), lr=0.5),
        torch.optim.SGD([{"params": hidden}, {"params": output, "lr": 1.0}], lr=0.5),
    ]
    for _ in range(100):
        logits, logit = two(points.double()), single(points.double())[:, 0]
        torch.testing.assert_close(logits.diff(dim=1)[:, 0], logit)
        losses = [F.cross_entropy(logits, labels), F.binary_cross_entropy_with_logits(logit, labels.double())]
        for loss, learner in zip(losses, learners, strict=True):
            learner.zero_grad()
            loss.backward()
            learner.step()


# From all zeros


@pytest.mark.parametrize("data", ["xor", "planar", "digits"])
@pytest.mark.parametrize("activation", WITHOUT_OFFSET)
def test_where_g_of_0_is_0_nothing_but_the_output_bias_ever_moves(
    activation: str, data: str, job_of: JobOf, course: Course
) -> None:
    words = [f"dataset={data}", "arch.hidden=[5,3]", f"arch.activation={activation}"]
    states = course(job_of(*words, "init=zero", "steps=10"))
    assert all(all_zero(state, but="output.bias") for state in states)
    if data != "planar":  # whose classes have one size too, but no exact mean of 400 points in float32
        assert states[-1]["output.bias"].any() == (data == "digits")


def test_with_a_sigmoid_all_weights_move_together(job_of: JobOf, course: Course) -> None:
    words = ["dataset=digits", "arch.hidden=[16]", "arch.activation=sigmoid", "init=zero", "arithmetic=tied"]
    states = course(job_of(*words, "steps=30"))
    assert [bool(state["output.weight"].any()) for state in states[:3]] == [False, True, True]
    assert [bool(state["hidden1.weight"].any()) for state in states[:3]] == [False, False, True]
    assert all(copies(state["hidden1.weight"]) and copies(state["output.weight"].T) for state in states)


def test_with_a_sigmoid_and_classes_of_equal_size_nothing_moves_at_all(job_of: JobOf, course: Course) -> None:
    """Full batch: each class pulls the equal outputs of the hidden layer as hard as the other."""
    words = ["dataset=xor", "arch.hidden=[2]", "arch.activation=sigmoid", "init=zero", "optimizer=sgd"]
    assert all(all_zero(state) for state in course(job_of(*words, "steps=30")))


# Constants


@pytest.mark.parametrize("option", ["constant", "layer_constant", "ones"])
@pytest.mark.parametrize("hidden", ["[77]", "[12,20]"])
def test_a_constant_a_layer_is_one_neuron_a_layer_where_arithmetic_is_exact(
    hidden: str, option: str, job_of: JobOf, course: Course
) -> None:
    job = job_of("dataset=digits", f"arch.hidden={hidden}", f"init={option}", "arithmetic=tied", "steps=20")
    for state in course(job):
        assert all(copies(part) for name, part in state.items() if name.startswith("hidden"))


def test_one_row_for_all_neurons_parts_those_of_every_hidden_layer_but_the_last(job_of: JobOf, course: Course) -> None:
    """Neuron j gets its error times v_j. The errors of a softmax add up to zero, so the layer before it is spared.

    In float64, differences by rounding are 1e-9 of those by theory, or less.
    """
    words = ["dataset=digits", "arch.hidden=[12,9,7]", "init=row_constant", "optimizer=sgd", "steps=60"]
    words += ["dtype=float64"]
    apart = {
        layer: [(state[layer] - state[layer][0]).abs().max().item() for state in course(job_of(*words))]
        for layer in ("hidden1.weight", "hidden2.weight", "hidden3.weight")
    }
    assert all(of_all[0] == 0 for of_all in apart.values())
    assert max(apart["hidden3.weight"]) < 1e-9 * min(apart["hidden1.weight"][-1], apart["hidden2.weight"][-1])


def test_in_front_of_a_single_output_one_row_for_all_parts_the_neurons_in_the_first_step() -> None:
    """There is one error, and no sum that could be zero."""
    points, labels = dataset.digits(stream("split", 0)).train
    net = FNN((1, 8, 8), 1, [5], "tanh")
    init.initialize(
        net, stream("init", 0), Rules(partial(init.row_constant_), partial(nn.init.zeros_)), lambda fan_in: 1.0
    )
    F.binary_cross_entropy_with_logits(net(points)[:, 0], labels.eq(0).float()).backward()
    assert copies(net.hidden1.weight.detach())
    assert len(net.hidden1.weight.grad.unique(dim=0)) == 5


# Logistic regression


def test_two_starts_of_logistic_regression_only_ever_come_nearer(job_of: JobOf, course: Course) -> None:
    """A step down a convex loss, of a rate below 2 over its curvature, brings no two points apart."""
    words = ["dataset=digits", "arch=logistic", "optimizer=sgd", "optimizer.lr=0.05", "steps=60", "dtype=float64"]
    courses = [course(job_of(*words, f"init={option}")) for option in ("zero", "lecun_normal")]
    apart = [
        math.sqrt(sum((first[name] - second[name]).square().sum().item() for name in first))
        for first, second in zip(*courses, strict=True)
    ]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(apart))
    assert apart[-1] < 0.99 * apart[0]
    assert courses[0][1]["output.weight"].any()


# Random biases


@pytest.mark.parametrize("option", ["zero_normal", "zero_uniform"])
def test_random_biases_part_the_neurons_at_once_and_their_weights_with_the_wave(
    option: str, job_of: JobOf, course: Course
) -> None:
    words = ["dataset=digits", "arch.hidden=[9,8,7]", f"init={option}", "optimizer=sgd"]  # of Adam's first step, signs
    states = course(job_of(*words, "steps=6"))
    for depth, width in ((1, 9), (2, 8), (3, 7)):
        rows = [len(state[f"hidden{depth}.weight"].unique(dim=0)) for state in states]
        first = 5 - depth  # the step of the layer's first gradient: 1 is the output's
        assert rows == [1] * first + [width] * (7 - first)
        assert all(len(state[f"hidden{depth}.bias"].unique()) == width for state in states)


# The saddle at zero, and the reader's map


def pull(data: Data) -> float:
    """The norm of the mean of (label - 1/2) x."""
    points, labels = data.train
    return ((labels.double() - 0.5)[:, None] * points.double()).mean(0).norm().item()


@pytest.mark.parametrize(
    ("data", "hidden", "activation", "strict"),
    [
        ("planar", [4], "tanh", True),
        ("planar", [4], "elu", True),
        ("planar", [4], "relu", False),  # whose slope at 0 torch calls 0
        ("planar", [4, 4], "tanh", False),  # there the loss is of third order in weights
        ("xor", [2], "tanh", False),  # whose classes have one mean
    ],
)
def test_the_saddle_at_zero_is_as_steep_as_the_means_of_the_classes_are_apart(
    data: str, hidden: list[int], activation: str, strict: bool
) -> None:
    """Along the weights, the smallest eigenvalue of the Hessian is -sqrt(2) |mean of (label - 1/2) x|, or 0."""
    splits = getattr(dataset, data)(stream("split", 0))
    points, labels = splits.train
    model = FNN((2,), 2, hidden, activation).double()
    parameters = {name: torch.zeros_like(tensor).unsqueeze(0) for name, tensor in model.named_parameters()}

    def losses(weights: Mapping[str, Tensor]) -> Tensor:
        logits = functional_call(model, {name: tensor[0] for name, tensor in weights.items()}, points.double())
        return F.cross_entropy(logits, labels).unsqueeze(0)

    ends = hessian_ends(losses, parameters, [name for name in parameters if name.endswith("weight")])
    assert ends.gradient.item() == pytest.approx(0, abs=1e-15)
    assert ends.smallest.item() == pytest.approx(-math.sqrt(2) * pull(splits) if strict else 0, abs=1e-9)


@pytest.mark.parametrize("scale", [0.001, 0.01])
def test_from_small_biases_weights_grow_at_the_rate_of_the_linearised_net(
    scale: float, job_of: JobOf, course: Course
) -> None:
    """By 1 + lr sqrt(2) |mean of (label - 1/2) x| a step, whatever the biases, which only say from where."""
    lr = 0.1
    words = ["dataset=planar", "arch.hidden=[4]", "arch.activation=tanh", "init=zero_normal", "optimizer=sgd"]
    job = job_of(*words, f"bias_scale.value={scale}", f"optimizer.lr={lr}", "steps=130", "dtype=float64")
    norms = [state["hidden1.weight"].norm().item() for state in course(job)]
    rate = lr * math.sqrt(2) * pull(build.load(job.config, torch.device("cpu")))
    assert (norms[120] / norms[80]) ** (1 / 40) - 1 == pytest.approx(rate, rel=0.02)
    assert norms[80] < 0.05  # the biases' square, times that


def test_behind_a_saturated_tanh_hidden_weights_stay_exactly_zero(job_of: JobOf, course: Course) -> None:
    biases = ["init.bias._target_=torch.nn.init.uniform_", "+init.bias.a=10", "+init.bias.b=100"]
    words = ["dataset=planar", "arch.hidden=[4]", "arch.activation=tanh", "init=zero", "steps=100", "optimizer=sgd"]
    for state in course(job_of(*words, *biases)):
        assert torch.equal(state["hidden1.weight"], torch.zeros(4, 2))


# Large biases


@pytest.mark.parametrize("scale", [1, 10, 100])
def test_the_units_that_an_elu_saturates_are_those_with_a_bias_below_log_of_a_hundredth(
    scale: int, job_of: JobOf
) -> None:
    job = job_of("dataset=digits", "arch.hidden=[500]", "init=zero_normal", f"bias_scale.value={scale}")
    model, _, _ = build.build(job.config, build.load(job.config, torch.device("cpu")))
    biases = model.hidden1.bias.detach()
    slopes = measures.slopes(nn.ELU(), biases[None, :, None].expand(1, -1, 3))
    share = (biases < math.log(measures.SATURATION_RTOL)).double().mean()
    assert measures.saturated_share(slopes, measures.steepest_slope(nn.ELU())).item() == share
    expected = 0.5 * math.erfc(-math.log(measures.SATURATION_RTOL) / scale / math.sqrt(2))
    assert share.item() == pytest.approx(expected, abs=3 * math.sqrt(0.25 / 500))


# The sweeps


def test_there_is_a_sweep_to_each_question_and_a_section_to_each_sweep() -> None:
    page = (SWEEPS.parent / "docs" / "laboratory.md").read_text()
    commands = re.findall(r"zeroinit -cn (\w+)", page)
    assert LABORATORY
    assert set(commands) == set(LABORATORY)


def axes_of(name: str) -> dict[str, list[str]]:
    """{key: values} of a sweep's axes; of range(n), the numbers."""
    axes: dict[str, Any] = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text())["hydra"]["sweeper"]["params"]
    values_of = {}
    for key, axis in axes.items():
        upto = re.fullmatch(r"range\((\d+)\)", str(axis))
        values_of[key] = list(map(str, range(int(upto[1])))) if upto else re.findall(r"\[[^]]*\]|[^,]+", str(axis))
    return values_of


@pytest.mark.parametrize("name", LABORATORY)
def test_each_opens_with_its_question_and_what_it_takes(name: str) -> None:
    first, second, *_ = (SWEEPS / f"{name}.yaml").read_text().splitlines()
    assert re.fullmatch(r"# [A-Z].*\?", first)
    assert re.fullmatch(
        rf"# {math.prod(map(len, axes_of(name).values()))} runs .*; \d+ (s|min) of a busy core\.", second
    )


@pytest.mark.parametrize("name", LABORATORY)
def test_each_builds_at_the_ends_of_its_axes_and_names_options_that_there_are(name: str, job_of: JobOf) -> None:
    """The other ends are run below."""
    axes = axes_of(name)
    build.check([job_of(*(f"{key}={values[-1]}" for key, values in axes.items()), "hydra.mode=RUN", config_name=name)])
    for key, values in axes.items():
        options = {path.stem for path in (CONF / key).glob("*.yaml")}
        assert set(values) <= options or not options


@pytest.mark.parametrize("name", LABORATORY)
def test_each_runs(name: str, zeroinit: Callable[..., Any]) -> None:
    """Two steps of the first two inits, say: the command ends well, and its table has a line for each."""
    axes = axes_of(name)
    swept = next(key for key in ("init", "bias_scale.value", "optimizer", "arch.activation") if key in axes)
    fewer = [f"{key}={','.join(values[: 1 + (key == swept)])}" for key, values in axes.items()]
    one_process = ["hydra/launcher=zeroinit", "hydra.launcher.workers=1"]
    fewer += [] if re.search(r"dataset: \w", (SWEEPS / f"{name}.yaml").read_text()) else ["dataset=digits"]
    ended = zeroinit("-cn", name, *fewer, "steps=2", "tracker=off", "save=false", *one_process)
    assert ended.code == 0, ended.err
    for value in axes[swept][:2]:
        assert re.search(rf"^.*\b{re.escape(value)}\b.* 1 +\d+\.\d%", ended.out, re.M), ended.out
