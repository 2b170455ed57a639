"""The claims of a sweep, judged by its runs: supported, refuted or undetermined, and what would settle them."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from zeroinit.config.claims import COMPARISONS, Claim, ClaimTest
from zeroinit.probes.gradient import GRADIENT_ZEROS
from zeroinit.report.cells import LEARNED_NOTHING, Cell, outcome_of
from zeroinit.report.claims import (
    claims_without_cells,
    describe_claim,
    explain_missing,
    format_selector,
    label_pairs,
    match_cells,
)
from zeroinit.report.comparisons import Difference, subtract_cells, subtract_runs
from zeroinit.report.histories import first_gradients
from zeroinit.report.statistics import DRAWS, count_units, init_draws, seeds_needed
from zeroinit.tracker import Record
from zeroinit.tracker.scores import ACCURACY, name_scores
from zeroinit.tracker.tags import Tag

SUPPORTED, REFUTED, UNDETERMINED = "supported", "refuted", "undetermined"
LEARNED = ("learned", "partly-learned", "learns")  # the last is an old tag, later split into the two before it
MAX_FINDINGS = 3  # different findings that are listed of a cell's runs


COLUMNS = (  # of a table of judgements
    *("claim", "verdict", "statement", "test", "cells", "reference", "margin", "compared", "n", "counted"),
    *("difference", "interval", "low", "high", "finding", "needed", "source"),
)


class Answer(NamedTuple):
    """What the runs say about a claim.

    Attributes:
        verdict: supported, refuted or undetermined.
        n: The number of independent units.
        finding: What the runs show, in words.
        needed: What would settle an undetermined claim, in words.
        difference: The mean paired difference, in percentage points of the test score.
        interval: The half width of its 95% interval.
    """

    verdict: str
    n: int
    finding: str
    needed: str = ""
    difference: float = math.nan
    interval: float = math.nan


class Judgement(NamedTuple):
    """The answer to a claim about a cell or a pair of cells."""

    number: int  # of the claim, from 1
    claim: Claim
    compared: str
    counted: str  # what n counts
    answer: Answer

    def columns(self) -> dict[str, str | int | float]:
        """Return the columns of claims.csv. The numbers are percentage points; low and high bound the interval."""
        claim, (verdict, n, finding, needed, difference, interval) = self.claim, self.answer
        reference = format_selector(claim.reference) if isinstance(claim.reference, Mapping) else claim.reference
        values = (
            *(self.number, verdict, claim.statement, str(claim.test), format_selector(claim.cells)),
            *("" if reference is None else reference, claim.margin if claim.test in COMPARISONS else ""),
            *(self.compared, n, self.counted, difference, interval, difference - interval, difference + interval),
            *(finding, needed, claim.source),
        )
        return dict(zip(COLUMNS, values, strict=True))


def judge(claims: Iterable[Claim], cells: Sequence[Cell]) -> list[Judgement]:
    """Return a judgement of each claim for each cell that it is about, or for each pair of cells that it compares.

    The two cells of a pair agree in all keys that the claim does not select. The records must have the metrics of
    `metrics_of_claims` at every step.
    """
    judgements: list[Judgement] = []
    for number, claim in enumerate(claims, 1):
        pairs = match_cells(claim, cells)
        for label, pair in zip(label_pairs(claim, pairs), pairs, strict=True):
            judgements.append(Judgement(number, claim, label, _name_units_of_pair(*pair), _answer_claim(claim, *pair)))
        for lacking in claims_without_cells(claim, cells) if pairs else [claim]:
            none = Answer(UNDETERMINED, 0, "", explain_missing(lacking, cells))
            judgements.append(Judgement(number, claim, describe_claim(lacking), DRAWS, none))
    return judgements


def _name_units_of_pair(cell: Cell, other: Cell | None) -> str:
    """Return what the n of a judgement counts: draws of the init if one of the two inits draws."""
    units = [side.counted for side in (cell, other) if side]
    return DRAWS if DRAWS in units else units[0]


def metrics_of_claims(claims: Iterable[Claim]) -> list[str]:
    """Return the metrics that the judge needs at every step."""
    return [GRADIENT_ZEROS.of(layer) for claim in claims for layer in claim.order]


def _answer_claim(claim: Claim, cell: Cell, other: Cell | None) -> Answer:
    """Return what the runs of a cell, or of a pair of cells, say about the claim."""
    if claim.test in COMPARISONS:
        return _judge_difference(claim, cell, other)
    if claim.test == ClaimTest.PREDICTS_ONE_CLASS:
        return _judge_one_class(cell)
    return _judge_no_learning(cell) if claim.test == ClaimTest.DOES_NOT_LEARN else _judge_order(cell, claim.order)


# ---- whether it holds


def _judge_difference(claim: Claim, cell: Cell, other: Cell | None) -> Answer:
    """Answer whether the paired difference is above the margin, or above minus the margin (non-inferiority).

    The whole of Student's 95% interval must lie on one side of the threshold.
    """
    paired = subtract_cells(cell, other) if other else _subtract_number(cell, claim.reference)
    n, difference, half = paired.n, paired.mean, paired.half
    is_superiority = claim.test == ClaimTest.SUPERIOR
    threshold = claim.margin if is_superiority else -claim.margin
    sides = [side for side in (cell, other) if side]
    if other and cell.score != other.score:
        return Answer(
            UNDETERMINED, 0, "", f"cells with the same score; these have {name_scores([cell.score, other.score])}"
        )
    if not n:
        return Answer(UNDETERMINED, 0, "", "finished runs of both with the same seeds" if other else "finished runs")
    total = sum(side.outcomes.total() for side in sides)
    low, high = difference - half, difference + half
    above = low > threshold if is_superiority else low >= threshold
    below = high <= threshold if is_superiority else high < threshold
    verdict = SUPPORTED if above else REFUTED if below else UNDETERMINED
    width = "" if math.isnan(half) else f" ± {half:.2f}"
    finding = (
        f"{abs(difference):.2f}{width} points {describe_side(difference, claim)}, claimed: {_describe_margin(claim)}"
    )
    needed = seeds_needed(n, half, abs(difference - threshold)) if verdict == UNDETERMINED else ""
    if paired.diverged:  # they have no score, and do not diverge by chance
        verdict, needed = UNDETERMINED, f"runs that do not diverge, as {paired.diverged} of {total} did"
    return Answer(verdict, n, finding + _describe_unpaired(cell, other), needed, difference, half)


def describe_side(difference: float, claim: Claim) -> str:
    """Return the side of the claim's reference on which a cell is: `behind init=default`, `ahead of 97.5%`."""
    reference = f"{claim.reference:g}%" if isinstance(claim.reference, int | float) else ""
    if isinstance(claim.reference, Mapping):
        differing = {key: value for key, value in claim.reference.items() if claim.cells.get(key) != value}
        reference = format_selector(differing)
    return f"{'behind' if difference < 0 else 'ahead of'} {reference}"


