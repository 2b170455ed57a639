"""Every rule fires on the fault that it is for, and on none of our own inits and archs but where a reason is given."""

import random
import threading
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.trainings import SOFTMAX
from mlflow import MlflowClient
from torch import Tensor, nn

from zeroinit import CONF, arch, build
from zeroinit.config import Job
from zeroinit.config.init import Rules
from zeroinit.diagnostics import construction, first_batch, lint
from zeroinit.diagnostics.lint import Finding
from zeroinit.diagnostics.random_ops import Draws, record_fills
from zeroinit.init import initialize
from zeroinit.rng import stream
from zeroinit.sweep import runner
from zeroinit.tracker.memory import Off

Command = Callable[..., object]
INITS = sorted(path.stem for path in (CONF / "init").glob("*.yaml"))
HIDDEN = {"fnn", "cifar_fnn", "mnist_cnn", "cifar_cnn", "resnet50"}
SUM = "softmax less the label adds up to zero over classes, and so does what weights alike in each class hand back"
# the rules that fire on an init as it is meant, the archs in which they do, and why
MEANT = {
    ("constant", "backward"): (HIDDEN, SUM),
    ("layer_constant", "backward"): (HIDDEN, SUM),
    ("row_constant", "backward"): (HIDDEN, SUM),
    ("ones", "backward"): (HIDDEN, SUM),
    ("ones", "forward"): (HIDDEN, "each layer adds its inputs up, fan_in of them"),
    ("constant", "forward"): ({"cifar_cnn", "resnet50"}, "fan_in x 0.01 is 41 where 4,096 inputs are added up"),
    ("layer_constant", "forward"): ({"cifar_cnn"}, "fan_in x 0.01 x depth exceeds 1 in every layer"),
}
# inits that make the channels of a token alike, so that LayerNorm makes them zero, forward and backward
ALIKE = {
    "mlp_mixer": {init: {"forward", "backward"} for init in ("constant", "layer_constant", "row_constant", "ones")},
    "vit": {
        **{init: {"forward", "backward"} for init in ("constant", "layer_constant", "row_constant")},
        "ones": {"backward"},  # the forward pass sums many ones, whose rounding differs from position to position
    },
    "rnn": {"ones": {"forward"}},  # all states are 1, and the output adds them up
}


class Net(nn.Module):
    """A net of a user's own, with what it may do wrong."""

    def __init__(
        self, input_shape: tuple[int, ...], num_classes: int, fault: str = "", width: int = 16, share: float = 0.5
    ) -> None:
        super().__init__()
        self.fault = fault
        inputs = int(torch.tensor(input_shape).prod())
        self.hidden = nn.Linear(inputs, width)
        self.norm = nn.BatchNorm1d(width)
        self.middle = nn.Linear(width, width)
        self.drop = nn.Dropout(share)
        self.output = nn.Linear(width, num_classes)
        if fault == "shared":
            self.again = self.middle
            self.output.bias = None
            self.tied = nn.Linear(width, num_classes, bias=False)
            self.tied.weight = self.output.weight
        if fault == "no copy":
            self.lock = threading.Lock()
        if fault == "unused":
            self.forgotten = nn.Linear(3, 2)

    def train(self, mode: bool = True) -> "Net":
        super().train(mode)
        if self.fault == "eval":
            self.norm.train()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.hidden(inputs.flatten(1))))
        logits: Tensor = self.output(self.drop(torch.relu(self.middle(hidden))))
        return logits


def own_seed_(tensor: Tensor) -> Tensor:
    """As the published runs of the default: copies of one draw."""
    return nn.init.normal_(tensor, generator=torch.Generator().manual_seed(0))


def own_seed_of_given_(tensor: Tensor, generator: torch.Generator) -> Tensor:
    return nn.init.normal_(tensor, generator=generator.manual_seed(0))


def anyones_(tensor: Tensor) -> Tensor:
    return nn.init.normal_(tensor)


def alternating_(tensor: Tensor) -> Tensor:
    """Not alike, and nothing is drawn."""
    tensor[::2], tensor[1::2] = 0.1, -0.1
    return tensor


