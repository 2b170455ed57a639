"""What is measured of a run while it trains: pure functions of tensors with a leading member axis."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zeroinit.probes.histogram import EXPONENTS

MAX_PAIRED_NEURONS = 4096  # neurons of a layer whose inner products are held in memory
SATURATION_RTOL = 0.01  # share of an activation's steepest slope; a unit with smaller slopes is saturated
CLUSTER_RTOL = 1e-3  # share of the longest neuron's length; neurons at this distance or less are in one cluster


def bit_counts(values: Tensor) -> Tensor:
    """Return the counts (K, 516) of values (K, ...) from which a histogram is read, on their device.

    The first 512 are by the sign and exponent bits of a float32. The last four count the entries that are not zero,
    the negative and the positive ones below float32's normal numbers, and NaN.
    """
    double = values.dtype == torch.float64
    members = (values if double else values.float()).detach().flatten(1).contiguous()
    read = bits_of_double if double else bits_of_single
    if members.is_cuda:  # where each bincount waits for the device
        rows = 512 * torch.arange(len(members), device=members.device).unsqueeze(1)
        bits = (read(members) + rows).flatten().bincount(minlength=512 * len(members)).view(-1, 512)
    else:  # one bincount a member: a single one over (member, bin) is slower
        bits = torch.stack([read(member).bincount(minlength=512) for member in members])
    nonzero = members.count_nonzero(1)
    rest = torch.zeros(len(members), 3, dtype=torch.int64, device=members.device)
    # exponent 0 is zero or subnormal, 255 is inf or NaN. On a CPU, where the test below costs nothing, most values need
    # no second pass
    zeros = members.shape[1] - nonzero
    if members.is_cuda or (bits[:, 0] + bits[:, 256] > zeros).any() or bits[:, [255, 511]].any():
        subnormal = (members != 0) & (members.abs() < torch.finfo(torch.float32).tiny)
        rest = torch.stack([subnormal & (members < 0), subnormal & (members > 0), members.isnan()], dim=1).sum(2)
    return torch.cat([bits, nonzero.unsqueeze(1), rest], dim=1)


def bits_of_single(values: Tensor) -> Tensor:
    """Return the sign and exponent bits of float32 values as a number: 256 if it is negative, plus the exponent."""
    return (values.view(torch.int32) >> 23) & 0x1FF


def bits_of_double(values: Tensor) -> Tensor:
    """Return the same of float64 values, with the exponent of a float32, or the nearest one of a finite float32."""
    bits = values.view(torch.int64) >> 52
    exponents = bits & 0x7FF
    near = (exponents - (1023 - 127)).clamp(0, EXPONENTS - 1)
    return torch.where(exponents == 0x7FF, EXPONENTS, near) + 256 * values.signbit()


def count_distinct(neurons: Tensor) -> Tensor:
    """Return how many of the neurons (K, units, incoming weights and bias), float32 or float64, differ in value: (K,).

    NaN where one is not finite, here and below.
    """
    double = neurons.dtype == torch.float64
    values = (neurons if double else neurons.float()).detach() + 0.0  # which makes 0 of -0
    # equal neurons have equal hashes: sorted by them, each is compared with the one before it
    factors = torch.randint(2**62, values.shape[2:], generator=torch.Generator().manual_seed(0)) * 2 + 1
    hashes = (values.contiguous().view(torch.int64 if double else torch.int32) * factors.to(values.device)).sum(2)
    ordered = values.gather(1, hashes.argsort(1).unsqueeze(2).expand_as(values))
    count = 1 + (ordered[:, 1:] != ordered[:, :-1]).any(2).sum(1)
    return torch.where(values.isfinite().all(2).all(1), count, torch.nan)


def pairs(neurons: Tensor) -> tuple[Tensor, Tensor]:
    """Return the clusters (K,) and the effective rank (K,) of neurons (K, units, ...), from all pairs of them."""
    result = [(clusters(products), effective_rank(products)) for products in map(gram, neurons)]
    counts, ranks = zip(*result, strict=True)
    return torch.stack(counts), torch.stack(ranks)


def clusters(products: Tensor) -> Tensor:
    """Return the number of clusters of one member's neurons, from their inner products (units, units).

    Chains of neighbours that are at most CLUSTER_RTOL apart are one cluster.
    """
    squares, numbers = products.diagonal(), torch.arange(len(products), device=products.device)
    apart = squares.unsqueeze(0) + squares.unsqueeze(1) - 2 * products
    close = (apart <= CLUSTER_RTOL**2 * squares.max()) | (numbers == numbers.unsqueeze(1))
    first = numbers  # of each neuron's cluster, the lowest number that is known so far
    while True:
        lower = torch.where(close, first, len(products)).amin(1)
        lower = lower[lower]
        if lower.equal(first):
            return torch.where(products.isfinite().all(), (first == numbers).sum(), torch.nan)
        first = lower


def gram(neurons: Tensor) -> Tensor:
    """Return the inner products (units, units) of one member's neurons, in float64, so that small distances survive."""
    values = neurons.detach().double()
    return values @ values.T


