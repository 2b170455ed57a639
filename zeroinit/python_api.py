"""Sweeps in Python: `zeroinit.load` reads one, `zeroinit.run_sweep` runs one."""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.progress import Progress

from zeroinit.errors import BadInput
from zeroinit.progress import PLAIN_LINE, SECONDS_VARIABLE
from zeroinit.report.sweep_data import Sweep, load
from zeroinit.tracker import Status

__all__ = ["load", "run_sweep"]

BAD_INPUT, INTERRUPTED = 2, 130  # exit codes of the command
MAX_LINES = 20  # of the command's output in an error


def run_sweep(config: Mapping[str, Any], sweep_file: str | None = None) -> Sweep:
    """Run a sweep under a progress bar, and return its runs. Runs that were trained before are not trained again.

    The sweep trains in processes of its own, with the kernels and the threads of the command `zeroinit`, so its runs
    are the same as those of a command line.

    Args:
        config: {key: value}, as one types them after `zeroinit -m`. A list, a tuple or a range is an axis; a list
            within it is one value, such as the widths of a net. A text is taken as it would be typed.
        sweep_file: The name of a file in `sweeps/`, such as quickstart; None for the config alone.

    Raises:
        BadInput: The command refuses the config; the message is the command's.
        RuntimeError: The command ended without a result.

    Example:
        >>> sweep = zeroinit.run_sweep({"arch": "fnn", "init": ["default", "zero_normal"], "seed": range(3)})
        >>> sweep.difference()
    """
    words = ["-cn", sweep_file] if sweep_file else ["-m"]
    words += [f"{key}={_format_value(value)}" for key, value in config.items()]
    with tempfile.TemporaryFile("w+") as output:
        code, lines = _run(words, output)
        output.seek(0)
        lines += output.read().splitlines()
    if code == BAD_INPUT:
        raise BadInput(lines[0].removeprefix("zeroinit: ") if lines else f"zeroinit {' '.join(words)}")
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (0, 1):
        raise RuntimeError("\n".join([f"zeroinit ended with the exit code {code}", *lines[-MAX_LINES:]]))
    sweep = load(str(config.get("sweep") or sweep_file or "sweep"), config.get("tracker.uri"))
    if code:
        statuses = sweep.runs["status"].value_counts().drop(Status.FINISHED.value, errors="ignore")
        counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
        warnings.warn(f"some runs did not finish ({counts}); `runs` has their errors", stacklevel=2)
    return sweep


def _run(words: Sequence[str], output: TextIO) -> tuple[int, list[str]]:
    """Run the command under a progress bar; return its exit code, and the lines that it wrote to stderr."""
    environment = os.environ | {SECONDS_VARIABLE: "1"}
    command = [sys.executable, "-m", "zeroinit", *words]
    lines: list[str] = []
    with (
        Progress(console=Console()) as bar,
        subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True, env=environment) as process,
    ):
        assert process.stderr
        task = bar.add_task("training", total=None)
        try:
            for line in process.stderr:
                if match := PLAIN_LINE.match(line):
                    bar.update(task, completed=float(match["percent"]), total=100, description=f"{match['runs']} runs")
                else:
                    lines.append(line.rstrip("\n"))
                    bar.console.print(lines[-1], markup=False, highlight=False, soft_wrap=True)
        except KeyboardInterrupt:  # the command gets it, too, unless a notebook sends it to this process alone
            process.terminate()
            raise
    return process.returncode, lines


def _format_value(value: Any) -> str:
    """Return a value as one types it; the values of an axis with commas between them."""
    if isinstance(value, list | tuple | range):
        return ",".join(_format_single(item) for item in value)
    return _format_single(value)


def _format_single(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple | range):
        return f"[{','.join(map(_format_single, value))}]"
    return str(value)
