"""The kernels of torch, MKL and oneDNN: the same on every x86-64 processor with AVX2.

All three libraries choose their kernels by processor, and read the environment when they start. So this module imports
none of them, and `pin_kernels` must run before the first import of torch.
"""

import os
import platform
import re
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from zeroinit.errors import BadInput

SWITCH = "ZEROINIT_KERNELS"
# torch's kernels; MKL's matrix products, a choice that AMD processors ignore; oneDNN's convolutions
PORTABLE = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def pin_kernels() -> None:
    """Choose AVX2 kernels for this process and the processes that it starts, on x86-64 with AVX2 only.

    A variable that is already set keeps its value. ZEROINIT_KERNELS=native leaves the choice to the libraries.

    Raises:
        BadInput: ZEROINIT_KERNELS is neither `portable` nor `native`.
    """
    if is_native() or not {"avx2", "fma"} <= cpu_flags():
        return
    for name, value in PORTABLE.items():
        os.environ.setdefault(name, value)


def is_native() -> bool:
    """Return whether the environment asks for the kernels that the libraries choose for the processor."""
    choice = os.environ.get(SWITCH, "portable")
    if choice not in ("portable", "native"):
        raise BadInput(f"{SWITCH}={choice}: give portable (AVX2 kernels on every processor) or native")
    return choice == "native"


def are_portable() -> bool:
    """Return whether no variable of the environment asks for other kernels than those of PORTABLE."""
    return not is_native() and all(os.environ.get(name, value) == value for name, value in PORTABLE.items())


@cache
def cpu_info() -> Mapping[str, str]:
    """Return the first processor's entry of /proc/cpuinfo; empty on a system without this file."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the processor, as Linux on x86-64 names them; empty elsewhere."""
    return frozenset(cpu_info().get("flags", "").split())


def cpu_name() -> str:
    """Return the processor's model name, on Linux with its family and model number."""
    info = cpu_info()
    name = re.sub(r"\s+", " ", info.get("model name", "")) or platform.processor() or platform.machine()
    numbers = [f"{key.removeprefix('cpu ')} {info[key]}" for key in ("cpu family", "model") if key in info]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def kernel_settings() -> str:
    """Return the variables of PORTABLE that are set, as `NAME=value`; `native` if none is."""
    return " ".join(f"{name}={os.environ[name]}" for name in PORTABLE if name in os.environ) or "native"


@cache
def warn_of_native_kernels(capability: str) -> None:
    """Warn if torch, with this `capability`, was imported before the kernels were chosen, as in a notebook."""
    is_wider = capability.startswith("AVX512")
    is_unset = "avx512f" in cpu_flags() and not PORTABLE.keys() <= os.environ.keys()
    if (is_wider or is_unset) and not is_native():
        typed = " ".join(f"{name}={value}" for name, value in PORTABLE.items())
        warnings.warn(
            f"torch computes with {capability} kernels, so that numbers may differ from those of the command zeroinit; "
            f"set {typed} before Python starts, or {SWITCH}=native to accept this",
            stacklevel=2,
        )
