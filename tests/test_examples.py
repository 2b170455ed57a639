"""The examples run, and show what they say."""

import importlib.util
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"


def load_example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_random_biases_wake_the_layers_one_by_one() -> None:
    accuracy, first_gradient = load_example("minimal").train(bias_std=1.0)
    assert accuracy > 0.75
    assert first_gradient == {"output": 1, "hidden2": 2, "hidden1": 3}


def test_without_them_no_weight_has_a_gradient() -> None:
    accuracy, first_gradient = load_example("minimal").train(bias_std=0.0)
    assert accuracy < 0.2
    assert first_gradient == {}
