"""Every word is said of a run that earned it, with its reason; what looks hopeless is ended, and nothing else is."""

import math
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import pytest
import torch
from helpers.trainings import SOFTMAX
from torch import nn

from zeroinit import build, dataset
from zeroinit.arch import FNN, Logistic
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.data import evenly_spaced
from zeroinit.probes.inspection import EXAMPLES, Inspection, examples_for, inspect_model
from zeroinit.probes.outcome import Baselines, find_baselines, is_hopeless
from zeroinit.probes.wavefront import is_chain, predict_first_gradients
from zeroinit.rng import stream
from zeroinit.sweep import runner, session
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off
from zeroinit.tracker.scores import ACCURACY

JobOf = Callable[..., Job]
inspect = partial(inspect_model, loss=SOFTMAX, mean_deviation=float)
BIAS = ["init.bias._target_=torch.nn.init.constant_", "+init.bias.val=-100"]
BECAME = {
    ("init=default",): ("learned", "validation accuracy 9"),
    ("init=zero_normal", "steps=600"): ("learned", "validation accuracy 9"),
    ("arch=logistic", "init=zero", "optimizer.lr=0.01"): ("learned", "validation accuracy 9"),
    ("init=zero_normal", "steps=100"): (
        "partly-learned",
        "majority class 10.6%, 1-nearest neighbour 99.4%; the loss went from 2.2",
    ),
    ("init=zero",): ("stuck-at-prior", "no weight has a gradient"),
    ("init=default", "optimizer.lr=1e-9", "init.bias._target_=torch.nn.init.zeros_"): (
        "stuck-at-prior",
        "the loss went from 2.3",
    ),
    ("init=constant", "arithmetic=tied"): ("partly-learned", "; all 64 neurons of hidden1 are copies of one another"),
    ("init=constant", "arithmetic=tied", "optimizer.lr=1e-6"): ("symmetric", "; all 64 neurons of hidden1 are copies"),
    ("dataset=xor", "init=constant", "arithmetic=tied", "optimizer.lr=0.03", "arch.activation=sigmoid", "steps=1000"): (
        "partly-learned",
        "validation accuracy 75.0%, majority class 50.0%, 1-nearest neighbour 100.0%; all 64 neurons of hidden1",
    ),
    ("dataset=xor", "init=default", "optimizer.lr=0.03"): ("learned", "validation accuracy 100.0%"),
    ("init=zero", "arch.activation=sigmoid", "arithmetic=tied"): ("symmetric", "all 64 neurons of hidden1 are copies"),
    ("init=default", "arch.activation=relu", *BIAS): ("dead-layer", "no unit of hidden1 passes a gradient for any"),
    ("init=zero_normal", "bias_scale.value=1000", "arch.activation=tanh", "optimizer.lr=0.0001"): (
        "saturated",
        "% of 64 units of hidden1 are saturated",
    ),
    ("init=default", "optimizer.lr=1e30", "optimizer=sgd"): ("diverged", "the loss is not finite at step 2"),
    ("init=zero_normal", "arch.hidden=[64,64,64]", "steps=3"): (
        "still-waking",
        "hidden1 has its first gradient in step 4, and 3 were taken",
    ),
    ("init=zero_normal", "optimizer=sgd", "optimizer.lr=0.001"): ("still-waking", "; the loss went from 2.4"),
    ("init=default", "optimizer=sgd", "optimizer.lr=0.001"): ("partly-learned", "; the loss went from 2.3"),
}


def trained(job_of: JobOf, *words: str) -> Record:
    width = [] if "arch=logistic" in words else ["arch.hidden=[64]"]
    job = job_of("dataset=digits", *width, "steps=200", "tracker=off", *words)
    build.check([job])
    [record] = runner.run_jobs([job], Off(), lambda share, accuracy: None)
    return record


@pytest.mark.parametrize("words", BECAME, ids=" ".join)
def test_what_became_of_it_and_why(words: tuple[str, ...], job_of: JobOf) -> None:
    tags = trained(job_of, *words).tags
    word, reason = BECAME[words]
    assert tags["outcome"] == word
    assert reason in tags["outcome_reason"]
    assert "stopped_at" not in tags


@pytest.mark.parametrize(
    ("words", "stopped_at"),
    [
        (["init=zero"], "25"),
        (["init=default", "arch.activation=relu", *BIAS], "25"),
        (["init=constant", "arithmetic=tied"], "100"),
        (["init=default"], None),
        (["init=zero_normal"], None),
        (["init=default", "optimizer.lr=1e-9"], None),
    ],
)
def test_early_stop_ends_what_is_hopeless(words: list[str], stopped_at: str | None, job_of: JobOf) -> None:
    stopped, unstopped = trained(job_of, *words, "early_stop=true"), trained(job_of, *words)
    assert stopped.tags.get("stopped_at") == stopped_at
    assert stopped.tags["outcome"] == unstopped.tags["outcome"]
    assert stopped.status == "FINISHED"
    if stopped_at is None:
        assert stopped.metrics == unstopped.metrics
    else:
        assert max(stopped.history("test/accuracy")) == int(stopped_at)


