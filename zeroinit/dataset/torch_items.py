"""Any Dataset of torch, read once into tensors."""

import random
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset

from zeroinit.dataset.data import Data, Note, Split, hold_out
from zeroinit.dataset.folder import DECODED
from zeroinit.dataset.images import physical_memory
from zeroinit.errors import BadInput
from zeroinit.progress import track
from zeroinit.rng import restore_generators

MIN_TRACKED = 5_000  # items whose reading is reported
MAX_LISTED = 10  # labels that a message lists
CHECKED_EVERY = 1_000  # items of a Dataset without a length, whose memory is checked as it is read


def torch_dataset(
    generator: torch.Generator, train: Any, val: Any, test: Any, val_fraction: float, test_fraction: float
) -> Data:
    """Any Dataset of torch whose items are (input, label), read once through its own transforms.

    Inputs and labels are tensors, numpy arrays or numbers; inputs may also be images of PIL, which become bytes. Real
    numbers become float32. Whole numbers as labels are classes, and real ones are the targets of a regression. Random
    transforms draw once, from the stream of the split, and not in each epoch.

    Args:
        generator: Draws the held-out examples, and seeds the global generators while the items are read.
        train: The Dataset, or a partial that makes it.
        val: The same; None to hold out the share `val_fraction` of what `test` leaves.
        test: The same; None to hold out the share `test_fraction` of `train`.
        val_fraction: A share.
        test_fraction: A share.

    Raises:
        BadInput: An item is no pair, items differ in shape, labels are not 0 to C - 1, or the data exceed the memory.
    """
    reader = _Reader()
    seed = int(torch.randint(2**31, (), generator=generator))
    with restore_generators(torch.device("cpu")):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        sources = {"train": train, "val": val, "test": test}
        splits = {name: reader.read(name, source) for name, source in sources.items() if source is not None}
    if "train" not in splits:
        raise BadInput("dataset.train=null: give a Dataset of torch, by dataset.train._target_=NAME")
    classes = _count_classes({name: labels for name, (_, labels) in splits.items()})
    rest, test_split = _split_off("test", splits, splits["train"], test_fraction, generator)
    rest, val_split = _split_off("val", splits, rest, val_fraction, generator)
    size, unit = (reader.bytes / 2**20, "MiB") if reader.bytes >= 2**20 else (reader.bytes / 2**10, "KiB")
    notes = [Note(f"dataset=torch: its examples take {size:,.1f} {unit} of memory")]
    notes += [
        Note(f"dataset.{name}_fraction has no effect, as dataset.{name} is given", key=f"{name}_fraction")
        for name in ("val", "test")
        if name in splits
    ]
    return Data(rest, val_split, test_split, classes, notes=tuple(notes))


def _split_off(
    name: str, splits: dict[str, Split], rest: Split, fraction: float, generator: torch.Generator
) -> tuple[Split, Split]:
    """Return the rest and the split of this name, which is held out of the rest unless it was read."""
    if name in splits:
        return rest, splits[name]
    total = len(rest[0])
    count = round(fraction * total)
    if not 1 <= count < total:
        raise BadInput(
            f"dataset.{name}_fraction={fraction}: that is {count} of {total} examples; give a share with at least one "
            "example and not all"
        )
    return hold_out(*rest, count, generator)


def _count_classes(labels: dict[str, Tensor]) -> int | None:
    """Return the number of classes; None for real targets. Raise BadInput for labels that are not 0 to C - 1."""
    kinds = {name: "real" if values.is_floating_point() else "whole" for name, values in labels.items()}
    if len({*kinds.values()}) > 1:
        listed = ", ".join(f"{kind} numbers in {name}" for name, kind in kinds.items())
        raise BadInput(f"dataset=torch: the labels are {listed}; give classes in all splits, or real targets in all")
    if "real" in kinds.values():
        return None
    known = np.unique(torch.cat([*labels.values()]).numpy()).tolist()
    if known != list(range(len(known))):
        listed = ", ".join(map(str, known[:MAX_LISTED])) + (", ..." if len(known) > MAX_LISTED else "")
        raise BadInput(
            f"dataset=torch: the labels are {listed}; give each class a number, 0 to {len(known) - 1}, such as by a "
            "target_transform"
        )
    return len(known)


