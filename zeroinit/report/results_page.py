"""RESULTS.md: of each sweep the cells beside what was published of them, and what it claims, judged by kept runs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import OmegaConf

from zeroinit.config.claims import check_claims
from zeroinit.config.identity import VERSION
from zeroinit.errors import BadInput
from zeroinit.report.archive import PLACE, by_completeness, of_size, record_of, version
from zeroinit.report.cells import (
    NOT_RUN,
    Cell,
    Row,
    accuracy_of,
    caption,
    cells,
    columns,
    explain_marks,
    marked_n,
    rows,
)
from zeroinit.report.claims import judge
from zeroinit.report.identical import identical_cells, starts_of
from zeroinit.report.manifest import of_records, question_of
from zeroinit.report.pairs import Claim, chosen
from zeroinit.tracker import Record

OLDER = (
    "Version {} of the training code, in which torch and MKL chose their kernels by processor: "
    "the same runs may have other numbers now."
)
WAITING = "Runs of a newer version that wait for the rest of their cells, and are not in this table: {}."
MARKS = {"supported": "**supported**", "refuted": "**refuted**", "undetermined": "undetermined"}


class Sweep(NamedTuple):
    """A sweep's file: what it asks, and what it claims."""

    question: str
    claims: Sequence[Claim]


def read_sweep(path: Path) -> Sweep:
    """What a sweep's file asks, and its claims. Raises BadInput where they are none."""
    try:
        held: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        claims = held.get("claims", [])
    except (yaml.YAMLError, AttributeError) as error:
        raise BadInput(f"{path}: it is no sweep's file: {' '.join(str(error).split())}") from error
    check_claims(claims)
    return Sweep(question_of(path), claims)


def markdown(kept: Sequence[Mapping[str, str]], sweeps: Mapping[str, Sweep]) -> str:
    """RESULTS.md: of each sweep and size the cells beside what was published of them, and its claims, judged."""
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    sizes = {row["cell_hash"]: row["size"] for row in kept if row["size"]}  # which runs that were not run lack
    shown, waiting = by_completeness(kept)
    for row in shown[::-1]:  # newest first is what cells are made of, and in the table's order they are to stand
        groups[row["sweep"], row["size"] or sizes.get(row["cell_hash"], ""), version(row)].append(record_of(row))
    parts, verdicts = [], []
    for (name, size, code), records in reversed(groups.items()):
        sweep = sweeps[name]
        claims = [claim for claim in sweep.claims if claim.get("size", size) == size]
        found = cells(of_records(records).planned, [record for record in records if record.status != NOT_RUN])
        judged = judge(claims, found)
        verdicts += [(name, size, row) for row in judged]
        lines = section(name, size, sweep, found, judged)
        if code != VERSION:
            lines[2:2] = [OLDER.format(code), ""]
        if count := sum(of_size(row) == (name, size) for row in waiting):
            lines[2:2] = [WAITING.format(count), ""]
        parts.append("\n".join(lines))
    return "\n\n".join([*opening(len(kept), verdicts), *parts]) + "\n"


def opening(runs: int, verdicts: Sequence[tuple[str, str, Row]]) -> list[str]:
    counts = Counter(str(row["verdict"]) for *_, row in verdicts)
    said = ", ".join(f"{counts[word]} {word}" for word in MARKS)
    at_paper = [row | {"sweep": name} for name, size, row in verdicts if size == "paper"]
    lines = [
        "# Results",
        f"Made by `zeroinit-results` from {runs} runs that were kept; written by no hand. Accuracies are of the test "
        "set after the last step, in percent: the mean over n draws of the init and Student's 95% interval, cut where "
        "it would leave 0 to 100, as (low to high); with n = 2 both values. A claim is judged by paired differences "
        "over seeds, whose intervals are not cut, against what its sweep's file says. Published figures are read off "
        "Schicho (2023), *Training neural network with zero weight initialization*, and are of the paper's scale "
        "(`size=paper`); a section of another size has less data and fewer steps. "
        "`image_folder (cifar10-jpeg)` is CIFAR-10 as JPEG files, whose pixels are lossy.",
        f"Of {len(verdicts)} judgements {said}.",
    ]
    if at_paper:
        lines.append("## Claims at the paper's scale")
        lines.append("\n".join(claims_table(at_paper)))
        lines += explain_marks(str(row["counted"]) for row in at_paper)
    return lines


