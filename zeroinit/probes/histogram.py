"""Counts of a tensor's entries by sign and power of two: made while it trains, and read back for the figures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EXPONENTS = 255  # of a finite float32: 0 holds zeros and subnormals, e holds 2^(e-127) <= |x| < 2^(e-126)


class Histogram(NamedTuple):
    """Signed-log2 counts of a tensor, a row a member: (K, 2, 255) by sign (negative first) and float32 exponent.

    Exact zeros, NaN and infinities (K,) are in none of the bins, so that `counts` and they add up to the entries. A
    float64 beyond the exponents of float32 is in the first bin of its sign, or in the last.
    """

    counts: NDArray[np.int64]
    zeros: NDArray[np.int64]
    nan: NDArray[np.int64]
    inf: NDArray[np.int64]


def histogram(bits: NDArray[np.int64], size: int) -> Histogram:
    """The histogram of members of `size` entries each, from what `bit_counts` made of them."""
    by_sign = bits[:, :512].reshape(-1, 2, 256)[:, ::-1]  # the sign bit is 0 for positive
    counts = by_sign[:, :, :EXPONENTS].copy()
    counts[:, :, 0] = bits[:, 513:515]
    nan = bits[:, 515]
    return Histogram(counts, size - bits[:, 512], nan, by_sign[:, :, EXPONENTS].sum(1) - nan)


def to_rows(counted: Histogram) -> NDArray[np.int64]:
    """All numbers of a histogram, (K, 513)."""
    return np.column_stack([part.reshape(len(part), -1) for part in counted])


def from_rows(rows: NDArray[np.int64]) -> Histogram:
    """The histogram of which `to_rows` made these."""
    return Histogram(rows[:, :-3].reshape(-1, 2, EXPONENTS), rows[:, -3], rows[:, -2], rows[:, -1])


def quantiles(counts: NDArray[np.int64], zeros: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles (K, len(shares)) of the finite entries, by counts (K, 2, 255) and exact zeros (K,); NaN where none is.

    Interpolated logarithmically in their bin, which spans a factor of two, so no quantile is off by more.
    """
    negative, positive = counts[:, 0, ::-1], counts[:, 1]
    ordered = np.concatenate([negative, zeros[:, None], positive], axis=1)
    exponents = np.arange(EXPONENTS) - 127.0
    result = np.full((len(ordered), len(shares)), np.nan)
    for row, of_one in enumerate(ordered):
        upto = of_one.cumsum()
        if upto[-1] == 0:
            continue
        ranks = np.asarray(shares) * upto[-1]
        bins = np.searchsorted(upto, np.maximum(ranks, 1e-9))
        within = (ranks - (upto[bins] - of_one[bins])) / of_one[bins]
        below = -np.exp2(exponents[::-1][np.minimum(bins, EXPONENTS - 1)] + 1 - within)
        above = np.exp2(exponents[np.maximum(bins - EXPONENTS - 1, 0)] + within)
        result[row] = np.where(bins < EXPONENTS, below, np.where(bins > EXPONENTS, above, 0.0))
    return result
