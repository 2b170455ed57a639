"""What is measured of a run while it trains: pure functions of tensors with a leading member axis."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EXPONENTS = 255  # of a finite float32: 0 holds zeros and subnormals, e holds 2^(e-127) <= |x| < 2^(e-126)
DENSE_STEPS = 20  # the story is in the first steps: every one of these is observed,
STEPS_A_DECADE = 10  # and this many of each tenfold after them


class Histogram(NamedTuple):
    """Signed-log2 counts of a tensor, a row a member: (K, 2, 255) by sign (negative first) and float32 exponent.

    Exact zeros, NaN and infinities (K,) are in none of the bins, so that `counts` and they add up to the entries.
    """

    counts: NDArray[np.int64]
    zeros: NDArray[np.int64]
    nan: NDArray[np.int64]
    inf: NDArray[np.int64]


def histogram(values: Tensor) -> Histogram:
    """Counts of `values` (K, ...) in the bins that every run shares: the sign and exponent bits of a float32."""
    members = values.detach().float().flatten(1).contiguous()
    # one bincount a member: a single one over (member, bin) is slower
    bits = torch.stack([((member.view(torch.int32) >> 23) & 0x1FF).bincount(minlength=512) for member in members])
    nonzero = members.count_nonzero(1).unsqueeze(1)
    read = torch.cat([bits, nonzero], dim=1).cpu().numpy()  # one read-back
    by_sign = read[:, :512].reshape(-1, 2, 256)[:, ::-1]  # the sign bit is 0 for positive
    counts = by_sign[:, :, :EXPONENTS].copy()
    zeros = members.shape[1] - read[:, 512]
    # exponent 0 is zero or subnormal, 255 is inf or NaN: the second look is rare
    counts[:, :, 0] = 0
    if (by_sign[:, :, 0].sum(1) > zeros).any():
        subnormal = (members != 0) & (members.abs() < torch.finfo(torch.float32).tiny)
        counts[:, 0, 0] = (subnormal & (members < 0)).sum(1).cpu().numpy()
        counts[:, 1, 0] = (subnormal & (members > 0)).sum(1).cpu().numpy()
    nan = inf = np.zeros_like(zeros)
    if by_sign[:, :, EXPONENTS].any():
        nan = members.isnan().sum(1).cpu().numpy()
        inf = members.isinf().sum(1).cpu().numpy()
    return Histogram(counts, zeros, nan, inf)


def quantiles(histogram: Histogram, shares: tuple[float, ...]) -> NDArray[np.float64]:
    """Quantiles (K, len(shares)) of the finite entries, interpolated logarithmically in their bin; NaN where none is.

    A bin spans a factor of two, so no quantile is off by more.
    """
    negative, positive = histogram.counts[:, 0, ::-1], histogram.counts[:, 1]
    ordered = np.concatenate([negative, histogram.zeros[:, None], positive], axis=1)
    exponents = np.arange(EXPONENTS) - 127.0
    found = np.full((len(ordered), len(shares)), np.nan)
    for member, counts in enumerate(ordered):
        upto = counts.cumsum()
        if upto[-1] == 0:
            continue
        ranks = np.asarray(shares) * upto[-1]
        bins = np.searchsorted(upto, np.maximum(ranks, 1e-9))
        within = (ranks - (upto[bins] - counts[bins])) / counts[bins]
        below = -np.exp2(exponents[::-1][np.minimum(bins, EXPONENTS - 1)] + 1 - within)
        above = np.exp2(exponents[np.maximum(bins - EXPONENTS - 1, 0)] + within)
        found[member] = np.where(bins < EXPONENTS, below, np.where(bins > EXPONENTS, above, 0.0))
    return found


def observed(step: int) -> bool:
    """Whether gradients are looked at in this step (from 1): in the first 20, then ten times a decade."""
    if step <= DENSE_STEPS:
        return True

    def rank(s: int) -> int:
        return int(np.floor(STEPS_A_DECADE * np.log10(s / DENSE_STEPS) + 1e-9))

    return rank(step) != rank(step - 1)
