"""Draws are counted exactly, and each way in which a symmetry breaks is told from the others."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from zeroinit import build
from zeroinit.config import Job
from zeroinit.config.init import Rules
from zeroinit.config.target import Target
from zeroinit.diagnostics import symmetry
from zeroinit.diagnostics.random_ops import Draws, name_by_layer, record_fills
from zeroinit.diagnostics.symmetry import DRAWS, EITHER, NOISE, ROUNDING, RULE, Audit, DrawSummary, Replay
from zeroinit.init import initialize
from zeroinit.rng import stream, stream_seed

Command = Callable[..., object]
GLOBAL, STREAM = "torch's global generator", "the stream init"


class Dropping(nn.Sequential):
    """A net of a user's own: (N, *input_shape), one hidden layer of `width`, of which half are dropped."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, width: int) -> None:
        inputs = int(torch.tensor(input_shape).prod())
        super().__init__(
            nn.Flatten(), nn.Linear(inputs, width), nn.Tanh(), nn.Dropout(0.5), nn.Linear(width, num_classes)
        )


class Scaled(nn.Sequential):
    """Its construction draws what no init overwrites, and what the net does not keep."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        inputs = int(torch.tensor(input_shape).prod())
        super().__init__(nn.Flatten(), nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.Linear(8, num_classes))
        nn.init.normal_(self[2].weight)
        self.register_buffer("kept", torch.randn(5))
        torch.rand(3)


def alternating_(tensor: Tensor, fan_in: int) -> Tensor:
    tensor.fill_(1 / fan_in)
    tensor[::2] *= -1
    return tensor


def of(job: Job) -> Audit:
    return symmetry.audit(job.config, build.load(job.config, build.set_up_torch(job.config)))


def first_broken_of(audit: Audit) -> dict[tuple[str, str, str], dict[str, int]]:
    return {(replay.init, replay.noise, replay.arithmetic): replay.first_broken() for replay in audit.replays}


@pytest.fixture
def digits(job_of: Callable[..., Job]) -> Callable[..., Audit]:
    return lambda *overrides: of(job_of("dataset=digits", "mode=audit", *overrides))


def test_draws_are_counted_exactly(digits: Callable[..., Audit]) -> None:
    audit = digits("init=zero_normal", "arch.hidden=[16]", "probe.first_steps=1")
    assert audit.drawn == [
        DrawSummary(
            "construction",
            ["hidden1.weight", "hidden1.bias", "output.weight", "output.bias"],
            64 * 16 + 16 + 16 * 10 + 10,
            GLOBAL,
            symmetry.OVERWRITTEN,
        ),
        DrawSummary("init", ["hidden1.bias"], 16, STREAM, "its values"),
        DrawSummary("init", ["output.bias"], 10, STREAM, "its values"),
    ]


def test_noise_and_what_construction_keeps_are_counted(digits: Callable[..., Audit]) -> None:
    dropping = digits("arch=logistic", "arch._target_=test_audit.Dropping", "+arch.width=16", "init=orthogonal")
    assert dropping.drawn[1:] == [  # (semi-)orthogonal: of normal draws, as many as entries
        DrawSummary("init", ["1.weight"], 64 * 16, STREAM, "its values"),
        DrawSummary("init", ["4.weight"], 16 * 10, STREAM, "its values"),
        DrawSummary("forward", ["3"], 128 * 16, GLOBAL, "noise, anew in each step"),
    ]
    scaled = digits("arch=logistic", "arch._target_=test_audit.Scaled", "init=zero", "probe.first_steps=1")
    assert scaled.drawn == [
        DrawSummary("construction", ["1.weight", "1.bias", "3.weight", "3.bias"], 610, GLOBAL, symmetry.OVERWRITTEN),
        DrawSummary("construction", ["2.weight"], 8, GLOBAL, "its values"),
        DrawSummary("construction", ["kept"], 5, GLOBAL, "its values"),
        DrawSummary("construction", ["what the net does not hold"], 3, GLOBAL, "none: it is not kept"),
    ]


def test_many_draws_of_a_kind_share_a_line(job_of: Callable[..., Job]) -> None:
    job = job_of("dataset=digits", "arch.hidden=[4,4,4,4]")
    data = build.load(job.config, build.set_up_torch(job.config))
    drawn, means, unknown = symmetry.summarize_draws(job.config, data)
    names = [
        f"{layer}.{part}" for layer in (*(f"hidden{d}" for d in (1, 2, 3, 4)), "output") for part in ("weight", "bias")
    ]
    numbers = 65 * 4 + 3 * 5 * 4 + 5 * 10
    assert [(summary.names, summary.entries) for summary in drawn] == [(names, numbers)] * 2
    assert (means, unknown) == (names, set())


def test_rounding(digits: Callable[..., Audit]) -> None:
    """Constant weights and 500 neurons: the kernels compute those at the edge of a tile in another order."""
    audit = digits("init=constant", "dataset=mnist5k")
    assert set(first_broken_of(audit)) == {("none", "none", "native"), ("none", "none", "tied")}
    assert first_broken_of(audit)["none", "none", "tied"] == {}
    step = first_broken_of(audit)["none", "none", "native"]["hidden1"]
    assert step > 0
    assert (
        audit.notes[-1]
        == f"The symmetry is broken by {ROUNDING} alone (hidden1 after step {step}). {symmetry.CONSEQUENCE[ROUNDING]}"
    )
    [said] = audit.notes[:-1]
    assert said.startswith("At the start, hidden1: gradients ")
    assert said.endswith(" times those of output: rounding.")


def test_constant_rows(digits: Callable[..., Audit]) -> None:
    """With one hidden layer rounding alone parts its neurons, with two the draw parts those of the first."""
    single, double = (digits("init=row_constant", f"arch.hidden={hidden}") for hidden in ("[129]", "[129,20]"))
    assert first_broken_of(single)["drawn", "none", "native"]["hidden1"] > 0
    assert first_broken_of(single)["drawn", "none", "tied"] == first_broken_of(single)["mean", "none", "tied"] == {}
    assert single.notes[-1].startswith(f"The symmetry is broken by {ROUNDING} alone (hidden1 after step ")
    assert list(first_broken_of(double)["drawn", "none", "tied"]) == ["hidden1"]
    assert first_broken_of(double)["mean", "none", "tied"] == {}
    assert single.notes[-1].endswith(symmetry.CONSEQUENCE[ROUNDING])
    assert double.notes[-1].startswith(f"The symmetry is broken by {DRAWS} alone (hidden1 after step ")


def test_init_draws(digits: Callable[..., Audit]) -> None:
    audit = digits("init=zero_normal", "arch.hidden=[64,64]", "probe.first_steps=3")
    both = {"hidden1": 0, "hidden2": 0}
    assert first_broken_of(audit) == {
        ("drawn", "none", "native"): both,
        ("drawn", "none", "tied"): both,
        ("mean", "none", "native"): {},
        ("mean", "none", "tied"): {},
    }
    said = f"The symmetry is broken by {DRAWS} alone (hidden1, hidden2 at the start). {symmetry.CONSEQUENCE[DRAWS]}"
    assert audit.notes == [said]


def test_draws_of_the_output_alone(digits: Callable[..., Audit]) -> None:
    """Hidden layers of zeros and tanh: the output's weights are alike for all neurons, which stay copies."""
    audit = digits(
        "init=zero_normal", "init.layers=output", "init@init.rest=zero", "arch.hidden=[64]", "arch.activation=tanh",
        "probe.first_steps=5",
    )  # fmt: skip
    assert set(map(str, first_broken_of(audit).values())) == {"{}"}
    assert audit.notes[-1].startswith("Nothing breaks the symmetry: after 5 steps the neurons")


