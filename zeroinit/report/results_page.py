"""Pages of results: the claims of each sweep, judged by archived runs, and its cells beside what was published."""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import OmegaConf

from zeroinit.config.claims import Claim, ClaimTest, parse_claims
from zeroinit.config.identity import VERSION
from zeroinit.config.yaml_limits import check_yaml
from zeroinit.errors import BadInput
from zeroinit.report.answer import describe_verdict, group_by_claim, name_claims
from zeroinit.report.archive import FOLDER_KEY, record_of, split_by_version, sweep_and_size, version_of
from zeroinit.report.cells import NOT_RUN, Cell, group_cells, naming_keys
from zeroinit.report.claims import matches
from zeroinit.report.comparisons import BASELINE
from zeroinit.report.identical import starts_of, warn_of_identical_cells
from zeroinit.report.judgements import REFUTED, SUPPORTED, UNDETERMINED, Judgement, judge
from zeroinit.report.manifest import manifest_of, read_question
from zeroinit.report.tables import CellRow, caption, explain_marks, mark_n, summarize_cells
from zeroinit.report.views.panels import split_shared_parts
from zeroinit.tracker import Record
from zeroinit.tracker.tags import Tag

OLDER_VERSION = (
    "Version {} of the training code, in which torch and MKL chose their kernels by processor: "
    "the same runs may have other numbers now."
)
WAITING = "Runs of a newer version that wait for the rest of their cells, and are not in this table: {}."
MAX_LINE = 160  # characters of a line that is not a row of a table
PAPER = "paper"  # the size at which a sweep has the data and the epochs of the paper
READING = """\
## How to read them

- A claim is judged by paired differences over seeds, against the margin that its sweep's file states.
- *Supported* and *refuted* mean that the whole 95% interval (Student's t) lies on one side of the margin.
- Accuracies are of the test set after the last step, in percent: the mean over n draws of the init, and its interval.
- A claim is judged from n = 2 on, by an interval that is then wide, and is not widened for other claims.
- With n = 2 an accuracy has both values. An interval that is cut at 0 or 100% is written as (low to high).
- A column *minus* an init has paired differences in points. Their intervals are widened for several comparisons
  (Bonferroni, within one arch and scale).
- Published figures are read off Schicho (2023), *Training neural network with zero weight initialization*.
- `image_folder (cifar10-jpeg)` is CIFAR-10 as JPEG files, which lose some detail."""


class SweepFile(NamedTuple):
    """The question and the claims of a sweep's file, and the init that it compares the others with."""

    question: str
    claims: Sequence[Claim]
    reference: str = BASELINE


def read_sweep_file(path: Path) -> SweepFile:
    """Return the question, the claims and the reference of a sweep's file.

    Raises:
        BadInput: The file is not a sweep's, or its claims are malformed.
    """
    check_yaml(path)
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        claims, reference = content.get("claims", []), content.get("reference", BASELINE)
    except (yaml.YAMLError, AttributeError) as error:
        raise BadInput(f"{path}: it is not a sweep's file: {' '.join(str(error).split())}") from error
    return SweepFile(read_question(path), parse_claims(claims), reference)


class Section(NamedTuple):
    """The runs of a sweep at one size, by one version of the training code.

    Attributes:
        size: The size; empty for a sweep without sizes.
        version: The version of the training code.
        cells: The cells.
        judgements: The judgements of the claims at this size.
        waiting: The number of runs of a newer version that are not in the cells.
    """

    size: str
    version: int
    cells: Sequence[Cell]
    judgements: Sequence[Judgement]
    waiting: int


