"""Whether the return value of a data set function is data that a net can be trained on."""

import torch
from torch import Tensor

from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput

INPUT_DTYPES = (torch.uint8, torch.int64, torch.float32, torch.float64)  # bytes, tokens, or real numbers


def check_data(data: object, name: str) -> Data:
    """Return the data. Raise BadInput, whose message starts with `name`, if they are not what `Data` describes."""
    if not isinstance(data, Data):
        raise BadInput(f"{name}: it returned a {type(data).__name__}; return a zeroinit.dataset.Data")
    if fault := describe_fault(data):
        raise BadInput(f"{name}: {fault}")
    return data


def describe_fault(data: Data) -> str:
    """Return the fault of the data and what is accepted; empty if there is none."""
    classes = data.num_classes
    if classes is not None and (not isinstance(classes, int) or isinstance(classes, bool) or classes < 2):
        return f"num_classes is {classes!r}; give a whole number from 2"
    for split in ("train", "val", "test"):
        if fault := describe_fault_of_split(split, getattr(data, split), classes):
            return fault
    first = data.train[0]
    for split, inputs in (("val", data.val[0]), ("test", data.test[0])):
        if inputs.shape[1:] != first.shape[1:]:
            shapes = f"{tuple(first.shape[1:])} in train and {tuple(inputs.shape[1:])} in {split}"
            return f"an input has the shape {shapes}; give inputs of one shape"
        if inputs.dtype != first.dtype:
            return f"inputs are {first.dtype} in train and {inputs.dtype} in {split}; give one dtype"
    if classes is None:
        widths = {split: getattr(data, split)[1].shape[1] for split in ("train", "val", "test")}
        if len(set(widths.values())) > 1:
            shown = ", ".join(f"{width} in {split}" for split, width in widths.items())
            return f"an example has {shown} real targets; give as many in each split"
    return ""


def describe_fault_of_split(split: str, pair: object, classes: int | None) -> str:
    """Return the fault of one split: inputs (N, *input_shape), and labels (N,) or real targets (N, targets)."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(part, Tensor) for part in pair)):
        return f"{split} is no pair of tensors; give (inputs, labels)"
    inputs, targets = pair
    if inputs.requires_grad:
        return f"the inputs of {split} require a gradient; give inputs.detach()"
    if inputs.layout != torch.strided or targets.layout != torch.strided:
        return f"{split} has sparse tensors; give dense ones, as inputs.to_dense()"
    if inputs.dtype not in INPUT_DTYPES:
        return (
            f"the inputs of {split} are {inputs.dtype}; give torch.float32, as inputs.float(), torch.uint8 for bytes, "
            "or torch.int64 for tokens"
        )
    if inputs.dim() < 2:
        return (
            f"the inputs of {split} have the shape {tuple(inputs.shape)}; give (examples, ...), as inputs.unsqueeze(1)"
        )
    if not inputs.numel():
        return f"{split} has inputs of shape {tuple(inputs.shape)}; give at least one example of at least one number"
    fault = _describe_fault_of_labels(split, targets, classes) if classes else _describe_fault_of_real(split, targets)
    if fault:
        return fault
    if len(inputs) != len(targets):
        name = "labels" if classes else "targets"
        return f"{split} has {len(inputs)} inputs and {len(targets)} {name}; give a {name[:-1]} for each input"
    # the sum is a cheap test: it is finite unless a number is not, or the sum overflows
    if inputs.is_floating_point() and not inputs.sum().isfinite() and not inputs.isfinite().all():
        count = int((~inputs.isfinite()).sum())
        return f"the inputs of {split} hold {count} numbers that are NaN or infinite; give finite numbers"
    return ""


def _describe_fault_of_labels(split: str, labels: Tensor, classes: int) -> str:
    """Return the fault of the labels of a split; empty if there is none."""
    if labels.dtype != torch.int64:
        real = "; for real targets, give num_classes=None" if labels.is_floating_point() else ""
        return (
            f"the labels of {split} are {labels.dtype}; give torch.int64, the number of a class each, as labels.long()"
            f"{real}"
        )
    if labels.dim() != 1:
        return f"the labels of {split} have the shape {tuple(labels.shape)}; give one dimension, a label for each input"
    if len(labels):
        low, high = (int(part) for part in labels.aminmax())
        if low < 0 or high >= classes:
            return f"the labels of {split} are {low} to {high}; give 0 to {classes - 1}, as num_classes is {classes}"
    return ""


def _describe_fault_of_real(split: str, targets: Tensor) -> str:
    """Return the fault of the real targets of a split; empty if there is none."""
    if targets.dtype not in (torch.float32, torch.float64):
        return f"the targets of {split} are {targets.dtype}; give torch.float32, as num_classes is None"
    if targets.dim() != 2 or not targets.shape[1]:
        return (
            f"the targets of {split} have the shape {tuple(targets.shape)}; give (examples, targets), as "
            "targets.unsqueeze(1)"
        )
    if not targets.isfinite().all():
        return f"the targets of {split} hold NaN or infinite numbers; give finite numbers"
    if len(targets) and (targets == targets[0]).all():
        return f"the targets of {split} are all equal, so that their R² is not defined; give varied targets"
    return ""
