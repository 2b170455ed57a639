"""Networks that users write: what does not return logits is named in one sentence, with the line of what raises."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from torch import Tensor, nn

from zeroinit import build
from zeroinit.build.forward import describe_output
from zeroinit.config import Job
from zeroinit.errors import BadInput

Command = Callable[..., Any]
B = ("dataset=digits", "dataset.max_examples=50", "dataset.batch_size=20", "arch=logistic", "steps=6")


class Net(nn.Module):
    """A net that does the one wrong thing that `fault` names."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, fault: str = "") -> None:
        super().__init__()
        self.fault, self.passes = fault, 0
        self.hidden = nn.Linear(64, 8)
        self.output = nn.Linear(8, num_classes)
        if fault == "constructor":
            raise LookupError("no such option")
        if fault == "frozen":
            self.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Any:
        self.passes += self.training
        logits: Tensor = self.output(torch.tanh(self.hidden(inputs.flatten(1))))
        fault = self.fault if self.training else self.fault.removeprefix("eval ")
        wrong: dict[str, Callable[[], object]] = {
            "tuple": lambda: (logits, logits.softmax(1)),
            "dict": lambda: {"logits": logits, "aux": logits},
            "none": lambda: None,
            "number": lambda: 0.5,
            "squeezed": lambda: logits[:, 0],
            "three": lambda: logits.unsqueeze(2),
            "labels": lambda: logits.argmax(1, keepdim=True).expand(-1, 10),
            "detached": lambda: logits.detach(),
            "not a number": lambda: logits / 0 * 0,
        }
        if fault == "raises":
            raise LookupError("no such signal")
        if fault == "in place":
            inputs.mul_(0.5)
        if self.fault == "small batch" and self.training and len(inputs) == 10:
            raise LookupError("a batch of 10")
        if self.fault == "step 5" and self.passes == 5:
            raise LookupError("the fifth pass")
        return wrong.get(fault, lambda: logits)()


def line_of(text: str) -> str:
    """`test_user_nets.py, line N` of the line of Net that holds the text."""
    lines, first = inspect.getsourcelines(Net)
    return f"test_user_nets.py, line {next(first + index for index, line in enumerate(lines) if text in line)}"


LOGITS = "return logits, a tensor of floating-point numbers with shape (2, 10)"
TARGET = "arch._target_=test_user_nets.Net"
FAULTS = {
    "tuple": f"{TARGET}: in train mode, its forward pass returns a tuple of 2; return the logits alone",
    "eval tuple": f"{TARGET}: in eval mode, its forward pass returns a tuple of 2; return the logits alone",
    "dict": f"{TARGET}: in train mode, its forward pass returns a dict with the keys logits, aux; return the logits",
    "none": f"{TARGET}: in train mode, its forward pass returns None; {LOGITS}",
    "number": f"{TARGET}: in train mode, its forward pass returns a float; {LOGITS}",
    "squeezed": f"{TARGET}: in train mode, its forward pass returns a tensor with shape (2,); {LOGITS}",
    "three": f"{TARGET}: in train mode, its forward pass returns a tensor with shape (2, 10, 1); {LOGITS}",
    "labels": f"{TARGET}: in train mode, its forward pass returns a tensor of torch.int64; {LOGITS}",
    "detached": f"{TARGET}: in train mode, its forward pass returns logits that have no gradient: no parameter is ",
    "frozen": f"{TARGET}: in train mode, its forward pass returns logits that have no gradient: no parameter is ",
    "in place": f"{TARGET}: its forward pass changes its input in place; copy it first, or set inplace=False",
    "eval in place": f"{TARGET}: its forward pass changes its input in place; copy it first, or set inplace=False",
    "not a number": f"{TARGET}: its forward pass returns NaN for finite inputs, whatever the init is",
    "raises": f"{TARGET} cannot be evaluated on data of shape (1, 8, 8): LookupError: no such signal (",
    "constructor": f"{TARGET} does not fit data of shape (1, 8, 8) with 10 classes: LookupError: no such option (",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_net_is_refused(fault: str, job_of: Callable[..., Job]) -> None:
    with pytest.raises(BadInput) as refused:
        build.check([job_of(*B, TARGET, f"+arch.fault={fault}")])
    assert str(refused.value).startswith(FAULTS[fault])
    if said := {"raises": "no such signal", "constructor": "no such option"}.get(fault):
        assert str(refused.value).endswith(f"({line_of(said)})")


def no_module(input_shape: tuple[int, ...], num_classes: int) -> object:
    return nn.Linear


def no_optimizer(parameters: object, **options: object) -> object:
    return list(parameters)


def broken_optimizer(parameters: object, **options: object) -> object:
    return {}["lr"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("arch._target_=test_user_nets.no_module", ": it returned a type; return a torch.nn.Module"),
        ("optimizer._target_=test_user_nets.no_optimizer", ": it returned a list; return a torch.optim.Optimizer"),
    ],
)
def test_what_a_function_returns_is_checked(words: str, said: str, job_of: Callable[..., Job]) -> None:
    with pytest.raises(BadInput) as refused:
        build.check([job_of(*B, "optimizer=sgd", words)])
    assert str(refused.value) == f"{words}{said}"


