"""The settings of torch that a config asks for: threads, determinism, precision and memory."""

import ctypes
import os
from functools import cache

import torch

from zeroinit.config.schema import RunConfig
from zeroinit.kernels import warn_of_native_kernels

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def set_up_torch(config: RunConfig) -> torch.device:
    """Apply the settings of a resolved config to this process, and return the device."""
    _keep_freed_memory()
    warn_of_native_kernels(torch.backends.cpu.get_cpu_capability())
    torch.set_num_threads(config.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.use_deterministic_algorithms(config.deterministic)
    # IEEE's float32 on CUDA as well: TF32 keeps 10 of 23 bits of the fraction, and some inits depend on rounding
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    # it costs time, and none of our kernels reads such memory
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return config.device


@cache
def _keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next tensors instead of returning it to the system after each step.

    Otherwise each step has thousands of page faults, which take a third of the time of a stack.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for option, size in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 1 << 30)):
            mallopt(option, size)
