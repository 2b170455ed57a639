"""The largest and the smallest eigenvalue of a Hessian, by Lanczos."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

ITERATIONS = 30  # of Lanczos: the vectors of length P that it holds for each member
Parameters = Mapping[str, Tensor]  # {name: (K, *shape)}


class HessianEnds(NamedTuple):
    """Of each member (K,): the norm of its gradient, and the largest and the smallest eigenvalue of its Hessian.

    A point without gradient is a strict saddle where the smallest is negative: there is a way down. Where it is zero
    in the block of the weights, which moving alone then changes nothing to second order, the saddle is flat.
    """

    gradient: Tensor
    largest: Tensor
    smallest: Tensor


def hessian_ends(losses: Callable[[Parameters], Tensor], parameters: Parameters, block: Sequence[str]) -> HessianEnds:
    """Return the ends of the Hessian's spectrum in the parameters named `block`.

    `losses` maps parameters {name: (K, *shape)} to (K,).

    By Lanczos on Hessian-vector products (Pearlmutter, "Fast exact multiplication by the Hessian", 1994). It finds the
    ends of the spectrum first, and from inside: each estimate lies within the spectrum.
    """
    leaves = {name: parameter.detach().requires_grad_() for name, parameter in parameters.items()}
    chosen = [leaves[name] for name in block]
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no second derivative
        loss = losses(leaves).sum()
    slopes = torch.autograd.grad(loss, chosen, create_graph=True, materialize_grads=True)
    gradient = torch.cat([slope.flatten(1) for slope in slopes], dim=1)
    sizes = [leaf[0].numel() for leaf in chosen]

    def product(vector: Tensor) -> Tensor:
        if not gradient.requires_grad:  # linear in these parameters, or they are not of the loss
            return torch.zeros_like(vector)
        products = torch.autograd.grad(gradient, chosen, vector, retain_graph=True, materialize_grads=True)
        return torch.cat([part.flatten(1) for part in products], dim=1)

    members = len(gradient)
    start = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(0)).to(gradient)
    ends = lanczos(product, start.expand(members, -1), min(ITERATIONS, sum(sizes)))
    return HessianEnds(gradient.detach().norm(dim=1), ends[:, 1], ends[:, 0])


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, iterations: int) -> Tensor:
    """Return the smallest and the largest eigenvalue (K, 2) of K symmetric matrices, as the iterations find them.

    `product` maps vectors (K, P) to each one's matrix times it. With full reorthogonalisation; see Golub and Van Loan,
    "Matrix Computations", section 10.1. Both lie within the spectrum. NaN where a product is not finite.
    """
    held = start.new_zeros(len(start), iterations, start.shape[1])
    held[:, 0] = start / start.norm(dim=1, keepdim=True)
    diagonal, off_diagonal = list[Tensor](), list[Tensor]()
    for iteration in range(iterations):
        image = product(held[:, iteration])
        diagonal.append((image * held[:, iteration]).sum(1))
        if iteration == 0:
            scale = image.norm(dim=1)
        for _ in range(2):  # once leaves rounding errors that look like eigenvectors
            image = image - torch.einsum("kip,ki->kp", held, torch.einsum("kip,kp->ki", held, image))
        length = image.norm(dim=1)
        nonzero = length > 1e-6 * scale  # else the space is exhausted, and what is left is rounding
        off_diagonal.append(torch.where(nonzero, length, 0))
        if iteration + 1 < iterations:
            held[:, iteration + 1] = torch.where(nonzero.unsqueeze(1), image / length.unsqueeze(1), 0)
    entries, neighbours = (torch.stack(rows, dim=1).double() for rows in (diagonal, off_diagonal))
    # entries after a zero off the diagonal are decoupled: the first entry replaces them, and adds no other eigenvalue
    decoupled = neighbours.eq(0).cumsum(1).roll(1, 1) > 0
    decoupled[:, 0] = False
    entries = torch.where(decoupled, entries[:, :1], entries)
    above, below = (torch.diag_embed(neighbours[:, :-1], offset) for offset in (1, -1))
    matrix = torch.diag_embed(entries) + above + below
    finite = matrix.isfinite().flatten(1).all(1)
    values = torch.linalg.eigvalsh(matrix.where(finite[:, None, None], 0))
    return torch.where(finite.unsqueeze(1), values[:, [0, -1]], torch.nan)
