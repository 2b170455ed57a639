"""Whether what a data set's function returned is data that a net can be trained on; else one sentence says why not."""

import torch
from torch import Tensor

from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput

STORED = (torch.uint8, torch.float32, torch.float64)  # dtypes of inputs: bytes, or real numbers


def check_data(data: object, name: str) -> Data:
    """Return the data as they are. Raises BadInput, with `name` before it, where they are not what `Data` says."""
    if not isinstance(data, Data):
        raise BadInput(f"{name}: it returned a {type(data).__name__}; return a zeroinit.dataset.Data")
    if wrong := describe_fault(data):
        raise BadInput(f"{name}: {wrong}")
    return data


def describe_fault(data: Data) -> str:
    """Say what is wrong with the data, and what is accepted; empty where nothing is."""
    classes = data.num_classes
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 2:
        return f"num_classes is {classes!r}; give a whole number from 2"
    for split in ("train", "val", "test"):
        if wrong := describe_fault_of_split(split, getattr(data, split), classes):
            return wrong
    first = data.train[0]
    for split, inputs in (("val", data.val[0]), ("test", data.test[0])):
        if inputs.shape[1:] != first.shape[1:]:
            unlike = f"{tuple(first.shape[1:])} in train and {tuple(inputs.shape[1:])} in {split}"
            return f"an input has the shape {unlike}; give inputs of one shape"
        if inputs.dtype != first.dtype:
            return f"inputs are {first.dtype} in train and {inputs.dtype} in {split}; give one dtype"
    return ""


def describe_fault_of_split(split: str, pair: object, classes: int) -> str:
    """The same of one split, which should be inputs (N, *input_shape) and labels (N,)."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(part, Tensor) for part in pair)):
        return f"{split} is no pair of tensors; give (inputs, labels)"
    inputs, labels = pair
    if inputs.dtype not in STORED:
        return (
            f"the inputs of {split} are {inputs.dtype}; give torch.float32, as inputs.float(), or torch.uint8 for bytes"
        )
    if labels.dtype != torch.int64:
        return (
            f"the labels of {split} are {labels.dtype}; give torch.int64, the number of a class each, as labels.long()"
        )
    if labels.dim() != 1:
        return f"the labels of {split} have the shape {tuple(labels.shape)}; give one dimension, a label for each input"
    if inputs.dim() < 2:
        return (
            f"the inputs of {split} have the shape {tuple(inputs.shape)}; give (examples, ...), as inputs.unsqueeze(1)"
        )
    if len(inputs) != len(labels):
        return f"{split} has {len(inputs)} inputs and {len(labels)} labels; give a label for each input"
    if not inputs.numel():
        return f"{split} has inputs of shape {tuple(inputs.shape)}; give at least one example of at least one number"
    low, high = (int(part) for part in labels.aminmax())
    if low < 0 or high >= classes:
        return f"the labels of {split} are {low} to {high}; give 0 to {classes - 1}, as num_classes is {classes}"
    # a sum is finite where each number is, but for one that is too large: it is cheap, and rules out nearly all
    if inputs.is_floating_point() and not inputs.sum().isfinite() and not inputs.isfinite().all():
        count = int((~inputs.isfinite()).sum())
        return f"the inputs of {split} hold {count} numbers that are NaN or infinite; give finite numbers"
    return ""
