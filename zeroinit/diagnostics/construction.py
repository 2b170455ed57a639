"""Checks of a run as it was built: its init, its optimizer, its seeds, its buffers.

Each check returns its findings, one sentence each. Its docstring names the published fault (Schicho 2023, the code)
that it would have caught.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from zeroinit.diagnostics.random_ops import Draw, Draws
from zeroinit.roles import NORMALISATION


def check_coverage(model: nn.Module, filled: Sequence[Tensor], unchanged: Collection[str] = ()) -> list[str]:
    """Return findings unless exactly one rule fills each parameter; normalisation layers may keep torch's values.

    Published: a ResNet-50 whose recursion tests the container and not the layer, so that 2 of 54 layers are zeroed.

    Args:
        model: the model as it was built.
        filled: the tensors that rules filled, one entry for each fill.
        unchanged: the names of the parameters that keep the values of the model's constructor, as the config says.
    """
    times = Counter(id(tensor) for tensor in filled)
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    normalisations = [layer for layer in model.modules() if isinstance(layer, NORMALISATION)]
    exempt = {id(parameter) for layer in normalisations for parameter in layer.parameters(recurse=False)}
    sizes = {id(parameter): parameter.numel() for parameter in model.parameters()}
    missed = [key for key in names if not times[key] and key not in exempt and names[key][0] not in unchanged]
    share = sum(sizes[key] for key in missed) / max(1, sum(sizes.values()))
    missing = f"no rule fills {abbreviate([names[key][0] for key in missed])}: {share:.1%} of all numbers"
    twice = [
        f"{' and '.join(names[key])}, one parameter, is filled {count} times, and the last rule counts"
        for key, count in times.items()
        if count > 1 and key in names
    ]
    return [missing] * bool(missed) + twice


def check_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """Return findings unless the optimizer holds each parameter of the model that is not frozen exactly once.

    Published: an SGD optimizer of a model that is deep-copied afterwards; the copy never trains.
    """
    times = Counter(id(parameter) for group in optimizer.param_groups for parameter in group["params"])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    missed = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and not times[id(parameter)]
    ]
    foreign = sum(key not in names for key in times)
    class_name, findings = type(optimizer).__name__, []
    if missed:
        held = f"{len(names) - len(missed)} of {len(names)} parameters"
        findings.append(f"{class_name} holds {held}, not {abbreviate(missed)}")
    if foreign:
        findings.append(f"{class_name} holds {foreign} parameters that are not the model's, as those of a copy")
    twice = [names[key] for key, count in times.items() if count > 1 and key in names]
    if twice:
        findings.append(f"{class_name} holds {abbreviate(twice)} more than once")
    return findings


ModelDraws = tuple[nn.Module, list[Draw]]  # a model, and the draws of its rules; `where` is the id of the parameter


def check_seeding(first: ModelDraws, second: ModelDraws) -> list[str]:
    """Return findings unless rules draw from the generator that they get, and other values for another seed.

    Published: five runs of PyTorch's default init that are copies of one draw, so that their intervals show only the
    order of the data; and a split from the global generator.

    Args:
        first: the model of one init seed.
        second: the model of another init seed.
    """
    global_draws: dict[str, int] = {}  # {parameter: entries drawn}
    equal_draws: dict[str, int] = {}
    second_parameters = dict(second[0].named_parameters())
    for name, parameter in first[0].named_parameters():
        draws = [draw for draw in first[1] if draw.where == str(id(parameter))]
        entries = sum(draw.entries for draw in draws if draw.seed is None)
        if entries:
            global_draws[name] = entries
        elif draws and parameter.any() and parameter.equal(second_parameters[name]):
            equal_draws[name] = sum(draw.entries for draw in draws)
    findings = []
    if global_draws:
        findings.append(
            f"{sum(global_draws.values())} numbers for {abbreviate(list(global_draws))} are drawn from torch's global "
            "generator and not from the one that the rule is handed: seeds.init does not move them"
        )
    if equal_draws:
        findings.append(
            f"{sum(equal_draws.values())} numbers drawn for {abbreviate(list(equal_draws))} are the same for another "
            "seeds.init: the rule has a generator of its own"
        )
    return findings


def find_unseeded(model: nn.Module, draws: Draws, moved: Sequence[str], twin: nn.Module | None) -> list[str]:
    """Return findings if the same seeds may give other values: something draws from a generator that no seed sets.

    Published: no such fault, as the published code sets all seeds.

    Args:
        model: the model as it was built.
        draws: the draws made for it.
        moved: the generators without a seed that building the model moved.
        twin: a second model from the same seeds; None unless the config names code of the user.
    """
    names = {str(id(parameter)): name for name, parameter in model.named_parameters()}
    by_source: dict[str, list[str]] = {}
    for tensor, sources in draws.foreign.items():
        by_source.setdefault(" and ".join(sources), []).append(names.get(tensor, "a tensor"))
    by_rules = {source for sources in draws.foreign.values() for source in sources}
    if outside_rules := [source for source in moved if source not in by_rules]:
        by_source[" and ".join(outside_rules)] = ["parts of the net that no rule fills"]
    advice = "draw from the `generator` that a rule is handed"
    texts = [
        f"{abbreviate(parts)} are drawn from {source}, which no seed sets; {advice}"
        for source, parts in by_source.items()
    ]
    if twin is not None and not by_source:
        twin_state = twin.state_dict()
        unequal = [name for name, tensor in model.state_dict().items() if not tensor.equal(twin_state[name])]
        if unequal:
            texts.append(f"a second build with the same seeds has other values of {abbreviate(unequal)}; {advice}")
    return texts


def check_shuffling(shuffle: bool, batch_size: int, examples: int) -> list[str]:
    """Return a finding unless another seed gives another order of batches. A batch of all examples has no order.

    Published: batches that are never shuffled, so that the seed has no effect on them.
    """
    if shuffle or batch_size >= examples:
        return []
    batches = -(-examples // batch_size)
    return [f"dataset.shuffle=false: each epoch has the same {batches} batches, whatever seeds.order is"]


@torch.no_grad()
def check_eval_mode(model: nn.Module, inputs: Tensor) -> list[str]:
    """Return a finding if evaluation changes buffers.

    Published: eval() is never called, so that BatchNorm also takes its statistics from the test data.
    """
    copy = deepcopy(model).eval()
    before = {name: buffer.clone() for name, buffer in copy.named_buffers()}
    if not before:
        return []
    copy(inputs)
    moved = [name for name, buffer in copy.named_buffers() if not buffer.equal(before[name])]
    return [f"evaluation changes {abbreviate(moved)}: eval() does not reach what keeps statistics"] * bool(moved)


def abbreviate(names: Sequence[str]) -> str:
    """Return the names, separated by commas; of more than four only the first two and the last."""
    return ", ".join(names if len(names) <= 4 else [*names[:2], f"{len(names) - 3} more", names[-1]])
