"""Streams of random numbers: one generator a purpose, none of them torch's global one."""

import hashlib

import torch


def stream_seed(name: str, seed: int) -> int:
    """The 63-bit seed that the stream `name` starts from, so that no two streams share their draws."""
    return int.from_bytes(hashlib.sha256(f"{name}:{seed}".encode()).digest()[:8], "big") >> 1


def stream(name: str, seed: int) -> torch.Generator:
    """A CPU generator for the stream `name` ("init", "order", "split", ...); a run draws alike on every device."""
    return torch.Generator().manual_seed(stream_seed(name, seed))