def lint_job(job: Job) -> list[Finding]:
    data = build.load(job.config, build.set_up_torch(job.config))
    model, _, optimizer = build.build(job.config, data)
    return lint.findings(job.config, data, model, optimizer)


def lint_net(job_of: Callable[..., Job], *overrides: str) -> list[Finding]:
    return lint_job(job_of("dataset=digits", "arch=logistic", "arch._target_=test_lint.Net", *overrides))


def test_the_published_recursion_over_a_resnet50() -> None:
    """It asks the container and not the layer, so that conv1 and fc alone are zeroed: 0.1% of the numbers."""
    model = arch.resnet50((3, 8, 8), 10, "elu")
    filled: list[Tensor] = []

    def zero(container: nn.Module) -> None:
        for layer in container.children():
            if list(layer.children()) and isinstance(container, nn.Conv2d | nn.Linear):
                zero(layer)
            elif isinstance(layer, nn.Conv2d | nn.Linear):
                filled.extend(layer.parameters())

    zero(model)
    assert len(filled) == 4
    [said] = construction.check_coverage(model, filled)
    assert said == (
        "no rule fills layer1.0.conv1.weight, layer1.0.conv1.bias, 101 more, layer4.2.conv3.bias: 99.7% of all numbers"
    )
    zeros, record = partial(torch.nn.init.zeros_), record_fills(Draws(), all_filled := [])
    initialize(model, stream("init", 0), Rules(zeros, zeros), bias_scale=float, observe=record)
    assert len(all_filled) == 108
    assert construction.check_coverage(model, all_filled) == []


def test_a_parameter_of_two_layers(job_of: Callable[..., Job]) -> None:
    assert Finding(
        "init", "output.weight and tied.weight, one parameter, is filled 2 times, and the last rule counts"
    ) in lint_net(job_of, "+arch.fault=shared")


def test_the_optimizer_of_a_copy() -> None:
    """Published with SGD: the model is deep-copied after the optimiser was made."""
    model = arch.FNN((4,), 2, [3], "elu")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert construction.check_optimizer(model, optimizer) == []
    assert construction.check_optimizer(deepcopy(model), optimizer) == [
        "SGD holds 0 of 4 parameters, not hidden1.weight, hidden1.bias, output.weight, output.bias",
        "SGD holds 4 parameters that are not the model's, as those of a copy",
    ]
    some = torch.optim.SGD(model.hidden1.parameters(), lr=0.1)
    assert construction.check_optimizer(model, some) == ["SGD holds 2 of 4 parameters, not output.weight, output.bias"]
    model.output.requires_grad_(False)
    assert construction.check_optimizer(model, some) == []  # what is frozen need not be held


def test_five_copies_of_one_draw(job_of: Callable[..., Job]) -> None:
    said = "the same for another seeds.init: the rule has a generator of its own"
    weights, biases = 64 * 16 + 16 * 16 + 16 * 10, 16 + 16 + 10
    assert lint_net(job_of, "init.weight._target_=test_lint.own_seed_") == [
        ("seed", f"{weights} numbers drawn for hidden.weight, middle.weight, output.weight are {said}")
    ]
    [finding] = lint_net(job_of, "init.weight._target_=test_lint.own_seed_of_given_")  # which the biases draw from, too
    assert (
        finding.text
        == f"{weights + biases} numbers drawn for hidden.weight, hidden.bias, 3 more, output.bias are {said}"
    )


def test_draws_from_the_global_generator(job_of: Callable[..., Job]) -> None:
    [finding] = lint_net(job_of, "init=zero", "init.bias._target_=test_lint.anyones_")
    assert finding == (
        "seed",
        "42 numbers for hidden.bias, middle.bias, output.bias are drawn from torch's global generator and not from "
        "the one that the rule is handed: seeds.init does not move them",
    )
    [finding] = lint_net(job_of, "init.weight._target_=torch.nn.init.sparse_", "+init.weight.sparsity=0.5")
    # torch's own rule: a randperm of the outputs for each input
    assert finding.text.startswith(
        "1440 numbers for hidden.weight, middle.weight, output.weight are drawn from torch's"
    )


