"""What of a run is wrong as it was built: its init, its optimizer, its seeds, its buffers.

The docstring of each rule names the published fault (Schicho 2023, the code) that it would have caught.
"""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from zeroinit.diagnostics.random_ops import Draw, Draws
from zeroinit.init import NORMALISATION


def covered(model: nn.Module, filled: Sequence[Tensor]) -> list[str]:
    """Each parameter is filled by one rule, of the tensors that rules have filled; normalisation keeps torch's values.

    Published: a ResNet-50 whose recursion asks the container and not the layer, so that 2 of 54 layers are zeroed.
    """
    times = Counter(id(tensor) for tensor in filled)
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    own = [one for layer in model.modules() if isinstance(layer, NORMALISATION) for one in layer.parameters(False)]
    exempt = {id(parameter) for parameter in own}
    sizes = {id(parameter): parameter.numel() for parameter in model.parameters()}
    missed = [which for which in names if not times[which] and which not in exempt]
    share = sum(sizes[which] for which in missed) / max(1, sum(sizes.values()))
    missing = f"no rule fills {listed([names[which][0] for which in missed])}: {share:.1%} of all numbers"
    twice = [
        f"{' and '.join(names[which])}, one parameter, is filled {count} times, and the last rule counts"
        for which, count in times.items()
        if count > 1 and which in names
    ]
    return [missing] * bool(missed) + twice


def held(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """The optimiser holds the model's own parameters, all that are not frozen, each once.

    Published: an SGD optimiser of a model that is deep-copied afterwards; the copy never trains.
    """
    times = Counter(id(parameter) for group in optimizer.param_groups for parameter in group["params"])
    own = {id(parameter): name for name, parameter in model.named_parameters()}
    missed = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and not times[id(parameter)]
    ]
    foreign = sum(which not in own for which in times)
    found = []
    if missed:
        found.append(
            f"{type(optimizer).__name__} holds {len(own) - len(missed)} of {len(own)} parameters, not {listed(missed)}"
        )
    if foreign:
        found.append(
            f"{type(optimizer).__name__} holds {foreign} parameters that are not the model's, as those of a copy"
        )
    twice = [own[which] for which, count in times.items() if count > 1 and which in own]
    if twice:
        found.append(f"{type(optimizer).__name__} holds {listed(twice)} more than once")
    return found


Drawn = tuple[nn.Module, list[Draw]]  # a model, and the draws of its init by the ids of its parameters


def drawn_anew(first: Drawn, other: Drawn) -> list[str]:
    """Rules that draw give other values for another seed, from the generator that they are handed.

    Published: five runs of PyTorch's default that are copies of one draw, so that their intervals are of the order of
    the data; and a split from the global generator.
    """
    anyones: dict[str, int] = {}
    alike: dict[str, int] = {}
    others = dict(other[0].named_parameters())
    for name, parameter in first[0].named_parameters():
        mine = [draw for draw in first[1] if draw.where == str(id(parameter))]
        strays = sum(draw.entries for draw in mine if draw.seed is None)
        if strays:
            anyones[name] = strays
        elif mine and parameter.any() and parameter.equal(others[name]):
            alike[name] = sum(draw.entries for draw in mine)
    found = []
    if anyones:
        found.append(
            f"{sum(anyones.values())} numbers for {listed(list(anyones))} are drawn from torch's global generator and "
            "not from the one that the rule is handed: seeds.init does not move them"
        )
    if alike:
        found.append(
            f"{sum(alike.values())} numbers drawn for {listed(list(alike))} are the same for another seeds.init: the "
            "rule has a generator of its own"
        )
    return found


def find_unseeded(model: nn.Module, draws: Draws, moved: Sequence[str], again: nn.Module | None) -> list[str]:
    """The same seed gives the same values: nothing is drawn from a generator that no seed of a run sets.

    `moved` are such generators that building the model has moved, by its rules or else; `again`, of code of a user's
    own, is a second model from the same seeds. Published: no such fault, as the published code sets all seeds.
    """
    names = {str(id(parameter)): name for name, parameter in model.named_parameters()}
    by_source: dict[str, list[str]] = {}
    for tensor, sources in draws.foreign.items():
        by_source.setdefault(" and ".join(sources), []).append(names.get(tensor, "a tensor"))
    by_rules = {source for sources in draws.foreign.values() for source in sources}
    if others := [source for source in moved if source not in by_rules]:
        by_source[" and ".join(others)] = ["parts of the net that no rule fills"]
    advice = "draw from the `generator` that a rule is handed"
    texts = [
        f"{listed(parts)} are drawn from {source}, which no seed sets; {advice}" for source, parts in by_source.items()
    ]
    if again is not None and not by_source:
        twins = again.state_dict()
        unlike = [name for name, tensor in model.state_dict().items() if not tensor.equal(twins[name])]
        if unlike:
            texts.append(f"a second build with the same seeds has other values of {listed(unlike)}; {advice}")
    return texts


def order(shuffle: bool, batch_size: int, examples: int) -> list[str]:
    """Another seed gives another order of the batches; a batch of all examples has none.

    Published: batches that are never shuffled, so that the seed has no effect on them.
    """
    if shuffle or batch_size >= examples:
        return []
    batches = -(-examples // batch_size)
    return [f"dataset.shuffle=false: each epoch has the same {batches} batches, whatever seeds.order is"]


@torch.no_grad()
def evaluation(model: nn.Module, inputs: Tensor) -> list[str]:
    """Evaluation leaves the buffers as they are.

    Published: eval() is never called, so that BatchNorm takes its statistics from the test data, too.
    """
    copy = deepcopy(model).eval()
    before = {name: buffer.clone() for name, buffer in copy.named_buffers()}
    if not before:
        return []
    copy(inputs)
    moved = [name for name, buffer in copy.named_buffers() if not buffer.equal(before[name])]
    return [f"evaluation changes {listed(moved)}: eval() does not reach what keeps statistics"] * bool(moved)


def listed(names: Sequence[str]) -> str:
    """The names, of many the first and the last few."""
    return ", ".join(names if len(names) <= 4 else [*names[:2], f"{len(names) - 3} more", names[-1]])
