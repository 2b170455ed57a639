"""Part: which bits and what speed each choice of CPU kernels gives on this processor, by benchmarks/kernels.py."""

from importlib.metadata import version
from pathlib import Path

from kernels import CASES, CHOICES, read_choice, start_choice

from gpu_parts.files import Row, add_row, read_rows
from zeroinit.kernels import cpu_name


def measure_kernels(out: Path, smoke: bool) -> bool:
    """Train the cases with each choice of kernels, side by side; write a row for each choice.

    With `smoke`, there is one case and one choice.
    """
    path = out / "kernels.jsonl"
    choices, cases = (list(names)[: 1 if smoke else None] for names in (CHOICES, CASES))
    there = {row["choice"] for row in read_rows(path)}
    started = {choice: start_choice(choice, cases) for choice in choices if choice not in there}
    for choice, process in started.items():
        row: Row = {"choice": choice, "cpu": cpu_name(), "torch": version("torch")}
        for case, (digest, seconds) in read_choice(process).items():
            row |= {case: digest[:16], f"{case}, s": seconds}
        add_row(path, row)
    return True
