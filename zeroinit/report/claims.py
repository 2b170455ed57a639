"""What a sweep claims, judged by its runs: supported, refuted or undetermined, with what it would take to decide."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from rich.table import Table
from scipy.special import stdtrit

from zeroinit.report.cells import Cell, Row, fate_of, marked_n
from zeroinit.report.checks import plain
from zeroinit.report.histories import arrivals
from zeroinit.report.pairs import Claim, absent, asked, labels, missing, pairs
from zeroinit.report.statistics import DRAWS, by_unit, count_units, init_draws, mean_and_interval, what_n_counts
from zeroinit.tracker import TEST_ACCURACY, TEST_CLASS_COUNTS, Record

SUPPORTED, REFUTED, UNDETERMINED = "supported", "refuted", "undetermined"
LEARNED = ("learned", "partly-learned", "learns")  # the last is an old tag, which meant one of the two before it
LEARNED_NOTHING = ("stuck-at-prior", "symmetric", "dead-layer", "saturated", "diverged")
MOST = 1_000  # seeds that are thought of
TOLD = 3  # different things that are told of a cell's runs


class Answer(NamedTuple):
    """A verdict, what was found in words, what would decide it, and the paired difference in percentage points."""

    verdict: str
    n: int  # draws of the init
    found: str
    decides: str = ""
    difference: float = math.nan
    interval: float = math.nan


def judge(claims: Sequence[Claim], cells: Sequence[Cell]) -> list[Row]:
    """A row for each claim and each cell that it is about, or pair of them that are alike in all that it leaves open.

    `difference` and the half width of its 95% interval are percentage points of test accuracy, NaN where there are
    none. The records must have the courses of `courses_of`.
    """
    found: list[Row] = []
    for place, claim in enumerate(claims, 1):
        matched = pairs(claim, cells)
        answers = [
            (label, answer(claim, *pair), counted(*pair))
            for label, pair in zip(labels(claim, matched), matched, strict=True)
        ]
        for lacked in absent(claim, cells) if matched else [claim]:
            answers.append((asked(lacked), Answer(UNDETERMINED, 0, "", missing(lacked, cells)), DRAWS))
        for label, one, counts in answers:
            row: Row = {"claim": place, "verdict": one.verdict, "says": claim["says"], "compared": label, "n": one.n}
            row |= {"counted": counts, "difference": one.difference, "interval": one.interval, "found": one.found}
            found.append(row | {"decides": one.decides, "source": claim.get("source", "")})
    return found


def counted(cell: Cell, other: Cell | None) -> str:
    """Return what the n of a judgement counts: draws of the init, where one of the inits draws."""
    sides = [what_n_counts(one.finished) for one in (cell, other) if one]
    return DRAWS if DRAWS in sides else sides[0]


def courses_of(claims: Iterable[Claim]) -> list[str]:
    """The metrics of which the judge needs the whole course."""
    return [f"grad/{layer}/zeros" for claim in claims for layer in claim.get("order", ())]


def answer(claim: Claim, cell: Cell, other: Cell | None) -> Answer:
    if claim["is"] in ("better_than", "as_good_as"):
        return compared(claim, cell, other)
    if claim["is"] == "at_the_prior":
        return at_the_prior(cell)
    return does_not_learn(cell) if claim["is"] == "does_not_learn" else arrives_in_order(cell, claim["order"])


# ---- whether it holds


def compared(claim: Claim, cell: Cell, other: Cell | None) -> Answer:
    """Whether the paired difference is more than `points`, or more than minus them: non-inferiority.

    Student's 95% interval is to lie beyond the threshold on one side, as a whole.
    """
    n, difference, half = paired(cell, other) if other else from_number(cell, claim["other"])
    better = claim["is"] == "better_than"
    threshold = claim["points"] if better else -claim["points"]
    if not n:
        return Answer(UNDETERMINED, 0, "", "finished runs of both with the same seeds" if other else "finished runs")
    total = sum(one.fates.total() for one in (cell, other) if one)
    diverged = sum(fate_of(run) == "diverged" for one in (cell, other) if one for run in one.newest)
    low, high = difference - half, difference + half
    above = low > threshold if better else low >= threshold
    below = high <= threshold if better else high < threshold
    verdict = SUPPORTED if above else REFUTED if below else UNDETERMINED
    width = "" if math.isnan(half) else f" ± {half:.2f}"
    found = f"{difference:+.2f}{width} points, claimed {'more than' if better else 'at least'} {threshold:g}"
    decides = seeds_needed(n, half, abs(difference - threshold)) if verdict == UNDETERMINED else ""
    if diverged:  # which have no accuracy, and are no chance of the draw
        verdict, decides = UNDETERMINED, f"runs that do not diverge, as {diverged} of {total} did"
    return Answer(verdict, n, found + lacking(cell, other), decides, difference, half)


def paired(cell: Cell, other: Cell) -> tuple[int, float, float]:
    """(n, mean, half width) of the difference of two runs with the same seeds, in percentage points.

    Where one of the two inits draws, n counts its draws.
    """
    theirs = {seeds(record): record.last(TEST_ACCURACY) for record in other.finished}
    both = [record for record in cell.finished if seeds(record) in theirs]
    draws = init_draws(cell.finished) or init_draws(other.finished)
    return in_points(both, lambda record: record.last(TEST_ACCURACY) - theirs[seeds(record)], draws)


def from_number(cell: Cell, percent: float) -> tuple[int, float, float]:
    """The same of the runs' difference from a published accuracy."""
    draws = init_draws(cell.finished)
    return in_points(cell.finished, lambda record: record.last(TEST_ACCURACY) - percent / 100, draws)