def section(name: str, size: str, sweep: Sweep, found: Sequence[Cell], judged: Sequence[Row]) -> list[str]:
    """A sweep at one size."""
    finished = [record for cell in found for record in cell.finished]
    where = sorted({machine_of(record) for record in finished})
    folders = {one.params[PLACE] for one in finished if PLACE in one.params}
    arithmetic = {f"{one.params.get('dtype', '?')} ({one.params.get('arithmetic', '?')})" for one in finished}
    conditions = caption(found).partition(";")[0]
    for folder in folders:
        conditions = conditions.replace("dataset=image_folder", f"dataset=image_folder ({folder})")
    # of one stack each run has the time of all
    hours = sum(float(one.tags.get("seconds", 0)) / int(one.tags.get("stack", 1)) for one in finished) / 3600
    shown = rows(found)
    keys = [key for key in columns(found) if len({row[key] for row in shown}) > 1]
    notes = explain_marks(str(row["counted"]) for row in (*shown, *judged))
    notes += identical_cells(starts_of(found), columns(found))
    lines = [f"## {name}{f', size={size}' if size else ''}", "", sweep.question, ""]
    lines.append(f"{conditions}; {', '.join([*where, *sorted(arithmetic)])}; {len(finished)} runs, {hours:.2g} hours.")
    published = "published" if size == "paper" else "published, of the paper's scale"
    body = [
        [*(row[key] for key in keys), *ended(cell, row, sweep.claims)] for cell, row in zip(found, shown, strict=True)
    ]
    lines += ["", *table([*keys, "n", published, "ours", "what became of it"], body)]
    lines += [line for note in notes for line in ("", note)]
    if judged and size != "paper":  # those of the paper's scale stand together, above
        lines += ["", *claims_table(judged)]
    return lines


def machine_of(record: Record) -> str:
    """The device, processor, CPU kernels and version of torch that a run computed with, as far as they were kept."""
    tags = record.tags
    cpu = f", {tags['cpu']}, {tags['cpu_capability']} kernels" if "cpu" in tags else ""
    return f"{tags.get('device', '?')}{cpu}, torch {tags.get('version.torch', '?')}"


def ended(cell: Cell, row: Row, claims: Sequence[Claim]) -> list[object]:
    """n, the published accuracy, ours, and what became of the cell's runs."""
    numbers = [claim for claim in claims if claim["is"] == "as_good_as" and not isinstance(claim["other"], Mapping)]
    published = next((claim["other"] for claim in numbers if chosen(claim["cell"], cell.params)), "-")
    return [marked_n(row), published, accuracy_of(row).percent(digits=2, sign=""), row["became"]]


def claims_table(judged: Sequence[Row]) -> list[str]:
    """The judgements, with the sweep where they are of several."""
    named = [("sweep", "sweep")] if "sweep" in judged[0] else []
    same = ("compared", "n", "found", "source")
    columns = [*named, ("says", "claim"), *zip(same, same, strict=True)]
    body = []
    for row in judged:
        found = f"{row['found'] or '-'}{'; would decide it: ' if row['decides'] else ''}{row['decides']}"
        body.append(
            [MARKS[str(row["verdict"])], *((row | {"found": found, "n": marked_n(row)})[key] for key, _ in columns)]
        )
    return table(["verdict", *(head for _, head in columns)], body)


def table(heads: Sequence[str], body: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *body]
    return [f"| {' | '.join(str(one).replace('|', ' or ') for one in line)} |" for line in lines]