def _describe_margin(claim: Claim) -> str:
    """Return the difference that a claim is about, in words."""
    if claim.test == ClaimTest.SUPERIOR:
        return f"more than {claim.margin:g} ahead" if claim.margin else "ahead"
    return f"at most {claim.margin:g} behind" if claim.margin else "not behind"


def _subtract_number(cell: Cell, percent: Any) -> Difference:
    """Return the difference between the runs and a published score in percent."""
    draws = init_draws(cell.finished)
    return subtract_runs(cell.finished, lambda record: record.last(cell.score.test) - percent / 100, draws)


def _describe_unpaired(cell: Cell, other: Cell | None) -> str:
    """Return how many runs are not part of the comparison, in parentheses."""
    partners = {record.seeds for record in (other or cell).finished}
    both = sum(record.seeds in partners for record in cell.finished)
    left = sum(side.outcomes.total() - both for side in (cell, other) if side)
    return f" ({left} {'run' if left == 1 else 'runs'} {'without a pair' if other else 'not finished'})" if left else ""


def _judge_every_run(
    cell: Cell,
    runs: Sequence[Record],
    holds: Callable[[Record], bool | None],
    describe: Callable[[Record], str],
    reason: str,
) -> Answer:
    """Answer whether something holds for every run of the cell.

    Args:
        cell: The cell, with the number of its runs.
        runs: The runs to test.
        holds: Returns whether it holds for a run; None if that is unknown.
        describe: Returns what the finding says of a run.
        reason: Why it may be unknown.
    """
    known = {id(record): result for record in runs if (result := holds(record)) is not None}
    tested = [record for record in runs if id(record) in known]
    n, holding, total = count_units(tested), sum(known.values()), cell.outcomes.total()
    different = sorted({*map(describe, tested)})
    more = "; ..." if len(different) > MAX_FINDINGS else ""
    finding = f"in {holding} of {len(tested)} runs: {'; '.join(different[:MAX_FINDINGS])}{more}" if tested else ""
    if holding < len(tested):
        return Answer(REFUTED, n, finding)
    if unknown := total - len(tested):
        return Answer(UNDETERMINED, n, finding, f"{unknown} of {total} runs, which {reason}")
    return Answer(SUPPORTED, n, finding)


