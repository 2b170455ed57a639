"""Init rules and bias scales that users write: what does not fill a parameter in place is refused in one sentence."""

import inspect
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zeroinit import CONF, build
from zeroinit.arch import FNN
from zeroinit.config import Job
from zeroinit.config.init import Rules
from zeroinit.errors import BadInput
from zeroinit.init import initialize
from zeroinit.rng import stream
from zeroinit.user_code import describe_error

Command = Callable[..., Any]
B = ("dataset=digits", "arch=logistic", "steps=20", "tracker=off")


def not_in_place(tensor: Tensor) -> Tensor:
    return torch.full_like(tensor, 0.5)


def half_filled(tensor: Tensor) -> None:
    tensor[: len(tensor) // 2].fill_(0.5)


def does_nothing(tensor: Tensor) -> Tensor:
    return tensor


def multiplies(tensor: Tensor) -> Tensor:
    return tensor.mul_(2)


def raises(tensor: Tensor) -> None:
    raise KeyError("gain")


def calls_torch_wrongly(tensor: Tensor) -> None:
    tensor.copy_(torch.zeros(3, 3, 3))


def calls_another(tensor: Tensor) -> None:
    raises(tensor)


def needs_gain(tensor: Tensor, gain: float) -> None:
    tensor.fill_(gain)


def reshapes(tensor: Tensor) -> None:
    tensor.data = torch.zeros(7)


def doubles(tensor: Tensor) -> None:
    tensor.data = torch.zeros(tensor.shape, dtype=torch.float64)


def from_numpy(tensor: Tensor) -> None:
    tensor.copy_(torch.from_numpy(np.random.randn(*tensor.shape)))


def line_of(function: Callable[..., Any], text: str) -> int:
    """The number of the function's line that holds the text."""
    lines, first = inspect.getsourcelines(function)
    return next(first + index for index, line in enumerate(lines) if text in line)


def fill_net(
    weight: Callable[..., Any] = nn.init.zeros_,
    bias: Callable[..., Any] = nn.init.zeros_,
    scale: Callable[..., Any] = float,
    **options: Any,
) -> nn.Module:
    model = FNN((5,), 3, [4], "elu")
    initialize(model, stream("init", 0), Rules(partial(weight), partial(bias)), scale, **options)
    return model


REFUSED = {
    not_in_place: "it returns a new tensor and leaves hidden1.weight as it was; fill it in place, as tensor.copy_(...)",
    half_filled: "it leaves 10 of 20 entries of hidden1.weight NaN, as all are before it: it does not fill them, or",
    does_nothing: "it leaves 20 of 20 entries of hidden1.weight NaN",
    multiplies: "or computes them from what was there; fill every entry with a number that does not depend on that",
    reshapes: "it makes hidden1.weight (4, 5) of torch.float32 (7,) of torch.float32; fill it as it is",
    doubles: "it makes hidden1.weight (4, 5) of torch.float32 (4, 5) of torch.float64; fill it as it is",
    needs_gain: "missing a required argument: 'gain'; the keys that it takes are gain: ",
    torch.nn.init.dirac_: "Only tensors with 3, 4, or 5 dimensions are supported",
}


@pytest.mark.parametrize("rule", REFUSED, ids=lambda rule: rule.__name__)
def test_a_rule_that_does_not_fill_its_parameter_is_refused(rule: Callable[..., Any]) -> None:
    with pytest.raises(BadInput, match=re.escape(REFUSED[rule])) as refused:
        fill_net(weight=rule)
    assert str(refused.value).startswith(f"init.weight._target_={rule.__module__}.{rule.__name__}")


def test_the_rules_of_biases_and_of_the_other_layers_are_checked_too() -> None:
    with pytest.raises(
        BadInput, match=r"init\.bias\._target_=test_user_rules\.half_filled: .* entries of hidden1\.bias"
    ):
        fill_net(bias=half_filled)
    rest = Rules(partial(nn.init.ones_), partial(half_filled))
    with pytest.raises(BadInput, match=r"init\.rest\.bias\._target_=test_user_rules\.half_filled: .* of output\.bias"):
        fill_net(layers=["hidden1"], rest=rest)


def test_an_exception_of_a_rule_has_the_users_line() -> None:
    with pytest.raises(BadInput) as refused:
        fill_net(bias=raises)
    assert str(refused.value) == (
        "init.bias._target_=test_user_rules.raises cannot fill hidden1.bias (4,): KeyError: 'gain' "
        f"(test_user_rules.py, line {line_of(raises, 'KeyError')})"
    )
    with pytest.raises(BadInput, match=rf"\(test_user_rules\.py, line {line_of(raises, 'KeyError')}\)$"):
        fill_net(weight=calls_another)
    with pytest.raises(BadInput) as refused:  # torch raises it, and the user's line is what has to be mended
        fill_net(weight=calls_torch_wrongly)
    location = f"(test_user_rules.py, line {line_of(calls_torch_wrongly, 'copy_')})"
    assert str(refused.value).endswith(location)
    assert "RuntimeError: " in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (nn.init.orthogonal_, {}),
        (nn.init.eye_, {}),
        (nn.init.trunc_normal_, {}),
        (nn.init.sparse_, {"sparsity": 0.5}),
        (torch.zero_, {}),
    ],
)
def test_rules_of_torch_fill_every_entry(rule: Callable[..., Any], options: dict[str, Any]) -> None:
    model = FNN((5,), 3, [4], "elu")
    initialize(model, stream("init", 0), Rules(partial(rule, **options), partial(nn.init.zeros_)), float)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_dirac_fills_convolutions() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False))
    initialize(model, stream("init", 0), Rules(partial(nn.init.dirac_), partial(nn.init.zeros_)), float)
    assert model[0].weight.sum() == 2