class _Reader:
    """Reads Datasets into tensors. `bytes` is the memory that these take."""

    def __init__(self) -> None:
        self.bytes = 0

    def read(self, name: str, source: Any) -> Split:
        """Return the inputs (N, *shape) of a Dataset, with its labels (N,) or its real targets (N, targets)."""
        dataset = source() if isinstance(source, partial) else source
        key, is_stream = f"dataset.{name}", isinstance(dataset, IterableDataset)
        if not is_stream and not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise BadInput(f"{key}: it is a {type(dataset).__name__}; give a Dataset of torch, by {key}._target_=NAME")
        inputs, labels = self._read_stream(key, dataset) if is_stream else self._read_sized(key, dataset)
        self.bytes += inputs.nbytes + labels.nbytes
        return inputs, labels

    def _read_sized(self, key: str, dataset: Any) -> Split:
        """Return the items of a Dataset with a length. Their memory is checked after the first."""
        count = len(dataset)
        if not count:
            raise _no_items(key)
        first = _convert_item(key, 0, dataset[0])
        self._check_memory(key, count, first)
        inputs, labels = (torch.empty((count, *part.shape), dtype=part.dtype) for part in first)
        inputs[0], labels[0] = first
        rest: Sequence[int] = range(1, count)
        for index in track(rest, f"reading {count:,} items of {key}") if count >= MIN_TRACKED else rest:
            pair = _convert_item(key, index, dataset[index])
            _check_alike(key, index, pair, first)
            inputs[index], labels[index] = pair
        return inputs, labels

    def _read_stream(self, key: str, dataset: Iterable[Any]) -> Split:
        """Return the items of an IterableDataset until it ends. Their memory is checked as they are read."""
        pairs: list[Split] = []
        for index, item in enumerate(dataset):
            pair = _convert_item(key, index, item)
            pairs.append(pair)
            _check_alike(key, index, pair, pairs[0])
            if index % CHECKED_EVERY == 0:
                self._check_memory(key, index + 1, pair, "at least ")
        if not pairs:
            raise _no_items(key)
        inputs, labels = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        return inputs, labels

    def _check_memory(self, key: str, count: int, pair: Split, bound: str = "") -> None:
        """Raise BadInput if this many such items, with what was read before, exceed the memory of the machine."""
        needed = self.bytes + count * sum(part.nbytes for part in pair)
        available = physical_memory()
        if needed > available:
            shape = "x".join(map(str, pair[0].shape))
            raise BadInput(
                f"{key}: {bound}{count:,} inputs of {shape} ({pair[0].dtype}) need {needed / 2**30:,.1f} GiB with all "
                f"that was read, and this machine has {available / 2**30:,.1f}; give fewer or smaller inputs"
            )


def _no_items(key: str) -> BadInput:
    """Return the error for a Dataset without items."""
    return BadInput(f"{key}: it has no items; give at least one")


def _convert_item(key: str, index: int, item: Any) -> Split:
    """Return the input and the label of an item as tensors. Raise BadInput for what is no such pair."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        kind = f"{len(item)} parts" if isinstance(item, tuple | list) else f"a {type(item).__name__}"
        raise BadInput(f"{key}: item {index} is {kind}; give items (input, label)")
    value, label = item
    if isinstance(value, Image.Image):
        return _convert_image(key, index, value), _convert_label(key, index, label)
    tensor = _as_tensor(value)
    if tensor is None:
        raise BadInput(
            f"{key}: item {index} has an input of type {type(value).__name__}; give a tensor, an array, a number or an "
            "image of PIL, such as by a transform"
        )
    tensor = tensor.float() if isinstance(value, int | np.integer) else tensor
    return tensor.reshape(tensor.shape or (1,)), _convert_label(key, index, label)


def _convert_image(key: str, index: int, image: Image.Image) -> Tensor:
    """Return the bytes of an image (channels, height, width), grey or RGB."""
    if image.mode not in DECODED:
        raise BadInput(f"{key}: item {index} is an image of mode {image.mode}; give grey or RGB, 8 bits each")
    pixels = torch.from_numpy(np.array(image.convert(DECODED[image.mode])))
    return pixels.unsqueeze(0) if pixels.dim() == 2 else pixels.permute(2, 0, 1)


def _convert_label(key: str, index: int, label: Any) -> Tensor:
    """Return the number of a class () as int64, or real targets (targets,) as float32."""
    tensor = _as_tensor(label)
    if tensor is not None and tensor.is_floating_point() and tensor.dim() <= 1:
        return tensor.reshape(-1)
    if tensor is not None and not tensor.is_floating_point() and not tensor.is_complex() and tensor.numel() == 1:
        return tensor.reshape(()).long()
    kind = f"type {type(label).__name__}" if tensor is None else f"shape {tuple(tensor.shape)} ({tensor.dtype})"
    raise BadInput(
        f"{key}: item {index} has a label of {kind}; give the number of its class, or real targets in one dimension"
    )


def _as_tensor(value: Any) -> Tensor | None:
    """Return a tensor of a tensor, an array or a number, real numbers as float32; None for anything else."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value) if isinstance(value, np.ndarray) else np.array(value)
        if array.dtype.kind not in "biuf":
            return None
        tensor = torch.from_numpy(array.astype(np.int64) if array.dtype.kind == "u" and array.itemsize > 1 else array)
        tensor = tensor.reshape(value.shape)  # ascontiguousarray makes a number an array
    elif isinstance(value, Tensor):
        tensor = value.detach().cpu()
    elif isinstance(value, bool | int | float):
        tensor = torch.tensor(value)
    else:
        return None
    return tensor.float() if tensor.is_floating_point() else tensor


def _check_alike(key: str, index: int, pair: Split, first: Split) -> None:
    """Raise BadInput if the item differs from the first in the shape or the dtype of a part."""
    for name, part, of_first in zip(("an input", "a label"), pair, first, strict=True):
        if part.shape != of_first.shape or part.dtype != of_first.dtype:
            ours, theirs = (f"{tuple(tensor.shape)} ({tensor.dtype})" for tensor in (part, of_first))
            raise BadInput(
                f"{key}: item {index} has {name} of shape {ours}, and item 0 of {theirs}; make all equal, such as by a "
                "transform"
            )