def in_points(
    records: Sequence[Record], difference: Callable[[Record], float], draws: bool
) -> tuple[int, float, float]:
    n, mean, half = mean_and_interval(by_unit(records, difference, draws))
    # of accuracies, which are shares: a difference of exactly the points that are claimed is to be seen as that
    return n, round(100 * float(mean), 9), round(100 * float(half), 9)


def seeds(record: Record) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in record.params.items() if key.startswith("seeds.")))


def lacking(cell: Cell, other: Cell | None) -> str:
    """How many runs have no part in the comparison."""
    theirs = {seeds(record) for record in (other or cell).finished}
    both = sum(seeds(record) in theirs for record in cell.finished)
    left = sum(one.fates.total() - both for one in (cell, other) if one)
    return f" ({left} {'run' if left == 1 else 'runs'} {'without a pair' if other else 'not finished'})" if left else ""


def seeds_needed(n: int, half: float, distance: float) -> str:
    """The fewest seeds whose interval, with the spread that n seeds show, is narrower than the distance."""
    if n < 2:
        return "2 seeds at least"
    spread = half * math.sqrt(n) / stdtrit(n - 1, 0.975)
    many = np.arange(2, MOST + 1)
    enough = many[stdtrit(many - 1, 0.975) * spread / np.sqrt(many) < distance]
    return f"{enough[0]} seeds" if len(enough) else f"more than {MOST:,} seeds"


def of_every(
    cell: Cell,
    runs: Sequence[Record],
    holds: Callable[[Record], bool | None],
    shown: Callable[[Record], str],
    wanted: str,
) -> Answer:
    """The answer where something is to hold of every run; `holds` is None of a run of which that is not known.

    What is `shown` of the runs is told, and what is `wanted` of those of which it is not known.
    """
    known = {id(record): held for record in runs if (held := holds(record)) is not None}
    there = [record for record in runs if id(record) in known]
    n, fitting, total = count_units(there), sum(known.values()), cell.fates.total()
    different = sorted({*map(shown, there)})
    more = "; ..." if len(different) > TOLD else ""
    found = f"in {fitting} of {len(there)} runs: {'; '.join(different[:TOLD])}{more}" if there else ""
    if fitting < len(there):
        return Answer(REFUTED, n, found)
    if unknown := total - len(there):
        return Answer(UNDETERMINED, n, found, f"{unknown} of {total} runs, which {wanted}")
    return Answer(SUPPORTED, n, found)


def at_the_prior(cell: Cell) -> Answer:
    """Whether every run names one class for all of the test set: its accuracy is exactly that class's share."""

    def holds(record: Record) -> bool | None:
        counts = json.loads(record.tags.get(TEST_CLASS_COUNTS, "[]"))
        return record.last(TEST_ACCURACY) in [count / sum(counts) for count in counts] if counts else None

    wanted = "have not finished, or kept no counts of the classes"
    return of_every(cell, cell.finished, holds, lambda record: f"{record.last(TEST_ACCURACY):.2%}", wanted)


def does_not_learn(cell: Cell) -> Answer:
    """Whether every run ended at the majority class or diverged. A run that learned in part refutes it."""

    def holds(record: Record) -> bool | None:
        word = fate_of(record)
        return word in LEARNED_NOTHING if word in (*LEARNED, *LEARNED_NOTHING) else None

    return of_every(cell, cell.newest, holds, fate_of, "wake still, failed or have not ended")


def arrives_in_order(cell: Cell, order: Sequence[str]) -> Answer:
    """Whether the gradients of the k-th layer (from 1) are exact zeros before step k, and not at it, in every run."""

    def shown(record: Record) -> str:
        first = arrivals([record])
        return ", ".join(f"{layer} {first[layer][0] if layer in first else '-'}" for layer in order)

    wanted = f"have not finished, were not looked at in each step up to {len(order)}, or lack a layer"
    return of_every(cell, cell.finished, lambda record: arrives(record, order), shown, wanted)


def arrives(record: Record, order: Sequence[str]) -> bool | None:
    """Whether the layers of one run have their first gradients in this order; None where that was not seen."""
    first, whole = arrivals([record]), True
    for step, layer in enumerate(order, 1):
        zeros = record.history(f"grad/{layer}/zeros")
        if any(zeros.get(before, 1) < 1 for before in range(1, step)) or zeros.get(step) == 1:
            return False
        complete = all(one in zeros for one in range(1, step + 1))
        if complete and first and first.get(layer) != [step]:
            return False  # what there is at the step is rounding
        whole = whole and complete
    return True if whole else None


# ---- for a terminal


def listed(rows: Sequence[Row]) -> Table:
    """The judgements, a claim's sentence and source once."""
    shown = plain(["verdict", "claim", "compared", "n", "found", "what would decide it", "source"])
    shown.columns[3].justify = "right"
    last = None
    for row in rows:
        says, source = (row["says"], row["source"]) if row["claim"] != last else ("", "")
        last = row["claim"]
        told = [str(row[key]) or "-" for key in ("verdict", "compared", "n", "found", "decides")]
        told[2] = marked_n(row)
        shown.add_row(told[0], str(says), *told[1:], str(source))
    return shown
