"""RESULTS.md: the cells of each sweep, compared with what was published, and its claims, judged by archived runs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import OmegaConf

from zeroinit.config.claims import check_claims
from zeroinit.config.identity import VERSION
from zeroinit.errors import BadInput
from zeroinit.report.archive import FOLDER_KEY, record_of, split_by_version, sweep_and_size, version_of
from zeroinit.report.cells import NOT_RUN, Cell, group_cells, naming_keys
from zeroinit.report.claims import Claim, matches
from zeroinit.report.identical import starts_of, warn_of_identical_cells
from zeroinit.report.judgements import Judgement, judge
from zeroinit.report.manifest import manifest_of, read_question
from zeroinit.report.tables import CellRow, caption, explain_marks, mark_n, summarize_cells
from zeroinit.tracker import Record

OLDER_VERSION = (
    "Version {} of the training code, in which torch and MKL chose their kernels by processor: "
    "the same runs may have other numbers now."
)
WAITING = "Runs of a newer version that wait for the rest of their cells, and are not in this table: {}."
VERDICTS = {"supported": "**supported**", "refuted": "**refuted**", "undetermined": "undetermined"}


class SweepFile(NamedTuple):
    """The question and the claims of a sweep's file."""

    question: str
    claims: Sequence[Mapping[str, Any]]


def read_sweep_file(path: Path) -> SweepFile:
    """Return the question and the claims of a sweep's file.

    Raises:
        BadInput: The file is not a sweep's, or its claims are malformed.
    """
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        claims = content.get("claims", [])
    except (yaml.YAMLError, AttributeError) as error:
        raise BadInput(f"{path}: it is no sweep's file: {' '.join(str(error).split())}") from error
    check_claims(claims)
    return SweepFile(read_question(path), claims)


def format_results(rows: Sequence[Mapping[str, str]], sweeps: Mapping[str, SweepFile]) -> str:
    """Return RESULTS.md: for each sweep and size the cells, what was published about them, and the judged claims.

    Args:
        rows: The archived runs.
        sweeps: The file of each of their sweeps, by name.
    """
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    sizes = {row["cell_hash"]: row["size"] for row in rows if row["size"]}  # rows of runs that were not run may lack it
    current, waiting = split_by_version(rows)
    for row in current[::-1]:  # cells take their records newest first, and keep the order of the table
        size = row["size"] or sizes.get(row["cell_hash"], "")
        groups[row["sweep"], size, version_of(row)].append(record_of(row))
    sections: list[str] = []
    judgements: list[tuple[str, str, Judgement]] = []
    for (name, size, version), records in reversed(groups.items()):
        sweep = sweeps[name]
        claims = [claim for claim in sweep.claims if claim.get("size", size) == size]
        cells = group_cells(manifest_of(records).planned, [record for record in records if record.status != NOT_RUN])
        of_section = judge(claims, cells)
        judgements += [(name, size, judgement) for judgement in of_section]
        lines = _format_section(name, size, sweep, cells, of_section)
        if version != VERSION:
            lines[2:2] = [OLDER_VERSION.format(version), ""]
        if count := sum(sweep_and_size(row) == (name, size) for row in waiting):
            lines[2:2] = [WAITING.format(count), ""]
        sections.append("\n".join(lines))
    return "\n\n".join([*_format_opening(len(rows), judgements), *sections]) + "\n"


def _format_opening(runs: int, judgements: Sequence[tuple[str, str, Judgement]]) -> list[str]:
    """Return the paragraphs before the first section.

    Args:
        runs: The number of archived runs.
        judgements: (sweep, size, judgement) of all claims.
    """
    counts = Counter(judgement.answer.verdict for *_, judgement in judgements)
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    at_paper = [judgement for _, size, judgement in judgements if size == "paper"]
    sweeps = [name for name, size, _ in judgements if size == "paper"]
    paragraphs = [
        "# Results",
        f"Made by `zeroinit-results` from {runs} runs that were kept; written by no hand. Accuracies are of the test "
        "set after the last step, in percent: the mean over n draws of the init and Student's 95% interval, cut where "
        "it would leave 0 to 100, as (low to high); with n = 2 both values. A claim is judged by paired differences "
        "over seeds, whose intervals are not cut, against what its sweep's file says. Published figures are read off "
        "Schicho (2023), *Training neural network with zero weight initialization*, and are of the paper's scale "
        "(`size=paper`); a section of another size has less data and fewer steps. "
        "`image_folder (cifar10-jpeg)` is CIFAR-10 as JPEG files, whose pixels are lossy.",
        f"Of {len(judgements)} judgements {summary}.",
    ]
    if at_paper:
        paragraphs.append("## Claims at the paper's scale")
        paragraphs.append("\n".join(_format_claims(at_paper, sweeps)))
        paragraphs += explain_marks([], at_paper)
    return paragraphs