def format_pages(
    rows: Sequence[Mapping[str, str]], sweeps: Mapping[str, SweepFile], figures: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Return {file name: content} of a page for each sweep, and of index.md, which has the verdicts of all claims.

    Args:
        rows: The archived runs.
        sweeps: The file of each of their sweeps, by name.
        figures: {sweep: paths of its figures, relative to the pages}.
    """
    sections = _make_sections(rows, sweeps)
    pages = {"index.md": _join_paragraphs(_format_index(len(rows), sections, sweeps))}
    for name, of_sweep in sections.items():
        images = [f"![Figure of {name}]({path})" for path in figures.get(name, ())]
        parts = [f"# {name}", sweeps[name].question, *images, "[How to read these numbers](index.md#how-to-read-them)"]
        parts += [part for section in of_sweep for part in _format_section(section, sweeps[name])]
        pages[f"{name}.md"] = _join_paragraphs(parts)
    return pages


def _join_paragraphs(paragraphs: Iterable[str]) -> str:
    """Return the paragraphs, and a line that the page is generated."""
    return "\n\n".join([*paragraphs, "*`zeroinit-results` writes this page; do not edit it.*"]) + "\n"


def _make_sections(rows: Sequence[Mapping[str, str]], sweeps: Mapping[str, SweepFile]) -> dict[str, list[Section]]:
    """Return the sections of each sweep, in the order of the table; at the paper's scale first."""
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    sizes = {row["cell_hash"]: row["size"] for row in rows if row["size"]}  # rows of runs that were not run may lack it
    current, waiting = split_by_version(rows)
    for row in current[::-1]:  # cells take their records newest first, and keep the order of the table
        size = row["size"] or sizes.get(row["cell_hash"], "")
        groups[row["sweep"], size, version_of(row)].append(record_of(row))
    sections: dict[str, list[Section]] = defaultdict(list)
    for (name, size, version), records in reversed(groups.items()):
        claims = [claim for claim in sweeps[name].claims if claim.is_about(size)]
        cells = group_cells(manifest_of(records).planned, [record for record in records if record.status != NOT_RUN])
        count = sum(sweep_and_size(row) == (name, size) for row in waiting)
        sections[name].append(Section(size, version, cells, judge(claims, cells), count))
    return {name: sorted(parts, key=lambda section: section.size != PAPER) for name, parts in sections.items()}


def _format_index(runs: int, sections: Mapping[str, Sequence[Section]], sweeps: Mapping[str, SweepFile]) -> list[str]:
    """Return the paragraphs of the page of all verdicts."""
    everything = [judgement for parts in sections.values() for section in parts for judgement in section.judgements]
    counts = Counter(judgement.answer.verdict for judgement in everything)
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in (SUPPORTED, REFUTED, UNDETERMINED))
    paragraphs = ["# Results", f"{len(everything)} comparisons: {summary}. They rest on {runs} archived runs.", READING]
    for heading, is_of_paper in (("At the paper's scale", True), ("On less data", False)):
        paragraphs.append(f"## {heading}")
        for name, parts in sections.items():
            for section in parts:
                if (section.size == PAPER) == is_of_paper:
                    size = "" if is_of_paper else f" ({section.size})"
                    verdicts = _list_verdicts(section.judgements)
                    paragraphs.append(f"**[{name}]({name}.md)**{size}: {sweeps[name].question}")
                    paragraphs += ["\n".join(verdicts)] if verdicts else []
    return paragraphs


def _list_verdicts(judgements: Sequence[Judgement]) -> list[str]:
    """Return the lines of a list with the verdict of each claim."""
    statements, lines = name_claims(judgements), []
    for group in group_by_claim(judgements):
        verdict = describe_verdict(group, statements[group[0].number])
        lines += textwrap.wrap(f"- {verdict}", MAX_LINE, subsequent_indent="  ")
    return lines


def _format_section(section: Section, sweep: SweepFile) -> list[str]:
    """Return the paragraphs on a sweep at one size: the verdicts, then the table, then how it was trained."""
    rows = summarize_cells(section.cells, sweep.reference)
    keys = naming_keys(section.cells)
    scale = "At the paper's scale" if section.size == PAPER else "On less data"
    paragraphs = [f"## {scale} (size={section.size})" if section.size else "## Results"]
    paragraphs += ["\n".join(_format_claims(section.judgements))] if section.judgements else []
    paragraphs.append("\n".join(_format_table(section, rows, sweep)))
    paragraphs += [*explain_marks(rows, section.judgements), *warn_of_identical_cells(starts_of(section.cells), keys)]
    paragraphs += [WAITING.format(section.waiting)] if section.waiting else []
    paragraphs += [OLDER_VERSION.format(section.version)] if section.version != VERSION else []
    return [*paragraphs, _describe_conditions(section.cells)]


