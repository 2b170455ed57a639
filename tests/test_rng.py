"""Streams: alike for the same name and seed, apart otherwise, and seed 0 is a seed."""

import torch

from zeroinit.rng import stream


def test_streams_differ_by_name_and_by_seed() -> None:
    drawn = {
        (name, seed): torch.randn(4, generator=stream(name, seed))
        for name in ("init", "order", "split")
        for seed in (0, 1)
    }
    assert all(torch.equal(values, torch.randn(4, generator=stream(*key))) for key, values in drawn.items())
    assert len({tuple(values.tolist()) for values in drawn.values()}) == 6


def test_streams_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    torch.randn(4, generator=stream("init", 0))
    assert torch.equal(before, torch.get_rng_state())
