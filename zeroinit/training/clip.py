"""Gradient clipping: by the norm of all gradients of a model, and by the size of each entry."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Clip:
    """The largest gradients that an optimizer gets. The norm is limited first.

    Attributes:
        norm: the largest Euclidean norm of all gradients of a model together; None for no limit.
        value: the largest absolute value of an entry; None for no limit.
    """

    norm: float | None
    value: float | None

    def clip_model(self, model: nn.Module) -> None:
        """Clip the gradients of one plain model in place."""
        if self.norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.norm)
        if self.value is not None:
            nn.utils.clip_grad_value_(model.parameters(), self.value)

    @torch.no_grad()
    def clip_members(self, gradients: Collection[Tensor]) -> None:
        """Clip gradients (K, *shape) in place, those of each member alone: a NaN stays in its member.

        The formula is that of torch.nn.utils.clip_grad_norm_.
        """
        if self.norm is not None:
            # the sum of a member is along the last axis, so that its bits do not depend on how many members there are
            norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients], 1)
            factors = (self.norm / (torch.linalg.vector_norm(norms, dim=1) + 1e-6)).clamp(max=1)
            for gradient in gradients:
                gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))
        if self.value is not None:
            for gradient in gradients:
                gradient.clamp_(-self.value, self.value)