def _format_section(
    name: str, size: str, sweep: SweepFile, cells: Sequence[Cell], judgements: Sequence[Judgement]
) -> list[str]:
    """Return the lines of the section on a sweep at one size."""
    rows = summarize_cells(cells)
    keys = [key for key in naming_keys(cells) if len({row.keys[key] for row in rows}) > 1]
    notes = explain_marks(rows, judgements)
    notes += warn_of_identical_cells(starts_of(cells), naming_keys(cells))
    lines = [f"## {name}{f', size={size}' if size else ''}", "", sweep.question, "", _describe_conditions(cells)]
    published = "published" if size == "paper" else "published, of the paper's scale"
    claims = [Claim.parse(values) for values in sweep.claims]
    body = [
        [*(row.keys[key] for key in keys), *_published_and_ours(cell, row, claims)]
        for cell, row in zip(cells, rows, strict=True)
    ]
    lines += ["", *_format_markdown_table([*keys, "n", published, "ours", "outcome"], body)]
    lines += [line for note in notes for line in ("", note)]
    if judgements and size != "paper":  # the claims at the paper's scale have a section of their own
        lines += ["", *_format_claims(judgements)]
    return lines


def _describe_conditions(cells: Sequence[Cell]) -> str:
    """Return what the runs of the cells have in common, their machines, their number and their time."""
    finished = [record for cell in cells for record in cell.finished]
    machines = sorted({_describe_machine(record) for record in finished})
    arithmetic = {f"{record.params.get('dtype', '?')} ({record.params.get('arithmetic', '?')})" for record in finished}
    conditions = caption(cells).partition(";")[0]
    for folder in {record.params[FOLDER_KEY] for record in finished if FOLDER_KEY in record.params}:
        conditions = conditions.replace("dataset=image_folder", f"dataset=image_folder ({folder})")
    # each run of a stack has the time of the whole stack
    seconds = sum(float(record.tags.get("seconds", 0)) / int(record.tags.get("stack", 1)) for record in finished)
    machine = ", ".join([*machines, *sorted(arithmetic)])
    return f"{conditions}; {machine}; {len(finished)} runs, {seconds / 3600:.2g} hours."


def _describe_machine(record: Record) -> str:
    """Return the device, processor, CPU kernels and version of torch of a run, as far as they were kept."""
    tags = record.tags
    cpu = f", {tags['cpu']}, {tags['cpu_capability']} kernels" if "cpu" in tags else ""
    return f"{tags.get('device', '?')}{cpu}, torch {tags.get('version.torch', '?')}"


def _published_and_ours(cell: Cell, row: CellRow, claims: Sequence[Claim]) -> list[object]:
    """Return n, the published accuracy, our accuracy, and the outcomes of the cell's runs."""
    numbers = [claim for claim in claims if claim.test == "as_good_as" and not isinstance(claim.reference, Mapping)]
    published = next((claim.reference for claim in numbers if matches(claim.cells, cell.params)), "-")
    accuracy = row.accuracy
    return [mark_n(accuracy.n, row.counted), published, accuracy.percent(digits=2, sign=""), row.outcomes]


def _format_claims(judgements: Sequence[Judgement], sweeps: Sequence[str] = ()) -> list[str]:
    """Return the lines of the table of judgements, with a column for their sweeps if those are given."""
    body: list[list[object]] = []
    for judgement in judgements:
        claim, answer = judgement.claim, judgement.answer
        needed = f"; would decide it: {answer.needed}" if answer.needed else ""
        finding = f"{answer.finding or '-'}{needed}"
        n = mark_n(answer.n, judgement.counted)
        body.append([VERDICTS[answer.verdict], claim.statement, judgement.compared, n, finding, claim.source])
    heads = ["verdict", "claim", "compared", "n", "found", "source"]
    if sweeps:
        heads.insert(1, "sweep")
        for line, sweep in zip(body, sweeps, strict=True):
            line.insert(1, sweep)
    return _format_markdown_table(heads, body)


def _format_markdown_table(heads: Sequence[str], body: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *body]
    return [f"| {' | '.join(str(value).replace('|', ' or ') for value in line)} |" for line in lines]
