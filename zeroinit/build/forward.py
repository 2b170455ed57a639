"""What a model makes of its first batch, before it trains: what is not logits is refused in one sentence."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zeroinit.dataset.batches import evaluation_chunk
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.user_code import explain_errors

FEW = 2  # examples of a batch, of which more tell nothing new


def check_forward(
    model: nn.Module, make: Callable[[], nn.Module], data: Data, batch_size: int, named: str, target: str
) -> None:
    """Raise BadInput where the model cannot be given its smallest batches, or does not return logits for them.

    Args:
        model: as it was built, on the data's device; it is left in train mode.
        make: makes the model with its constructor's values. Where these too give NaN, the init is not to blame.
        data: of which an epoch's last batch is taken in train mode, and an evaluation's last in eval mode.
        batch_size: of the training.
        named: `arch=A does not fit dataset=D`, in the words of the config.
        target: `arch._target_=T`, in the words of the config.
    """
    examples = len(data.train[0])
    smallest = examples % batch_size or batch_size
    at_end = f"dataset.batch_size={batch_size}: an epoch ends with a batch of 1, for which {named}; give another size"
    some = data.train[0][: min(FEW, smallest)]
    logits = run_batch(model.train(), data, some, at_end if smallest == 1 else named, target)
    with torch.no_grad():
        if logits.isnan().any() and run_batch(make().eval(), data, some, named, target).isnan().any():
            raise BadInput(f"{target}: its forward pass returns NaN for finite inputs, whatever the init is")
        for stored, _ in (data.val, data.test):
            chunk = evaluation_chunk(stored)
            smallest = len(stored) % chunk or chunk
            run_batch(model.eval(), data, stored[: min(FEW, smallest)], f"{named} in eval mode", target)
    model.train()


def run_batch(model: nn.Module, data: Data, stored: Tensor, named: str, target: str) -> Tensor:
    """Logits of these stored inputs, in the mode in which the model is. Raises BadInput where they are none."""
    with explain_errors(f"{named}, whose inputs have shape {data.input_shape}"):
        logits = model(data.prepare(stored))
    if wrong := describe_output(logits, (len(stored), data.num_classes), model.training):
        mode = "train" if model.training else "eval"
        raise BadInput(f"{target}: in {mode} mode, its forward pass returns {wrong}")
    assert isinstance(logits, Tensor)
    return logits


def describe_output(logits: object, shape: tuple[int, int], training: bool) -> str:
    """Say what is wrong with a model's output; empty where it is logits of that shape (examples, classes)."""
    wanted = f"logits, a tensor of floating-point numbers with shape {shape}"
    if isinstance(logits, tuple | list):
        return f"a {type(logits).__name__} of {len(logits)}; return the logits alone"
    if isinstance(logits, Mapping):
        return f"a {type(logits).__name__} with the keys {', '.join(map(str, logits))}; return the logits alone"
    if not isinstance(logits, Tensor):
        return f"{'None' if logits is None else f'a {type(logits).__name__}'}; return {wanted}"
    if logits.shape != shape:
        return f"a tensor with shape {tuple(logits.shape)}; return {wanted}"
    if not logits.is_floating_point():
        return f"a tensor of {logits.dtype}; return {wanted}"
    if training and not logits.requires_grad:
        return "logits that have no gradient: no parameter is trained, or the pass detaches its output from them"
    return ""
