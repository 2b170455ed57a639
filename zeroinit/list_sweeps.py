"""The command `zeroinit list`: the sweeps with their questions, sizes and times."""

import argparse
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from zeroinit import SWEEPS
from zeroinit.errors import BadInput
from zeroinit.report import show
from zeroinit.report.manifest import read_question
from zeroinit.report.tables import sweeps_table


def main(arguments: Sequence[str]) -> int:
    """Print the sweeps of zeroinit, or those of a folder.

    Args:
        arguments: The words after `zeroinit list`.

    Returns:
        The exit code.

    Raises:
        BadInput: The folder has no sweep files.
    """
    parser = argparse.ArgumentParser("zeroinit list", description="Print the sweeps with their questions and times.")
    parser.add_argument("folder", nargs="?", help="a folder of your own sweep files; else those of zeroinit")
    folder = parser.parse_args(arguments).folder
    files = sorted(file for file in (Path(folder) if folder else SWEEPS).glob("*.yaml") if file.is_file())
    if not files:
        raise BadInput(f"list {folder}: the folder has no sweep files (*.yaml); give one that has, or none")
    cd = f"-cd {folder} " if folder else ""
    rows = [(file.stem, read_question(file), describe_sizes(file)) for file in files]
    show(sweeps_table(rows), [f"Train one with: zeroinit {cd}-cn SWEEP"])
    return 0


def describe_sizes(path: Path) -> str:
    """Return what the comment that opens a sweep's file says of its numbers of runs and its times, a size a line."""
    lines = takewhile(lambda line: line.startswith("#"), path.read_text(errors="replace").splitlines())
    sentences = [line.strip("# ").rpartition("? ")[2] for line in lines if " runs on " in line]
    return "\n".join(sentence.removesuffix(".").replace("; size=", "\nsize=") for sentence in sentences)
