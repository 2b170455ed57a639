"""The definitions that a page shows on hover: of terms, and of the options that its cells have."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from zeroinit import CONF
from zeroinit.report.cells import OUTCOMES, Cell
from zeroinit.report.glossary import definitions_in
from zeroinit.tracker.scores import Score


def define_terms(texts: Iterable[str], cells: Sequence[Cell], scores: Sequence[Score]) -> dict[str, str]:
    """Return {form: definition} for the terms in the texts, and for the options of the cells, such as `init=zero`.

    The definitions of outcomes are in the words of these scores.
    """
    return definitions_in([*texts, *OUTCOMES], scores) | _define_options(cells)


def _define_options(cells: Sequence[Cell]) -> dict[str, str]:
    """Return {`group=option`: the first comment of its file in conf/}; options of users have no file there."""
    pairs = dict.fromkeys((CONF / key, value) for cell in cells for key, value in cell.params.items())
    paths = {folder: set(folder.glob("*.yaml")) for folder in dict.fromkeys(folder for folder, _ in pairs)}
    files = {f"{folder.name}={value}": folder / f"{value}.yaml" for folder, value in pairs}
    shipped = set().union(*paths.values())
    return {option: text for option, path in files.items() if path in shipped and (text := _read_comment(path))}


def _read_comment(path: Path) -> str:
    """Return the comment in the first line of a file as a sentence; empty if it is no comment."""
    first = path.read_text().partition("\n")[0]
    text = first.removeprefix("# ").rstrip(".")
    return f"{text[0].upper()}{text[1:]}." if first.startswith("# ") else ""
