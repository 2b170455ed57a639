"""The claims of a sweep as the page shows them."""

from zeroinit.report.judgements import Judgement
from zeroinit.report.page.metrics import round_number
from zeroinit.report.tables import mark_n

DIGITS = 6


def describe_claim(judgement: Judgement) -> dict[str, str | int | float | None]:
    """Return the columns of claims.csv of a judgement, and `marked_n`, which the table of claims shows."""
    columns = judgement.columns()
    data = {key: round_number(value, DIGITS) if isinstance(value, float) else value for key, value in columns.items()}
    return data | {"marked_n": mark_n(judgement.answer.n, judgement.counted)}
