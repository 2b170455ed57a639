"""The final weights of small trainings, bit for bit, on the processors that tests/golden/weights.json knows."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from zeroinit.kernels import cpu_name, kernel_settings

GOLDEN = Path(__file__).parents[1] / "golden" / "weights.json"


def load_benchmark() -> Any:
    """benchmarks/kernels.py, which is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "kernels.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_kernels", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


kernels = load_benchmark()


@pytest.mark.parametrize("name", kernels.CASES)
def test_final_weights_have_the_bits_of_this_processor(name: str, pytestconfig: pytest.Config) -> None:
    """An unknown processor, version of torch or choice of kernels is skipped, with its hash."""
    machine = f"{cpu_name()}, torch {torch.__version__}, {kernel_settings()}"
    digest, _ = kernels.train_case(kernels.CASES[name])
    golden = json.loads(GOLDEN.read_text())
    if pytestconfig.getoption("--update-golden"):
        golden.setdefault(machine, {})[name] = digest
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
        return
    if name not in golden.get(machine, {}):
        pytest.skip(f"no hash for {machine}: {digest}")
    assert digest == golden[machine][name]
