"""What the measurements have in common: the net that is timed, and a clock that waits for the device."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from zeroinit.config import Job
from zeroinit.dataset.data import Data


@dataclass(frozen=True)
class Net:
    """A net to be timed: its config, its data and a built model."""

    name: str
    job: Job
    data: Data
    model: nn.Module
    blocks: int
    block: int  # steps

    @property
    def device(self) -> torch.device:
        return self.data.train[0].device


def timed(device: torch.device, work: Callable[[], object], repeats: int = 3) -> float:
    """Return the median of seconds that the work takes, after one run to warm up; ten runs between two waits."""
    runs = 10 if device.type == "cuda" and repeats > 3 else 1
    work()
    seconds = []
    for _ in range(repeats):
        wait(device)
        started = time.perf_counter()
        for _ in range(runs):
            work()
        wait(device)
        seconds.append((time.perf_counter() - started) / runs)
    return statistics.median(seconds)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def set_tf32(allowed: bool) -> None:
    precision = "tf32" if allowed else "ieee"
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = precision


def card(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