def _format_table(section: Section, rows: Sequence[CellRow], sweep: SweepFile) -> list[str]:
    """Return the lines of the table of cells."""
    keys = [key for key in naming_keys(section.cells) if len({row.keys[key] for row in rows}) > 1]
    columns = {key: [row.keys[key] for row in rows] for key in keys}
    columns["n"] = [mark_n(row.result.n, row.counted) for row in rows]
    published = [_find_published(cell, sweep.claims) for cell in section.cells]
    if any(published):
        head = "published" if section.size == PAPER else "published, of the paper's scale"
        columns[head] = [value or "-" for value in published]
    columns["ours"] = [row.result.percent(digits=2, sign="") for row in rows]
    if any(row.difference for row in rows):
        columns[f"minus {sweep.reference}"] = [row.difference.format() if row.difference else "" for row in rows]
    columns["outcome"] = [row.outcomes for row in rows]
    return _format_markdown_table(list(columns), zip(*columns.values(), strict=True))


def _describe_conditions(cells: Sequence[Cell]) -> str:
    """Return a list of what the runs of the cells have in common, their machines, their number and their time."""
    finished = [record for cell in cells for record in cell.finished]
    machines = sorted({_describe_machine(record) for record in finished})
    arithmetic = {f"{record.params.get('dtype', '?')} ({record.params.get('arithmetic', '?')})" for record in finished}
    conditions = caption(cells).partition(";")[0]
    for folder in {record.params[FOLDER_KEY] for record in finished if FOLDER_KEY in record.params}:
        conditions = conditions.replace("dataset=image_folder", f"dataset=image_folder ({folder})")
    # each run of a stack has the time of the whole stack
    seconds = sum(
        float(record.tags.get(Tag.TRAIN_SECONDS, 0)) / int(record.tags.get(Tag.STACK_SIZE, 1)) for record in finished
    )
    parts = [f"`{conditions}`", *machines, *sorted(arithmetic), f"{len(finished)} runs, {seconds / 3600:.2g} hours"]
    return "\n".join(line for part in parts for line in textwrap.wrap(f"- {part}", MAX_LINE, subsequent_indent="  "))


def _describe_machine(record: Record) -> str:
    """Return the device, processor, CPU kernels and version of torch of a run, as far as they were kept."""
    tags = record.tags
    cpu = f", {tags[Tag.CPU]}, {tags[Tag.CPU_CAPABILITY]} kernels" if Tag.CPU in tags else ""
    return f"{tags.get(Tag.DEVICE, '?')}{cpu}, torch {tags.get(Tag.TORCH_VERSION, '?')}"


def _find_published(cell: Cell, claims: Sequence[Claim]) -> str:
    """Return the published score of the cell, in percent; empty if there is none."""
    numbers = [
        claim for claim in claims if claim.test == ClaimTest.NON_INFERIOR and not isinstance(claim.reference, Mapping)
    ]
    return next((str(claim.reference) for claim in numbers if matches(claim.cells, cell.params)), "")


def _format_claims(judgements: Sequence[Judgement]) -> list[str]:
    """Return a list of the claims, each with its verdict and its source, and below it each comparison."""
    statements, lines = name_claims(judgements), []
    for group in group_by_claim(judgements):
        source = group[0].claim.source
        verdict = describe_verdict(group, statements[group[0].number], has_numbers=False)
        line = f"- {verdict}{f' Source: {source}.' if source else ''}"
        lines += textwrap.wrap(line, MAX_LINE, subsequent_indent="  ")
        for judgement in group:
            answer, n = judgement.answer, mark_n(judgement.answer.n, judgement.counted)
            needed = f" To decide: {answer.needed}." if answer.needed else ""
            finding = f"{answer.finding}, n = {n}." if answer.finding else ""
            parts = [f"**{answer.verdict}**", _share_keys(judgement.compared), finding]
            line = f"{': '.join(part for part in parts if part)}{needed}"
            lines += textwrap.wrap(line, MAX_LINE, initial_indent="    - ", subsequent_indent=" " * 6)
    return lines


def _share_keys(compared: str) -> str:
    """Return `x=1 against x=2 (y=1)` for `x=1, y=1 against x=2, y=1`, which is long with many keys."""
    first, against, second = compared.partition(" against ")
    distinct, shared = split_shared_parts([first, second])
    return f"{against.join(distinct)} ({shared})" if against and shared and all(distinct) else compared


def _format_markdown_table(heads: Sequence[str], body: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *body]
    return [f"| {' | '.join(str(value).replace('|', ' or ') for value in line)} |" for line in lines]