class NoTracker:
    """A user's tracker as of an earlier version: without the methods that later ones call."""

    def open(self, sweep: str) -> None: ...


def test_a_tracker_has_all_methods(zeroinit: Command) -> None:
    ended = zeroinit(*B, "tracker=off", "tracker._target_=test_user_nets.NoTracker")
    assert ended.code == 2
    assert ended.err == (
        "zeroinit: tracker._target_=test_user_nets.NoTracker: it returned a NoTracker, which has no refuses and no "
        "begin; return a zeroinit.tracker.Tracker, which has all of its methods\n"
    )


def test_an_exception_of_an_optimizer_has_the_users_line(job_of: Callable[..., Job]) -> None:
    with pytest.raises(BadInput, match=r"^optimizer: KeyError: 'lr' \(test_user_nets\.py, line \d+\)$"):
        build.check([job_of(*B, "optimizer=sgd", "optimizer._target_=test_user_nets.broken_optimizer")])


def test_an_init_that_gives_nan_is_left_to_train(job_of: Callable[..., Job]) -> None:
    """It is a result, that the run diverges, and no reason to refuse a sweep."""
    job = job_of(
        *B, "arch=fnn", "arch.hidden=[8,8]", "arch.activation=relu", "init=small_normal", "init.weight.std=1e38"
    )
    data = build.load(job.config, torch.device("cpu"))
    model, _, _ = build.build(job.config, data)
    assert model(data.to_inputs(data.train[0][:2])).isnan().any()
    build.check([job])


def test_the_command_refuses_a_net_before_training(zeroinit: Command) -> None:
    ended = zeroinit(*B, TARGET, "+arch.fault=tuple", "tracker=off")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"zeroinit: {FAULTS['tuple']}\n"


@pytest.mark.usefixtures("database")
def test_a_pass_that_raises_in_training_fails_its_run_alone(zeroinit: Command) -> None:
    ended = zeroinit("-m", *B, TARGET, "+arch.fault=small batch,step 5,fine", "sweep=raises")
    assert ended.code == 1
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    [experiment] = [each.experiment_id for each in client.search_experiments() if each.name == "raises"]
    runs = client.search_runs([experiment], "tags.kind = 'run'")
    ends = {run.data.params["arch.fault"]: (run.info.status, run.data.tags.get("error")) for run in runs}
    assert ends == {
        "fine": ("FINISHED", None),
        "small batch": ("FAILED", f"LookupError: a batch of 10 ({line_of('a batch of 10')})"),
        "step 5": ("FAILED", f"LookupError: the fifth pass ({line_of('the fifth pass')})"),
    }


def test_one_output_for_two_classes_has_its_own_loss() -> None:
    hint = "; for one sigmoid output, give loss=bce"
    for outputs, classes, is_hinted in ((1, 2, True), (1, 3, False), (3, 2, False)):
        fault = describe_output(torch.zeros(4, outputs, requires_grad=True), (4, classes), training=True)
        assert fault.endswith(hint) == is_hinted
