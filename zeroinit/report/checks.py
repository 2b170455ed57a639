"""What is found before training, for a terminal."""

import math
from collections.abc import Mapping, Sequence

from rich.table import Table

MOST = 6  # layers that have a column


def plain(columns: Sequence[str]) -> Table:
    """A table without lines, in which a narrow terminal wraps and cuts nothing."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    return shown


def of_run(rules: Mapping[str, str], found: Sequence[tuple[str, str]]) -> Table:
    """The rules {name: what it asks for} and what was found, (rule, finding) each, of one run."""
    shown = plain(["rule", "holds where", "found"])
    others = {by: "" for by, _ in found if by not in rules}
    for rule, asked in (dict(rules) | others).items():
        texts = [text for by, text in found if by == rule]
        shown.add_row(rule, asked, "\n".join(texts) or "-")
    return shown


def of_cells(keys: Sequence[str], found: Sequence[tuple[Mapping[str, str], Sequence[tuple[str, str]]]]) -> Table:
    """The findings (rule, finding) of cells, each with its params, of which `keys` name it."""
    shown = plain([*keys, "rule", "found"])
    for params, findings in found:
        named = [params.get(key, "") for key in keys]
        for rule, text in findings or [("-", "-")]:
            shown.add_row(*named, rule, text)
            named = [""] * len(keys)
    return shown


def of_draws(drawn: Sequence[tuple[str, str, int, str, str]]) -> Table:
    """What is drawn, (phase, for what, entries, from which generator, its effect) each."""
    shown = plain(["drawn in", "for", "entries", "from", "effect"])
    shown.columns[2].justify = "right"
    for phase, what, entries, source, effect in drawn:
        shown.add_row(phase, what, f"{entries:,}", source, effect)
    if not drawn:
        shown.add_row("-", "nothing", "0", "-", "-")
    return shown


def of_replays(
    units: Mapping[str, int], replays: Sequence[tuple[str, str, str, Mapping[str, Sequence[float]]]]
) -> Table:
    """Replays (init, noise, arithmetic, {layer: its distinct neurons after 0, 1, ... steps}): when a layer has two."""
    layers = list(units) if len(units) <= MOST else [*list(units)[: MOST // 2], *list(units)[-MOST // 2 :]]
    shown = plain(["init", "noise", "arithmetic", *layers])
    for init, noise, arithmetic, classes in replays:
        shown.add_row(init, noise, arithmetic, *(parted(classes[layer], units[layer]) for layer in layers))
    return shown


def parted(counts: Sequence[float], units: int) -> str:
    """`step 3: 4 of 500`: after which step there is more than one class first, and how many there are in the end."""
    if not counts or any(map(math.isnan, counts)):  # the loop shows nothing of what starts so
        return "not finite"
    step = next((step for step, count in enumerate(counts) if count > 1), None)
    return f"never: 1 of {units}" if step is None else f"step {step}: {counts[-1]:.0f} of {units}"
