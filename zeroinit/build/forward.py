"""Whether a model returns its outputs for its smallest batches, in train mode and in eval mode."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zeroinit.dataset.batches import evaluation_chunk
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.user_code import explain_errors

MAX_EXAMPLES = 2  # of a batch; more would show nothing new


def check_forward(
    model: nn.Module,
    make: Callable[[], nn.Module],
    data: Data,
    outputs: int,
    batch_size: int,
    subject: str,
    target: str,
) -> None:
    """Raise BadInput if the model does not return its outputs for its smallest batches.

    Args:
        model: the model as it was built, on the data's device; it is left in train mode.
        make: makes the model with its constructor's values. If these also give NaN, the init is not the cause.
        data: the last batch of an epoch is used in train mode, the last one of an evaluation in eval mode.
        outputs: how many the loss needs of each example.
        batch_size: of the training.
        subject: `arch=A does not fit dataset=D`, which starts a message.
        target: `arch._target_=T`, which starts a message.
    """
    examples = len(data.train[0])
    smallest = examples % batch_size or batch_size
    at_end = f"dataset.batch_size={batch_size}: an epoch ends with a batch of 1, for which {subject}; give another size"
    inputs = data.train[0][: min(MAX_EXAMPLES, smallest)]
    values = run_batch(model.train(), data, inputs, outputs, at_end if smallest == 1 else subject, target)
    with torch.no_grad():
        if values.isnan().any() and run_batch(make().eval(), data, inputs, outputs, subject, target).isnan().any():
            raise BadInput(f"{target}: its forward pass returns NaN for finite inputs, whatever the init is")
        for stored, _ in (data.val, data.test):
            chunk = evaluation_chunk(stored)
            smallest = len(stored) % chunk or chunk
            few = stored[: min(MAX_EXAMPLES, smallest)]
            run_batch(model.eval(), data, few, outputs, f"{subject} in eval mode", target)
    model.train()


def run_batch(model: nn.Module, data: Data, stored: Tensor, outputs: int, subject: str, target: str) -> Tensor:
    """Return the outputs (N, outputs) of these stored inputs, in the model's current mode.

    Raises:
        BadInput: The forward pass fails, returns no such outputs, or changes its input. The input may be the data set
            itself, so that a change would reach all later steps, the evaluation and other runs.
    """
    inputs = data.to_inputs(stored).clone()
    before = inputs.clone()
    with explain_errors(f"{subject}, whose inputs have shape {data.input_shape}"):
        values = model(inputs)
    if fault := describe_output(values, (len(stored), outputs), model.training):
        mode = "train" if model.training else "eval"
        raise BadInput(f"{target}: in {mode} mode, its forward pass returns {fault}")
    assert isinstance(values, Tensor)
    if not torch.equal(inputs, before):
        raise BadInput(f"{target}: its forward pass changes its input in place; copy it first, or set inplace=False")
    return values


def describe_output(logits: object, shape: tuple[int, int], training: bool) -> str:
    """Return the fault of a model's output; empty if it is logits of that shape (examples, classes)."""
    wanted = f"logits, a tensor of floating-point numbers with shape {shape}"
    if isinstance(logits, tuple | list):
        return f"a {type(logits).__name__} of {len(logits)}; return the logits alone"
    if isinstance(logits, Mapping):
        return f"a {type(logits).__name__} with the keys {', '.join(map(str, logits))}; return the logits alone"
    if not isinstance(logits, Tensor):
        return f"{'None' if logits is None else f'a {type(logits).__name__}'}; return {wanted}"
    if logits.shape != shape:
        hint = "; for one sigmoid output, give loss=bce" if logits.shape == (shape[0], 1) and shape[1] == 2 else ""
        return f"a tensor with shape {tuple(logits.shape)}; return {wanted}{hint}"
    if not logits.is_floating_point():
        return f"a tensor of {logits.dtype}; return {wanted}"
    if training and not logits.requires_grad:
        return "logits that have no gradient: no parameter is trained, or the pass detaches its output from them"
    return ""