@pytest.mark.parametrize("name", sorted({path.stem for path in (CONF / "init").glob("*.yaml")} - {"keep"}))
def test_shipped_rules_draw_what_they_draw_by_themselves(name: str, job_of: Callable[..., Job]) -> None:
    """The values before a rule change none of its numbers."""
    job = job_of("dataset=digits", "arch=fnn", "arch.hidden=[6]", f"init={name}", "bias_scale.value=2")
    data = build.load(job.config, torch.device("cpu"))
    model, _, _ = build.build(job.config, data)
    generator = stream("init", job.config.seeds.init)
    rules = job.config.init.rules.resolve()
    for depth, layer in enumerate([model.hidden1, model.output], start=1):
        given = {"generator": generator, "fan_in": layer.in_features, "depth": depth}
        for rule, filled, factor in ((rules.weight, layer.weight, 1), (rules.bias, layer.bias, 2)):
            expected = torch.full_like(filled, 7.0)
            with torch.no_grad():
                parameters = inspect.signature(rule.func).parameters
                rule.func(
                    expected, **rule.keywords, **{key: value for key, value in given.items() if key in parameters}
                )
            assert filled.equal(expected * factor)


@pytest.mark.parametrize(
    ("scale", "shown"),
    [(math.nan, "nan"), ("wide", "'wide'"), (torch.tensor(1.0), "tensor(1.)"), (None, "None"), (True, "True")],
)
def test_a_bias_scale_is_a_finite_number(scale: object, shown: str) -> None:
    def mine(fan_in: int) -> object:
        return scale

    with pytest.raises(BadInput) as refused:
        fill_net(scale=mine)
    assert str(refused.value).startswith("bias_scale._target_=test_user_rules.")
    assert str(refused.value).endswith(f"it returns {shown} for a layer with fan_in 5; return a finite number")
    assert fill_net(scale=lambda fan_in: np.float32(2)).hidden1.bias.isfinite().all()


def test_an_exception_of_a_bias_scale_has_the_users_line() -> None:
    def mine(fan_in: int) -> float:
        return 1 / (fan_in - 5)

    location = rf"ZeroDivisionError: .* \(test_user_rules\.py, line {line_of(mine, 'return')}\)"
    with pytest.raises(BadInput, match=location):
        fill_net(scale=mine)


@pytest.mark.parametrize(
    "word", ["init.weight._target_=test_user_rules.raises", "init.bias._target_=test_user_rules.half_filled"]
)
def test_the_command_refuses_a_rule_before_training(word: str, zeroinit: Command) -> None:
    ended = zeroinit(*B, word)
    assert (ended.code, ended.out) == (2, "")
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {word}")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("unclosed", "def rule(tensor):\n    tensor.fill_(1\n", "SyntaxError: '(' was never closed (FILE.py, line 2)"),
        (
            "imports_nothing",
            "import not_there_at_all\n",
            "ModuleNotFoundError: No module named 'not_there_at_all' (FILE.py, line 1)",
        ),
        ("divides", "x = 1\n1 / 0\n", "ZeroDivisionError: division by zero (FILE.py, line 2)"),
    ],
)
def test_a_module_that_cannot_be_imported_has_its_line(name: str, text: str, said: str, zeroinit: Command) -> None:
    Path(f"{name}.py").write_text(text)
    ended = zeroinit(*B, f"init.weight._target_={name}.rule")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"zeroinit: init.weight._target_={name}.rule: {said.replace('FILE', name)}\n"


def test_an_error_without_a_users_line_has_its_message_alone() -> None:
    assert describe_error(ValueError("too large")) == "too large"
    assert describe_error(KeyError("gain")) == "KeyError: 'gain'"
    assert describe_error(AssertionError()) == "AssertionError"