def test_a_stopped_run_says_so(zeroinit: Callable[..., Any]) -> None:
    words = ("dataset=digits", "arch.hidden=[8]", "init=zero", "early_stop=true", "steps=60", "tracker=off")
    assert zeroinit(*words).out.splitlines()[0].endswith("no weight has a gradient), stopped after step 25")
    assert "stuck-at-prior (stopped)" in zeroinit("-m", *words).out


def test_in_a_stack_it_ends_that_member_alone(job_of: JobOf) -> None:
    jobs = [
        job_of("dataset=digits", "arch.hidden=[64]", "steps=200", "early_stop=true", f"init={init}", "tracker=off")
        for init in ("zero", "zero_normal", "zero_uniform")
    ]
    records = runner.run_jobs(jobs, Off(), lambda share, accuracy: None)
    assert [record.tags.get("stopped_at") for record in records] == ["25", None, None]
    assert [max(record.history("val/accuracy")) for record in records] == [25, 200, 200]
    assert [record.tags["outcome"] for record in records] == ["stuck-at-prior", *["partly-learned"] * 2]


def test_a_member_that_diverges_before_its_first_step_leaves_the_others_of_its_stack(job_of: JobOf) -> None:
    """It has no metrics at all, on which a reason could rest."""
    words = ("dataset=digits", "arch=logistic", "init=zero_normal", "steps=5", "tracker=off")
    records = runner.run_jobs(
        [job_of(*words, f"bias_scale.value={scale}") for scale in ("3e38", "1")], Off(), lambda *_: None
    )
    assert [record.status for record in records] == ["FAILED", "FINISHED"]
    assert records[0].tags["outcome"] == "diverged"
    assert records[0].tags["outcome_reason"] == "the loss is not finite at step 0"


def test_a_wave_that_is_under_way_is_not_hopeless() -> None:
    """From zero weights, 30 layers down: the first has its gradient at step 31, and none before."""
    digits = dataset.digits(stream("split", 0))
    model = FNN(digits.input_shape, digits.num_classes, [8] * 30, "tanh")
    for name, parameter in model.named_parameters():
        (nn.init.zeros_ if name.endswith("weight") else nn.init.normal_)(parameter)
    first_steps, looked = predict_first_gradients(model), inspect(model, evenly_spaced(digits.train, EXAMPLES))
    assert max(first_steps.values()) == 31
    silent = Inspection([layer for layer in looked.layers if layer.gradient == 0], looked.score)
    assert len(silent.layers) == 30
    assert not is_hopeless(25, silent, first_steps, True, find_baselines(digits, ACCURACY))
    assert is_hopeless(50, silent, first_steps, True, find_baselines(digits, ACCURACY))


def test_what_is_looked_at_is_left_as_it_was() -> None:
    digits = dataset.digits(stream("split", 0))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 10))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    layers = inspect(model, evenly_spaced(digits.train, EXAMPLES)).layers
    assert [(layer.name, layer.hidden) for layer in layers] == [("1", True), ("5", False)]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)


def test_large_nets_are_looked_at_on_fewer_examples() -> None:
    sizes = [(784, 500), (4000, 2000), (5000, 5000)]
    result = [examples_for(nn.Linear(*size, device="meta"), EXAMPLES) for size in sizes]
    assert result == [256, 33, 10]


def test_a_net_without_hidden_layers_is_looked_at_too() -> None:
    digits = dataset.digits(stream("split", 0))
    [layer] = inspect(Logistic(digits.input_shape, digits.num_classes), evenly_spaced(digits.train, EXAMPLES)).layers
    assert layer.gradient > 0
    assert layer.dead != layer.dead  # it has no activation


def test_the_nearest_example_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    train, val = (
        (torch.randn(n, 3, generator=generator), torch.randint(4, (n,), generator=generator)) for n in (50, 20)
    )
    right = 0
    for point, truth in zip(val[0].tolist(), val[1].tolist(), strict=True):
        apart = [sum((a - b) ** 2 for a, b in zip(point, other, strict=True)) for other in train[0].tolist()]
        right += train[1][apart.index(min(apart))].item() == truth
    result = find_baselines(Data(train, val, val, num_classes=4), ACCURACY)
    assert result.reference == pytest.approx(right / 20)
    assert result.prior == val[1].bincount().max().item() / 20