def test_forward_noise(digits: Callable[..., Audit]) -> None:
    audit = digits("arch=logistic", "arch._target_=test_audit.Dropping", "+arch.width=16", "init=constant")
    assert first_broken_of(audit) == {("none", "drawn", "native"): {"1": 1}, ("none", "mean", "native"): {}}
    assert audit.notes[1:] == [
        "No replays of tied arithmetic, which is for nets that can be stacked: 3 is a Dropout that cannot be stacked "
        "there.",
        f"The symmetry is broken by {NOISE} alone (1 after step 1). {symmetry.CONSEQUENCE[NOISE]}",
    ]


def test_the_rule_itself(digits: Callable[..., Audit]) -> None:
    audit = digits(
        "init=zero", "init.weight._target_=test_audit.alternating_", "arch.hidden=[16]", "probe.first_steps=2"
    )
    assert [replay.classes["hidden1"][0] for replay in audit.replays] == [2, 2]
    assert audit.notes == [
        f"The symmetry is broken by {RULE} alone (hidden1 at the start). {symmetry.CONSEQUENCE[RULE]}"
    ]


def test_nothing(digits: Callable[..., Audit]) -> None:
    audit = digits("init=zero", "probe.first_steps=4")
    assert [replay.classes for replay in audit.replays] == [{"hidden1": [1] * 5}] * 2
    assert audit.notes[-1].startswith("Nothing breaks the symmetry: after 4 steps the neurons of each hidden layer are")


def test_no_hidden_neurons(digits: Callable[..., Audit]) -> None:
    audit = digits("arch=logistic")
    assert audit.replays == []
    assert audit.notes == ["No replays: the net has no hidden neurons, and so no symmetry to break."]