def test_rules_that_draw_nothing_and_draws_scaled_to_zero_are_fine(job_of: Callable[..., Job]) -> None:
    assert lint_net(job_of, "init.weight._target_=test_lint.alternating_") == []
    assert lint_net(job_of, "bias_scale.value=0") == []


def test_batches_that_are_never_shuffled(job_of: Callable[..., Job]) -> None:
    said = "dataset.shuffle=false: each epoch has the same 10 batches, whatever seeds.order is"
    assert lint_net(job_of, "dataset.shuffle=false") == [("seed", said)]
    assert lint_net(job_of, "dataset.shuffle=false", "dataset.batch_size=all") == []


def test_eval_that_is_never_effective(job_of: Callable[..., Job]) -> None:
    [finding] = lint_net(job_of, "+arch.fault=eval")
    assert finding == (
        "evaluation",
        "evaluation changes norm.running_mean, norm.running_var, norm.num_batches_tracked: eval() does not reach what "
        "keeps statistics",
    )


def test_a_layer_that_no_gradient_reaches(job_of: Callable[..., Job]) -> None:
    assert lint_net(job_of, "+arch.fault=unused") == [
        ("unused", "no gradient reaches forgotten.weight, forgotten.bias")
    ]


def test_a_net_that_cannot_be_copied_trains_all_the_same(job_of: Callable[..., Job]) -> None:
    job = job_of("dataset=digits", "arch=logistic", "arch._target_=test_lint.Net", "+arch.fault=no copy", "steps=2")
    [record] = runner.run_jobs([job], Off(), lambda share, accuracy: None)
    assert record.status == "FINISHED"
    said = "test_lint.Net default x1, lint: not checked: TypeError: cannot pickle '_thread.lock' object"
    assert record.tags["lint_findings"] == said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["init=zero", "arch.activation=relu"], "relu1: 500 of 500 units are dead"),
        (["init=zero_normal", "arch.activation=relu"], None),  # half of them, as the biases' signs fall
        (["init=zero_normal", "arch.activation=tanh"], None),
        (["init=zero_normal", "arch.activation=tanh", "bias_scale.value=100"], "tanh1: 4"),  # 1 - tanh(9)^2 is 0
        (["init=zero_uniform", "arch.activation=relu"], None),
        (["init=default", "arch.activation=relu", "arch.hidden=[2]"], None),
    ],
)
def test_dead_units(overrides: list[str], said: str | None, job_of: Callable[..., Job]) -> None:
    texts = [finding.text for finding in lint_job(job_of("dataset=digits", *overrides)) if finding.rule == "dead units"]
    assert [text.startswith(said or "") for text in texts] == [True] * (said is not None)


class Overwriting(nn.ReLU):
    """Leaves live values where it was given dead ones."""

    def forward(self, input: Tensor) -> Tensor:
        output = torch.where(input > 0, input, torch.zeros_like(input))
        input.detach().fill_(1)
        return output


def test_dead_units_are_counted_one_by_one() -> None:
    """Units of which each input's slope is zero, against a look at every one; in-place activations as others."""
    for activation in (nn.ReLU(), nn.ReLU(inplace=True), Overwriting()):
        model = nn.Sequential(nn.Linear(5, 40), activation, nn.Linear(40, 3))
        inputs, labels = torch.randn(7, 5), torch.randint(3, (7,))
        with torch.no_grad():
            model[0].bias -= 1
            alive = sum(bool((model[0](inputs)[:, unit] > 0).any()) for unit in range(40))
        assert 0 < alive < 40
        assert first_batch.run_first_pass(model, inputs, labels, SOFTMAX, "mean").units == [("1", 40 - alive, 40)]


def test_an_activation_that_acts_twice_has_an_entry_for_each_call() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(5, 4), relu, nn.Linear(4, 3), relu)
    first_pass = first_batch.run_first_pass(model, torch.randn(7, 5), torch.randint(3, (7,)), SOFTMAX, "mean")
    assert [(name, units) for name, _, units in first_pass.units] == [("1", 4), ("1, call 2", 3)]


def test_layers_behind_a_frozen_one_are_looked_at() -> None:
    model = arch.FNN((5,), 3, [4, 6], "relu")
    model.hidden1.requires_grad_(False)
    first_pass = first_batch.run_first_pass(model, torch.randn(7, 5), torch.randint(3, (7,)), SOFTMAX, "mean")
    assert [signal.slope > 0 for signal in first_pass.signals] == [False, True, True]
    assert first_pass.unused == []


