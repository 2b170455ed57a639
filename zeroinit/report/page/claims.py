"""The claims of a sweep as the page shows them, and as a file of typed columns."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zeroinit.config.claims import Selector
from zeroinit.report.judgements import Judgement
from zeroinit.report.page.metrics import round_number
from zeroinit.report.tables import mark_n

DIGITS = 6


def describe_claim(judgement: Judgement) -> dict[str, str | int | float | None]:
    """Return the data of a judgement for the table of claims."""
    columns = judgement.columns()
    data = {key: round_number(value, DIGITS) if isinstance(value, float) else value for key, value in columns.items()}
    return data | {"n": mark_n(judgement.answer.n, judgement.counted)}


def list_claims(judgements: Sequence[Judgement]) -> list[list[Any]]:
    """Return the names of the columns of the file of claims, and a row for each judgement.

    mean, low and high are the mean difference and its 95% interval, in percentage points like the margin; they are
    empty for claims that compare no accuracies.
    """
    rows = [_describe_row(judgement) for judgement in judgements]
    return [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []


def _describe_row(judgement: Judgement) -> dict[str, Any]:
    """Return {column: value} of a judgement; None is an empty field."""
    claim, answer = judgement.claim, judgement.answer
    bounds = answer.difference - answer.interval, answer.difference, answer.difference + answer.interval
    low, mean, high = (round_number(bound, DIGITS) if math.isfinite(bound) else None for bound in bounds)
    reference = claim.reference
    return {
        "claim": judgement.number,
        "statement": claim.statement,
        "test": str(claim.test),
        "cells": _format_selector(claim.cells),
        "reference": _format_selector(reference) if isinstance(reference, Mapping) else reference,
        "margin": claim.margin,
        "compared": judgement.compared,
        "n": answer.n,
        "counted": judgement.counted,
        "mean": mean,
        "low": low,
        "high": high,
        "verdict": answer.verdict,
        "finding": answer.finding,
        "needed": answer.needed,
        "source": claim.source,
    }


def _format_selector(selector: Selector) -> str:
    """Return `key=value key=value`; the values of a list have bars between them."""
    texts = {key: value if isinstance(value, list) else [value] for key, value in selector.items()}
    return " ".join(f"{key}={'|'.join(map(str, values))}" for key, values in texts.items())
