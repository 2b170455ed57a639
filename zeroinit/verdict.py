"""What became of a run, in a word."""

import math

import torch
from torch import Tensor

from zeroinit.loop import Trained


def verdict(trained: Trained, val_labels: Tensor) -> str:
    """`diverged`; `stuck-at-prior`, no better than always naming the commonest class; otherwise `learns`.

    Better: the validation accuracy exceeds that class's share by more than a binomial standard error.
    """
    if trained.diverged_at is not None:
        return "diverged"
    prior = (torch.bincount(val_labels).max() / len(val_labels)).item()
    error = math.sqrt(prior * (1 - prior) / len(val_labels))
    return "learns" if trained.metrics[-1].values["val/accuracy"] > prior + error else "stuck-at-prior"