def replays(**first: int | None) -> list[Replay]:
    """A layer `l` and when it breaks, by `<init>_<noise>_<arithmetic>`."""
    return [
        Replay(*name.split("_"), {"l": [1.0 if step is None or at < step else 2.0 for at in range(4)]})
        for name, step in first.items()
    ]


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        (replays(none_none_native=2), f"by {EITHER} alone (l after step 2)"),
        (replays(none_none_native=0), f"by {RULE} alone (l at the start)"),
        (
            replays(none_none_native=1, none_none_tied=2),
            f"by {ROUNDING} alone (l after step 1); by {RULE} alone (l after step 2)",
        ),
        (replays(none_none_native=2, none_none_tied=2), f"by {RULE} alone (l after step 2)"),
        (
            replays(drawn_none_native=0, drawn_none_tied=0, mean_none_native=3, mean_none_tied=None),
            f"by {DRAWS} alone (l at the start); by {ROUNDING} alone (l after step 3)",
        ),
    ],
)
def test_causes_are_told_by_what_they_add(recorded: list[Replay], said: str) -> None:
    assert symmetry.explain_causes(recorded, 3).startswith(f"The symmetry is broken {said}.")


def test_causes_that_act_only_together() -> None:
    recorded = replays(drawn_drawn_native=2, drawn_mean_native=None, mean_drawn_native=None, mean_mean_native=None)
    assert (
        symmetry.explain_causes(recorded, 3)
        == "No cause alone breaks the symmetry, but together they do (l after step 2)."
    )


def test_the_command(zeroinit: Command, tmp_path: Path) -> None:
    ended = zeroinit("dataset=digits", "mode=audit", "init=zero_normal", "arch.hidden=[16]", "probe.first_steps=2")
    assert ended.code == 0
    assert "hidden1.bias" in ended.out
    assert "step 0: 16 of 16" in ended.out
    assert ended.out.splitlines()[-1].startswith("The symmetry is broken by init draws alone (hidden1 at the start).")
    assert not list(tmp_path.rglob("mlflow.db*"))


def test_a_draw_is_named_by_what_it_is_for() -> None:
    """By rule and tensor in an init, by layer in a forward pass; with the seed of the generator that it was handed."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Dropout(0.5)), nn.Linear(4, 2))
    fills: list[Tensor] = []
    with Draws() as draws:
        rules = [
            Target.read({"init": {"_target_": f"torch.nn.init.{name}_"}}, "init").resolve()
            for name in ("trunc_normal", "zeros")
        ]
        initialize(model, stream("init", 7), Rules(*rules), bias_scale=float, observe=record_fills(draws, fills))
    assert [id(tensor) for tensor in fills] == [id(tensor) for tensor in model.parameters()]
    assert {draw.where for draw in draws.records} == {str(id(model[0].weight)), str(id(model[2].weight))}
    assert {draw.seed for draw in draws.records} == {stream_seed("init", 7)}
    with Draws() as draws, name_by_layer(draws, model):
        model(torch.ones(5, 3))
        torch.rand(2)
    assert [(draw.where, draw.op, draw.entries, draw.seed) for draw in draws.records] == [
        ("1.0", "bernoulli_", 20, None),
        ("", "rand", 2, None),
    ]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_expectation_of_dropout_is_the_identity() -> None:
    """Forward and backward, exactly; native_dropout, which CUDA uses, too."""
    inputs = torch.randn(6, 5, requires_grad=True)
    for drop in (nn.Dropout(0.3), nn.Dropout(0.5), lambda values: torch.native_dropout(values, 0.3, True)[0]):
        with Draws(expected=True) as draws:
            outputs = drop(inputs)
            [slope] = torch.autograd.grad((outputs * inputs.detach()).sum(), inputs)
        assert outputs.equal(inputs)
        assert slope.equal(inputs)
        assert [draw.entries for draw in draws.records] == [30]


def test_expectations_of_what_is_drawn() -> None:
    shares = torch.tensor([0.25, 1.0])
    with Draws(expected=True) as draws:
        assert torch.empty(2).normal_(3, 2).tolist() == [3, 3]
        assert torch.empty(2).uniform_(1, 4).tolist() == [2.5, 2.5]
        assert torch.bernoulli(shares).equal(shares)
        assert torch.normal(shares, 1.0).equal(shares)
        assert torch.rand(1).item() == 0.5
        assert torch.randn_like(shares).tolist() == [0, 0]
        assert sorted(torch.randperm(3).tolist()) == [0, 1, 2]
    assert draws.random == {"randperm"}


class Broken(nn.Sequential):
    """Gives NaN."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, num_classes))

    def forward(self, input: Tensor) -> Tensor:
        logits: Tensor = super().forward(input)
        return logits * torch.nan


def test_nothing_is_told_of_what_is_not_finite(digits: Callable[..., Audit], zeroinit: Command) -> None:
    words = ("arch=logistic", "arch._target_=test_audit.Broken", "steps=3")
    audit = digits(*words)
    assert audit.notes[-1] == "A replay has values that are not finite, so its neurons cannot be compared."
    overflows = ("arch.hidden=[8]", "init=constant", "init.weight.val=1e38", "steps=3")
    assert "native      not finite" in zeroinit("dataset=digits", "mode=audit", *overflows).out


def test_an_audit_is_no_longer_than_its_run(digits: Callable[..., Audit]) -> None:
    audit = digits("arch.hidden=[8]", "steps=3")
    assert all(len(replay.classes["hidden1"]) == 4 for replay in audit.replays)
