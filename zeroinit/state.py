"""The state of a training as plain values, which torch.load reads with weights_only: no class but Tensor is pickled."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

State = dict[str, Any]  # of tensors, numbers, texts, None, lists, tuples and dictionaries
TENSORS = (Tensor, nn.Parameter, nn.Buffer)


class NotPlain(Exception):
    """A state holds an object that a checkpoint cannot hold. The message names it."""


def to_plain(value: Any, path: str = "state") -> Any:
    """Return a copy of a state on the CPU, which later steps do not change.

    Raises:
        NotPlain: The state holds an object of another class, such as one of the user.
    """
    if type(value) in TENSORS:
        return value.detach().to("cpu", copy=True) if value.is_cuda else value.detach().clone()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic):
        return to_plain(value.item(), path)
    if isinstance(value, dict):
        items = {to_plain(key, path): to_plain(item, f"{path}.{key}") for key, item in value.items()}
        return Counter(items) if type(value) is Counter else items
    if isinstance(value, list | tuple):
        entries = [to_plain(item, f"{path}.{index}") for index, item in enumerate(value)]
        return entries if isinstance(value, list) else tuple(entries)
    raise NotPlain(f"{path} is a {type(value).__name__}")


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """Return a plain state with the function of each tensor in its place."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: map_tensors(item, function) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(item, function) for item in value)
    return value


def are_equal(first: Any, second: Any) -> bool:
    """Return whether two plain states are equal, tensors bit for bit."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        if (first.dtype, first.shape) != (second.dtype, second.shape):
            return False
        return torch.equal(*(part.contiguous().flatten().view(torch.uint8) for part in (first, second)))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(are_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(are_equal, first, second))
    return repr(first) == repr(second)  # NaN is equal to NaN, and True is not 1


def narrow(indices: Tensor) -> Tensor:
    """Return whole numbers from 0 in the smallest type that holds them."""
    most = int(indices.max()) if indices.numel() else 0
    return indices.to(
        next(dtype for dtype in (torch.uint8, torch.int16, torch.int32, torch.int64) if most <= torch.iinfo(dtype).max)
    )