class Noisy(nn.Sequential):
    """Draws from numpy and from Python in its forward pass."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, num_classes))

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = super().forward(input)
        return output + np.random.rand() + random.random()


def test_a_look_takes_no_draw_of_numpy_or_python(job_of: Callable[..., Job]) -> None:
    job = job_of("dataset=digits", "arch=logistic", "arch._target_=test_lint.Noisy")
    np.random.seed(3)
    random.seed(3)
    expected = np.random.rand(), random.random()
    np.random.seed(3)
    random.seed(3)
    assert not [finding for finding in lint_job(job) if finding.rule == "lint"]
    assert (np.random.rand(), random.random()) == expected


def test_signals_are_what_a_plain_pass_has() -> None:
    model = arch.FNN((5,), 3, [4, 6], "relu")
    inputs, labels = torch.randn(7, 5), torch.randint(3, (7,))
    outputs = [model.hidden1(inputs)]
    outputs.append(model.hidden2(outputs[0].relu()))
    outputs.append(model.output(outputs[1].relu()))
    slopes = torch.autograd.grad(nn.functional.cross_entropy(outputs[2], labels), outputs)
    for signal, output, slope in zip(
        first_batch.run_first_pass(model, inputs, labels, SOFTMAX, "mean").signals, outputs, slopes, strict=True
    ):
        assert signal.size == pytest.approx((output**2).mean().sqrt().item())
        assert signal.spread == pytest.approx((output - output.mean(0)).square().mean().sqrt().item())
        assert signal.slope == pytest.approx((slope**2).mean().sqrt().item())
        assert not signal.cut


@pytest.mark.parametrize(
    ("overrides", "rule", "said"),
    [
        (["init=small_normal", "init.weight.std=1e-9"], "forward", "hidden1, output: outputs differ by"),
        (["init=small_normal", "init.weight.std=1e-9"], "backward", "hidden1: gradients "),
        (["init=zero_normal", "bias_scale.value=100"], "forward", "hidden1, output: outputs of "),
        (["init=small_normal", "init.weight.std=100"], "forward", "hidden1, output: outputs of "),
    ],
)
def test_signals_that_vanish_or_explode(overrides: list[str], rule: str, said: str, job_of: Callable[..., Job]) -> None:
    texts = [finding.text for finding in lint_job(job_of("dataset=digits", *overrides)) if finding.rule == rule]
    assert len(texts) == 1
    assert texts[0].startswith(said)


def test_nothing_fires_on_our_own_but_for_a_reason(job_of: Callable[..., Job]) -> None:
    archs = sorted({path.stem for path in (CONF / "arch").glob("*.yaml")} - {"timm", "torchvision"})
    nodes = {name: job_of("dataset=digits", f"arch={name}").config.arch for name in archs}
    for init in INITS:
        job = job_of("dataset=digits", f"init={init}")
        data = build.load(job.config, build.set_up_torch(job.config))
        for name in archs:
            if name == "resnet50" and init not in ("zero_normal", "constant"):
                continue
            if name in ALIKE and init not in ("default", "zero_normal", *ALIKE[name]):
                continue
            config = replace(job.config, arch=nodes[name])
            model, _, optimizer = build.build(config, data)
            fired = {finding.rule for finding in lint.findings(config, data, model, optimizer)}
            meant = {rule for (by, rule), (where, _) in MEANT.items() if by == init and name in where}
            assert fired == meant | ALIKE.get(name, {}).get(init, set()), (init, name)


def test_it_changes_no_number(job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout draws from the global generator, BatchNorm has buffers: a run with it has the bits of one without."""
    job = job_of("dataset=digits", "arch=logistic", "arch._target_=test_lint.Net", "steps=15")

    def metrics() -> list[tuple[str, float, int]]:
        [record] = runner.run_jobs([job], Off(), lambda share, accuracy: None)
        assert record.status == "FINISHED"
        return record.metrics

    linted = metrics()
    monkeypatch.setattr(lint, "findings", lambda *args: [])
    assert linted == metrics()


