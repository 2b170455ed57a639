"""What an initialisation does to training: sweeps of init x bias scale x arch x seed, tracked in MLflow."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroinit.python_api import load, run_sweep

__all__ = ["load", "run_sweep"]

try:
    from omegaconf import OmegaConf
except ImportError:  # what trains needs it not: benchmarks/gpu.py runs on machines that have torch and little else
    pass
else:
    # `${unless:a,b}`: null where a is set, else b; here, so that the processes of every launcher know it
    OmegaConf.register_new_resolver("unless", lambda a, b: b if a is None else None, replace=True)

_PACKAGE = Path(__file__).parent
# a checkout's own conf/ and sweeps/; an installed package carries them inside
_HOME = _PACKAGE.parent if (_PACKAGE.parent / "conf").is_dir() else _PACKAGE
CONF, SWEEPS = _HOME / "conf", _HOME / "sweeps"


def __getattr__(name: str) -> Any:
    """Import `load` and `run_sweep` when they are first used: they import pandas and MLflow, which takes seconds."""
    if name in __all__:
        return getattr(import_module("zeroinit.python_api"), name)
    raise AttributeError(f"module 'zeroinit' has no attribute {name!r}")
