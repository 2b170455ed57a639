"""What a sweep asks, kept beside its table so that the report can be made again from the store alone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from zeroinit.report.cells import Cell
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


def of_records(records: Iterable[Record]) -> Asked:
    """The runs, newest first, of a sweep that was not written down, as one that was cut short."""
    found = [(one.identity, one.tags["cell_hash"], one.params) for one in records]
    return Asked("", "", found[::-1])
