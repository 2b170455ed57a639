"""Histograms against a naive count, quantiles against numpy's, the schedule against its description."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from zeroinit.probe import Histogram, histogram, observed, quantiles


def naive(values: list[float]) -> tuple[dict[tuple[int, int], int], int, int, int]:
    """Counts by (sign, exponent field), zeros, NaN, inf: one number at a time, from the definition."""
    counts: dict[tuple[int, int], int] = {}
    zeros = nan = inf = 0
    for value in values:
        if math.isnan(value):
            nan += 1
        elif math.isinf(value):
            inf += 1
        elif value == 0:
            zeros += 1
        else:
            exponent = math.frexp(value)[1] - 1  # 2^exponent <= |value| < 2^(exponent + 1)
            key = int(value > 0), max(exponent + 127, 0)
            counts[key] = counts.get(key, 0) + 1
    return counts, zeros, nan, inf


def awkward() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(3, 997, generator=generator) * 10.0 ** torch.randint(-44, 38, (3, 997), generator=generator)
    ones = torch.tensor([0.0, -0.0, 1e-45, -1e-45, 1e-40, 2.0**-126, -(2.0**-126), 1.0, -1.0, 3.4e38])
    special = torch.tensor([math.nan, -math.nan, math.inf, -math.inf])
    return torch.cat([spread, ones.expand(3, -1), special.expand(3, -1)], dim=1)


@pytest.mark.parametrize("members", [1, 3])
def test_histogram_is_the_naive_count(members: int) -> None:
    values = awkward()[:members]
    found = histogram(values)
    for member in range(members):
        counts, zeros, nan, inf = naive(values[member].tolist())
        nonzero = {(int(s), int(e)): int(found.counts[member, s, e]) for s, e in np.argwhere(found.counts[member])}
        assert nonzero == counts
        assert (found.zeros[member], found.nan[member], found.inf[member]) == (zeros, nan, inf)


def test_histogram_accounts_for_every_entry() -> None:
    values = awkward()
    found = histogram(values)
    assert (found.counts.sum(axis=(1, 2)) + found.zeros + found.nan + found.inf == values.shape[1]).all()


def test_histogram_of_a_matrix_with_nothing_special() -> None:
    values = torch.randn(2, 30, 40, generator=torch.Generator().manual_seed(1))
    values[:, :3] = 0
    found = histogram(values)
    assert found.zeros.tolist() == [120, 120]
    assert found.nan.tolist() == found.inf.tolist() == [0, 0]
    assert naive(values[1].flatten().tolist())[0] == {
        (int(s), int(e)): int(found.counts[1, s, e]) for s, e in np.argwhere(found.counts[1])
    }


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("zeros", [0, 600])
def test_quantiles_are_numpys_to_a_factor_of_two(share: float, zeros: int) -> None:
    values = torch.randn(2, 1001, generator=torch.Generator().manual_seed(2)) * 1e-5
    values[:, :zeros] = 0
    found = quantiles(histogram(values), (share,))
    exact = np.quantile(values.numpy(), share, axis=1, method="inverted_cdf")
    for estimate, true in zip(found[:, 0], exact, strict=True):
        if true == 0 or estimate == 0:
            assert abs(estimate - true) < 2e-8  # next to zero, where a rank may fall on either side
        else:
            assert 0.5 <= estimate / true <= 2


def test_quantiles_of_nothing_finite_are_nan() -> None:
    assert np.isnan(quantiles(histogram(torch.full((1, 4), math.nan)), (0.5,))).all()


def test_quantiles_of_zeros_are_zero() -> None:
    assert quantiles(histogram(torch.zeros(1, 9)), (0.05, 0.5, 0.95)).tolist() == [[0.0, 0.0, 0.0]]


def test_histogram_counts_can_be_added_over_seeds() -> None:
    a, b = torch.randn(2, 1, 500, generator=torch.Generator().manual_seed(3))
    both = histogram(torch.cat([a, b], dim=1))
    apart = [histogram(a), histogram(b)]
    assert Histogram(*(sum(getattr(one, part) for one in apart) for part in Histogram._fields)).counts.tolist() == (
        both.counts.tolist()
    )


def test_observed_is_dense_then_thin() -> None:
    steps = [step for step in range(1, 200_001) if observed(step)]
    assert steps[:20] == list(range(1, 21))
    assert [sum(20 * 10**k < step <= 20 * 10 ** (k + 1) for step in steps) for k in range(4)] == [10, 10, 10, 10]
    assert max(b / a for a, b in pairwise(steps[20:])) < 1.35
