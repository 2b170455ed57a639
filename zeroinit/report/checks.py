"""What is found before training, for a terminal."""

from collections.abc import Mapping, Sequence

from rich.table import Table


def plain(columns: Sequence[str]) -> Table:
    """A table without lines, in which a narrow terminal wraps and cuts nothing."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    return shown


def of_run(rules: Mapping[str, str], found: Sequence[tuple[str, str]]) -> Table:
    """The rules {name: what it asks for} and what was found, (rule, finding) each, of one run."""
    shown = plain(["rule", "holds where", "found"])
    others = {by: "" for by, _ in found if by not in rules}
    for rule, asked in (dict(rules) | others).items():
        texts = [text for by, text in found if by == rule]
        shown.add_row(rule, asked, "\n".join(texts) or "-")
    return shown


def of_cells(keys: Sequence[str], found: Sequence[tuple[Mapping[str, str], Sequence[tuple[str, str]]]]) -> Table:
    """The findings (rule, finding) of cells, each with its params, of which `keys` name it."""
    shown = plain([*keys, "rule", "found"])
    for params, findings in found:
        named = [params.get(key, "") for key in keys]
        for rule, text in findings or [("-", "-")]:
            shown.add_row(*named, rule, text)
            named = [""] * len(keys)
    return shown
