"""Bad inputs that hypothesis makes, and a run of each in this process: it must end in one sentence, and train nothing.

`KINDS` has a strategy for each kind. The tests run few examples of each, and benchmarks/bad_inputs.py runs many.
"""

from collections.abc import Callable

from hypothesis.strategies import SearchStrategy

from helpers.bad_inputs.data_files import CIFAR_FILES, IDX_FILES, IMAGES
from helpers.bad_inputs.databases import databases
from helpers.bad_inputs.examples import Ending, Example, run_command, run_parts
from helpers.bad_inputs.keys import AXES, KEYS
from helpers.bad_inputs.sweep_files import SAVED_CONFIGS, SWEEP_FILES

KINDS: dict[str, Callable[[], SearchStrategy[Example]]] = {
    "keys": lambda: KEYS,
    "axes": lambda: AXES,
    "sweep files": lambda: SWEEP_FILES,
    "saved configs": lambda: SAVED_CONFIGS,
    "images": lambda: IMAGES,
    "IDX files": lambda: IDX_FILES,
    "CIFAR files": lambda: CIFAR_FILES,
    "databases": databases,
}

__all__ = ["KINDS", "Ending", "Example", "run_command", "run_parts"]
