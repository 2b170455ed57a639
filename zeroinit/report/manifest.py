"""The manifest of a sweep: what it asks and plans, kept so that its report can be made again from the store alone."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from zeroinit.config.claims import Claim, parse_claims
from zeroinit.config.identity import Identity
from zeroinit.report.cells import Cell
from zeroinit.report.comparisons import BASELINE
from zeroinit.tracker import Record
from zeroinit.tracker.renamed import translate_claims, translate_command, translate_params
from zeroinit.tracker.tags import Tag

MANIFEST_FILE = "sweep.json"
PlannedRun = tuple[str, str, dict[str, str]]  # identity, cell hash, params


@dataclass(frozen=True)
class Manifest:
    """What a sweep asks and plans.

    Attributes:
        question: The question of its file; empty if there is none.
        command: The command that started it.
        planned: Its runs.
        claims: Its claims.
        size: Its size, such as paper.
        notes: Notes for the reader of its page.
        baseline: The init with which its other inits are compared.
    """

    question: str
    command: str
    planned: Sequence[PlannedRun]
    claims: Sequence[Claim] = ()
    size: str = ""
    notes: Sequence[str] = ()
    baseline: str = BASELINE

    def to_json(self) -> bytes:
        """Return the content of the file, with the params of each cell once, and of each run only its seeds."""
        cells = {cell_hash: params for _, cell_hash, params in reversed(self.planned)}
        runs = [
            [identity, cell_hash, dict(params.items() - cells[cell_hash].items())]
            for identity, cell_hash, params in self.planned
        ]
        content: dict[str, Any] = {
            "question": self.question,
            "command": self.command,
            "size": self.size,
            "notes": [*self.notes],
        }
        content |= {"baseline": self.baseline, "claims": [claim.to_dict() for claim in self.claims]}
        return json.dumps(content | {"cells": cells, "runs": runs}).encode()


def read_question(path: Path) -> str:
    """Return the question in the comment that opens a sweep's file, or the whole comment if it asks none."""
    lines = path.read_text(errors="replace").splitlines()
    comment = [line.strip("# ") for line in takewhile(lambda line: line.startswith("#"), lines)]
    text = " ".join(line for line in comment if not str(path).endswith(line))  # some comments begin with the path
    return text[: text.find("?") + 1] or text  # the text after the question describes the sweep as shipped


def read_manifest(content: bytes) -> Manifest:
    """Return the manifest from the content of its file."""
    values = json.loads(content)
    planned = [
        (
            identity,
            cell_hash,
            translate_params(values["cells"][cell_hash] | dict(*seeds)),
        )  # old files have no seeds here
        for identity, cell_hash, *seeds in values["runs"]
    ]
    claims = parse_claims(translate_claims(values.get("claims", [])))
    command, notes = translate_command(values["command"]), tuple(values.get("notes", ()))
    more = values.get("size", ""), notes, values.get("baseline", BASELINE)
    return Manifest(values["question"], command, planned, claims, *more)


def training_commands(manifest: Manifest, cells: Iterable[Cell]) -> tuple[list[str], int]:
    """Return the commands that train every run of the cells, the newest first, and how many runs have none.

    The sweep's own command trains its planned runs. Other runs, such as seeds from an earlier sweep, have their command
    as a tag, unless they are from before there was such a tag.
    """
    planned = {identity for identity, *_ in manifest.planned} if manifest.command else set()
    others: dict[str, str] = {}  # by identity; a run that failed after it finished has two records
    for record in (record for cell in cells for record in (*cell.newest, *cell.finished)):
        if record.identity not in planned:
            others[record.identity] = others.get(record.identity) or record.tags.get(Tag.COMMAND, "")
    commands = dict.fromkeys(command for command in (manifest.command, *others.values()) if command)
    return list(commands), sum(not command for command in others.values())


def replace_strays(manifest: Manifest, records: Sequence[Record], since: float) -> tuple[Manifest, list[str]]:
    """Return the manifest with the identities that its runs have after training, and notes on those that differ.

    A run that trained on other data, or with other code, than planned has another identity. It replaces the planned
    run, whose identity no run has.

    Args:
        manifest: The manifest as planned.
        records: The runs, newest first.
        since: When the training began, in seconds.
    """
    new = [record for record in records if record.started >= since]
    known = {record.identity for record in records}
    by_config = {record.tags[Tag.CONFIG_HASH]: record for record in reversed(new) if Tag.CONFIG_HASH in record.tags}
    strays: dict[str, Record] = {}  # by planned identity
    for identity, *_ in manifest.planned:
        stray = by_config.get(Identity.parse(identity).config_hash)
        if identity not in known and stray:
            strays[identity] = stray
    if not strays:
        return manifest, []
    planned = [
        (strays[identity].identity if identity in strays else identity, cell_hash, params)
        for identity, cell_hash, params in manifest.planned
    ]
    notes = [*_describe_strays(strays, len(planned))]
    return replace(manifest, planned=planned, notes=[*manifest.notes, *notes]), notes


def _describe_strays(strays: Mapping[str, Record], runs: int) -> Iterator[str]:
    """Yield how many runs had other code or other data than planned, with both hashes of the first of them."""
    record = next(iter(strays.values()))
    count = f"{len(strays)} of {runs} runs"
    pairs = [(Identity.parse(planned), Identity.parse(stray.identity)) for planned, stray in strays.items()]
    planned, trained = pairs[0]
    if any(planned.code != trained.code for planned, trained in pairs):
        hashes = f"{trained.code} instead of {planned.code}"
        yield (
            f"{count} trained with other code than the sweep planned ({hashes}): a file of yours changed while it ran. "
            "Each row is of the code that its runs had."
        )
        return
    hashes = f"{trained.data_hash} instead of {planned.data_hash}"
    yield (
        f"{count} trained on other data than the sweep planned (hash {hashes}): the data changed while it ran, or "
        f"dataset={record.params.get('dataset')} gives every process other data, as from a global generator. "
        "Each row is of the data that its runs had."
    )


def manifest_of(records: Sequence[Record]) -> Manifest:
    """Return a manifest for the runs, newest first, of a sweep that has none in its store."""
    planned = [(record.identity, record.tags[Tag.CELL_HASH], record.params) for record in records]
    return Manifest("", "", planned[::-1])
