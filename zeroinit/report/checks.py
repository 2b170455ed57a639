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


def of_plan(
    keys: Sequence[str], lines: Sequence[tuple[Sequence[str], tuple[int, int, int], Sequence[float | None]]]
) -> Table:
    """Cells (values of the keys, runs (done, failed, to do), seconds that each of the last two kinds will take)."""
    shown = plain([*keys, "done", "failed", "to do", "will take"])
    for column in shown.columns[len(keys) :]:
        column.justify = "right"
    for named, counts, seconds in lines:
        shown.add_row(*named, *map(str, counts), total(seconds) if seconds else "")
    return shown


def told_of_plan(runs: int, seconds: Sequence[float | None], workers: int) -> str:
    """The line below the plan of so many runs, with what those that are not done will take."""
    if not seconds:
        return f"All {runs} runs are done; rerun=true trains them again."
    processes = f"{workers} processes" if workers > 1 else "one process"
    known = [one for one in seconds if one is not None]
    longest = max([sum(known) / workers, *known])  # one run is not shared out
    took = total([longest, *([None] if len(known) < len(seconds) else [])]) if known else "?"
    when = f"about {took} on {processes}, by what such runs took" if took != "?" else "no such run has finished yet"
    return f"{runs - len(seconds)} of {runs} runs are done, {len(seconds)} are not: {when}."


def total(seconds: Sequence[float | None]) -> str:
    """Their sum, in the unit that suits it; `?` where none is known, and `more than` where some are not."""
    known = [one for one in seconds if one is not None]
    if not known:
        return "?"
    least = "more than " if len(known) < len(seconds) else ""
    size, unit = next(((size, unit) for size, unit in ((3600, "h"), (60, "min")) if sum(known) >= 2 * size), (1, "s"))
    return f"{least}{sum(known) / size:.2g} {unit}"


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
