"""What a sweep asks, kept beside its table so that the report can be made again from the store alone."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from zeroinit.report.cells import Cell, code, data_and_code
from zeroinit.tracker import Record

FILE = "sweep.json"
Planned = tuple[str, str, dict[str, str]]  # identity, cell hash, params


@dataclass(frozen=True)
class Asked:
    """A sweep's question, where its file has one, its command, its runs as planned, its claims, its size, and notes for
    the reader of its page.
    """

    question: str
    command: str
    planned: Sequence[Planned]
    claims: Sequence[Mapping[str, Any]] = ()
    size: str = ""
    notes: Sequence[str] = ()

    def content(self) -> bytes:
        """The file; the params of a cell are written once, and of each run those that are others: its seeds."""
        cells = {cell_hash: params for _, cell_hash, params in reversed(self.planned)}
        kept = {"question": self.question, "command": self.command, "size": self.size, "notes": [*self.notes]}
        runs = [
            [identity, cell_hash, dict(params.items() - cells[cell_hash].items())]
            for identity, cell_hash, params in self.planned
        ]
        return json.dumps(kept | {"cells": cells, "runs": runs, "claims": [*self.claims]}).encode()


def question_of(path: Path) -> str:
    """What the comment asks that opens a sweep's file, or the whole of it."""
    lines = path.read_text(errors="replace").splitlines()
    said = [line.strip("# ") for line in takewhile(lambda line: line.startswith("#"), lines)]
    text = " ".join(line for line in said if not str(path).endswith(line))  # the path, as some write first
    return text[: text.find("?") + 1] or text  # what follows is of the sweep as it is shipped


def read(content: bytes) -> Asked:
    """What `content` has written."""
    kept = json.loads(content)
    planned = [
        (identity, cell_hash, kept["cells"][cell_hash] | dict(*own))  # none in files of before
        for identity, cell_hash, *own in kept["runs"]
    ]
    more = kept.get("claims", ()), kept.get("size", ""), tuple(kept.get("notes", ()))
    return Asked(kept["question"], kept["command"], planned, *more)


def commands_of(asked: Asked, found: Iterable[Cell]) -> tuple[list[str], int]:
    """Return the commands that train every run of the cells, the newest first, and how many runs none of them trains.

    The sweep's own command trains what it planned. Other runs of its cells, as of seeds from an earlier sweep, have the
    command that trained them as a tag; those from before there was such a tag have none.
    """
    planned = {identity for identity, *_ in asked.planned} if asked.command else set()
    others: dict[str, str] = {}  # by identity; of a run that failed since it finished there are two records
    for record in (record for cell in found for record in (*cell.newest, *cell.finished)):
        if record.identity not in planned:
            others[record.identity] = others.get(record.identity) or record.tags.get("command", "")
    commands = dict.fromkeys(command for command in (asked.command, *others.values()) if command)
    return list(commands), sum(not command for command in others.values())


def as_trained(asked: Asked, records: Sequence[Record], since: float) -> tuple[Asked, list[str]]:
    """Return what was asked with the identities that its runs `since` then have, and a note on those not planned.

    A run that trained on other data, or with other code, than the sweep planned has another identity. It takes the
    place of the planned one, which no run has. `records` are newest first.
    """
    new = [record for record in records if record.started >= since]
    known = {record.identity for record in records}
    strays = {record.tags["config_hash"]: record for record in reversed(new) if "config_hash" in record.tags}
    taken: dict[str, Record] = {}
    for identity, *_ in asked.planned:
        stray = strays.get(identity.partition("-")[0])
        if identity not in known and stray:
            taken[identity] = stray
    if not taken:
        return asked, []
    planned = [
        (taken[identity].identity if identity in taken else identity, cell_hash, params)
        for identity, cell_hash, params in asked.planned
    ]
    notes = [*describe_strays(taken, len(planned))]
    return replace(asked, planned=planned, notes=[*asked.notes, *notes]), notes


def describe_strays(taken: Mapping[str, Record], runs: int) -> Iterator[str]:
    """Say how many runs had other code or other data than planned, with the first one's two hashes."""
    first, record = next(iter(taken.items()))
    count = f"{len(taken)} of {runs} runs"
    if any(code(identity) != code(other.identity) for identity, other in taken.items()):
        hashes = f"{code(record.identity)} instead of {code(first)}"
        yield (
            f"{count} trained with other code than the sweep planned ({hashes}): a file of yours changed while it ran. "
            "Each row is of the code that its runs had."
        )
        return
    hashes = " instead of ".join(data_and_code(one).partition("-")[0] for one in (record.identity, first))
    yield (
        f"{count} trained on other data than the sweep planned (hash {hashes}): the data changed while it ran, or "
        f"dataset={record.params.get('dataset')} gives every process other data, as from a global generator. "
        "Each row is of the data that its runs had."
    )


def of_records(records: Iterable[Record]) -> Asked:
    """The runs, newest first, of a sweep that was not written down, as one that was cut short."""
    found = [(one.identity, one.tags["cell_hash"], one.params) for one in records]
    return Asked("", "", found[::-1])