def test_it_leaves_model_and_generators_alone(job_of: Callable[..., Job]) -> None:
    job = job_of("dataset=digits", "arch=logistic", "arch._target_=test_lint.Net")
    data = build.load(job.config, build.set_up_torch(job.config))
    model, _, optimizer = build.build(job.config, data)
    before, state = deepcopy(model.state_dict()), torch.get_rng_state()
    lint.findings(job.config, data, model, optimizer)
    assert torch.get_rng_state().equal(state)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert not optimizer.state
    assert not any(module._forward_hooks for module in model.modules())


def test_what_no_seed_changes_is_found_once(job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job_of("dataset=xor", f"seed={seed}", f"optimizer.lr={lr}") for seed in (0, 1) for lr in (0.1, 0.2)]
    looked: list[object] = []
    check_init = lint.check_init
    monkeypatch.setattr(lint, "check_init", lambda *args: looked.append(args) or check_init(*args))
    for job in jobs:
        lint_job(job)
    assert len(looked) == 1
    lint_job(job_of("dataset=xor", "init=zero"))
    assert len(looked) == 2


@pytest.mark.parametrize("arithmetic", ["tied", "quotient"])
def test_other_arithmetic_is_no_fault(arithmetic: str, job_of: Callable[..., Job]) -> None:
    assert lint_job(job_of("dataset=digits", f"arithmetic={arithmetic}")) == []


@pytest.mark.usefixtures("database")
def test_findings_are_told_once_and_kept(zeroinit: Command, job_of: Callable[..., Job]) -> None:
    ended = zeroinit("-m", "dataset=digits", "init=ones,zero_normal", "seed=0,1", "steps=2", "sweep=told")
    assert ended.code == 0
    lines = [line for line in ended.err.splitlines() if line.startswith("fnn ones x1, ")]
    assert len(lines) == 2
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    stored = client.search_runs([client.get_experiment_by_name("told").experiment_id], "tags.kind = 'run'")
    tags = {(run.data.params["init"], run.data.params["seed"]): run.data.tags.get("lint_findings") for run in stored}
    assert set(tags) == {(init, seed) for init in ("ones", "zero_normal") for seed in "01"}
    assert "\n".join(lines) in tags.values()
    assert {tags["zero_normal", seed] for seed in "01"} == {None}
    assert all(tags["ones", seed].startswith("fnn ones x1, forward: output: outputs of 9") for seed in "01")


def test_check_only(zeroinit: Command, tmp_path: Path) -> None:
    fine = zeroinit("dataset=digits", "mode=lint")
    assert (fine.code, fine.err) == (0, "")
    assert [line.split()[0] for line in fine.out.splitlines()] == ["rule", *(rule.split()[0] for rule in lint.RULES)]
    assert all(line.rstrip().endswith(" -") for line in fine.out.splitlines()[1:])
    fired = zeroinit("dataset=digits", "mode=lint", "init=ones")
    assert fired.code == 1
    assert "beyond 87 a softmax or sigmoid is all or nothing" in fired.out
    swept = zeroinit("-m", "dataset=digits", "mode=lint", "init=zero,ones", "seed=0,1", "arch=logistic,fnn")
    assert swept.code == 1
    assert [line.split()[:4] for line in swept.out.splitlines()] == [
        ["arch", "init", "bias_scale.value", "rule"],
        ["logistic", "zero", "1", "-"],
        ["fnn", "zero", "1", "-"],
        ["logistic", "ones", "1", "-"],
        ["fnn", "ones", "1", "forward"],
        ["backward", "hidden1:", "gradients", "1e-07"],
    ]
    assert zeroinit("-m", "dataset=digits", "mode=lint", "init=zero,zero_normal").code == 0
    assert zeroinit("-m", "dataset=digits", "mode=lint", "init=zero_uniform,zero_normal").code == 1
    assert not list(tmp_path.rglob("mlflow.db*"))


def test_it_is_no_part_of_what_a_run_is(job_of: Callable[..., Job]) -> None:
    start, only = job_of("mode=train"), job_of("mode=lint")
    assert (start.config_hash, start.cell_hash, start.name) == (only.config_hash, only.cell_hash, only.name)
