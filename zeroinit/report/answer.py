"""The answer of a sweep in sentences: the verdicts of its claims, then how each init compares with the baseline."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from zeroinit.report.cells import Cell, independent_keys, join_words, name_inits, naming_keys, sort_values
from zeroinit.report.comparisons import ABOVE, BASELINE, BELOW, TOO_FEW, UNCLEAR, Comparison
from zeroinit.report.judgements import REFUTED, SUPPORTED, UNDETERMINED, Judgement, describe_side, learned_nothing
from zeroinit.report.statistics import estimate
from zeroinit.tracker import TEST_ACCURACY

FEW = "too few seeds for an interval"
NOT_LEARNING = "does not learn"  # the result of a cell whose difference is beside the point
RESULTS = (NOT_LEARNING, BELOW, ABOVE, UNCLEAR, TOO_FEW)  # in the order of a sentence
COUNTED = {  # of one cell, and of several
    ABOVE: ("is above it", "are above it"),
    BELOW: ("is below it", "are below it"),
    UNCLEAR: ("shows no clear difference", "show no clear difference"),
    TOO_FEW: ("has too few seeds for an interval", "have too few seeds for an interval"),
}
MAX_SENTENCES = 8  # on claims, and on inits
MAX_LABELS = 2  # combinations of values that a sentence names one by one


def summarize(
    comparisons: Sequence[Comparison], judgements: Sequence[Judgement] = (), baseline: str = BASELINE
) -> list[str]:
    """Return the answer in sentences, the most important one first.

    These are the verdict of each claim, how many cells differ from the baseline, and how each init compares with it.

    Args:
        comparisons: The comparison of each cell of the sweep.
        judgements: The judgements of its claims, those of one claim beside each other.
        baseline: The name of the baseline init.
    """
    cells = [comparison.cell for comparison in comparisons]
    finished = [cell for cell in cells if cell.finished]
    if not finished:
        return ["No run has finished yet."]
    verdicts = _cut([describe_verdict(group) for group in group_by_claim(judgements)], "claims")
    pairs = [comparison for comparison in comparisons if comparison.difference and comparison.difference.n]
    if not pairs:
        return [*verdicts, _describe_range(finished)]
    keys = [key for key in naming_keys(cells) if not key.startswith("init")]
    varying = independent_keys([pair.cell.params for pair in pairs], keys)
    by_init: dict[str, list[Comparison]] = {}
    for name, pair in zip(name_inits([pair.cell.params for pair in pairs]), pairs, strict=True):
        by_init.setdefault(name, []).append(pair)
    inits = [f"{name}: {_describe_init(group, varying, baseline)}." for name, group in by_init.items()]
    return [*verdicts, f"{count_directions(pairs, baseline)}.", *_cut(inits, "inits")]


def _cut(sentences: Sequence[str], things: str) -> list[str]:
    """Return the first sentences, and how many more there are."""
    more = len(sentences) - MAX_SENTENCES
    return [*sentences[:MAX_SENTENCES], *([f"The tables have {more} more {things}."] if more > 0 else [])]


# ---- claims


def group_by_claim(judgements: Sequence[Judgement]) -> list[list[Judgement]]:
    """Return the judgements of each claim."""
    return [list(group) for _, group in groupby(judgements, lambda judgement: judgement.number)]


def describe_verdict(judgements: Sequence[Judgement], has_numbers: bool = True) -> str:
    """Return `Supported in 2 of 2 cases: A beats B. 1.20 to 2.40 points ahead of B.` for the judgements of a claim."""
    verdicts = [judgement.answer.verdict for judgement in judgements]
    order = [verdict for verdict in (SUPPORTED, REFUTED, UNDETERMINED) if verdict in verdicts]
    counts = ", ".join(f"{verdict} in {verdicts.count(verdict)}" for verdict in order)
    cases = f"{counts} of {len(verdicts)} cases" if len(verdicts) > 1 else order[0]
    numbers = _describe_findings(judgements) if has_numbers and len(order) == 1 else ""
    return f"{cases.capitalize()}: {judgements[0].claim.statement.removesuffix('.')}.{numbers and f' {numbers}.'}"


def _describe_findings(judgements: Sequence[Judgement]) -> str:
    """Return the finding of a judgement, or the range of the differences of several; empty if they have none."""
    answers = [judgement.answer for judgement in judgements]
    if len(answers) == 1:
        text = answers[0].finding or answers[0].needed
        return text[:1].upper() + text[1:]
    differences = [answer.difference for answer in answers]
    if any(map(math.isnan, differences)):
        return ""
    sides = {describe_side(difference, judgements[0].claim) for difference in differences}
    if len(sides) > 1:
        return f"{_join_range(differences, '{:+.2f}')} points"
    return f"{_join_range(map(abs, differences), '{:.2f}')} points {sides.pop()}"


# ---- comparisons


def count_directions(pairs: Sequence[Comparison], baseline: str) -> str:
    """Return how many cells lie above and below the baseline, and the accuracy of the baseline."""
    differences = [pair.difference for pair in pairs if pair.difference]
    directions, counts = [part.direction for part in differences], sorted({part.n for part in differences})
    references = {id(pair.baseline): pair.baseline for pair in pairs if pair.baseline}
    n = f"n = {counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "")
    reference = f"{baseline} ({_describe_accuracies(list(references.values()))}, {n})"
    if len(pairs) == 1:
        return f"The baseline is {reference}"
    counted = {direction: directions.count(direction) for direction in COUNTED}
    if counted[TOO_FEW] == len(directions):
        return f"All {len(directions)} comparisons with {reference} have too few seeds for an interval, which needs 3"
    parts = [f"{count} {COUNTED[direction][count > 1]}" for direction, count in counted.items() if count]
    return f"Of {len(pairs)} comparisons with {reference}, {join_words(parts)}"


def _describe_init(pairs: Sequence[Comparison], keys: Sequence[str], baseline: str) -> str:
    """Return what an init does in which cells: does not learn, or ends above or below the baseline.

    Args:
        pairs: The cells of the init.
        keys: The keys that distinguish the cells.
        baseline: The name of the baseline init.
    """
    by_result: dict[str, list[Comparison]] = {}
    for pair in pairs:
        by_result.setdefault(_result_of(pair), []).append(pair)
    results = [result for result in RESULTS if result in by_result]
    clauses = []
    for result in results:
        is_rest = len(results) > 1 and result == results[-1]
        condition = "elsewhere" if is_rest else _describe_condition(by_result[result], pairs, keys)
        words, numbers = _describe_result(result, by_result[result], baseline)
        parts = words, condition, f"({numbers})" if numbers else ""
        clauses.append(" ".join(part for part in parts if part))
    return "; ".join(clauses)


def _result_of(pair: Comparison) -> str:
    """Return the result of a cell: whether it learns and, if so, the direction of its difference."""
    assert pair.difference
    return NOT_LEARNING if learned_nothing(pair.cell) else pair.difference.direction


def _describe_result(result: str, pairs: Sequence[Comparison], baseline: str) -> tuple[str, str]:
    """Return a result in words, and the numbers to add in parentheses."""
    differences = [pair.difference for pair in pairs if pair.difference]
    if result == NOT_LEARNING:
        return NOT_LEARNING, _describe_accuracies([pair.cell for pair in pairs])
    halves = [part.half for part in differences if part.has_interval]
    widest = f"intervals up to ± {max(halves):.2f}" if len(halves) > 1 else ""
    if result in (ABOVE, BELOW):
        sizes = _join_range([abs(part.mean) for part in differences], "{:.2f}")
        return f"{sizes}{'' if widest else f' ± {halves[0]:.2f}'} points {result} {baseline}", widest
    means = _join_range([part.mean for part in differences], "{:+.2f}")
    numbers = f"{differences[0].format()} points" if len(differences) == 1 else f"{means} points"
    return UNCLEAR if result == UNCLEAR else FEW, ", ".join(part for part in (numbers, widest) if part)


def _join_range(numbers: Iterable[float], form: str) -> str:
    """Return the smallest and the largest number, once if they look the same."""
    ordered = sorted(numbers)
    return " to ".join(dict.fromkeys(form.format(number) for number in (ordered[0], ordered[-1])))


def _describe_condition(chosen: Sequence[Comparison], pairs: Sequence[Comparison], keys: Sequence[str]) -> str:
    """Return which of the cells are chosen: `with arch=fnn and bias_scale.value=1 or 100`; empty if all are."""
    if len(chosen) == len(pairs):
        return f"in all {len(pairs)} cases" if len(pairs) > 1 else ""
    values = {key: sort_values(pair.cell.params.get(key, "") for pair in chosen) for key in keys}
    inside = [pair for pair in pairs if all(pair.cell.params.get(key, "") in values[key] for key in keys)]
    if len(inside) == len(chosen):  # the chosen cells are all that have one of these values of each key
        of_all = {key: {pair.cell.params.get(key, "") for pair in pairs} for key in keys}
        parts = [f"{key}={' or '.join(values[key])}" for key in keys if len(values[key]) < len(of_all[key])]
        return f"with {' and '.join(parts)}"
    if len(chosen) <= MAX_LABELS:
        return f"with {' and with '.join(pair.cell.label(keys) for pair in chosen)}"
    return f"in {len(chosen)} of {len(pairs)} cases"


# ---- accuracies


def _describe_range(cells: Sequence[Cell]) -> str:
    """Return the best and the worst cell of a sweep without a baseline."""
    keys = independent_keys([cell.params for cell in cells], naming_keys(cells))
    ranked = sorted(cells, key=lambda cell: -estimate(cell.finished, TEST_ACCURACY).mean)
    best, worst = ranked[0], ranked[-1]
    if best is worst or not keys:
        return f"Test accuracy is {_describe_accuracies([best])}."
    ends = [
        f"{_describe_accuracies([cell])} at {end} ({cell.label(keys)})"
        for cell, end in ((best, "best"), (worst, "worst"))
    ]
    return f"Test accuracy is {' and '.join(ends)}."


def _describe_accuracies(cells: Sequence[Cell]) -> str:
    """Return the test accuracy of a cell with its interval, or the range of the means of several."""
    results = [estimate(cell.finished, TEST_ACCURACY) for cell in cells]
    if len(results) == 1:
        return results[0].percent(digits=1)
    return _join_range([result.mean for result in results], "{:.1%}")