def test_examples_sorted_by_class_are_compared_all_the_same() -> None:
    """The first of one set are of other classes than the first of the other."""
    inputs = torch.arange(20_000).unsqueeze(1) % 100 + torch.arange(20_000).unsqueeze(1) // 2000 * 1000.0
    some = inputs, torch.arange(20_000) // 2000
    other = inputs.flip(0), some[1].flip(0)
    assert find_baselines(Data(some, other, other, num_classes=10), ACCURACY).reference == 1
    pixels = (torch.arange(30) + torch.arange(30) // 15 * 200).byte()
    large = pixels.view(-1, 1, 1, 1).expand(-1, 3, 1000, 1000), torch.arange(30) // 15
    back = large[0].flip(0), large[1].flip(0)
    assert find_baselines(Data(large, back, back, num_classes=2), ACCURACY).reference == 1  # of 5, as these are large
    assert evenly_spaced(some, 10)[1].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("accuracy", "above", "halfway", "learned"),
    [
        (0.5, False, False, False),
        (0.55, False, False, False),
        (0.56, True, False, False),
        (0.71, True, True, False),
        (0.85, True, True, False),
        (0.87, True, True, True),
    ],
)
def test_shares_of_the_way_to_the_nearest_neighbour(accuracy: float, above: bool, halfway: bool, learned: bool) -> None:
    """One standard error is 2.5 points."""
    goal = Baselines(ACCURACY, prior=0.5, reference=0.9, error=0.5 / math.sqrt(400))
    assert goal.is_above_prior(accuracy) == above
    assert goal.is_halfway(accuracy) == halfway
    assert goal.is_learned(accuracy) == learned


def test_four_points_are_partly_learned_at_three() -> None:
    """Two standard errors above the prior are 100% there."""
    xor = Baselines(ACCURACY, prior=0.5, reference=1, error=0.5 / math.sqrt(4))
    assert [xor.is_above_prior(accuracy) for accuracy in (0.5, 0.75, 1)] == [False, True, True]
    assert [xor.is_learned(accuracy) for accuracy in (0.5, 0.75, 1)] == [False, False, True]


def test_where_the_nearest_example_knows_nothing_chance_is_no_learning() -> None:
    unknown = Baselines(ACCURACY, prior=0.5, reference=0.5, error=0.5 / math.sqrt(400))
    assert [unknown.is_halfway(accuracy) for accuracy in (0.5, 0.52, 0.53)] == [False, False, True]
    assert [unknown.is_learned(accuracy) for accuracy in (0.5, 0.54, 0.55)] == [False, False, True]


# Nets of the user's own


class Own(nn.Module):
    """A skip connection, a frozen stem, a weight in two layers, an activation called by name, a lock, a tensor kept."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.stem, self.branch, self.output = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, num_classes)
        self.again = nn.Linear(16, 16)
        self.again.weight = self.branch.weight
        self.stem.weight.requires_grad_(False)
        self.relu, self.lock = nn.ReLU(), Lock()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        stem = self.stem(inputs.flatten(1))
        self.joined = stem + self.again(self.relu(input=self.branch(stem)))
        output: torch.Tensor = self.output(self.joined)
        return output


def test_an_awkward_net_of_ones_own_trains_and_has_an_outcome(job_of: JobOf, database: object) -> None:
    job = job_of("dataset=digits", "arch=logistic", "steps=300", "probe=all", "early_stop=true")
    job.values["arch"] = {"_target_": "test_outcome.Own"}
    tracker = build.open_tracker(job, "own")
    [record] = runner.run_jobs([job], tracker, lambda share, accuracy: None)
    assert record.status == "FINISHED", record.tags["error"]
    assert record.tags["outcome"] == "partly-learned"
    assert record.last("grad/output/norm") > 0
    assert "histograms.npz" in record.files


def test_a_dead_branch_beside_a_skip_connection_ends_nothing() -> None:
    digits = dataset.digits(stream("split", 0))
    model = Own(digits.input_shape, digits.num_classes)
    nn.init.zeros_(model.branch.weight)
    nn.init.constant_(model.branch.bias, -1)
    looked = inspect(model, evenly_spaced(digits.train, EXAMPLES))
    assert [layer.name for layer in looked.layers if layer.dead == 1] == ["branch"]
    assert not is_hopeless(100, looked, {}, is_chain(model), find_baselines(digits, ACCURACY))


def test_biases_that_train_alone_are_not_hopeless() -> None:
    digits = dataset.digits(stream("split", 0))
    model = FNN(digits.input_shape, digits.num_classes, [8], "tanh")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    looked = inspect(model, evenly_spaced(digits.train, EXAMPLES))
    assert [layer.gradient for layer in looked.layers] == [None, None]
    assert not is_hopeless(100, looked, {}, True, find_baselines(digits, ACCURACY))


def test_a_net_that_cannot_be_looked_at_keeps_its_run(job_of: JobOf, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(session, "inspect_model", fails)
    record = trained(job_of, "init=zero", "early_stop=true")
    assert (record.status, record.tags["outcome"]) == ("FINISHED", "stuck-at-prior")


def test_a_quotient_has_the_outcome_of_the_tied_run(job_of: JobOf) -> None:
    for arithmetic in ("tied", "quotient"):
        tags = trained(job_of, "init=constant", f"arithmetic={arithmetic}", "early_stop=true").tags
        assert (tags["outcome"], tags["stopped_at"]) == ("partly-learned", "100")
        assert tags["outcome_reason"].endswith("; all 64 neurons of hidden1 are copies of one another")