def _judge_one_class(cell: Cell) -> Answer:
    """Answer whether every run predicts one class for all test examples: its accuracy is exactly that class's share."""
    if cell.score != ACCURACY:
        return Answer(UNDETERMINED, 0, "", f"runs that predict classes; these have {cell.score.label}")

    def holds(record: Record) -> bool | None:
        counts = json.loads(record.tags.get(Tag.TEST_CLASS_COUNTS, "[]"))
        return record.last(ACCURACY.test) in [count / sum(counts) for count in counts] if counts else None

    reason = "have not finished, or kept no counts of the classes"
    return _judge_every_run(cell, cell.finished, holds, lambda record: f"{record.last(ACCURACY.test):.2%}", reason)


def _judge_no_learning(cell: Cell) -> Answer:
    """Answer whether every run ended at its baseline or diverged. A run that partly learned refutes it."""

    def holds(record: Record) -> bool | None:
        outcome = outcome_of(record)
        return outcome in LEARNED_NOTHING if outcome in (*LEARNED, *LEARNED_NOTHING) else None

    return _judge_every_run(cell, cell.newest, holds, outcome_of, "are still waking, failed or have not ended")


def _judge_order(cell: Cell, order: Sequence[str]) -> Answer:
    """Answer whether the gradients of the k-th layer are exact zeros before step k and not at step k, in every run."""

    def describe(record: Record) -> str:
        first = first_gradients([record])
        return ", ".join(f"{layer} {first[layer][0] if layer in first else '-'}" for layer in order)

    reason = f"have not finished, were not observed in each step up to {len(order)}, or lack a layer"
    return _judge_every_run(cell, cell.finished, lambda record: _has_order(record, order), describe, reason)


def _has_order(record: Record, order: Sequence[str]) -> bool | None:
    """Return whether the layers of a run have their first gradients in this order; None if a step is missing."""
    first, is_complete = first_gradients([record]), True
    for step, layer in enumerate(order, 1):
        zeros = record.history(GRADIENT_ZEROS.of(layer))
        if any(zeros.get(before, 1) < 1 for before in range(1, step)) or zeros.get(step) == 1:
            return False
        has_all_steps = all(earlier in zeros for earlier in range(1, step + 1))
        if has_all_steps and first and first.get(layer) != [step]:
            return False  # the gradient at this step is rounding
        is_complete = is_complete and has_all_steps
    return True if is_complete else None
