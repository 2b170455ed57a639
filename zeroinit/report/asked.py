"""What a sweep asks, kept beside its table so that the report can be made again from the store alone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from zeroinit.tracker import Record

FILE = "sweep.json"
Planned = tuple[str, str, dict[str, str]]  # identity, cell hash, params


@dataclass(frozen=True)
class Asked:
    """A sweep's question, where its file has one, the command that ran it, its runs as planned, what it claims, and its
    size.
    """

    question: str
    command: str
    planned: Sequence[Planned]
    claims: Sequence[Mapping[str, Any]] = ()
    size: str = ""

    def content(self) -> bytes:
        """The file; the params of a cell are written once, and of each run those that are others: its seeds."""
        cells = {cell_hash: params for _, cell_hash, params in reversed(self.planned)}
        kept = {"question": self.question, "command": self.command, "size": self.size}
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
    return Asked(kept["question"], kept["command"], planned, kept.get("claims", ()), kept.get("size", ""))


def of_records(records: Iterable[Record]) -> Asked:
    """The runs, newest first, of a sweep that was not written down, as one that was cut short."""
    found = [(one.identity, one.tags["cell_hash"], one.params) for one in records]
    return Asked("", "", found[::-1])
