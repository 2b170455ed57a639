"""Streams of random numbers: one generator for each purpose, and never torch's global one."""

import hashlib
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream_seed(name: str, seed: int) -> int:
    """Return the 63-bit seed of the stream `name`; no two streams share their draws."""
    return int.from_bytes(hashlib.sha256(f"{name}:{seed}".encode()).digest()[:8], "big") >> 1


def stream(name: str, seed: int) -> torch.Generator:
    """Return a CPU generator for the stream `name` ("init", "order", "split", ...), the same for every device."""
    return torch.Generator().manual_seed(stream_seed(name, seed))


class ForeignStates:
    """The current states of numpy's and Python's global generators, which no seed of a run sets."""

    def __init__(self) -> None:
        self.numpy, self.python = np.random.get_state(legacy=False), random.getstate()

    def name_moved(self) -> list[str]:
        """Return the names of the generators that something has drawn from since."""
        same = pickle.dumps(np.random.get_state(legacy=False)) == pickle.dumps(self.numpy)
        moved = {"numpy's": not same, "Python's": random.getstate() != self.python}
        return [f"{owner} global generator" for owner, has_moved in moved.items() if has_moved]

    def restore(self) -> None:
        """Set both generators back."""
        np.random.set_state(self.numpy)
        random.setstate(self.python)


@contextmanager
def restore_generators(device: torch.device) -> Iterator[None]:
    """Restore the global generators of torch (on the CPU and on `device`), numpy and Python after the block."""
    before = ForeignStates()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        before.restore()