def mean_cosine(neurons: Tensor) -> Tensor:
    """Return the mean cosine (K,) of the angle between two neurons (K, units, ...), over all pairs of nonzero neurons.

    It is NaN with fewer than two such neurons.
    """
    units = torch.nn.functional.normalize(neurons.detach().double(), dim=2)
    count = neurons.detach().any(2).sum(1)
    total = units.sum(1).square().sum(1)  # of the cosines of all neurons with all, each with itself included
    return torch.where(count > 1, (total - count) / (count * (count - 1)), torch.nan)


def effective_rank(products: Tensor) -> Tensor:
    """Return the effective rank of one member's neurons, from their inner products (units, units).

    It is exp of the entropy of the singular values as shares of their sum, and 0 where all are zero (Roy and Vetterli,
    "The effective rank", EUSIPCO 2007). The squares of the singular values are the eigenvalues of the inner products.
    """
    finite = products.isfinite().all()
    singular = torch.linalg.eigvalsh(products.where(finite, 0)).clamp(min=0).sqrt()
    rank: Tensor = torch.special.entr(singular / singular.sum()).sum().exp()
    return torch.where(finite, torch.where(singular.any(), rank, 0), torch.nan)


def norm(values: Tensor) -> Tensor:
    """Return the Euclidean norm (K,) of values (K, ...), summed in float64, so that small squares survive."""
    result: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1, dtype=torch.float64)
    return result


def neurons(weights: Tensor, biases: Tensor | None) -> Tensor:
    """Return the neurons of a layer (K, units, ...): incoming weights, then the bias where each neuron has one."""
    flat = weights.flatten(2)
    return flat if biases is None or biases.shape != flat.shape[:2] else torch.cat([flat, biases.unsqueeze(2)], dim=2)


def relative_update(before: Tensor, after: Tensor) -> Tensor:
    """Return ||after - before|| / ||before|| (K,) of weights (K, ...); inf or NaN where they were zero."""
    ratio: Tensor = norm(after - before) / norm(before)
    return ratio


def angle(weights: Tensor, others: Tensor) -> Tensor:
    """Return the angle (K,), in degrees, between weights (K, ...) and others; NaN where one of them is zero.

    By a formula that small angles survive (Kahan, "How Futile are Mindless Assessments of Roundoff", 2006, section 12).
    """
    first, second = (
        torch.nn.functional.normalize(each.detach().double().flatten(1), dim=1, eps=0) for each in (weights, others)
    )
    return 2 * torch.atan2((first - second).norm(dim=1), (first + second).norm(dim=1)).rad2deg()


def slopes(activation: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Return the activation's slope at each of its inputs, as autograd computes it."""
    with torch.enable_grad():
        leaf = inputs.detach().requires_grad_()
        [result] = torch.autograd.grad(activation(leaf * 1).sum(), leaf)  # a copy, as it may act in place
    return result


def steepest_slope(activation: nn.Module) -> float:
    """Return the largest absolute slope of the activation, from inputs between -8 and 8."""
    return slopes(activation, torch.linspace(-8, 8, 1601)).abs().max().item()


def dead_share(slopes: Tensor) -> Tensor:
    """Return the share (K,) of dead units: all their slopes (K, units, N) are 0, so that no gradient passes."""
    share = (slopes == 0).all(2).double().mean(1)
    return torch.where(slopes.isfinite().flatten(1).all(1), share, torch.nan)


def saturated_share(slopes: Tensor, steepest: float) -> Tensor:
    """Return the share (K,) of units whose slopes (K, units, N) are all below SATURATION_RTOL of the steepest.

    Dead units are saturated, too. Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, section 3.
    """
    share = (slopes.abs() < SATURATION_RTOL * steepest).all(2).double().mean(1)
    return torch.where(slopes.isfinite().flatten(1).all(1), share, torch.nan)
